package check

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestChecksAreDocumented compares the checks with their table in docs/VERIFICATION.md.
func TestChecksAreDocumented(t *testing.T) {
	t.Parallel()
	const name, begins, ends = "../../docs/VERIFICATION.md", "<!-- checks: begin -->\n", "<!-- checks: end -->\n"
	var table strings.Builder
	table.WriteString("| check | level | what a pass proves |\n|---|---|---|\n")
	for _, c := range checks() {
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", c.id, c.level, c.proves)
	}
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(p), begins)
	got, after, ok := strings.Cut(rest, ends)
	if !ok {
		t.Fatalf("%s has no place for the checks", name)
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(name, []byte(before+begins+table.String()+ends+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != table.String() {
		t.Errorf("the table of checks in %s is not that of the program: run with -update", name)
	}
}
