package inference

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// followed is the default sampling with what a model suggests.
func followed(s SamplingSuggestion) Sampling {
	o := DefaultSampling()
	for _, f := range []struct{ to, from *float64 }{
		{&o.Temperature, s.Temperature},
		{&o.TopP, s.TopP},
		{&o.MinP, s.MinP},
		{&o.RepeatPenalty, s.RepeatPenalty},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if s.TopK != nil {
		o.TopK = *s.TopK
	}
	return o
}

// withFile returns files and one more.
func withFile(t testing.TB, files Files, name, content string) Files {
	t.Helper()
	all := map[string][]byte{name: []byte(content)}
	for _, n := range files.Names() {
		b, err := readAll(t.Context(), files, n, 1<<24)
		if err != nil {
			t.Fatal(err)
		}
		all[n] = b
	}
	return memory(all)
}

func TestSuggestedSampling(t *testing.T) {
	t.Parallel()
	keys := func(k map[string]any) Files {
		toy := newToy()
		maps.Copy(toy.keys, k)
		return toy.gguf(t)
	}
	folder := func(generation string) Files {
		return withFile(t, newToy().folder(t, 1, nil), generationConfigName, generation)
	}
	number := func(v float64) *float64 { return &v }
	twenty := 20
	for name, c := range map[string]struct {
		files Files
		want  SamplingSuggestion
	}{
		"nothing":         {newToy().folder(t, 1, nil), SamplingSuggestion{}},
		"nothing in gguf": {newToy().gguf(t), SamplingSuggestion{}},
		"only tokens":     {folder(`{"bos_token_id":1}`), SamplingSuggestion{}},
		"all": {
			folder(`{"do_sample":true,"temperature":0.7,"top_k":20,"top_p":0.8,"min_p":0,"repetition_penalty":1.05}`),
			SamplingSuggestion{number(0.7), &twenty, number(0.8), number(0), number(1.05)},
		},
		"the most likely": {folder(`{"do_sample":false,"temperature":0.7,"top_k":20}`), SamplingSuggestion{Temperature: number(0), TopK: &twenty}},
		"nonsense":        {folder(`{"do_sample":"yes","temperature":-1,"top_k":2.5,"top_p":1.5,"min_p":"0","repetition_penalty":1e300}`), SamplingSuggestion{}},
		"nulls":           {folder(`{"do_sample":null,"temperature":null,"top_k":null}`), SamplingSuggestion{}},
		"gguf": {
			keys(map[string]any{
				"general.sampling.temp": float32(0.5), "general.sampling.top_k": int32(20), "general.sampling.top_p": float32(0.75),
				"general.sampling.min_p": float32(0.25), "general.sampling.penalty_repeat": float32(1.5),
			}),
			SamplingSuggestion{number(0.5), &twenty, number(0.75), number(0.25), number(1.5)},
		},
		"nonsense in gguf": {keys(map[string]any{"general.sampling.temp": "hot", "general.sampling.top_k": int32(-1)}), SamplingSuggestion{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, err := Open(t.Context(), c.files)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			if diff := cmp.Diff(c.want, m.SuggestedSampling()); diff != "" {
				t.Error(diff)
			}
			if _, err := NewSampler(followed(m.SuggestedSampling())); err != nil {
				t.Error(err)
			}
		})
	}
}
