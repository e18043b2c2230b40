package check

import (
	"context"

	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check/content"
)

// formatsCheck looks at the bytes of every file for what loading it might run.
var formatsCheck = check{
	id: idFormats, level: verify.LevelQuick, once: true,
	proves: "No file is of a format that can hold programs: no pickle, archive, binary or script, by their bytes and whatever they are called.",
	run:    readFormats,
}

// executableFormat is what reports call the formats that can hold programs.
const executableFormat = "executable format"

type formatsEvidence struct {
	Files int          `json:"files"`
	Found []formatItem `json:"found,omitempty"` // the worst first, as far as there is room
	More  int          `json:"more,omitempty"`  // that are not listed
}

type formatItem struct {
	Where   string         `json:"where"` // the file, and behind " > " the member of an archive
	Kind    string         `json:"kind"`
	Label   string         `json:"label"`
	Outcome verify.Outcome `json:"outcome"`
	Reason  string         `json:"reason"`
	Imports []string       `json:"imports,omitempty"` // of a pickle, beyond those of plain tensors
}

func readFormats(ctx context.Context, m *model) (finding, error) {
	l := content.NewLooker(ctx)
	for _, f := range m.files {
		if err := l.Look(storable(f.Path), f, f.Size); err != nil {
			return finding{}, err
		}
	}
	ev := formatsEvidence{Files: len(m.files)}
	var bad, odd []string
	for _, severity := range []content.Severity{content.Bad, content.Odd} {
		for _, i := range l.Items() {
			if i.Severity != severity {
				continue
			}
			item := formatItem{Where: storable(i.Where), Kind: i.Kind, Label: executableFormat, Outcome: verify.OutcomeWarned, Reason: storable(i.Reason)}
			for _, name := range i.Imports {
				item.Imports = addNamed(item.Imports, storable(name))
			}
			sentence := item.Where + " (" + i.Kind + "): " + item.Reason
			if severity == content.Bad {
				item.Outcome = verify.OutcomeFailed
				bad = append(bad, sentence)
			} else {
				odd = append(odd, sentence)
			}
			if len(ev.Found) < 2*maxNamed {
				ev.Found = append(ev.Found, item)
			} else {
				ev.More++
			}
		}
	}
	switch {
	case len(bad) > 0:
		return failed(ev, "%s: %s", executableFormat, listed(bad)), nil
	case len(odd) > 0:
		return warned(ev, "%s: %s", executableFormat, listed(odd)), nil
	}
	return passed(ev), nil
}
