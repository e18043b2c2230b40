package tokenizer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference/gguf"
)

// allocated returns the bytes that f allocates, freed or not.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// large is a vocabulary of the size of Llama 3's, with merges that make it.
func large() (pieces, merges []string) {
	known := map[string]bool{}
	for b := range 256 {
		pieces = append(pieces, toByteRunes(string([]byte{byte(b)})))
		known[pieces[b]] = true
	}
	for i := 0; len(pieces) < 128_000; i++ {
		l, r := pieces[i*7919%len(pieces)], pieces[(i*104729+13)%len(pieces)]
		if len(l)+len(r) <= 20 && !known[l+r] {
			known[l+r] = true
			pieces, merges = append(pieces, l+r), append(merges, l+" "+r)
		}
	}
	for i := 0; len(merges) < 280_000; i++ {
		merges = append(merges, merges[i])
	}
	return pieces, merges
}

// TestMemory: reading a vocabulary, sane or not, allocates less than twice the size of its file and 16 MiB, the file included
// where it is read whole.
func TestMemory(t *testing.T) {
	// Not parallel: it measures what the whole process allocates.
	pieces, merges := large()
	ids := map[string]int{}
	var pairs [][]string
	var scored [][]any
	for id, p := range pieces {
		ids[p] = id
		scored = append(scored, []any{p, -float64(id) / 7})
	}
	for _, m := range merges {
		pairs = append(pairs, strings.Split(m, " "))
	}
	file := func(model map[string]any) []byte {
		b, err := json.MarshalIndent(map[string]any{"model": model}, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	hostile := func(before, middle string, n int, after string) []byte {
		return []byte(before + strings.Repeat(middle, n) + after)
	}
	const many = 2_200_000
	for name, c := range map[string]struct {
		b    []byte
		fine bool
	}{
		"BPE":                   {file(map[string]any{"type": "BPE", "vocab": ids, "merges": merges}), true},
		"BPE of pairs":          {file(map[string]any{"type": "BPE", "vocab": ids, "merges": pairs}), true},
		"Unigram":               {file(map[string]any{"type": "Unigram", "vocab": scored, "unk_id": 0}), true},
		"WordPiece":             {file(map[string]any{"type": "WordPiece", "vocab": ids, "unk_token": pieces[0]}), true},
		"WordLevel":             {file(map[string]any{"type": "WordLevel", "vocab": ids}), true},
		"one token many times":  {hostile(`{"model":{"type":"BPE","vocab":{`, `"a":0,`, MaxVocab-1, `"b":1},"merges":[]}}`), true},
		"one large id":          {[]byte(`{"model":{"type":"BPE","vocab":{"a":1048575},"merges":[]}}`), false},
		"too many tokens":       {hostile(`{"model":{"type":"BPE","vocab":{`, `"a":0,`, many, `"b":1},"merges":[]}}`), false},
		"merges of nothing":     {hostile(`{"model":{"type":"BPE","vocab":{},"merges":[`, `"",`, many, `""]}}`), false},
		"merges of two":         {hostile(`{"model":{"type":"BPE","vocab":{"a":0,"aa":1},"merges":[`, `"a a",`, MaxMerges-1, `"a a"]}}`), true},
		"pieces of nothing":     {hostile(`{"model":{"type":"Unigram","vocab":[`, `[],`, many, `[]]}}`), false},
		"pieces many times":     {hostile(`{"model":{"type":"Unigram","vocab":[`, `["a",0],`, MaxVocab-1, `["b",0]]}}`), false},
		"added tokens":          {hostile(`{"added_tokens":[`, `{},`, many, `{}],"model":{"type":"BPE","vocab":{},"merges":[]}}`), false},
		"normalizers":           {hostile(`{"normalizer":{"type":"Sequence","normalizers":[`, `{},`, many, `{}]},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`), false},
		"fewer normalizers":     {hostile(`{"normalizer":{"type":"Sequence","normalizers":[`, `{},`, maxValues/2-10, `{}]},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`), false},
		"ids in a template":     {hostile(`{"post_processor":{"type":"TemplateProcessing","single":[],"special_tokens":{"a":{"ids":[`, `0,`, many, `0]}}},"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}`), false},
		"deep":                  {[]byte(strings.Repeat(`{"model":`, many/100)), false},
		"members of the model":  {hostile(`{"model":{`, `"x":0,`, many, `"type":"BPE","vocab":{},"merges":[]}}`), false},
		"members beside it":     {hostile(`{`, `"x":0,`, many, `"model":{"type":"BPE","vocab":{},"merges":[]}}`), true},
		"a long text":           {[]byte(`{"model":{"type":"BPE","vocab":{"` + strings.Repeat("a", 20<<20) + `":0},"merges":[]}}`), false},
		"a long merge":          {[]byte(`{"model":{"type":"BPE","vocab":{"a":0},"merges":["` + strings.Repeat("a", 20<<20) + `"]}}`), false},
		"a long text of escape": {[]byte(`{"model":{"type":"` + strings.Repeat(`\u0041`, 3<<20) + `"}}`), false},
	} {
		var err error
		used := allocated(func() { _, err = FromJSON(c.b, Config{}) })
		if limit := len(c.b) + 16<<20; used > limit {
			t.Errorf("%s: %d bytes allocated for a file of %d, more than %d", name, used, len(c.b), limit)
		}
		if (err == nil) != c.fine {
			t.Errorf("%s: %v", name, err)
		}
	}
	var ranks bytes.Buffer
	for id := range pieces {
		raw := []byte{byte(id)}
		if id > 255 {
			raw = fmt.Appendf(nil, "%x~", id)
		}
		fmt.Fprintf(&ranks, "%s %d\n", base64.StdEncoding.EncodeToString(raw), id)
	}
	used := allocated(func() {
		if _, err := FromTiktoken(ranks.Bytes(), o200kPattern, nil); err != nil {
			t.Error(err)
		}
	})
	if limit := ranks.Len() + 16<<20; used > limit {
		t.Errorf("tiktoken: %d bytes allocated for a file of %d, more than %d", used, ranks.Len(), limit)
	}
	kinds, scores := make([]int32, len(pieces)), make([]float32, len(pieces))
	for name, keys := range map[string]map[string]any{
		"BPE":       {"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.merges": merges},
		"SPM":       {"tokenizer.ggml.model": "llama", "tokenizer.ggml.scores": scores},
		"WordPiece": {"tokenizer.ggml.model": "bert"},
		"Unigram":   {"tokenizer.ggml.model": "t5", "tokenizer.ggml.scores": scores},
	} {
		var w gguf.Writer
		for k, v := range keys {
			w.Set(k, v)
		}
		w.Set("tokenizer.ggml.tokens", pieces)
		w.Set("tokenizer.ggml.token_type", kinds)
		var b bytes.Buffer
		if err := w.Write(&b); err != nil {
			t.Fatal(err)
		}
		used := allocated(func() {
			g, err := gguf.Read(bytes.NewReader(b.Bytes()), int64(b.Len()))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := FromGGUF(g); err != nil {
				t.Errorf("GGUF, %s: %v", name, err)
			}
		})
		if limit := 2*b.Len() + 16<<20; used > limit {
			t.Errorf("GGUF, %s: %d bytes allocated for a file of %d, more than %d", name, used, b.Len(), limit)
		}
	}
}
