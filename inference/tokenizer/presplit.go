package tokenizer

// Patterns that tokenizer.json files and GGUF pre-tokenizer names share.
const (
	// cl100kPattern is llama3Pattern as tiktoken writes it.
	cl100kPattern = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+`

	upperRun      = `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`
	lowerRun      = `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`
	contractions  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)`
	o200kTail     = `| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+` + lookahead
	o200kPattern  = `[^\r\n\p{L}\p{N}]?` + upperRun + `*` + lowerRun + `+` + contractions + `?|[^\r\n\p{L}\p{N}]?` + upperRun + `+` + lowerRun + `*` + contractions + `?|\p{N}{1,3}` + o200kTail
	tekkenPattern = `[^\r\n\p{L}\p{N}]?` + upperRun + `*` + lowerRun + `+|[^\r\n\p{L}\p{N}]?` + upperRun + `+` + lowerRun + `*|\p{N}` + o200kTail
	qwen35Pattern = contractions + `|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+` + lookahead
	seedPattern   = contractions + `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+` + lookahead

	bloomPattern = ` ?[^(\s|.,!?…。，、।۔،)]+`
	digitPattern = `\p{N}`
)

var (
	gpt2Split1   = []string{gpt2Pattern}
	llama3Split1 = []string{llama3Pattern}
	qwen2Split1  = []string{qwen2Pattern}
	o200kSplit1  = []string{o200kPattern}
	digitsFirst  = []string{digitPattern, gpt2Pattern}

	deepseek3 = []string{
		`\p{N}{1,3}`,
		`[一-龥぀-ゟ゠-ヿ]+`,
		"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+" + `|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+` + lookahead,
	}
	deepseekCoder = []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, `[一-龥ࠀ-一가-퟿]+`, digitPattern}
	deepseekLLM   = []string{
		`[\r\n]`,
		`\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ\x{1F5F}-\x{1F7D}ᾀ-ᾴᾶ-ᾼ\x{1FBE}ῂ-ῄῆ-ῌῐ-\x{1FD3}ῖ-\x{1FDB}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212A}-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+`,
		`\s?[!-/:-~！-／：-～‘-‟　-。]+`,
		`\s+$`,
		`[一-龥ࠀ-一가-퟿]+`,
		`\p{N}+`,
	}
)

// preSplits are the tokenizer.ggml.pre names that can be split: the patterns, one after the other, and what else is special about
// the names.
var preSplits = map[string]struct {
	patterns   []string
	wholeWords bool // a word of the vocabulary is taken without merging
	addBOS     bool
	addSEP     bool // the SEP token ends a text
}{
	"default": {patterns: []string{`[\p{P}\$\+<=>\^~\|]+`, gpt2Pattern, `\p{N}+`, `[0-9][0-9][0-9]`}},

	"gpt-2": {patterns: gpt2Split1}, "mpt": {patterns: gpt2Split1}, "olmo": {patterns: gpt2Split1}, "phi-2": {patterns: gpt2Split1},
	"jais": {patterns: gpt2Split1}, "trillion": {patterns: gpt2Split1}, "granite-docling": {patterns: gpt2Split1},
	"exaone4": {patterns: gpt2Split1}, "jina-es": {patterns: gpt2Split1}, "jina-de": {patterns: gpt2Split1},
	"jina-v2-es": {patterns: gpt2Split1}, "jina-v2-de": {patterns: gpt2Split1}, "gigachat": {patterns: gpt2Split1},
	"a.x-4.0": {patterns: gpt2Split1}, "mellum": {patterns: gpt2Split1}, "modern-bert": {patterns: gpt2Split1},
	"jina-v1-en": {patterns: gpt2Split1, addSEP: true}, "jina-v2-code": {patterns: gpt2Split1, addSEP: true},
	"roberta-bpe": {patterns: gpt2Split1, addSEP: true},

	"llama-bpe": {patterns: llama3Split1, wholeWords: true, addBOS: true}, "llama3": {patterns: llama3Split1, wholeWords: true, addBOS: true},
	"llama-v3": {patterns: llama3Split1, wholeWords: true, addBOS: true}, "falcon3": {patterns: llama3Split1, wholeWords: true, addBOS: true},
	"falcon-h1": {patterns: llama3Split1, wholeWords: true, addBOS: true}, "pixtral": {patterns: llama3Split1, wholeWords: true, addBOS: true},
	"midm-2.0": {patterns: llama3Split1, wholeWords: true, addBOS: true}, "lfm2": {patterns: llama3Split1, wholeWords: true, addBOS: true},
	"dbrx": {patterns: llama3Split1}, "smaug-bpe": {patterns: llama3Split1}, "glm4": {patterns: llama3Split1}, "chatglm-bpe": {patterns: llama3Split1},

	"qwen2": {patterns: qwen2Split1}, "deepseek-r1-qwen": {patterns: qwen2Split1}, "stablelm2": {patterns: qwen2Split1},
	"kormo": {patterns: qwen2Split1}, "megrez": {patterns: qwen2Split1}, "hunyuan": {patterns: qwen2Split1}, "solar-open": {patterns: qwen2Split1},
	"grok-2": {patterns: qwen2Split1}, "bailingmoe": {patterns: qwen2Split1}, "bailingmoe2": {patterns: qwen2Split1}, "llada-moe": {patterns: qwen2Split1},
	"qwen35": {patterns: []string{qwen35Pattern}}, "seed-coder": {patterns: []string{seedPattern}},

	"gpt-4o": {patterns: o200kSplit1}, "llama4": {patterns: o200kSplit1}, "kanana2": {patterns: o200kSplit1}, "minimax-m2": {patterns: o200kSplit1},
	"tekken": {patterns: []string{tekkenPattern}, wholeWords: true, addBOS: true},

	"starcoder": {patterns: digitsFirst}, "refact": {patterns: digitsFirst}, "command-r": {patterns: digitsFirst}, "smollm": {patterns: digitsFirst},
	"codeshell": {patterns: digitsFirst}, "exaone": {patterns: digitsFirst}, "minerva-7b": {patterns: digitsFirst}, "mellum2": {patterns: digitsFirst},

	"falcon":       {patterns: []string{"[\\p{P}\\$\\+<=>\\^~\\|`]+", gpt2Pattern, `[0-9][0-9][0-9]`}},
	"deepseek-llm": {patterns: deepseekLLM}, "deepseek-coder": {patterns: deepseekCoder},
	"deepseek-v3": {patterns: deepseek3}, "hunyuan-dense": {patterns: deepseek3}, "joyai-llm": {patterns: deepseek3},

	"bloom": {patterns: []string{bloomPattern}}, "poro-chat": {patterns: []string{bloomPattern}}, "gpt3-finnish": {patterns: []string{bloomPattern}},
	"viking": {patterns: []string{bloomPattern, digitPattern}},
}
