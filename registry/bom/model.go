package bom

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/registry"
)

// Model is a version with what is known of its lineage and terms.
type Model struct {
	version    *registry.Version
	ancestry   *registry.Ancestry
	assessment *registry.Assessment
	options    Options
}

// Options are what a document says of the hub that writes it.
type Options struct {
	URL     string // of the hub, "https://hub.example.org", "" when it has none
	Version string // of the program
}

// New takes the ancestry of a version; now is the time by which waivers count.
func New(a *registry.Ancestry, o Options, now time.Time) *Model {
	return &Model{version: a.Versions[a.Graph.Root], ancestry: a, assessment: a.Assess(now), options: o}
}

// facts are those of the version; there may be none.
func (m *Model) facts() *registry.Facts {
	if m.version.Facts == nil {
		return new(registry.Facts)
	}
	return m.version.Facts
}

// created is when the version came to the hub.
func (m *Model) created() string { return m.version.CreatedAt.UTC().Format("2006-01-02T15:04:05Z") }

// page is the address of the version's page, "" where the hub's is not known.
func (m *Model) page() string {
	if m.options.URL == "" {
		return ""
	}
	return m.options.URL + "/" + string(m.version.Name) + "?ref=" + strings.Replace(m.version.Digest.String(), ":", "%3A", 1)
}

// uuid is an identifier for one of the documents about the version.
func (m *Model) uuid(document string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://github.com/carat-hub/carat/"+document+"/"+string(m.version.Name)+"@"+m.version.Digest.String()))
}

// works are what the version was made from, the nearest first, without itself.
func (m *Model) works() []lineage.Work { return m.assessment.Works[1:] }

// name is what a work is called in documents.
func name(w *lineage.Work) string {
	if w.Hidden {
		return lineage.Hidden
	}
	if s := plain(w.Name); s != "" {
		return s
	}
	return "unnamed"
}

// concluded is the licence that the text in a version is word for word, zero
// where it is none or there is none.
func concluded(f *registry.Facts) licenses.Expression {
	if f == nil {
		return licenses.Expression{}
	}
	var all []licenses.Expression
	for _, ref := range registry.TextOf(f).Refs {
		all = append(all, licenses.Licence(ref))
	}
	return licenses.And(all...)
}

// obligations are what the terms demand and forbid, each as a name and words.
func (m *Model) obligations() (list [][2]string) {
	t := &m.assessment.Terms
	for _, x := range t.Must {
		list = append(list, [2]string{"must:" + x.What, x.Words + " – " + x.Source.String()})
	}
	for _, x := range t.MustNot {
		list = append(list, [2]string{"must-not:" + x.What, x.Words + " – " + x.Source.String()})
	}
	for _, x := range t.Unclear {
		list = append(list, [2]string{"unclear", x})
	}
	return list
}

// maxWord bounds a foreign string in a document, in characters.
const maxWord = 2000

// plain makes a foreign string fit for documents: valid, on one line, without
// control characters, and bounded.
func plain(s string) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			return -1
		}
		return r
	}, s)), " ")
	if n := 0; len(s) > maxWord {
		for i := range s {
			if n++; n > maxWord {
				return s[:i] + "…"
			}
		}
	}
	return s
}
