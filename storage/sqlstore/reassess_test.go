package sqlstore

import (
	"fmt"
	"strings"
	"testing"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// BenchmarkReassess assesses all versions anew from their stored facts and
// stores the results, as is done after the rules changed: a fifth stands alone,
// half has a base that is known by its name, the rest have one or three that are here.
func BenchmarkReassess(b *testing.B) {
	const models = 2000
	licences := []string{"Apache-2.0", "MIT", "LicenseRef-scancode-llama-3.1-license-2024", "CC-BY-NC-4.0"}
	known := []string{"meta-llama/Llama-3.1-8B", "google/gemma-2-9b", "mistralai/Mistral-7B-v0.1"}
	body := strings.Repeat("## Heading\n\nWords about a model, see https://example.org/data.\n\n", 12)
	for _, e := range engines {
		b.Run(string(e), func(b *testing.B) {
			s := setup(b, e)
			for i := range models {
				n := registry.Name(fmt.Sprintf("org/m%d", i))
				s.repo(b, n, auth.Public)
				w := model(n, string(n), "latest")
				check(b, s.PutManifest(b.Context(), w))
				f := &registry.Facts{License: registry.License{Declared: licences[i%len(licences)], Text: body}, Card: registry.Card{Body: body}}
				here := func(back int) registry.DeclaredBase {
					return registry.DeclaredBase{Name: fmt.Sprintf("org/m%d", i-back), From: "card"}
				}
				switch {
				case i%10 < 2 || i < 10:
				case i%10 < 7:
					f.Bases = []registry.DeclaredBase{{Name: known[i%len(known)], From: "card"}}
				case i%10 < 9:
					f.Bases = []registry.DeclaredBase{here(1)}
				default:
					f.Bases = []registry.DeclaredBase{here(2), here(4), here(7)}
				}
				check(b, s.SaveFacts(b.Context(), n, w.Manifest.Digest, f, ""))
			}
			r := registry.New(registry.Options{Store: s.Store})
			for n := 1; n > 0; { // what saving the facts has made due
				var err error
				n, err = r.AssessDue(b.Context(), 100)
				check(b, err)
			}
			for b.Loop() {
				_, err := s.db.writer.ExecContext(b.Context(), "INSERT INTO assessment_due (version_id, stamp) SELECT id, 1 FROM versions")
				check(b, err)
				for n := 1; n > 0; {
					n, err = r.AssessDue(b.Context(), 100)
					check(b, err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/models, "µs/model")
		})
	}
}
