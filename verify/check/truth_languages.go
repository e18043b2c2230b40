package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/carat-hub/carat/verify"
)

// languagesCheck measures how the tokenizer takes texts in the languages that the card declares.
var languagesCheck = check{
	id: idLanguages, level: verify.LevelQuick, unless: []string{idHeaders},
	proves: "The tokenizer has pieces of words in the languages that the card declares.",
	run:    compareLanguages,
}

// languageTexts are the languages of the specimens.
var languageTexts = map[string]string{
	"en": "english", "de": "german", "fr": "french", "es": "spanish", "pl": "polish", "ru": "russian", "el": "greek", "ar": "arabic", "he": "hebrew",
	"hi": "hindi", "th": "thai", "zh": "chinese", "ja": "japanese", "ko": "korean",
}

// longCodes are the codes of three letters, and the names, of those languages.
var longCodes = map[string]string{
	"eng": "en", "deu": "de", "fra": "fr", "spa": "es", "pol": "pl", "rus": "ru", "ell": "el", "ara": "ar", "heb": "he", "hin": "hi", "tha": "th",
	"zho": "zh", "jpn": "ja", "kor": "ko", "english": "en", "german": "de", "french": "fr", "spanish": "es", "chinese": "zh", "japanese": "ja",
}

// mostPerByte is from how many tokens for each byte on a tokenizer spells a text instead of knowing it.
const mostPerByte = 0.9

type languagesEvidence struct {
	Declared []string       `json:"declared,omitempty"` // the first few
	Measured []languageText `json:"measured,omitempty"`
}

type languageText struct {
	Language string  `json:"language"`
	PerRune  float64 `json:"tokensPerCharacter"` // rounded
	PerByte  float64 `json:"tokensPerByte"`      // rounded
	Unknown  int     `json:"unknown,omitempty"`  // tokens that stand for what the vocabulary lacks
}

func compareLanguages(ctx context.Context, m *model) (finding, error) {
	c, err := m.claims()
	if err != nil {
		return finding{}, err
	}
	var ev languagesEvidence
	for _, l := range c.card.Languages {
		ev.Declared = addNamed(ev.Declared, storable(l))
	}
	if len(ev.Declared) == 0 {
		return skipped("the card declares no language"), nil
	}
	tok, err := m.tokenizer(ctx)
	if err != nil {
		return finding{evidence: ev}, err
	}
	var odd []string
	for _, l := range ev.Declared {
		code, _, _ := strings.Cut(strings.ToLower(l), "-")
		if long := longCodes[code]; long != "" {
			code = long
		}
		i := slices.IndexFunc(specimens, func(s specimen) bool { return s.name == languageTexts[code] })
		if i < 0 {
			continue
		}
		t := tokensOf(tok, code, specimens[i].text)
		ev.Measured = append(ev.Measured, t)
		switch {
		case t.Unknown > 0:
			odd = append(odd, fmt.Sprintf("the tokenizer does not know %d tokens of a text in %q, which the card declares", t.Unknown, code))
		case t.PerByte >= mostPerByte:
			odd = append(odd, fmt.Sprintf("the tokenizer spells a text in %q, which the card declares, in bytes", code))
		}
	}
	switch {
	case len(odd) > 0:
		return warned(ev, "%s", listed(odd)), nil
	case len(ev.Measured) == 0:
		return skipped("there is no text here in the declared languages"), nil
	}
	return passed(ev), nil
}

func tokensOf(tok lexer, language, text string) languageText {
	ids := tok.Encode(text, false)
	t := languageText{
		Language: language, PerRune: rounded(float64(len(ids)) / float64(utf8.RuneCountInString(text))), PerByte: rounded(float64(len(ids)) / float64(len(text))),
	}
	if u, ok := tok.(interface{ UNK() (int, bool) }); ok {
		if id, ok := u.UNK(); ok {
			for _, x := range ids {
				if x == id {
					t.Unknown++
				}
			}
		}
	}
	return t
}
