package inference

import (
	"maps"

	"github.com/carat-hub/carat/inference/kernel"
)

// family says what the graph needs to know of an architecture beyond the numbers that its files give. Names of layers, biases,
// and halves that share a norm follow from the tensors that are there.
type family struct {
	gguf, folder *tensorNames
	// defaults are what a language model's config.json leaves out as part of another's.
	defaults config

	// encoder says that attention goes both ways and that no next token is predicted.
	encoder bool
	// bothWays says that attention does so in a decoder's graph, and centred that windows then are those of llama.cpp and Hugging
	// Face's library: as many positions before a query as after it.
	bothWays, centred bool
	// afterPadding says that the learned positions of folders begin after the id of the token that pads texts.
	afterPadding bool
	// ropeAdjacent is the pairing of GGUF files, whose converter permutes the rows of some architectures, and
	// folderAdjacent that of Hugging Face's layout. unrotated says that there is no rotary embedding at all.
	ropeAdjacent, folderAdjacent, unrotated bool
	// norms
	layerNorm  bool // subtracts the mean
	unweighted bool // has no tensors
	onePlus    bool // folders store norm weights less one
	qkNorm     qkNorm
	// unnormedStart says that the first layer's attention has no norm, as the embeddings have one.
	unnormedStart bool
	epsilon       float64 // config.json's default
	// blocks
	parallel        bool // attention and feed-forward read the same state
	parallelKey     bool // as use_parallel_residual says
	parallelUnnormd bool // where the feed-forward half has no norm of its own
	activation      kernel.Activation
	ungated         bool
	// feedForwardScales says that the feed-forward matrices of GGUF files can have a .scale tensor; elsewhere it has no effect.
	// expertScales says it of experts.
	feedForwardScales, expertScales bool
	// window says which layers see a window of the files' size: none, all (1), or in each n all but the last, or the first.
	window        int
	windowedAfter bool
	// windowSwitch says that folders turn the window on by use_sliding_window, for the layers from max_window_layers on.
	windowSwitch bool
	// localRope says how windowed layers are rotated, and rotatedEvery which layers are not rotated.
	localRope    localRope
	rotation     rotation
	attentionCap float64 // the default of attn_logit_softcapping, which is not read when it is 0
	logitCap     bool
	// scales
	embeddingRoot bool // embeddings are multiplied by the root of their width
	scaled        scaling
	wideScale     int  // a number of layers at which scores are scaled by hidden/heads instead of the head size
	alibi         bool // position by ALiBi
	clampQKV      bool
	// experts
	normalised  bool // expert weights are scaled to sum to one
	expertKeys  bool // how they are chosen is configured as for DeepSeek
	sparseMixer bool // they are chosen by SparseMixer
	latent      bool // keys and values are compressed (MLA)
	tied        bool // config.json's default of tie_word_embeddings
}

type qkNorm int

const (
	noQKNorm    qkNorm = iota
	headQKNorm         // each head by itself, with shared or own weights
	wholeQKNorm        // all heads together
)

type localRope int

const (
	sameRope  localRope = iota
	ownRope             // base 10000, or as given, unscaled
	plainRope           // the same base, unscaled
)

type rotation int

const (
	everyLayer rotation = iota
	windowedLayers
	windowedIfAny // windowed layers, or all in a model without
	threeOfFour   // the last of each four layers is not rotated
)

type scaling int

const (
	noScales scaling = iota
	graniteScales
	minicpmScales
	cohereScales
)

