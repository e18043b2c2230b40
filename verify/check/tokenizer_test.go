package check

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carat-hub/carat/verify"
)

// changedJSON changes a JSON object.
func changedJSON(t testing.TB, text string, edit func(d map[string]any)) string {
	t.Helper()
	var d map[string]any
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	edit(d)
	p, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

func TestSpecialCheck(t *testing.T) {
	t.Parallel()
	whole := exampleTexts(t, nil)
	with := func(name, key string, value any) map[string]string {
		texts := maps.Clone(whole)
		texts[name] = changedJSON(t, whole[name], func(d map[string]any) { d[key] = value })
		return texts
	}
	expect(t, specialCheck, map[string]expectation{
		"sound":              {whole, verify.OutcomePassed, ""},
		"eos outside":        {with("config.json", "eos_token_id", 2048), verify.OutcomeFailed, "config.json says that eos is token 2048, of 2048"},
		"one of eos":         {with("generation_config.json", "eos_token_id", []int{1, 99999}), verify.OutcomeFailed, "eos is token 99999"},
		"negative pad":       {with("config.json", "pad_token_id", -1), verify.OutcomeWarned, "pad is token -1"},
		"unknown text":       {with("tokenizer_config.json", "eos_token", "<|nope|>"), verify.OutcomeWarned, `names eos "<|nope|>", which the tokenizer does not know`},
		"maps that differ":   {with("special_tokens_map.json", "eos_token", "the"), verify.OutcomeWarned, "names eos"},
		"bos of other files": {with("tokenizer_config.json", "bos_token", "a"), verify.OutcomeWarned, "other files the tokens"},
	})
}

func TestAgreementCheck(t *testing.T) {
	t.Parallel()
	whole := exampleTexts(t, nil)
	var file struct {
		Model struct {
			Vocab map[string]int `json:"vocab"`
		} `json:"model"`
	}
	if err := json.Unmarshal([]byte(whole["tokenizer.json"]), &file); err != nil {
		t.Fatal(err)
	}
	vocab := func(change func(map[string]int)) map[string]string {
		v := maps.Clone(file.Model.Vocab)
		change(v)
		p, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts := maps.Clone(whole)
		texts["vocab.json"] = string(p)
		return texts
	}
	pieces := make([]string, len(file.Model.Vocab)+64)
	for p, id := range file.Model.Vocab {
		pieces[id] = p
	}
	texts := func(name, text string) map[string]string {
		m := maps.Clone(whole)
		m[name] = text
		return m
	}
	shifted := append([]string{"", ""}, pieces[:100]...)
	expect(t, agreementCheck, map[string]expectation{
		"one form":        {whole, verify.OutcomeSkipped, "one form"},
		"same vocabulary": {vocab(func(map[string]int) {}), verify.OutcomePassed, ""},
		"two swapped":     {vocab(swap), verify.OutcomeWarned, "2 of "},
		"no vocabulary":   {texts("vocab.json", "[]"), verify.OutcomeSkipped, "no object of tokens"},
		"no model":        {texts("tokenizer.model", "x"), verify.OutcomeSkipped, "no SentencePiece model"},
		"same model":      {texts("tokenizer.model", sentencePiece(pieces[:100])), verify.OutcomePassed, ""},
		"other model":     {texts("tokenizer.model", sentencePiece(slices.Repeat([]string{"zzqq"}, 50))), verify.OutcomeWarned, "50 of 50"},
		"shifted model":   {texts("tokenizer.model", sentencePiece(shifted)), verify.OutcomePassed, ""},
	})
}

// swap exchanges the ids of two tokens.
func swap(v map[string]int) {
	keys := slices.Sorted(maps.Keys(v))
	a, b := keys[500], keys[600]
	v[a], v[b] = v[b], v[a]
}

// sentencePiece writes the part of a SentencePiece model that names its tokens.
func sentencePiece(pieces []string) string {
	var b strings.Builder
	for _, p := range pieces {
		inner := "\x0a" + string(rune(len(p))) + p + "\x15\x00\x00\x00\x00"
		b.WriteString("\x0a" + string(rune(len(inner))) + inner)
	}
	return b.String()
}

// TestAgreementOfGGUF compares the tokenizer of the example's GGUF form with that of the folder, and with another one.
func TestAgreementOfGGUF(t *testing.T) {
	t.Parallel()
	weights, err := os.ReadFile("../../inference/testdata/tiny-llama-q8_0.gguf")
	if err != nil {
		t.Fatal(err)
	}
	texts := exampleTexts(t, map[string]string{"model.safetensors": "", "config.json": ""})
	texts["m.gguf"] = string(weights)
	if f := agreementCheck.on(t, filesOf(texts)); f.outcome != verify.OutcomePassed {
		t.Errorf("%s: %s", f.outcome, f.reason)
	}
	texts["tokenizer.json"] = changedJSON(t, texts["tokenizer.json"], func(d map[string]any) {
		v := d["model"].(map[string]any)["vocab"].(map[string]any)
		for k, id := range v {
			if n := id.(float64); n >= 300 && n < 1300 {
				v[k] = 1599 - n
			}
		}
	})
	if f := agreementCheck.on(t, filesOf(texts)); f.outcome != verify.OutcomeFailed {
		t.Errorf("%s: %s", f.outcome, f.reason)
	}
}

func TestLanguagesCheck(t *testing.T) {
	t.Parallel()
	expect(t, languagesCheck, map[string]expectation{
		"none":     {exampleTexts(t, map[string]string{"README.md": "# A"}), verify.OutcomeSkipped, "declares no language"},
		"English":  {exampleTexts(t, map[string]string{"README.md": "---\nlanguage: en\n---\n"}), verify.OutcomePassed, ""},
		"in bytes": {exampleTexts(t, map[string]string{"README.md": "---\nlanguage: [en, zh]\n---\n"}), verify.OutcomeWarned, `"zh"`},
		"unknown":  {exampleTexts(t, map[string]string{"README.md": "---\nlanguage: tlh\n---\n"}), verify.OutcomeSkipped, "no text here"},
	})
}

func FuzzSentencePieces(f *testing.F) {
	f.Add([]byte(sentencePiece([]string{"a", "bc"})))
	f.Add([]byte("\x0a\x05\x0a\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, p []byte) {
		ids, why := sentencePieces(p)
		total := 0
		for _, s := range ids {
			total += len(s)
		}
		if total > len(p) || (len(ids) == 0) == (why == "") {
			t.Fatalf("%d tokens of %d bytes, %q", len(ids), total, why)
		}
	})
}
