package registry

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
)

// shelf is a store of versions in memory, one of each name.
type shelf struct {
	Store
	versions map[Name]*Version
	private  map[Name]bool
	texts    []StoredLicenseText
}

func (s *shelf) Repository(_ context.Context, n Name) (Repository, error) {
	if s.versions[n] == nil {
		return Repository{}, Errorf(CodeNameUnknown, "no repository %s", n)
	}
	v := auth.Public
	if s.private[n] {
		v = auth.Private
	}
	return Repository{Name: n, Visibility: v}, nil
}

func (s *shelf) Version(_ context.Context, n Name, _ Reference) (Version, error) {
	return *s.versions[n], nil
}

func (s *shelf) Waivers(context.Context, Name, Digest) ([][]byte, error) { return nil, nil }

func (s *shelf) Affirmations(context.Context, Name, Digest) ([][]byte, error) { return nil, nil }

func (s *shelf) LicenseTexts(context.Context) ([]StoredLicenseText, error) { return s.texts, nil }

func (s *shelf) put(n Name, license string, bases ...string) *Version {
	f := &Facts{Card: Card{LicenseID: license, Body: "# " + string(n) + "\n\nA model.\n"}}
	if l, ok := licenses.Lookup(license); ok {
		f.License.Declared = l.SPDX
	}
	for _, b := range bases {
		f.Bases = append(f.Bases, DeclaredBase{Name: b, Relation: "finetune", From: "card"})
	}
	v := &Version{Name: n, Digest: DigestOf(SHA256, []byte(n)), Facts: f}
	if s.versions == nil {
		s.versions = map[Name]*Version{}
	}
	s.versions[n] = v
	return v
}

func TestAncestry(t *testing.T) {
	t.Parallel()
	s := &shelf{private: map[Name]bool{"acme/secret": true}}
	s.put("acme/base", "cc-by-nc-4.0")
	s.put("acme/secret", "proprietary-thing", "acme/base")
	s.put("acme/loop", "mit", "acme/circle")
	s.put("acme/circle", "mit", "acme/loop")
	r := New(Options{Store: s, Clock: func() time.Time { return time.Unix(0, 0) }})
	find := func(t *testing.T, v *Version, rule string) *lineage.Finding {
		t.Helper()
		a, err := r.Assess(t.Context(), auth.Principal{}, v)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range a.Lineage.Findings {
			if f.Rule == rule {
				return &a.Lineage.Findings[i]
			}
		}
		return nil
	}
	t.Run("a base here", func(t *testing.T) {
		t.Parallel()
		if f := find(t, &Version{Name: "acme/x", Facts: &Facts{License: License{Declared: "MIT"}, Bases: []DeclaredBase{{Name: "Acme/Base", From: "card"}}}}, "L06"); f == nil || f.Against != "acme/base" {
			t.Errorf("non-commercial base: %+v", f)
		}
	})
	t.Run("a base that the reader cannot see", func(t *testing.T) {
		t.Parallel()
		f := find(t, &Version{Name: "acme/x", Facts: &Facts{License: License{Declared: "MIT"}, Bases: []DeclaredBase{{Name: "acme/secret", From: "card"}}}}, "L16")
		if f == nil || f.Against != lineage.Hidden || strings.Contains(fmt.Sprintf("%+v", f), "secret") {
			t.Errorf("hidden base: %+v", f)
		}
	})
	t.Run("a circle", func(t *testing.T) {
		t.Parallel()
		if f := find(t, s.versions["acme/loop"], "L16"); f == nil || !strings.Contains(f.Message, "circle") {
			t.Errorf("circle: %+v", f)
		}
	})
}

// BenchmarkReassess computes the assessments of 100,000 models, as is done
// after the rules or the catalogue changed: a fifth stands alone, half has a base
// that is known by its name, the rest are chains and merges of models that are here.
func BenchmarkReassess(b *testing.B) {
	const models = 100_000
	texts := []string{string(readFile(b, "../LICENSE")), "MIT License\n\n" + strings.Repeat("Permission is not granted. ", 40), "All rights reserved."}
	card := strings.Repeat("## Heading\n\nWords about a model, see https://example.org/data and [its paper](https://arxiv.org/abs/1).\n\n", 12)
	ids := []string{"apache-2.0", "mit", "llama3.1", "cc-by-nc-4.0", "gemma", "openrail++", "no-such-licence"}
	known := []string{"meta-llama/Llama-3.1-8B", "google/gemma-2-9b", "mistralai/Mistral-7B-v0.1", "Qwen/Qwen2.5-72B"}
	s := &shelf{}
	list := make([]*Version, models)
	for i := range list {
		var bases []string
		switch here := func(back int) string { return fmt.Sprintf("org/m%d", i-back) }; {
		case i%10 < 2 || i < 10:
		case i%10 < 7:
			bases = []string{known[i%len(known)]}
		case i%10 < 9:
			bases = []string{here(1)}
		default:
			bases = []string{here(2), here(4), here(7)}
		}
		list[i] = s.put(Name(fmt.Sprintf("org/m%d", i)), ids[i%len(ids)], bases...)
		list[i].Facts.Card.Body += card
		list[i].Facts.License.Text, list[i].Facts.License.File = texts[i%len(texts)], "LICENSE"
	}
	r := New(Options{Store: s})
	for b.Loop() {
		var next atomic.Int64
		var wg sync.WaitGroup
		for range runtime.GOMAXPROCS(0) {
			wg.Go(func() {
				for i := next.Add(1) - 1; i < models; i = next.Add(1) - 1 {
					if _, err := r.Assess(b.Context(), auth.Principal{}, list[i]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/models, "µs/model")
}

func readFile(tb testing.TB, path string) []byte {
	tb.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}
