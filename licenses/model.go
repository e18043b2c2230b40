package licenses

import "strings"

// models are models by the beginnings of their names where they are
// published, with the licence that they are published under. Of two that fit
// the longer one holds. What stands here is known by name alone: bytes under
// another name may be the same model, and bytes under this name another one.
var models = []struct{ prefix, id string }{
	{"meta-llama/llama-2-", "llama2"},
	{"meta-llama/meta-llama-3-", "llama3"},
	{"meta-llama/meta-llama-3.1-", "llama3.1"},
	{"meta-llama/llama-3.1-", "llama3.1"},
	{"meta-llama/llama-3.2-", "llama3.2"},
	{"meta-llama/llama-3.3-", "llama3.3"},
	{"meta-llama/llama-4-", "llama4"},
	{"google/gemma-2b", "gemma"},
	{"google/gemma-7b", "gemma"},
	{"google/gemma-1.1-", "gemma"},
	{"google/gemma-2-", "gemma"},
	{"google/gemma-3-", "gemma"},
	{"google/gemma-4-", "apache-2.0"},
	{"bigscience/bloom", "bigscience-bloom-rail-1.0"},
	{"bigcode/starcoder", "bigcode-openrail-m"},
	{"compvis/stable-diffusion-v1-", "creativeml-openrail-m"},
	{"stabilityai/stable-diffusion-xl-base-1.0", "openrail++"},
	{"deepseek-ai/deepseek-v2", "other:deepseek"},
	{"deepseek-ai/deepseek-r1", "mit"},
	{"deepseek-ai/deepseek-v3-0324", "mit"},
	{"qwen/qwen2.5-72b", "other:qwen"},
	{"qwen/qwen2.5-3b", "other:qwen-research"},
	{"qwen/qwen2-72b", "other:tongyi-qianwen"},
	{"qwen/qwen3-", "apache-2.0"},
	{"databricks/dbrx-", "other:databricks-open-model-license"},
	{"tiiuae/falcon-180b", "other:falcon-180b-license"},
	{"tiiuae/falcon-11b", "other:falcon-2-11b"},
	{"tiiuae/falcon-7b", "apache-2.0"},
	{"tiiuae/falcon-40b", "apache-2.0"},
	{"lgai-exaone/exaone-deep-", "other:exaone"},
	{"black-forest-labs/flux.1-dev", "other:flux-1-dev-non-commercial-license"},
	{"black-forest-labs/flux.1-schnell", "apache-2.0"},
	{"microsoft/phi-3", "mit"},
	{"microsoft/phi-4", "mit"},
	{"moonshotai/kimi-k2-", "other:modified-mit(kimi-k2)"},
	{"xai-org/grok-1", "apache-2.0"},
	{"xai-org/grok-2", "grok2-community"},
	{"thudm/glm-4-9b", "other:glm-4"},
	{"facebook/dinov3-", "other:dinov3-license"},
	{"openai/gpt-oss-", "apache-2.0"},
}

// OfModel returns the licence under which a well-known model is published, by
// the name that it has there, "org/name" in any case of letters.
func OfModel(name string) (*Fact, bool) {
	name = strings.ToLower(strings.TrimSpace(name))
	best, id := "", ""
	for _, f := range models {
		if strings.HasPrefix(name, f.prefix) && len(f.prefix) > len(best) {
			best, id = f.prefix, f.id
		}
	}
	if id == "" {
		return nil, false
	}
	return Lookup(id)
}
