package inference

import (
	"context"
	"encoding/json"
	"testing"
)

// FuzzConfig opens a toy whose JSON files are anything, and runs what opens.
func FuzzConfig(f *testing.F) {
	base := map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "hidden_size": 8, "intermediate_size": 12,
		"num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 16,
		"rms_norm_eps": 1e-5, "tie_word_embeddings": true,
	}
	generation := []byte(`{"eos_token_id":[1,2]}`)
	tokenizerConfig := []byte(`{"bos_token":{"content":"<s>"},"eos_token":"</s>","chat_template":[{"name":"default","template":"{{ messages }}"}]}`)
	for _, change := range []map[string]any{
		{},
		{"rope_scaling": map[string]any{"rope_type": "llama3", "factor": 8, "low_freq_factor": 1, "high_freq_factor": 4, "original_max_position_embeddings": 12}},
		{"rope_scaling": map[string]any{"type": "yarn", "factor": 4, "beta_fast": 32, "beta_slow": 1, "original_max_position_embeddings": 8, "mscale": 1}},
		{"rope_scaling": map[string]any{"type": "longrope", "short_factor": []int{1, 1}, "long_factor": []int{2, 3}, "original_max_position_embeddings": 8}},
		{"model_type": "mistral", "sliding_window": 3, "layer_types": []string{"full_attention", "sliding_attention"}},
		{"model_type": "qwen3", "head_dim": 4, "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 4},
		{"model_type": "gemma2", "attn_logit_softcapping": 50, "final_logit_softcapping": 30, "query_pre_attn_scalar": 4},
		{"model_type": "deepseek_v3", "kv_lora_rank": 4, "q_lora_rank": nil, "qk_rope_head_dim": 2, "qk_nope_head_dim": 2, "v_head_dim": 4, "n_routed_experts": 2},
		{"model_type": "bert", "type_vocab_size": 2, "hidden_act": "gelu", "id2label": map[string]string{"0": "a"}},
		{"quantization_config": map[string]any{"quant_method": "gptq", "bits": 4, "group_size": 8}},
		{"text_config": map[string]any{"hidden_size": 8}, "auto_map": map[string]string{"AutoModel": "a--b.C"}},
		{"hidden_size": 1e300, "num_attention_heads": -1, "num_hidden_layers": 1e9},
	} {
		c := map[string]any{}
		for _, m := range []map[string]any{base, change} {
			for k, v := range m {
				c[k] = v
			}
		}
		b, err := json.Marshal(c)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, tokenizerConfig, generation)
	}
	ctx := context.Background()
	weights, err := readAll(ctx, newToy().folder(f, 1, nil), "model-00001-of-00001.safetensors", 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, config, tokenizerConfig, generation []byte) {
		files := memory(map[string][]byte{
			configName: config, tokenizerConfigName: tokenizerConfig, generationConfigName: generation, weightsName: weights,
		})
		facts, err := Inspect(ctx, files)
		noPanic(t, err)
		if err != nil {
			return
		}
		m, err := Open(ctx, files)
		noPanic(t, err)
		if (err == nil) != facts.Runnable {
			t.Fatalf("Inspect says that it runs: %v, Open says %v", facts.Runnable, err)
		}
		if err != nil {
			return
		}
		defer m.Close()
		if _, err := NewSampler(followed(m.SuggestedSampling())); err != nil {
			t.Fatal(err)
		}
		s := m.NewSession(SessionOptions{Threads: 1, Context: 8})
		defer s.Close()
		if logits, err := s.Eval(ctx, []int{0, 1, 2}); err == nil && len(logits) != m.Vocabulary() {
			t.Fatalf("%d logits for a vocabulary of %d", len(logits), m.Vocabulary())
		}
	})
}
