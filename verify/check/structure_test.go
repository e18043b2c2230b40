package check

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference/tensor"
	"github.com/carat-hub/carat/verify"
)

// exampleTexts are the files of the example model by their paths, with some of them changed; "" leaves one out.
func exampleTexts(t testing.TB, changed map[string]string) map[string]string {
	t.Helper()
	list, err := filepath.Glob("../../examples/tiny-llama/*")
	if err != nil || len(list) == 0 {
		t.Fatal(err)
	}
	texts := map[string]string{}
	for _, name := range list {
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		texts[filepath.Base(name)] = string(p)
	}
	for name, text := range changed {
		if texts[name] = text; text == "" {
			delete(texts, name)
		}
	}
	return texts
}

func TestLayoutCheck(t *testing.T) {
	t.Parallel()
	whole := ggufOf(t, nil, tensorOf{"a", tensor.F32, []int{3}}, tensorOf{"b", tensor.F32, []int{8}})
	first := len(whole) - 64 // a has 12 bytes and 20 to align b, which has 32
	with := func(at int, c byte) string { return whole[:at] + string(c) + whole[at+1:] }
	blank := func(n int) string {
		head := `{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}` + strings.Repeat(" ", n)
		return string([]byte{byte(len(head)), byte(len(head) >> 8), byte(len(head) >> 16), 0, 0, 0, 0, 0}) + head + "x"
	}
	expect(t, layoutCheck, map[string]expectation{
		"safetensors":       {one("model.safetensors", safetensorsOf(t, map[string][]int{"w": {2, 2}})), verify.OutcomePassed, ""},
		"aligned header":    {one("model.safetensors", blank(11)), verify.OutcomePassed, ""},
		"blank header":      {one("model.safetensors", blank(100_000)), verify.OutcomeWarned, "ends with more than 65536 spaces"},
		"GGUF":              {one("m.gguf", whole), verify.OutcomePassed, ""},
		"dirty alignment":   {one("m.gguf", with(first+14, 'x')), verify.OutcomeWarned, "bytes that only align tensors are not zero"},
		"bytes behind":      {one("m.gguf", whole+strings.Repeat("x", 64)), verify.OutcomeFailed, "64 bytes lie behind the last tensor"},
		"zeros behind":      {one("m.gguf", whole+strings.Repeat("\x00", 64)), verify.OutcomeWarned, "64 bytes lie behind the last tensor, all zero"},
		"a hole":            {one("m.gguf", holed(t, whole)), verify.OutcomeFailed, "32 bytes between tensors belong to none"},
		"weights elsewhere": {one("README.md", ""), verify.OutcomeSkipped, "no format"},
	})
}

// holed moves the second tensor of a file 32 bytes on.
func holed(t *testing.T, whole string) string {
	t.Helper()
	i := strings.Index(whole, "\x20\x00\x00\x00\x00\x00\x00\x00") // the offset of b
	if i < 0 {
		t.Fatal("there is no offset of 32")
	}
	return whole[:i] + "\x40" + whole[i+1:] + strings.Repeat("\x00", 32)
}

func TestIndexCheck(t *testing.T) {
	t.Parallel()
	a, b := safetensorsOf(t, map[string][]int{"a": {4}}), safetensorsOf(t, map[string][]int{"b": {4}})
	const first, second = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
	index := func(total int, more string) string {
		return fmt.Sprintf(`{"metadata":{"total_size":%d},"weight_map":{"a":%q,"b":%q%s}}`, total, first, second, more)
	}
	of := func(index string, more ...string) map[string]string {
		m := map[string]string{"model.safetensors.index.json": index, first: a, second: b}
		for _, name := range more {
			m[name] = a
		}
		return m
	}
	fails := func(files map[string]string, reason string) {
		t.Helper()
		set := filesOf(files)
		_, err := indexCheck.run(t.Context(), &model{files: set, part: partsOf(set)[0], engine: core{}})
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%v, want %s", err, reason)
		}
	}
	fails(of(index(32, `,"c":"`+first+`"`)), "does not hold the tensor")
	fails(of(strings.Replace(index(32, ""), `"b":`, `"x":`, 1)), "is not mapped to it")
	fails(map[string]string{"model.safetensors.index.json": index(32, ""), first: a}, "shard is missing")
	expect(t, indexCheck, map[string]expectation{
		"complete":    {of(index(32, "")), verify.OutcomePassed, ""},
		"no size":     {of(strings.Replace(index(32, ""), "total_size", "x", 1)), verify.OutcomePassed, ""},
		"other size":  {of(index(33, "")), verify.OutcomeWarned, "declares 33 bytes, the shards have 32"},
		"left over":   {of(index(32, ""), "model.safetensors"), verify.OutcomeWarned, "does not name these weights: model.safetensors"},
		"one file":    {one("model.safetensors", a), verify.OutcomeSkipped, "not spread"},
		"part absent": {one("m-00001-of-00002.gguf", ggufOf(t, map[string]any{"split.no": uint16(0), "split.count": uint16(2)}, tensorOf{"w", tensor.F32, []int{4}})), verify.OutcomeFailed, "part of a split model is missing"},
	})
}