// families are the architectures that can be run. An architecture whose parts exist is one more line here.
var families = func() map[string]family {
	gguf, folder := ggufNames(nil), folderNames(nil)
	llama := family{gguf: gguf, folder: folder, ropeAdjacent: true, feedForwardScales: true, expertScales: true, normalised: true}
	with := func(f family, change func(*family)) family {
		change(&f)
		return f
	}
	qwen := family{gguf: gguf, folder: folder, window: 1, windowSwitch: true}
	gelu := family{
		gguf: gguf, layerNorm: true, ungated: true, activation: kernel.GELUTanh,
	}
	gemma := family{
		gguf: gguf, folder: folder, onePlus: true, activation: kernel.GELUTanh, embeddingRoot: true, tied: true,
	}
	parallelGGUF := ggufNames(withoutFeedForwardNorm)
	posted := ggufNames(postNorms)
	normedAfter := ggufNames(func(n *tensorNames) {
		postNorms(n)
		n.attentionNorm, n.feedForwardNorm = "", ""
	})
	sandwiched := ggufNames(func(n *tensorNames) { n.feedForwardNorm = "blk.%d.post_attention_norm" })
	all := map[string]family{
		"llama":   llama,
		"mistral": with(llama, func(f *family) { f.window = 1 }),
		"mixtral": with(llama, func(f *family) { f.window, f.folder = 1, folderNames(mixtralNames) }),
		"smollm3": with(llama, func(f *family) {
			f.rotation, f.tied, f.feedForwardScales = threeOfFour, true, false
		}),
		"granite": with(llama, func(f *family) { f.scaled, f.feedForwardScales, f.expertScales = graniteScales, false, false }),
		"minicpm": with(llama, func(f *family) {
			f.scaled, f.feedForwardScales, f.expertScales, f.tied = minicpmScales, false, false, true
		}),
		"granitemoe": with(llama, func(f *family) {
			f.folder, f.scaled, f.feedForwardScales, f.expertScales = folderNames(graniteMoENames), graniteScales, false, false
		}),
		"mistral3": llama,
		"xverse":   with(llama, func(f *family) { f.feedForwardScales, f.expertScales = false, false }),
		"orion":    {gguf: gguf, folder: folder, layerNorm: true},
		"seed_oss": {gguf: sandwiched, folder: folder},
		"ernie4_5": {gguf: gguf, folder: folder, ropeAdjacent: true, folderAdjacent: true, tied: true},
		"exaone":   {gguf: gguf, folder: folderNames(exaoneNames)},
		"exaone4": {
			gguf: normedAfter, folder: folderNames(olmo2Names), qkNorm: headQKNorm, window: 4, rotation: windowedIfAny,
		},
		"olmo": with(llama, func(f *family) {
			f.layerNorm, f.unweighted, f.clampQKV, f.feedForwardScales, f.expertScales = true, true, true, false, false
		}),
		"minicpm3": {gguf: gguf, folder: folderNames(deepseekNames), latent: true, scaled: minicpmScales, tied: true},
		"llama4":   {gguf: gguf, folder: folderNames(llama4Names), ropeAdjacent: true, folderAdjacent: true},
		"baichuan": with(llama, func(f *family) {
			f.folder, f.alibi, f.feedForwardScales, f.expertScales = folderNames(baichuanNames), true, false, false
		}),
		"arcee": with(llama, func(f *family) {
			f.ungated, f.activation, f.feedForwardScales, f.expertScales = true, kernel.ReLUSquared, false, false
		}),
		"internlm2": with(llama, func(f *family) {
			f.folder, f.feedForwardScales, f.expertScales = folderNames(internlm2Names), false, false
		}),
		"qwen2":    qwen,
		"qwen2moe": qwen,
		"qwen3":    with(qwen, func(f *family) { f.qkNorm, f.feedForwardScales = headQKNorm, true }),
		"olmoe":    with(qwen, func(f *family) { f.qkNorm, f.window, f.windowSwitch = wholeQKNorm, 0, false }),
		"qwen3moe": with(qwen, func(f *family) { f.qkNorm, f.expertScales, f.normalised = headQKNorm, true, true }),
		"gemma":    gemma,
		"gemma2": with(gemma, func(f *family) {
			f.gguf, f.folder = posted, folderNames(gemmaNames)
			f.window, f.attentionCap, f.logitCap, f.wideScale = 2, 50, true, 46
		}),
		"gemma3": with(gemma, func(f *family) {
			f.gguf, f.folder = posted, folderNames(gemmaNames)
			f.window, f.logitCap, f.qkNorm, f.localRope, f.wideScale, f.centred = 6, true, headQKNorm, ownRope, 62, true
			f.defaults = config{
				"num_attention_heads": 8.0, "num_key_value_heads": 4.0, "head_dim": 256.0, "max_position_embeddings": 131072.0,
				"query_pre_attn_scalar": 256.0, "rope_theta": 1e6,
			}
		}),
		"gemma-embedding": with(gemma, func(f *family) {
			f.gguf = ggufNames(func(n *tensorNames) {
				postNorms(n)
				n.dense = []string{"dense_2", "dense_3"}
			})
			f.folder, f.window, f.qkNorm, f.localRope, f.bothWays, f.centred = nil, 6, headQKNorm, ownRope, true, true
		}),
		"phi2": with(gelu, func(f *family) {
			f.gguf, f.folder, f.parallel = parallelGGUF, folderNames(phi2Names), true
		}),
		"phi3": {gguf: gguf, folder: folder, window: 1},
		"phimoe": {
			gguf: gguf, folder: folderNames(mixtralNames), window: 1, layerNorm: true, sparseMixer: true,
		},
		"gpt2": with(gelu, func(f *family) { f.folder, f.unrotated, f.tied = folderNames(gpt2Names), true, true }),
		"gptj": with(gelu, func(f *family) {
			f.gguf, f.folder, f.parallel, f.ropeAdjacent, f.folderAdjacent = parallelGGUF, folderNames(gptjNames), true, true, true
		}),
		"gptneox":   with(gelu, func(f *family) { f.folder, f.parallelKey = folderNames(gptneoxNames), true }),
		"starcoder": with(gelu, func(f *family) { f.folder, f.unrotated, f.tied = folderNames(starcoderNames), true, true }),
		"nemotron": {
			gguf: gguf, folder: folder, layerNorm: true, onePlus: true, ungated: true, activation: kernel.ReLUSquared,
		},
		"starcoder2": with(gelu, func(f *family) {
			f.folder, f.window, f.tied = folderNames(starcoder2Names), 1, true
		}),
		"falcon": with(gelu, func(f *family) {
			f.gguf = ggufNames(func(n *tensorNames) {
				n.feedForwardNorm = ""
				n.splitAttentionNorm, n.splitFeedForwardNorm = "blk.%d.attn_norm_2", "blk.%d.attn_norm"
			})
			f.folder, f.parallel, f.tied = folderNames(falconNames), true, true
		}),
		"mpt": with(gelu, func(f *family) {
			f.folder, f.unrotated, f.alibi, f.clampQKV, f.qkNorm, f.tied = folderNames(mptNames), true, true, true, wholeQKNorm, true
		}),
		"bloom": with(gelu, func(f *family) {
			f.folder, f.unrotated, f.alibi, f.tied = folderNames(bloomNames), true, true, true
		}),
		"stablelm": {gguf: gguf, folder: folderNames(stablelmNames), layerNorm: true, parallelUnnormd: true, qkNorm: headQKNorm},
		"olmo2": {
			gguf:   normedAfter,
			folder: folderNames(olmo2Names), qkNorm: wholeQKNorm, window: 4, localRope: plainRope,
		},
		"command-r": {
			gguf: parallelGGUF, folder: folderNames(withoutFeedForwardNorm), ropeAdjacent: true, folderAdjacent: true,
			layerNorm: true, parallel: true, qkNorm: headQKNorm, scaled: cohereScales, tied: true,
		},
		"cohere2": {
			gguf: parallelGGUF, folder: folderNames(withoutFeedForwardNorm), ropeAdjacent: true, folderAdjacent: true,
			layerNorm: true, parallel: true, scaled: cohereScales, tied: true, window: 4, rotation: windowedLayers,
			feedForwardScales: true,
		},
		"glm4":     {gguf: posted, folder: folderNames(glm4Names), ropeAdjacent: true, folderAdjacent: true},
		"deepseek": {gguf: gguf, folder: folderNames(deepseekNames), ropeAdjacent: true, expertKeys: true},
		"dots1":    {gguf: gguf, folder: folderNames(deepseekNames), qkNorm: headQKNorm, expertKeys: true},
		"glm4moe": {
			gguf: sandwiched, folder: folderNames(deepseekNames), qkNorm: headQKNorm, expertKeys: true,
		},
		"gpt-oss": {
			gguf: sandwiched, folder: folderNames(gptOSSNames),
			activation: kernel.ClampedSwiGLU, normalised: true, window: 2,
		},
		"deepseek2": {
			gguf: gguf, folder: folderNames(deepseekNames), ropeAdjacent: true, folderAdjacent: true, latent: true,
			expertKeys: true,
		},
	}
	maps.Copy(all, encoders())
	return all
}()

// architectureNames turns config.json's model_type into the name that GGUF files use where the two differ.
var architectureNames = map[string]string{
	"cohere": "command-r", "deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2", "gemma3_text": "gemma3",
	"gpt_bigcode": "starcoder",
	"glm4_moe":    "glm4moe", "gpt_neox": "gptneox", "gpt_oss": "gpt-oss", "granitemoeshared": "granitemoe", "llama4_text": "llama4",
	"ministral3": "mistral3",
	"modernbert": "modern-bert", "nomic_bert": "nomic-bert", "olmo3": "olmo2", "phi": "phi2", "qwen2_moe": "qwen2moe",
	"qwen3_moe": "qwen3moe",
}
