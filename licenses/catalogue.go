package licenses

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
)

//go:embed catalogue.json
var catalogueJSON []byte

// listedJSON names the licences of the SPDX list that stand on a list of open
// ones and have no facts of their own.
//
//go:embed listed.json
var listedJSON []byte

// maxID bounds a looked-up id in bytes; no licence has a longer one.
const maxID = 128

type catalogue struct {
	all    []*Fact
	byID   map[string][]*Fact // small letters; the newest text first
	byText map[string]*Fact   // by the digest of a text
}

var load = sync.OnceValue(func() catalogue {
	c, err := parse(catalogueJSON, listedJSON)
	if err != nil {
		panic(fmt.Sprintf("licenses: embedded catalogue: %v", err)) // a test reads the same bytes
	}
	return c
})

// listed is a licence on a list of open licences.
type listed struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Lists
	Content []string `json:"content"`
}

// fact is what standing on a list says: the lists take only licences that
// permit everybody to use, change and pass on for every purpose.
func (l *listed) fact() *Fact {
	yes := Permission{Answer: AnswerYes}
	return &Fact{
		ID: l.ID, SPDX: l.ID, Name: l.Name, Family: "listed", URL: "https://spdx.org/licenses/" + l.ID, Content: l.Content,
		Commercial: yes, Modify: yes, Redistribute: yes,
		Files: []Duty{{Kind: DutyCopy}}, Outputs: Term{Value: OutputsFree}, Derivatives: Term{Value: TermUnknown}, Patents: Term{Value: TermUnknown},
		Lists: l.Lists, MOF: Term{Value: "open"}, Source: SourceList,
	}
}

// parse reads a catalogue and indexes it. Ids that name no single licence
// are left out of the index.
func parse(facts, list []byte) (catalogue, error) {
	c := catalogue{byID: make(map[string][]*Fact), byText: make(map[string]*Fact)}
	if err := json.Unmarshal(facts, &c.all); err != nil {
		return c, err
	}
	var more []listed
	if err := json.Unmarshal(list, &more); err != nil {
		return c, err
	}
	for i := range more {
		c.all = append(c.all, more[i].fact())
	}
	for _, l := range c.all {
		if l == nil {
			return c, errors.New("an entry is null")
		}
		if err := l.check(); err != nil {
			return c, fmt.Errorf("%q: %w", l.ID, err)
		}
		if l.NotOne != "" {
			continue
		}
		for _, t := range l.Texts {
			if c.byText[t.Digest] != nil {
				return c, fmt.Errorf("%q: the text %s is there twice", l.ID, t.Digest)
			}
			c.byText[t.Digest] = l
		}
		if err := c.index(l); err != nil {
			return c, err
		}
	}
	for _, versions := range c.byID {
		slices.SortStableFunc(versions, func(a, b *Fact) int { return cmp.Compare(b.Effective, a.Effective) })
	}
	return c, nil
}

// index enters a fact under all its ids.
func (c *catalogue) index(l *Fact) error {
	entered := make(map[string]bool)
	for _, id := range l.ids() {
		key := strings.ToLower(id)
		if id == "" || l.SameAs != "" && id != l.ID || entered[key] {
			continue
		}
		entered[key] = true
		f := l
		if slices.Contains(l.Variants, id) {
			variant := *l
			variant.SPDX = id
			f = &variant
		}
		for _, other := range c.byID[key] {
			if other.ID != l.ID || other.Effective == l.Effective {
				return fmt.Errorf("%q names both %q and %q", id, other.ID, l.ID)
			}
		}
		c.byID[key] = append(c.byID[key], f)
	}
	return nil
}

// check looks for words that are not in the vocabulary.
func (l *Fact) check() error {
	known := func(field, word string) error {
		if !slices.Contains(vocabulary[field], word) {
			return fmt.Errorf("%s: unknown word %q", field, word)
		}
		return nil
	}
	errs := []error{
		known("outputs", l.Outputs.Value), known("derivatives", l.Derivatives.Value), known("patents", l.Patents.Value), known("mof", l.MOF.Value), known("source", l.Source),
		known("answer", string(l.Commercial.Answer)), known("answer", string(l.Modify.Answer)), known("answer", string(l.Redistribute.Answer)),
	}
	if l.Use != nil {
		errs = append(errs, known("use", l.Use.Value))
	}
	if l.Territory != nil {
		errs = append(errs, known("territory", l.Territory.Rule))
	}
	for _, c := range l.Content {
		errs = append(errs, known("content", c))
	}
	for _, d := range slices.Concat(l.Files, l.Display) {
		if dutyWords[d.Kind] == "" && d.Kind != TermUnknown && d.Kind != "encouraged" {
			errs = append(errs, fmt.Errorf("unknown duty %q", d.Kind))
		}
	}
	return errors.Join(errs...)
}

// Lookup returns the facts of the newest text of the licence that is called
// id: a Hugging Face id, an SPDX id, a LicenseRef or the license_name that goes
// with "other", in any case of letters. Its SPDX field is the id that was meant
// where several share the facts. Ids of families (openrail, cc, gpl …), "other"
// and "unknown" name no licence. The caller must not change the facts.
func Lookup(id string) (*Fact, bool) {
	v := Versions(id)
	if len(v) == 0 {
		return nil, false
	}
	return v[0], true
}

// families are ids that Hugging Face lets a card declare and that name no
// licence by themselves.
var families = map[string]string{
	"openrail": "a family of licences", "cc": "a family of licences", "bsd": "a family of licences", "gpl": "a family of licences",
	"lgpl": "a family of licences", "agpl": "a family of licences", "gfdl": "a family of licences",
	"other": "the word for a licence that license_name names", "unknown": "the word for none that is known",
}

// Family says what an id is that names no licence by itself, as "openrail",
// "gpl" and "other" do; "" for every other id.
func Family(id string) string {
	id = strings.ToLower(strings.TrimSpace(id))
	if s := families[id]; s != "" {
		return s
	}
	for _, f := range load().all {
		if f.NotOne != "" && strings.EqualFold(f.ID, id) {
			return f.NotOne
		}
	}
	return ""
}

// Versions returns the facts of all texts of a licence, the newest first. The
// caller must not change them.
func Versions(id string) []*Fact {
	if len(id) > maxID {
		return nil
	}
	c := load()
	key := strings.ToLower(strings.TrimSpace(id))
	if v := c.byID[key]; v != nil {
		return v
	}
	// The SPDX list has given up the short forms of these.
	if strings.HasPrefix(key, "gpl-") || strings.HasPrefix(key, "lgpl-") || strings.HasPrefix(key, "agpl-") || strings.HasPrefix(key, "gfdl-") {
		return c.byID[key+"-only"]
	}
	return nil
}

// LookupText returns the facts of a text by its digest, see package text.
func LookupText(digest string) (*Fact, bool) {
	f := load().byText[digest]
	return f, f != nil
}

// All returns the whole catalogue in its order, with the entries that name
// no single licence, and then those of which only lists are known. The caller
// must not change the facts.
func All() []*Fact { return slices.Clone(load().all) }