func TestAdapterCheck(t *testing.T) {
	t.Parallel()
	const prefix = "base_model.model.model.layers."
	of := func(config string, change func(shapes map[string][]int)) map[string]string {
		shapes := map[string][]int{}
		for l := range 2 {
			for _, module := range []string{"q_proj", "v_proj"} {
				name := fmt.Sprintf("%s%d.self_attn.%s.", prefix, l, module)
				shapes[name+"lora_A.weight"], shapes[name+"lora_B.weight"] = []int{4, 16}, []int{8, 4}
			}
		}
		if change != nil {
			change(shapes)
		}
		return map[string]string{"adapter_config.json": config, "adapter_model.safetensors": safetensorsOf(t, shapes)}
	}
	const config = `{"peft_type":"LORA","base_model_name_or_path":"org/base","r":4,"lora_alpha":8,"target_modules":["q_proj","v_proj"]}`
	expect(t, adapterCheck, map[string]expectation{
		"sound":              {of(config, nil), verify.OutcomePassed, ""},
		"other rank":         {of(strings.Replace(config, `"r":4`, `"r":8`, 1), nil), verify.OutcomeFailed, "the matrices have rank 4, the configuration says 8"},
		"one matrix missing": {of(config, func(s map[string][]int) { delete(s, prefix+"1.self_attn.v_proj.lora_B.weight") }), verify.OutcomeFailed, "one of its two matrices is missing"},
		"ranks that differ":  {of(config, func(s map[string][]int) { s[prefix+"1.self_attn.v_proj.lora_A.weight"] = []int{5, 16} }), verify.OutcomeFailed, "ranks 5 and 4"},
		"another width":      {of(config, func(s map[string][]int) { s[prefix+"1.self_attn.v_proj.lora_B.weight"] = []int{9, 4} }), verify.OutcomeWarned, "for 9 by 16, others of its name for 8 by 16"},
		"not a target":       {of(strings.Replace(config, `"q_proj",`, "", 1), nil), verify.OutcomeWarned, "the configuration does not name it"},
		"target without":     {of(strings.Replace(config, `"q_proj",`, `"q_proj","k_proj",`, 1), nil), verify.OutcomeWarned, `names "k_proj", and no module`},
		"a pattern":          {of(strings.Replace(config, `["q_proj","v_proj"]`, `".*\\.(q|v)_proj"`, 1), nil), verify.OutcomePassed, ""},
		"no base":            {of(strings.Replace(config, "org/base", "", 1), nil), verify.OutcomeWarned, "which model it is for"},
		"no adapter":         {one("model.safetensors", safetensorsOf(t, map[string][]int{"w": {2, 2}})), verify.OutcomeSkipped, "no adapter"},
	})
	r := Verify(t.Context(), filesOf(of(config, nil)), verify.RunOptions{})
	if r.State != verify.StateUnsupported || !strings.Contains(r.Summary, `it runs with the model that it adapts, "org/base"`) {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
}

// TestTokenizerAlone: a version of a tokenizer gets what checks need no weights, and never a pass.
func TestTokenizerAlone(t *testing.T) {
	t.Parallel()
	alone := map[string]string{"config.json": "", "generation_config.json": "", "model.safetensors": ""}
	r := Verify(t.Context(), filesOf(exampleTexts(t, alone)), verify.RunOptions{})
	if r.State != verify.StateUnsupported || r.Summary != "the model cannot be run here: "+tokenizerAlone {
		t.Errorf("%s: %s", r.State, r.Summary)
	}
	outcomes := map[string]verify.Outcome{}
	for _, x := range r.Results {
		outcomes[x.ID] = x.Outcome
	}
	for id, want := range map[string]verify.Outcome{
		idHeaders: verify.OutcomeSkipped, idRoundTrip: verify.OutcomePassed, idSpecial: verify.OutcomePassed, idTemplate: verify.OutcomePassed,
		idFormats: verify.OutcomePassed, idOutputs: verify.OutcomeSkipped, idPerplexity: verify.OutcomeSkipped,
	} {
		if outcomes[id] != want {
			t.Errorf("%s: %s, want %s", id, outcomes[id], want)
		}
	}
}
