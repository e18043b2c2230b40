package openness

import (
	"fmt"
	"strings"
	"time"
)

// Text writes the result for people. claimed leaves out what was verified,
// for a version of which nothing is stored yet.
func (r *Result) Text(claimed bool) string {
	var b strings.Builder
	if !claimed {
		r.Verified.write(&b, "verified")
	}
	r.Claimed.write(&b, "claimed")
	fmt.Fprintf(&b, "Open Source AI Definition: %s", r.OSAID.State)
	if o := r.OSAID; o.Reviewer != "" {
		fmt.Fprintf(&b, " by %s on %s: %s", o.Reviewer, o.At.UTC().Format(time.DateOnly), o.Reason)
	}
	b.WriteByte('\n')
	for _, s := range r.OSAID.Reasons {
		fmt.Fprintf(&b, "  - %s\n", s)
	}
	return b.String()
}

func (a *Assessment) write(b *strings.Builder, measure string) {
	fmt.Fprintf(b, "Openness, %s: level %d, %s", measure, a.Level, a.Level)
	if a.Label != "" {
		fmt.Fprintf(b, " (%s)", a.Label)
	}
	b.WriteByte('\n')
	if len(a.Blockers) == 0 {
		return
	}
	b.WriteString("  the next level asks for\n")
	for _, x := range a.Blockers {
		name := x.Component.String()
		if name != "" {
			name += ": "
		}
		fmt.Fprintf(b, "  - %s%s; there is: %s\n", name, x.Need, x.Have)
	}
}
