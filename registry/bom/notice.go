package bom

import (
	"archive/zip"
	"bytes"
	"fmt"
	"strings"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/registry"
)

// notice is a NOTICE file: the works with their licences, the words that the
// licences demand, and the notices that came with the works.
func (m *Model) notice() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n%s\n", m.version.Name, m.version.Digest)
	fmt.Fprintf(&b, "Licence: %s\n", m.licenceWords(m.version, m.assessment.Works[0].Expression))
	if works := m.works(); len(works) > 0 {
		b.WriteString("\nIt was made from\n")
		for i := range works {
			w := &works[i]
			kind := ""
			if w.Dataset {
				kind = " (dataset)"
			}
			words := "licence not known"
			if !w.Hidden && !w.Unknown {
				words = m.licenceWords(m.ancestry.Versions[w.ID], w.Expression)
			}
			fmt.Fprintf(&b, "- %s%s: %s\n", plain(w.Shown()), kind, words)
		}
	}
	for _, x := range []struct{ title, what string }{{"Notices that have to go with it", "files"}, {"What has to be shown", "display"}} {
		var lines []string
		for _, item := range m.assessment.Terms.Must {
			if item.What == x.what && item.Quote != "" {
				lines = append(lines, plain(item.Quote))
			}
		}
		if len(lines) > 0 {
			fmt.Fprintf(&b, "\n%s\n\n%s\n", x.title, strings.Join(lines, "\n"))
		}
	}
	for _, w := range m.assessment.Works {
		v := m.ancestry.Versions[w.ID]
		if v == nil || v.Facts == nil || v.Facts.License.Notice == "" {
			continue
		}
		fmt.Fprintf(&b, "\nNOTICE of %s\n\n%s\n", plain(w.Name), strings.TrimSpace(lines(v.Facts.License.Notice)))
	}
	if len(m.assessment.Terms.Unclear) > 0 {
		b.WriteString("\nNot everything is known of the terms, so that this list may lack something:\n")
		for _, s := range m.assessment.Terms.Unclear {
			fmt.Fprintf(&b, "- %s\n", plain(s))
		}
	}
	return b.Bytes()
}

// licenceWords writes an expression with the names and addresses of its licences.
func (m *Model) licenceWords(v *registry.Version, e licenses.Expression) string {
	if e.IsZero() {
		return "none that can be told"
	}
	s := e.String()
	for _, f := range e.Resolve().Facts {
		s += fmt.Sprintf("; %s", f.Name)
		if f.URL != "" {
			s += " <" + f.URL + ">"
		}
	}
	if v != nil {
		if c := concluded(v.Facts); !c.IsZero() && c.String() != e.String() {
			s += "; its text is that of " + c.String()
		}
	}
	return s
}

// bundle is an archive of the notices and of all licence texts that are here.
func (m *Model) bundle() ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	add := func(name string, content []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: m.version.CreatedAt.UTC()})
		if err == nil {
			_, err = w.Write(content)
		}
		return err
	}
	if err := add("NOTICE", m.notice()); err != nil {
		return nil, err
	}
	if err := add("TERMS.txt", []byte(lines(m.assessment.Terms.Text()))); err != nil {
		return nil, err
	}
	for _, w := range m.assessment.Works {
		v := m.ancestry.Versions[w.ID]
		if v == nil || v.Facts == nil || v.Facts.License.Text == "" {
			continue
		}
		if err := add("licenses/"+string(v.Name)+"/LICENSE", []byte(v.Facts.License.Text)); err != nil {
			return nil, err
		}
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// lines makes a foreign text of several lines fit for documents.
func lines(s string) string {
	var b strings.Builder
	for line := range strings.Lines(s) {
		text := strings.TrimLeft(line, " ")
		b.WriteString(line[:len(line)-len(text)])
		b.WriteString(plain(text))
		b.WriteByte('\n')
	}
	return b.String()
}
