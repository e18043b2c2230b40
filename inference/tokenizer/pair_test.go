package tokenizer

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
)

// wordFile is a tokenizer.json of five words and a post-processor.
func wordFile(t *testing.T, postProcessor any) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"model": map[string]any{
			"type": "WordLevel", "unk_token": "[UNK]", "vocab": map[string]int{"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "a": 3, "b": 4},
		},
		"pre_tokenizer": map[string]any{"type": "WhitespaceSplit"}, "post_processor": postProcessor,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type parts = []map[string]any

func special(id string, kind int) map[string]any {
	return map[string]any{"SpecialToken": map[string]any{"id": id, "type_id": kind}}
}

func text(id string, kind int) map[string]any {
	return map[string]any{"Sequence": map[string]any{"id": id, "type_id": kind}}
}

func template(pair parts) map[string]any {
	return map[string]any{
		"type": "TemplateProcessing", "single": parts{special("[CLS]", 0), text("A", 0), special("[SEP]", 0)}, "pair": pair,
		"special_tokens": map[string]any{"[CLS]": map[string]any{"ids": []int{1}}, "[SEP]": map[string]any{"ids": []int{2}}},
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	around := map[string]any{"cls": []any{"[CLS]", 1}, "sep": []any{"[SEP]", 2}}
	kind := func(name string) map[string]any {
		return map[string]any{"type": name, "cls": around["cls"], "sep": around["sep"]}
	}
	whole := parts{special("[CLS]", 0), text("A", 0), special("[SEP]", 0), text("B", 1), special("[SEP]", 1)}
	for name, c := range map[string]struct {
		processor  any
		ids, types []int
	}{
		"BERT":        {kind("BertProcessing"), []int{1, 3, 4, 2, 4, 2}, []int{0, 0, 0, 0, 1, 1}},
		"RoBERTa":     {kind("RobertaProcessing"), []int{1, 3, 4, 2, 2, 4, 2}, []int{0, 0, 0, 0, 0, 0, 0}},
		"a template":  {template(whole), []int{1, 3, 4, 2, 4, 2}, []int{0, 0, 0, 0, 1, 1}},
		"no template": {template(nil), nil, nil},
		"one text":    {template(whole[:3]), nil, nil},
		"twice":       {template(append(whole[:5:5], text("A", 0))), nil, nil},
		"nothing":     {nil, nil, nil},
	} {
		tok, err := FromJSON(wordFile(t, c.processor), Config{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ids, types, ok := tok.AroundPair(tok.Encode("a b", false), tok.Encode("b", false))
		if d := cmp.Diff([][]int{c.ids, c.types}, [][]int{ids, types}); d != "" || ok != (c.ids != nil) {
			t.Errorf("%s: %v, %s", name, ok, d)
		}
		if d := cmp.Diff(tok.Encode("a b", true), tok.Around(tok.Encode("a b", false))); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	many := make(parts, 100)
	for i := range many {
		many[i] = special("[SEP]", 0)
	}
	for name, pair := range map[string]parts{
		"an unknown token": {special("[X]", 0), text("A", 0), text("B", 0)}, "a strange type": {text("A", 0), text("B", -1)}, "too many": many,
	} {
		var bad *fault.Malformed
		if _, err := FromJSON(wordFile(t, template(pair)), Config{}); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPairsFromGGUF(t *testing.T) {
	t.Parallel()
	words := map[string]any{
		"tokenizer.ggml.model": "bert", "tokenizer.ggml.tokens": []string{"[UNK]", "[CLS]", "[SEP]", "▁a", "▁b"},
		"tokenizer.ggml.token_type": []int32{2, 3, 3, 1, 1}, "tokenizer.ggml.cls_token_id": uint32(1), "tokenizer.ggml.bos_token_id": uint32(1),
		"tokenizer.ggml.seperator_token_id": uint32(2), "tokenizer.ggml.unknown_token_id": uint32(0),
	}
	bpe := func(pre string) map[string]any {
		return map[string]any{
			"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": []string{"?", "<s>", "</s>", "a", "b"},
			"tokenizer.ggml.token_type": []int32{1, 3, 3, 1, 1}, "tokenizer.ggml.merges": []string{}, "tokenizer.ggml.bos_token_id": uint32(1),
			"tokenizer.ggml.eos_token_id": uint32(2), "tokenizer.ggml.add_bos_token": true, "tokenizer.ggml.add_eos_token": true,
			"tokenizer.ggml.seperator_token_id": uint32(2),
		}
	}
	unigram := unigramKeys()
	unigram["tokenizer.ggml.bos_token_id"], unigram["tokenizer.ggml.add_bos_token"] = uint32(0), true
	for name, c := range map[string]struct {
		keys       map[string]any
		ids, types []int
	}{
		"wordpiece":  {words, []int{1, 3, 2, 4, 2}, []int{0, 0, 0, 1, 1}},
		"RoBERTa":    {bpe("roberta-bpe"), []int{1, 3, 2, 2, 4, 2}, []int{0, 0, 0, 0, 0, 0}},
		"ModernBERT": {bpe("modern-bert"), []int{1, 3, 2, 4, 2}, []int{0, 0, 0, 1, 1}},
		"XLM-R":      {unigram, []int{0, 3, 4, 1, 1, 3, 5, 1}, []int{0, 0, 0, 0, 0, 0, 0, 0}},
	} {
		tok, err := FromGGUF(written(t, c.keys))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ids, types, ok := tok.AroundPair(tok.EncodePlain("a", false), tok.EncodePlain("b", false))
		if d := cmp.Diff([][]int{c.ids, c.types}, [][]int{ids, types}); d != "" || !ok {
			t.Errorf("%s: %v, %s", name, ok, d)
		}
	}
	decoder := bpe("gpt-2")
	decoder["tokenizer.ggml.add_eos_token"] = false
	tok, err := FromGGUF(written(t, decoder))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, ok := tok.AroundPair([]int{3}, []int{4}); ok {
		t.Error("a vocabulary that does not end texts writes pairs")
	}
}
