package licenses

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed catalogue.json
var catalogueJSON []byte

// maxID bounds a looked-up id in bytes; no licence has a longer one.
const maxID = 128

type catalogue struct {
	all  []Fact
	byID map[string]entry
}

// entry is a licence with the SPDX id that the key means.
type entry struct {
	license int
	spdx    string
}

var load = sync.OnceValue(func() catalogue {
	c, err := parse(catalogueJSON)
	if err != nil {
		panic(fmt.Sprintf("licenses: embedded catalogue: %v", err)) // a test reads the same bytes
	}
	return c
})

// parse reads a catalogue and indexes it. Ids that name no single licence
// are left out of the index.
func parse(p []byte) (catalogue, error) {
	var c catalogue
	if err := json.Unmarshal(p, &c.all); err != nil {
		return c, err
	}
	c.byID = make(map[string]entry)
	for i, l := range c.all {
		if l.NotOne != "" {
			continue
		}
		for _, id := range l.ids() {
			key := strings.ToLower(id)
			if id == "" || l.SameAs != "" && id != l.ID {
				continue
			}
			if prior, taken := c.byID[key]; taken {
				if prior.license != i {
					return c, fmt.Errorf("%q names both %q and %q", id, c.all[prior.license].ID, l.ID)
				}
				continue
			}
			spdx := l.SPDX
			if slices.Contains(l.Variants, id) {
				spdx = id
			}
			c.byID[key] = entry{i, spdx}
		}
	}
	return c, nil
}

// Lookup returns the licence that is called id: a Hugging Face id, an SPDX
// id, a LicenseRef or the license_name that goes with "other", in any case of
// letters. Its SPDX field is the id that was meant where several share the
// facts. Ids of families (openrail, cc, gpl …), "other" and "unknown" name no licence.
func Lookup(id string) (Fact, bool) {
	if len(id) > maxID {
		return Fact{}, false
	}
	c := load()
	e, ok := c.byID[strings.ToLower(strings.TrimSpace(id))]
	if !ok {
		return Fact{}, false
	}
	l := c.all[e.license]
	l.SPDX = e.spdx
	return l, true
}

// All returns the whole catalogue in its order, with the entries that name
// no single licence. The caller must not change what the elements refer to.
func All() []Fact { return slices.Clone(load().all) }
