package lineage

import (
	"fmt"
	"strings"

	"github.com/carat-hub/carat/licenses"
)

// Text writes the findings for people, the worst first.
func (r *Report) Text() string {
	var b strings.Builder
	for _, s := range []Severity{SeverityError, SeverityWarn, SeverityInfo} {
		for _, f := range r.Findings {
			if f.Severity == s {
				f.write(&b)
			}
		}
	}
	return b.String()
}

func (f *Finding) write(b *strings.Builder) {
	fmt.Fprintf(b, "%-5s %s  %s\n", f.Severity, f.Rule, f.Message)
	if c := f.Clause; c != nil {
		fmt.Fprintf(b, "           by the %s", c.Name)
		if c.Section != "" {
			fmt.Fprintf(b, ", %s", licenses.Section(c.Section))
		}
		b.WriteByte('\n')
	}
	for _, x := range f.Fixes {
		where := ""
		if x.Where != "" {
			where = " in " + x.Where
		}
		fmt.Fprintf(b, "           to mend%s: %s\n", where, x.Text)
	}
	if w := f.Waived; w != nil {
		fmt.Fprintf(b, "           waived by %s until %s: %s\n", w.By, w.Expires.Format("2006-01-02"), w.Reason)
	}
	fmt.Fprintf(b, "           %s\n", f.ID)
}
