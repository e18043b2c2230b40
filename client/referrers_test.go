package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"github.com/carat-hub/carat/registry"
)

const reportType = "application/x.report"

// descriptor is the n-th referrer of a test, of that artifact type.
func descriptor(n int, artifactType string) string {
	d := registry.DigestOf(registry.SHA256, fmt.Append(nil, n))
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":7,"artifactType":%q}`, registry.MediaTypeOCIManifest, d, artifactType)
}

func index(descriptors ...string) string {
	return `{"schemaVersion":2,"manifests":[` + strings.Join(descriptors, ",") + `]}`
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	const path = "/v2/demo/m/referrers/" + someDigest
	fallback := "/v2/demo/m/manifests/" + strings.Replace(someDigest, ":", "-", 1)
	many := make([]string, maxReferrers+1)
	for i := range many {
		many[i] = descriptor(i, reportType)
	}
	next := func(to string) http.Header { return http.Header{"Link": {"<" + to + `>; rel="next"`}} }
	type page struct {
		body   string
		header http.Header
	}
	for name, tt := range map[string]struct {
		pages map[string]page // by path and query
		want  int
		err   string
	}{
		"filtered by us":    {map[string]page{path + "?artifactType=application%2Fx.report": {body: index(descriptor(1, reportType), descriptor(2, "other"), descriptor(3, reportType))}}, 2, ""},
		"none":              {map[string]page{path + "?artifactType=application%2Fx.report": {body: index()}}, 0, ""},
		"pages":             {map[string]page{path + "?artifactType=application%2Fx.report": {index(descriptor(1, reportType)), next(path + "?last=1")}, path + "?last=1": {body: index(descriptor(2, reportType))}}, 2, ""},
		"under a tag":       {map[string]page{fallback: {body: index(descriptor(1, reportType))}}, 1, ""},
		"nothing at all":    {nil, 0, ""},
		"page elsewhere":    {map[string]page{path + "?artifactType=application%2Fx.report": {index(), next("https://example.org" + path)}}, 0, "elsewhere"},
		"page of another":   {map[string]page{path + "?artifactType=application%2Fx.report": {index(), next("/v2/demo/other/referrers/x")}}, 0, "elsewhere"},
		"page that is gone": {map[string]page{path + "?artifactType=application%2Fx.report": {index(), next(path + "?last=1")}}, 0, "404"},
		"pages for ever":    {map[string]page{path + "?artifactType=application%2Fx.report": {index(), next(path + "?artifactType=application%2Fx.report")}}, 0, "more than 500"},
		"too many":          {map[string]page{path + "?artifactType=application%2Fx.report": {body: index(many...)}}, 0, "more than 500"},
		"no JSON":           {map[string]page{path + "?artifactType=application%2Fx.report": {body: "<html>"}}, 0, "read the index"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := newRegistry(t, func(http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					p, ok := tt.pages[r.URL.RequestURI()]
					if !ok {
						http.NotFound(w, r)
						return
					}
					for k, v := range p.header {
						w.Header()[k] = v
					}
					fmt.Fprint(w, p.body)
				})
			})
			c, _ := newClient(t, nil)
			ref := parseRef(t, host+"/demo/m@"+someDigest)
			list, err := c.Referrers(t.Context(), ref, reportType)
			if len(list) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%d referrers, %v; want %d, %q", len(list), err, tt.want, tt.err)
			}
		})
	}
}

func TestHubKeys(t *testing.T) {
	t.Parallel()
	h := hubServer(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		switch {
		case r.Method == http.MethodGet && r.URL.Path == "/api/v1/keys":
			fmt.Fprint(w, `{"keys":[{"id":"sha256:1","algorithm":"Ed25519","pem":"x","notBefore":"2030-01-02T03:04:05Z"}]}`)
		case r.Method == http.MethodPost && r.URL.Path == "/api/v1/keys" && user == "admin" && password == "secret":
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"id":"sha256:2"}`)
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	keys, err := h.Keys(t.Context())
	if err != nil || len(keys) != 1 || keys[0].ID != "sha256:1" || keys[0].NotBefore.Year() != 2030 || !keys[0].NotAfter.IsZero() {
		t.Errorf("keys %+v, %v", keys, err)
	}
	if _, err := h.RotateKey(t.Context()); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("without a login: %v", err)
	}
	store := credentials.NewMemoryStore()
	put := func(password string) {
		if err := store.Put(t.Context(), h.r.base.Host, auth.Credential{Username: "admin", Password: password}); err != nil {
			t.Fatal(err)
		}
	}
	h.r.c.opts.Credentials = store
	if _, err := h.RotateKey(t.Context()); !errors.Is(err, ErrNoCredentials) {
		t.Errorf("with an empty store: %v", err)
	}
	put("secret")
	if k, err := h.RotateKey(t.Context()); err != nil || k.ID != "sha256:2" {
		t.Errorf("key %+v, %v", k, err)
	}
	put("wrong")
	var answer *ResponseError
	if _, err := h.RotateKey(t.Context()); !errors.As(err, &answer) || answer.Status != http.StatusUnauthorized {
		t.Errorf("with a wrong password: %v", err)
	}
	if !h.Trustworthy() {
		t.Error("a loopback host is not trusted")
	}
	c, _ := newClient(t, func(o *Options) { o.PlainHTTP = true })
	if c.Hub("models.example.org").Trustworthy() {
		t.Error("a host over plain HTTP is trusted")
	}
}
