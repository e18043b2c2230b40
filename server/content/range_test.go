package content

import (
	"net/http"
	"strings"
	"testing"

	"github.com/carat-hub/carat/registry"
)

func TestRequestedRanges(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		header string
		size   int64
		want   int // -1 for an error
	}{
		{"", 10, 0},
		{"bytes=0-0", 10, 1},
		{"bytes=0-", 10, 1},
		{"bytes=9-100", 10, 1},
		{"bytes=-1", 10, 1},
		{"bytes=-100", 10, 1},
		{"bytes=0-1, 3-4,-1", 10, 3},
		{"bytes=0-1,50-60", 10, 2},
		{"lines=0-1", 10, 0},
		{"bytes=10-", 10, -1},
		{"bytes=0-", 0, -1},
		{"bytes=-0", 10, -1},
		{"bytes=5-4", 10, -1},
		{"bytes=", 10, -1},
		{"bytes=1", 10, -1},
		{"bytes=a-b", 10, -1},
		{"bytes=--1", 10, -1},
		{"bytes=0-1,,", 10, -1},
		{"bytes=99999999999999999999-", 10, -1},
		{"bytes=0-0" + strings.Repeat(",1-1", maxRanges-1), 10, maxRanges},
		{"bytes=0-0" + strings.Repeat(",1-1", maxRanges), 10, -1},
	} {
		got, err := requestedRanges(&http.Request{Header: http.Header{"Range": {tc.header}}}, tc.size)
		if tc.want < 0 {
			if !registry.IsCode(err, registry.CodeRangeInvalid) {
				t.Errorf("%q of %d: %d, %v", tc.header, tc.size, got, err)
			}
		} else if err != nil || got != tc.want {
			t.Errorf("%q of %d: %d, %v, want %d", tc.header, tc.size, got, err, tc.want)
		}
	}
}

func TestConditionalRanges(t *testing.T) {
	t.Parallel()
	for n, kept := range map[int]bool{1: true, maxRanges: true, maxRanges + 1: false} {
		r := &http.Request{Header: http.Header{"If-Range": {`"x"`}, "Range": {"bytes=0-0" + strings.Repeat(",1-1", n-1)}}}
		got, err := requestedRanges(r, 10)
		if err != nil || got != 0 || (r.Header.Get("Range") != "") != kept {
			t.Errorf("%d ranges: %d, %v, Range %q", n, got, err, r.Header.Get("Range"))
		}
	}
}
