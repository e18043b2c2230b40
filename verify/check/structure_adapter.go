package check

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/verify"
)

// adapterCheck compares the matrices of a low-rank adapter with what it says of itself. Whether they fit the model that it is
// for is not seen here.
var adapterCheck = check{
	id: idAdapter, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "Each module that the adapter is for has its two matrices, of the declared rank and of the same shape in every layer, and no other module has any.",
	run:    compareAdapter,
}

type adapterEvidence struct {
	Base    string          `json:"base,omitempty"` // as declared
	Rank    int             `json:"rank"`           // as declared
	Alpha   float64         `json:"alpha,omitempty"`
	Targets []string        `json:"targets,omitempty"` // as declared, the first few
	Modules int             `json:"modules"`           // that have matrices
	Kinds   []adapterMatrix `json:"kinds,omitempty"`   // of modules, by their last name, the first few
}

type adapterMatrix struct {
	Name    string `json:"name"`
	Count   int    `json:"count"`
	Rank    int    `json:"rank"`
	Inputs  int    `json:"inputs"`
	Outputs int    `json:"outputs"`
}

func compareAdapter(ctx context.Context, m *model) (finding, error) {
	d, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	if d.Adapter == nil {
		return excused("the files are no adapter"), nil
	}
	ev := adapterEvidence{Base: storable(d.Adapter.Base), Rank: d.Adapter.Rank, Alpha: rounded(d.Adapter.Alpha)}
	for _, t := range d.Adapter.Modules {
		ev.Targets = addNamed(ev.Targets, storable(t))
	}
	modules, err := m.engine.adapter(ctx, m.part.files)
	var malformed *fault.Malformed
	if errors.As(err, &malformed) {
		return failed(ev, "%s", storable(malformed.Error())), nil
	}
	if err != nil {
		return finding{evidence: ev}, err
	}
	ev.Modules = len(modules)
	odd := ev.group(modules)
	if d.Format != "gguf" { // whose targets are its modules
		odd = append(odd, strays(d.Adapter.Modules, modules)...)
	}
	switch {
	case len(modules) == 0:
		return failed(ev, "the adapter has no matrices"), nil
	case d.Adapter.Base == "":
		odd = append(odd, "it does not say which model it is for")
	}
	if len(odd) > 0 {
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

// group counts the modules by their last name, and says which of them differ in shape between layers.
func (ev *adapterEvidence) group(modules []inference.AdapterModule) (odd []string) {
	at := map[string]int{}
	for _, a := range modules {
		name := a.Name[strings.LastIndexByte(a.Name, '.')+1:]
		i, known := at[name]
		if !known {
			if len(ev.Kinds) == maxNamed {
				continue
			}
			at[name] = len(ev.Kinds)
			ev.Kinds = append(ev.Kinds, adapterMatrix{Name: storable(name), Count: 1, Rank: a.Rank, Inputs: a.Inputs, Outputs: a.Outputs})
			continue
		}
		k := &ev.Kinds[i]
		if k.Count++; k.Inputs != a.Inputs || k.Outputs != a.Outputs {
			odd = append(odd, fmt.Sprintf("module %q has matrices for %d by %d, others of its name for %d by %d", storable(a.Name), a.Outputs, a.Inputs, k.Outputs, k.Inputs))
		}
	}
	return odd
}

// strays compares the modules that have matrices with those that the configuration names: by the ends of their names, or
// by one regular expression.
func strays(targets []string, modules []inference.AdapterModule) (odd []string) {
	if len(targets) == 0 || len(targets) == 1 && targets[0] == "all-linear" {
		return nil
	}
	var pattern *regexp.Regexp
	if len(targets) == 1 && strings.ContainsAny(targets[0], `\*()[]|^$+?`) {
		var err error
		if pattern, err = regexp.Compile(`^(?:` + targets[0] + `)$`); err != nil || len(targets[0]) > 1<<12 {
			return nil // a form that only Python knows
		}
	}
	used := map[string]bool{}
	for _, a := range modules {
		hit := pattern != nil && pattern.MatchString(a.Name)
		for _, t := range targets {
			if pattern == nil && (a.Name == t || strings.HasSuffix(a.Name, "."+t)) {
				hit, used[t] = true, true
			}
		}
		if !hit && len(odd) < maxNamed {
			odd = append(odd, fmt.Sprintf("module %q has matrices, and the configuration does not name it", storable(a.Name)))
		}
	}
	for _, t := range targets {
		if pattern == nil && !used[t] && len(odd) < maxNamed {
			odd = append(odd, fmt.Sprintf("the configuration names %q, and no module of that name has matrices", storable(t)))
		}
	}
	return odd
}
