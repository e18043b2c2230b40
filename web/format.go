package web

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/carat-hub/carat/registry"
)

// formatBytes writes a size with a decimal unit, as disks and networks count.
func formatBytes(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return scaled(n, []string{" kB", " MB", " GB", " TB", " PB", " EB"})
}

// formatCount writes a number in three digits with a unit: 2.9 M, 70 B.
func formatCount(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return scaled(n, []string{" K", " M", " B", " T", " Q"})
}

// scaled divides n ≥ 1000 by powers of 1000 and writes at most three digits.
func scaled(n int64, units []string) string {
	v, i := float64(n)/1000, 0
	for v >= 999.5 && i < len(units)-1 {
		v /= 1000
		i++
	}
	decimals := 0
	switch {
	case v < 9.995:
		decimals = 2
	case v < 99.95:
		decimals = 1
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + units[i]
}

// formatGrouped writes a number with a thin space between groups of three digits.
func formatGrouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	var b strings.Builder
	for i, r := range s {
		if i > 0 && (len(s)-i)%3 == 0 && s[i-1] != '-' {
			b.WriteRune('\u202f')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// formatPercent writes a part of one.
func formatPercent(part float64) string { return strconv.FormatFloat(100*part, 'f', 0, 64) + "\u202f%" }

// formatStamp writes a time for the datetime attribute.
func formatStamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// moment is a time as pages show it.
type moment struct {
	Time time.Time
	Text string // "5 minutes ago", "23 Nov 2026"
}

func (h *Handler) moment(t time.Time) moment {
	return moment{t.UTC(), since(h.now().Sub(t), t)}
}

func since(d time.Duration, t time.Time) string {
	ago := func(n int, unit string) string {
		if n != 1 {
			unit += "s"
		}
		return fmt.Sprintf("%d %s ago", n, unit)
	}
	switch {
	case d < 0 || d >= 7*24*time.Hour:
		return t.UTC().Format("2 Jan 2006")
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return ago(int(d/time.Minute), "minute")
	case d < 24*time.Hour:
		return ago(int(d/time.Hour), "hour")
	}
	return ago(int(d/(24*time.Hour)), "day")
}

// shortDigest is enough of a digest to tell two apart by eye.
func shortDigest(d registry.Digest) string {
	const digits = 12
	if hex := d.Hex(); len(hex) > digits {
		return hex[:digits]
	}
	return d.String()
}

// clip cuts text after most bytes at the start of a rune.
func clip(s string, most int) (cut string, whole bool) {
	if len(s) <= most {
		return s, true
	}
	for most > 0 && s[most]&0xC0 == 0x80 {
		most--
	}
	return s[:most], false
}
