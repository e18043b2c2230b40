package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
)

// maxTermsTold is how many findings a push prints.
const maxTermsTold = 12

// findings prints what the rules of lineage find of a model that is pushed,
// each once.
type findings struct {
	e    *env
	told map[string]bool // by rule and words
}

// local looks at a model before it is sent: its bases are known by their names.
func (f *findings) local(facts *registry.Facts, ref client.Reference) {
	a := registry.NewAncestry(&registry.Version{Name: ref.Name, Facts: facts}).Assess(time.Now())
	f.tell(a.Lineage.Findings)
}

// hub looks at what the hub finds, which knows more bases, and returns an
// error when others cannot pull the version for it. A registry that is no hub,
// or one that has not read the files yet, finds nothing.
func (f *findings) hub(ctx context.Context, c *client.Client, ref client.Reference, d registry.Digest) error {
	hub, version := c.Hub(ref.Host), registry.Reference{Digest: d}
	blocked := 0
	if a, err := hub.Assessment(ctx, ref.Name, version); err == nil {
		f.tell(a.Lineage.Findings)
		org, _, _ := strings.Cut(string(ref.Name), "/")
		if g, err := hub.Gate(ctx, registry.Name(org), client.LineageGate); err == nil && g.Gate == string(registry.GateBlock) {
			blocked = a.Lineage.Errors()
		}
	}
	var problems []error
	if blocked > 0 {
		problems = append(problems, fmt.Errorf("the push is complete, but nobody else can pull it: it has %d findings of severity error, and %s blocks such versions", blocked, ref.Host))
	}
	if p, err := hub.PolicyDecision(ctx, ref.Name, version, true); err == nil {
		for line := range strings.Lines(describeDecision(p, "")) {
			f.e.say("policy: " + plain(strings.TrimSpace(line)))
		}
		if len(p.Denied) > 0 {
			problems = append(problems, errors.New("the push is complete, but nobody else can pull it: a policy forbids it"))
		}
	}
	return errors.Join(problems...)
}

func (f *findings) tell(list []lineage.Finding) {
	for _, x := range list {
		if x.Severity == lineage.SeverityInfo || x.Waived != nil {
			continue
		}
		key := x.Rule + "\x00" + x.Message
		if f.told[key] {
			continue
		}
		f.told[key] = true
		switch n := len(f.told); {
		case n == maxTermsTold+1:
			f.e.say("terms: there is more; see carat license check")
		case n <= maxTermsTold:
			line := fmt.Sprintf("terms: %s %s: %s", x.Severity, x.Rule, plain(x.Message))
			if c := x.Clause; c != nil && c.Section != "" {
				line += fmt.Sprintf(" (%s)", plain(c.Name+", "+licenses.Section(c.Section)))
			}
			for _, fix := range x.Fixes {
				where := ""
				if fix.Where != "" {
					where = " in " + fix.Where
				}
				line += fmt.Sprintf("; to mend%s: %s", where, plain(fix.Text))
			}
			f.e.say(line)
		}
	}
}
