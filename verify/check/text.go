package check

// prompt is what the generated text goes on from.
const prompt = "Once upon a time there was a"

// specimen is one text of the tokenizer's round trip.
type specimen struct {
	name  string
	text  string
	basic bool // a text that every language model's tokenizer must keep
}

// specimens are in several scripts and forms; each was written for this purpose.
var specimens = []specimen{
	{"english", "The cat sat on the mat, and the dog looked at it.", true},
	{"digits", "In 1969 there were 3 of them, 12 days long.", true},
	{"german", "Die Straße führt über die Brücke.", false},
	{"french", "L'été, où êtes-vous allés\u00a0? Ça va.", false},
	{"spanish", "¿Dónde está el niño? ¡Mañana!", false},
	{"polish", "Zażółć gęślą jaźń.", false},
	{"russian", "Дом стоит у реки.", false},
	{"greek", "Το σπίτι είναι κοντά στη θάλασσα.", false},
	{"arabic", "البيت قريب من البحر.", false},
	{"hebrew", "הבית ליד הים.", false},
	{"hindi", "घर नदी के पास है।", false},
	{"thai", "บ้านอยู่ใกล้ทะเล", false},
	{"chinese", "房子在河边。", false},
	{"japanese", "家は川のそばにあります。", false},
	{"korean", "집은 강 옆에 있습니다.", false},
	{"emoji", "Yes 👍🏽, a family 👨‍👩‍👧 and a flag 🇺🇳.", false},
	{"combining", "e\u0301 is not \u00e9, or is it?", false},
	{"code", "func f(x int) int {\n\tif x > 0 {\n\t\treturn x * 2\n\t}\n\treturn -1\n}\n", false},
	{"spaces", "one  two   three\n\n\nfour\t\tfive", false},
	{"mathematics", "∑ᵢ xᵢ² ≤ ∞ ∧ ∀ε>0", false},
}
