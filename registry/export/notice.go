package export

import (
	"archive/zip"
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/carat-hub/carat/licenses/lineage"
)

// maxTexts bounds the texts of works in one document, in bytes. What is left
// out is named.
const maxTexts = 8 << 20

// notice writes what has to be shown and kept: required words, the works with
// their licences, and the notices that they came with.
func notice(s *subject) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "NOTICE\n\n%s\nVersion %s\n", s.version.Name, s.version.Digest)
	s.writeQuotes(&b)
	s.writeWorks(&b)
	left := maxTexts
	for _, w := range s.works {
		text := strings.TrimSpace(clean(w.Notice, maxFile))
		if w.Hidden || text == "" {
			continue
		}
		if len(text) > left {
			text = leftOut
		}
		left -= len(text)
		fmt.Fprintf(&b, "\n%s\nNotices of %s\n%s\n\n%s\n", rule, w.title, rule, text)
	}
	fmt.Fprintf(&b, "\n%s\nThese are facts about licences, not legal advice.\n", rule)
	return b.Bytes(), nil
}

// leftOut stands where a text would be that no longer fits.
const leftOut = "Left out, because this document would become too long. The work's own files have it."

var rule = strings.Repeat("-", 72)

// quotes are the words that licences demand to be shown or kept. How
// derivatives are to be named is no such word.
func (s *subject) quotes() (list []string) {
	for _, o := range s.obligations() {
		if q := line(o.Quote); q != "" && o.kind == "must" && o.What != "naming" && !slices.Contains(list, q) {
			list = append(list, q)
		}
	}
	return list
}

// writeQuotes writes the words that licences demand, and what else they
// demand of who passes the work on.
func (s *subject) writeQuotes(b *bytes.Buffer) {
	if quotes := s.quotes(); len(quotes) > 0 {
		b.WriteString("\nRequired words\n\n")
		for _, q := range quotes {
			fmt.Fprintf(b, "    %s\n", q)
		}
	}
	first := true
	for _, o := range s.obligations() {
		if o.kind != "must" {
			continue
		}
		if first {
			b.WriteString("\nTo do when passing it on\n\n")
		}
		first = false
		fmt.Fprintf(b, "  - %s\n        %s\n", line(o.Words), line(o.Source.String()))
	}
	if t := s.assessment.Terms.Unclear; len(t) > 0 {
		b.WriteString("\nNot known, so that more may be demanded\n\n")
		for _, u := range t {
			fmt.Fprintf(b, "  - %s\n", line(u))
		}
	}
}

// writeWorks lists the version and what it was made from.
func (s *subject) writeWorks(b *bytes.Buffer) {
	b.WriteString("\nWorks\n")
	for i, w := range s.works {
		fmt.Fprintf(b, "\n%d. %s%s\n", i+1, w.title, map[bool]string{true: " (dataset)"}[w.Dataset])
		if w.Hidden {
			continue
		}
		for _, u := range w.uses {
			fmt.Fprintf(b, "   %s %s\n", relationWords(u.relation), u.of.title)
		}
		if w.version != nil {
			fmt.Fprintf(b, "   Version: %s\n", w.version.Digest)
		}
		fmt.Fprintf(b, "   Licence: %s\n", w.licence.or("not stated by the publisher"))
		switch {
		case w.ByName:
			b.WriteString("   The licence is the one that is known of the name; the work is not here.\n")
		case w.licence.concluded != "":
			b.WriteString("   The text that comes with it is that of the licence.\n")
		case w.licenceText() != "" && len(w.licence.text) > 0:
			fmt.Fprintf(b, "   The text that comes with it is %s.\n", line(strings.Join(w.licence.text, ", ")))
		}
		for _, f := range w.licence.facts {
			fmt.Fprintf(b, "   %s: %s\n", f.Name, f.URL)
		}
		if w.version != nil && w.version.Facts != nil {
			if l := address(w.version.Facts.Card.LicenseLink); l != "" {
				fmt.Fprintf(b, "   Link of the card: %s\n", l)
			}
		}
	}
	if s.omitted > 0 {
		fmt.Fprintf(b, "\nand %d more works\n", s.omitted)
	}
}

// licenceText is the licence text that came with a work, "" when there is
// none here.
func (w *work) licenceText() string {
	if w.Hidden || w.version == nil || w.version.Facts == nil {
		return ""
	}
	return strings.TrimSpace(clean(w.version.Facts.License.Text, maxFile))
}

// attribution packs the notices with the texts of licences. Entries are
// stored as they are: how deflate packs may differ from release to release.
func attribution(s *subject) ([]byte, error) {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	put := func(name string, p []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: s.version.CreatedAt.UTC()})
		if err != nil {
			return err
		}
		_, err = w.Write(p)
		return err
	}
	text, err := notice(s)
	if err != nil {
		return nil, err
	}
	if err := put("NOTICE", text); err != nil {
		return nil, err
	}
	kept := map[string]string{} // text to the entry that has it
	credits := bytes.NewBufferString("Attribution\n")
	left := maxTexts
	for _, w := range s.works {
		fmt.Fprintf(credits, "\n%s\n", w.title)
		if w.Hidden {
			continue
		}
		if org, _ := split(w.title); org != "" && !w.Dataset {
			fmt.Fprintf(credits, "  by %s\n", org)
		}
		fmt.Fprintf(credits, "  under %s\n", w.licence.or("a licence that is not stated by the publisher"))
		for _, f := range w.licence.facts {
			fmt.Fprintf(credits, "  %s\n", f.URL)
		}
		switch {
		case w.Changes:
			credits.WriteString("  says what was changed in it\n")
		case derived(w):
			credits.WriteString("  does not say what was changed in it\n")
		}
		text := w.licenceText()
		if text == "" {
			continue
		}
		if kept[text] == "" && len(text) > left {
			fmt.Fprintf(credits, "  text: %s\n", leftOut)
			continue
		}
		if kept[text] == "" {
			left -= len(text)
			kept[text] = "licenses/" + fileName(w) + ".txt"
			if err := put(kept[text], []byte(text+"\n")); err != nil {
				return nil, err
			}
		}
		fmt.Fprintf(credits, "  text: %s\n", kept[text])
	}
	if err := put("attribution.txt", credits.Bytes()); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// fileName is a work's name as that of a file: what stands here is a
// repository's name, and so of harmless letters.
func fileName(w *work) string {
	return w.ref + "-" + strings.ReplaceAll(string(w.version.Name), "/", "-")
}

// derived reports whether a work was made from another model.
func derived(w *work) bool {
	for _, u := range w.uses {
		if u.relation != lineage.Dataset {
			return true
		}
	}
	return false
}
