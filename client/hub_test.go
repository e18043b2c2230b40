package client

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/carat-hub/carat/registry"
)

func hubServer(t *testing.T, h http.HandlerFunc) *Hub {
	t.Helper()
	host := newRegistry(t, func(http.Handler) http.Handler { return h })
	c, _ := newClient(t, nil)
	return c.Hub(host)
}

func TestHubVersion(t *testing.T) {
	t.Parallel()
	h := hubServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/models/demo/m/versions/v1" {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such version"}]}`)
			return
		}
		fmt.Fprintf(w, `{"name":"demo/m","digest":%q,"kind":"modelpack","size":7,"files":[{"path":"a","digest":%q,"size":7}],"facts":{"architecture":"llama"}}`, someDigest, someDigest)
	})
	v, err := h.Version(t.Context(), "demo/m", registry.Reference{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if v.Digest.String() != someDigest || len(v.Files) != 1 || v.Facts == nil || v.Facts.Architecture != "llama" {
		t.Errorf("version is %+v", v)
	}
	if _, err := h.Version(t.Context(), "demo/m", registry.Reference{Tag: "v2"}); !registry.IsCode(err, registry.CodeManifestUnknown) || errors.Is(err, ErrNoHub) {
		t.Errorf("a version that is not there: %v", err)
	}
}

func TestHubOnOtherServers(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]http.HandlerFunc{
		"404 page":       func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) },
		"page for all":   func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html><title>x</title>") },
		"JSON of others": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"hello":"world"}`) },
		"bad digest":     func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"digest":"../x"}`) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hub := hubServer(t, h)
			if _, err := hub.Version(t.Context(), "demo/m", registry.Reference{Tag: "v1"}); !errors.Is(err, ErrNoHub) {
				t.Errorf("Version: %v, want ErrNoHub", err)
			}
			if _, err := hub.Verification(t.Context(), "demo/m", registry.Reference{Tag: "v1"}); !errors.Is(err, ErrNoHub) {
				t.Errorf("Verification: %v, want ErrNoHub", err)
			}
		})
	}
}

func TestHubAwait(t *testing.T) {
	t.Parallel()
	answers := []string{
		`{"digest":"` + someDigest + `","state":"pending"}`,
		`{"digest":"` + someDigest + `","state":"running","report":{"results":[{"id":"a","outcome":"passed"}]}}`,
		"",
		`{"digest":"` + someDigest + `","state":"failed","report":{"summary":"b failed","results":[{"id":"a","outcome":"passed"},{"id":"b","outcome":"failed","reason":"NaN"}]}}`,
	}
	n := 0
	h := hubServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/models/demo/m/versions/"+someDigest+"/verification" {
			t.Errorf("path is %s", r.URL.Path)
		}
		a := answers[min(n, len(answers)-1)]
		n++
		if a == "" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, a)
	})
	var states []string
	v, err := h.Await(t.Context(), "demo/m", registry.MustParseDigest(someDigest), time.Minute, func(v *Verification) { states = append(states, v.State) })
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(states) != "[pending running failed]" || v.State != StateFailed || len(v.Report.Results) != 2 || v.Report.Results[1].Reason != "NaN" {
		t.Errorf("states were %v, the last is %+v", states, v)
	}
}
