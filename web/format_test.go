package web

import (
	"math"
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1024: "1.02 kB", 11_358: "11.4 kB", 999_400: "999 kB", 999_500: "1 MB", 9_995_000: "10 MB",
		18_204_000_000: "18.2 GB", math.MaxInt64: "9.22 EB", -1: "-1 B",
	} {
		if got := formatBytes(n); got != want {
			t.Errorf("formatBytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{999: "999", 2_885_888: "2.89 M", 70_553_706_496: "70.6 B", 100_000_000_000: "100 B", 1_000_000_000_000: "1 T"} {
		if got := formatCount(n); got != want {
			t.Errorf("formatCount(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1\u202f000", 2_885_888: "2\u202f885\u202f888", -100: "-100", -1000: "-1\u202f000"} {
		if got := formatGrouped(n); got != want {
			t.Errorf("formatGrouped(%d) = %q, want %q", n, got, want)
		}
	}
	for s, want := range map[float64]string{0: "< 1 ms", 0.0124: "12 ms", 0.9: "900 ms", 2.34: "2.3 s", 600: "10 min", -1: "", math.Inf(-1): ""} {
		if got := formatSeconds(s); got != want {
			t.Errorf("formatSeconds(%g) = %q, want %q", s, got, want)
		}
	}
	if got := formatSeconds(math.NaN()); got != "" {
		t.Errorf("formatSeconds(NaN) = %q", got)
	}
}

func TestSince(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Hour: "23 Nov 2026", 59 * time.Second: "just now", time.Minute: "1 minute ago", 119 * time.Minute: "1 hour ago", 47 * time.Hour: "1 day ago",
		6 * 24 * time.Hour: "6 days ago", 8 * 24 * time.Hour: "15 Nov 2026",
	} {
		if got := since(d, today.Add(-d)); got != want {
			t.Errorf("since(%s) = %q, want %q", d, got, want)
		}
	}
}

func TestClip(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in    string
		most  int
		want  string
		whole bool
	}{{"abc", 3, "abc", true}, {"abcd", 3, "abc", false}, {"aäb", 2, "a", false}, {"äb", 1, "", false}, {"\x80\x80\x80", 2, "", false}} {
		if got, whole := clip(tt.in, tt.most); got != tt.want || whole != tt.whole {
			t.Errorf("clip(%q, %d) = %q, %v; want %q, %v", tt.in, tt.most, got, whole, tt.want, tt.whole)
		}
	}
}
