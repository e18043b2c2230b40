package text

import (
	"cmp"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/licenses"
)

var (
	texts  = flag.String("texts", os.Getenv("CARAT_LICENSE_TEXTS"), "a folder of licence texts, named REF.txt or REF@SOURCE.txt, to try and to fingerprint")
	update = flag.Bool("update", false, "write fingerprints.json from the folder that -texts names")
)

// named is a text of the folder.
type named struct {
	ref, source, text string
}

// readTexts reads the folder of -texts.
func readTexts(t testing.TB) []named {
	t.Helper()
	if *texts == "" {
		t.Skip("no folder of licence texts is named by -texts")
	}
	paths, err := filepath.Glob(filepath.Join(*texts, "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no texts in %s: %v", *texts, err)
	}
	var list []named
	for _, path := range paths {
		p, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		ref, source, _ := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".txt"), "@")
		list = append(list, named{ref, source, string(p)})
	}
	return list
}

// endOfTerms ends the terms of Apache-2.0 and those made after it; what follows is help for those who apply it, and often left out.
var endOfTerms = []string{"end", "of", "terms", "and", "conditions"}

// fingerprintsOf are those of a text: of the whole, of its parts where one is often left out, and of what follows its title.
func fingerprintsOf(ref string, words []string) (list []Fingerprint) {
	add := func(words []string, part bool) {
		f, ok := NewFingerprint(ref, words)
		if !ok || slices.ContainsFunc(list, func(x Fingerprint) bool { return x.Digest == f.Digest }) {
			return
		}
		if part {
			f.Sketch = nil
		}
		list = append(list, f)
	}
	add(words, false)
	for i := range len(words) - len(endOfTerms) {
		if end := i + len(endOfTerms); slices.Equal(words[i:end], endOfTerms) {
			add(words[:i], true)
			add(words[:end], true)
			add(words[end:], true)
		}
	}
	return list
}

// TestFingerprints remakes the fingerprints of the texts that the catalogue knows, and compares them with those that are embedded.
func TestFingerprints(t *testing.T) {
	t.Parallel()
	var list []Fingerprint
	for _, x := range readTexts(t) {
		f, known := licenses.Lookup(x.ref)
		if !known || f.SPDX != x.ref {
			continue
		}
		words, err := Words(x.text)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fingerprintsOf(x.ref, words) {
			if !slices.ContainsFunc(list, func(o Fingerprint) bool { return o.Digest == f.Digest }) {
				list = append(list, f)
			}
		}
	}
	slices.SortFunc(list, func(a, b Fingerprint) int {
		return cmp.Or(cmp.Compare(a.Ref, b.Ref), cmp.Compare(b.Words, a.Words), cmp.Compare(a.Digest, b.Digest))
	})
	p, err := encode(list)
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("fingerprints.json", p, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d fingerprints, %d bytes", len(list), len(p))
		return
	}
	if string(p) != string(fingerprintsJSON) {
		t.Error("fingerprints.json is not that of the texts: run with -update")
	}
}

// mutate changes a part of the words: each by another one, by nothing, or by itself and another one.
func mutate(words []string, part float64, rng *rand.Rand) []string {
	edits := max(1, int(part*float64(len(words))))
	at := map[int]bool{}
	for len(at) < min(edits, len(words)) {
		at[rng.IntN(len(words))] = true
	}
	var out []string
	for i, w := range words {
		if !at[i] {
			out = append(out, w)
			continue
		}
		other := words[rng.IntN(len(words))]
		if other == w {
			other += "s"
		}
		switch rng.IntN(3) {
		case 0:
			out = append(out, other)
		case 1: // not behind the text, where a word more changes nothing
			out = append(out, other, w)
			if i == 0 {
				out = append(out[:0], w, other)
			}
		}
	}
	return out
}

// sameText are texts of the folder that are those of another licence, word for word.
var sameText = map[string]string{"LicenseRef-scancode-openmdw-1.0": "OpenMDW-1.0", "LicenseRef-scancode-tigra-calendar-4.0": "MIT-0"}

// TestNoFalseIdentity: no text is taken for another licence, and none of those that are known is still identified after a word of it was
// changed. It also tells how often the right licence is proposed.
func TestNoFalseIdentity(t *testing.T) {
	t.Parallel()
	all := readTexts(t)
	l := Known()
	var mu sync.Mutex
	tried, identified, proposed, known := map[string]int{}, 0, map[string]int{}, 0
	var wg sync.WaitGroup
	for part := range 4 {
		wg.Go(func() {
			for i := part; i < len(all); i += 4 {
				x := all[i]
				words, err := Words(x.text)
				if err != nil || len(words) < anchor {
					continue
				}
				r, err := l.Identify(x.text)
				if err != nil {
					t.Errorf("%s: %v", x.ref, err)
					continue
				}
				f, isKnown := licenses.Lookup(x.ref)
				isKnown = isKnown && f.SPDX == x.ref
				mu.Lock()
				tried["as it is"]++
				if isKnown {
					known++
				}
				if len(r.Refs) > 0 {
					identified++
				}
				mu.Unlock()
				if len(r.Refs) > 0 && !slices.Contains(r.Refs, x.ref) && r.Refs[0] != sameText[x.ref] {
					t.Errorf("%s (%s) is identified as %v; around it stands %q", x.ref, x.source, r.Refs, r.Uncovered)
				}
				if isKnown && len(r.Refs) == 0 {
					t.Errorf("%s (%s) is not identified: contains %v, around %q", x.ref, x.source, r.Contains, r.Uncovered)
				}
				for name, part := range map[string]float64{"one word": 0, "1 %": 0.01, "2.5 %": 0.025, "10 %": 0.1} {
					changed := mutate(words, part, rand.New(rand.NewPCG(uint64(i), uint64(part*1000))))
					r, err := l.Identify(strings.Join(changed, " "))
					if err != nil {
						t.Error(err)
						continue
					}
					mu.Lock()
					tried[name]++
					if isKnown && len(r.Candidates) > 0 && r.Candidates[0].Ref == x.ref || slices.Contains(r.Contains, x.ref) {
						proposed[name]++
					}
					mu.Unlock()
					if len(r.Refs) > 0 {
						t.Errorf("%s with %s changed is identified as %v", x.ref, name, r.Refs)
					}
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d texts tried, %d of them known, %d identified; proposed first after changes: %v", tried["as it is"], known, identified, proposed)
}

func BenchmarkIdentify(b *testing.B) {
	all := readTexts(b)
	l := Known()
	var took []time.Duration
	for b.Loop() {
		took = took[:0]
		for _, x := range all {
			began := time.Now()
			if _, err := l.Identify(x.text); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	for name, part := range map[string]float64{"p50-ms": 0.5, "p99-ms": 0.99, "max-ms": 1} {
		b.ReportMetric(float64(took[min(len(took)-1, int(part*float64(len(took))))].Microseconds())/1000, name)
	}
	b.ReportMetric(0, "ns/op")
}
