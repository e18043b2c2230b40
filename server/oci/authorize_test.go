package oci_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/auth/authtest"
	"github.com/carat-hub/carat/internal/pgtest"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server"
	"github.com/carat-hub/carat/server/oci"
	"github.com/carat-hub/carat/storage/fs"
	"github.com/carat-hub/carat/storage/sqlstore"
)

// granted lets everybody pull under a grant that there was before.
type granted struct {
	server.Access
	grant auth.Grant
}

func (g granted) Pull(echo.Context, registry.Name) registry.Decide {
	return func(auth.Visibility, bool) (auth.Grant, error) { return g.grant, nil }
}

// BenchmarkAuthorization fetches a manifest by its tag from a server that
// authorizes nothing, and from the same one as it is: a public model without
// credentials, and a private one with a token of the token endpoint. They take
// turns on one connection, so that what else the machine does falls on all alike.
func BenchmarkAuthorization(b *testing.B) {
	for name, database := range map[string]func(*testing.B) string{
		"sqlite":   func(b *testing.B) string { return "sqlite:" + filepath.Join(b.TempDir(), "carat.db") },
		"postgres": func(b *testing.B) string { return pgtest.New(b) },
	} {
		b.Run(name, func(b *testing.B) {
			url := database(b)
			db, err := sqlstore.Open(b.Context(), url, sqlstore.OpenOptions{Unsafe: true})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = db.Close() })
			blobs, err := fs.New(fs.Options{Dir: filepath.Join(b.TempDir(), "blobs")})
			if err != nil {
				b.Fatal(err)
			}
			store := sqlstore.New(db, sqlstore.Options{})
			reg := registry.New(registry.Options{Store: store, Blobs: blobs, DefaultGate: registry.GateWarn})
			empty := []byte("{}")
			config := registry.DigestOf(registry.SHA256, empty)
			body := []byte(`{"schemaVersion":2,"mediaType":"` + registry.MediaTypeOCIManifest + `","config":{"mediaType":"` + registry.MediaTypeOCIEmpty + `","digest":"` + config.String() + `","size":2},"layers":[]}`)
			for _, repo := range []string{"bench/open", "bench/secret"} {
				g := auth.System(repo, auth.Push)
				if _, err := reg.PutBlob(b.Context(), g, config, 2, bytes.NewReader(empty)); err != nil {
					b.Fatal(err)
				}
				if _, err := reg.PutManifest(b.Context(), g, registry.ManifestPut{Reference: registry.Reference{Tag: "v1"}, Body: body}); err != nil {
					b.Fatal(err)
				}
			}
			if err := reg.SetVisibility(b.Context(), auth.System("bench/secret", auth.Maintain), auth.Private); err != nil {
				b.Fatal(err)
			}
			signer, _ := authtest.Signer(b, make([]byte, auth.SeedLen))
			token, err := signer.Sign(auth.Principal{UserID: 7, Name: "jane", Roles: auth.Roles{"bench/secret": auth.Reader}},
				[]auth.Scope{{Type: auth.TypeRepository, Name: "bench/secret", Actions: []string{"pull"}}}, time.Hour)
			if err != nil {
				b.Fatal(err)
			}
			handler := func(access oci.Access) http.Handler {
				s, err := server.New(server.Options{
					Users: store, Tokens: store, Signer: signer, Repositories: reg, Logger: slog.New(slog.DiscardHandler),
					Routes: []server.Routes{oci.New(oci.Options{Registry: reg, Access: access})},
				})
				if err != nil {
					b.Fatal(err)
				}
				return s
			}
			before, err := auth.Allow(auth.Principal{}, auth.Pull, auth.Resource{Repository: "bench/open", Visibility: auth.Public})
			if err != nil {
				b.Fatal(err)
			}
			without, with := handler(granted{server.NewAccess(reg), before}), handler(nil)
			l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Way") == "none" {
					without.ServeHTTP(w, r)
				} else {
					with.ServeHTTP(w, r)
				}
			}))
			b.Cleanup(l.Close)
			ways := []struct {
				name, repo, authorization string
				took                      []time.Duration
			}{
				{"none", "bench/open", "", nil},
				{"public", "bench/open", "", nil},
				{"token", "bench/secret", "Bearer " + token.Text, nil},
			}
			for i := 0; b.Loop(); i++ {
				for j := range ways {
					w := &ways[(i+j)%len(ways)]
					begun := time.Now()
					req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, l.URL+"/v2/"+w.repo+"/manifests/v1", nil)
					if err != nil {
						b.Fatal(err)
					}
					req.Header.Set("X-Way", w.name)
					if w.authorization != "" {
						req.Header.Set("Authorization", w.authorization)
					}
					resp, err := http.DefaultClient.Do(req)
					if err != nil {
						b.Fatal(err)
					}
					n, err := io.Copy(io.Discard, resp.Body)
					if err != nil || n != int64(len(body)) || resp.StatusCode != http.StatusOK || resp.Body.Close() != nil {
						b.Fatalf("status %d, %d bytes, %v", resp.StatusCode, n, err)
					}
					w.took = append(w.took, time.Since(begun))
				}
			}
			typical := make([]float64, len(ways)) // the mean of the middle half
			for i, w := range ways {
				slices.Sort(w.took)
				middle := w.took[len(w.took)/4 : max(len(w.took)*3/4, 1)]
				for _, d := range middle {
					typical[i] += d.Seconds() * 1e6 / float64(len(middle))
				}
				b.ReportMetric(typical[i], "µs/"+w.name)
				if i > 0 {
					b.ReportMetric(100*(typical[i]/typical[0]-1), "%more/"+w.name)
				}
			}
		})
	}
}
