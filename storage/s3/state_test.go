package s3

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/storage"
)

// TestPartSizes holds the growth of parts to what S3 allows and to the object
// size that must fit.
func TestPartSizes(t *testing.T) {
	t.Parallel()
	for _, first := range []int64{minPartSize, defaultPartSize, maxFirstPart} {
		o := Options{PartSize: first}
		var sum, last int64
		for n := 1; n <= maxParts; n++ {
			size := o.partSize(n)
			if size < last || size < minPartSize || size > maxPartSize {
				t.Fatalf("part %d from %d on has %d bytes after %d", n, first, size, last)
			}
			sum, last = sum+size, size
		}
		if first >= defaultPartSize && sum < 5<<40 {
			t.Errorf("parts from %d bytes on hold %d, less than 5 TiB", first, sum)
		}
	}
}

const goodTail = "6-ABCDEFGHIJKLMNOPQRSTUVWXYZ"

func TestParseState(t *testing.T) {
	t.Parallel()
	want := state{
		Offset: 2*minPartSize + 6,
		Upload: "u/1",
		Parts:  []part{{"a", minPartSize}, {"b", minPartSize}},
		Tail:   goodTail, Size: 6,
	}
	raw, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseState(raw)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	for name, bad := range map[string]string{
		"parts without upload": `{"offset":5242880,"parts":[{"etag":"a","size":5242880}]}`,
		"upload without parts": `{"offset":0,"upload":"u"}`,
		"tail without size":    `{"offset":0,"tail":"` + goodTail + `"}`,
		"size without tail":    `{"offset":6,"size":6}`,
		"tail elsewhere":       `{"offset":6,"tail":"../../objects/x","size":6}`,
		"negative tail":        `{"offset":-6,"tail":"` + goodTail + `","size":-6}`,
		"wrong sum":            `{"offset":7,"tail":"` + goodTail + `","size":6}`,
		"short part":           `{"offset":5,"upload":"u","parts":[{"etag":"a","size":5}]}`,
		"no ETag":              `{"offset":5242880,"upload":"u","parts":[{"etag":"","size":5242880}]}`,
		"huge part":            `{"offset":9223372036854775807,"upload":"u","parts":[{"etag":"a","size":9223372036854775807}]}`,
		"unknown field":        `{"offset":0,"key":"x"}`,
		"too many parts": `{"offset":0,"upload":"u","parts":[` +
			strings.TrimSuffix(strings.Repeat(`{"etag":"a","size":5242880},`, maxParts+1), ",") + `]}`,
		"too long": `{"offset":0` + strings.Repeat(" ", maxState) + `}`,
	} {
		if _, err := parseState(storage.State(bad)); !errors.Is(err, storage.ErrState) {
			t.Errorf("%s: error %v, want %v", name, err, storage.ErrState)
		}
	}
}

func FuzzParseState(f *testing.F) {
	for _, seed := range []string{
		`{"offset":0}`,
		`{"offset":6,"tail":"` + goodTail + `","size":6}`,
		`{"offset":5242880,"upload":"u","parts":[{"etag":"a","size":5242880}]}`,
		`{"offset":1e3}`, `[]`, `null`, `{"parts":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		st, err := parseState(raw)
		if err != nil {
			if !errors.Is(err, storage.ErrState) {
				t.Fatalf("error %v", err)
			}
			return
		}
		sum := st.Size
		for _, p := range st.Parts {
			if p.Size < minPartSize || p.Size > maxPartSize {
				t.Fatalf("part of %d bytes", p.Size)
			}
			sum += p.Size
		}
		if st.Offset < 0 || sum != st.Offset || strings.ContainsAny(st.Tail, "/.\\") {
			t.Fatalf("state %+v", st)
		}
		again, err := json.Marshal(st)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := parseState(again); err != nil || !cmp.Equal(st, back) {
			t.Fatalf("%s came back as %+v, %v", again, back, err)
		}
	})
}
