package verifytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// templates are chat templates of other families, in short: each has control tokens of its own.
var templates = map[string]string{
	"ChatML": "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}" +
		"{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
	"Llama 3": "{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n{{ m['content'] }}<|eot_id|>{% endfor %}" +
		"{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}",
	"Gemma": "{% for m in messages %}<start_of_turn>{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] }}<end_of_turn>\n" +
		"{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
	"DeepSeek": "{% for m in messages %}{{ '<｜User｜>' if m['role'] == 'user' else '<｜Assistant｜>' }}{{ m['content'] }}" +
		"{% endfor %}{% if add_generation_prompt %}<｜Assistant｜>{% endif %}",
	"Phi-3": "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}" +
		"{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
}

func wrongTemplate(c *Case) string {
	if c.good.Kind == Encoder {
		return ""
	}
	names := slices.Sorted(maps.Keys(templates))
	name := names[c.seed%len(names)]
	c.Model.setTemplate(c, templates[name])
	return "that of " + name
}

func (m *Model) setTemplate(c *Case, text string) {
	if m.GGUF() {
		m.Keys["tokenizer.chat_template"] = text
		return
	}
	m.edit(c.t, "tokenizer_config.json", func(v map[string]any) { v["chat_template"] = text })
}

// plainToken is the kind that GGUF files give tokens that stand for text.
const plainToken = 1

func otherTokenizer(c *Case) string {
	if !c.Model.GGUF() && c.seed%2 == 1 {
		other := "stories260K"
		if c.good.family == other {
			c.Model.Files["tokenizer.json"] = TinyLlama(c.t).Files["tokenizer.json"]
			return "that of tiny-llama"
		}
		if dir, ok := Shared(c.t, other); ok {
			c.Model.Files["tokenizer.json"] = ReadFolder(c.t, dir).Files["tokenizer.json"]
			delete(c.Model.Files, "vocab.txt")
			return "that of " + other
		}
	}
	if c.Model.GGUF() {
		tokens, types := c.Model.tokens(c.t), c.Model.types(c.t)
		var plain []int
		for id, kind := range types {
			if kind == plainToken {
				plain = append(plain, id)
			}
		}
		scores, err := c.Model.head.Floats("tokenizer.ggml.scores")
		if err != nil {
			scores = nil
		}
		renumbered, rescored := slices.Clone(tokens), make([]float32, len(scores))
		for i, v := range scores {
			rescored[i] = float32(v)
		}
		for i, to := range c.r.Perm(len(plain)) {
			renumbered[plain[to]] = tokens[plain[i]]
			if len(scores) > 0 {
				rescored[plain[to]] = float32(scores[plain[i]])
			}
		}
		c.Model.Keys["tokenizer.ggml.tokens"] = renumbered
		if len(scores) > 0 {
			c.Model.Keys["tokenizer.ggml.scores"] = rescored
		}
		return "the same tokens with other numbers"
	}
	c.renumber(func(n int) []int { return c.r.Perm(n) })
	return "the same tokens with other numbers"
}

// renumber gives the tokens of tokenizer.json that are no added ones other numbers among themselves: the i-th that of the order[i]-th.
func (c *Case) renumber(order func(n int) []int) {
	var added struct {
		Tokens []struct {
			ID int `json:"id"`
		} `json:"added_tokens"`
	}
	if err := json.Unmarshal(c.Model.Files["tokenizer.json"], &added); err != nil {
		c.t.Fatal(err)
	}
	fixed := map[float64]bool{}
	for _, a := range added.Tokens {
		fixed[float64(a.ID)] = true
	}
	c.Model.edit(c.t, "tokenizer.json", func(v map[string]any) {
		vocab := v["model"].(map[string]any)["vocab"].(map[string]any)
		byID := map[float64]string{}
		var ids []float64
		for token, id := range vocab {
			if id := id.(float64); !fixed[id] {
				byID[id] = token
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		for i, to := range order(len(ids)) {
			vocab[byID[ids[i]]] = ids[to]
		}
	})
	delete(c.Model.Files, "vocab.txt")
}

func vocabularyOffByOne(c *Case) string {
	m := c.Model
	size := m.number("vocab_size", "vocab_size")
	ends := m.sorted(func(t *Tensor) bool {
		return t == m.embedding() || t.Name == "lm_head.weight" || t.Name == "output.weight"
	})
	switch c.seed % 3 {
	case 0: // the last row is lost
		for _, t := range ends {
			t.Data = t.Data[:len(t.Data)/t.Shape[0]*(t.Shape[0]-1)]
			t.Shape[0]--
		}
		if size > 0 {
			m.declare("vocab_size", "vocab_size", size-1)
		}
		return "the embedding has no last row"
	case 1: // the rows begin one too late
		for _, t := range ends {
			order := make([]int, t.Shape[0])
			for i := range order {
				order[i] = (i + 1) % len(order)
			}
			t.permuteRows(order)
		}
		return "the embedding's rows are shifted by one"
	}
	if size == 0 {
		return "" // nothing is declared that could be wrong
	}
	m.declare("vocab_size", "vocab_size", size+1)
	return fmt.Sprintf("%g tokens are declared", size+1)
}

func otherEmbedding(c *Case) string {
	t := c.Model.embedding()
	v := t.Values()
	n := t.Cols()
	if c.seed%2 == 1 { // the tokens of the other model are numbered otherwise
		t.permuteRows(c.r.Perm(t.Shape[0]))
		return "rows of other tokens"
	}
	// Another training ends in another basis.
	turn := orthogonal(c.r, n)
	out := make([]float32, len(v))
	for i := 0; i < len(v); i += n {
		for j := range n {
			sum := float32(0)
			for k, w := range turn[j*n : (j+1)*n] {
				sum += w * v[i+k]
			}
			out[i+j] = sum
		}
	}
	t.Set(out)
	return "in another basis"
}

// orthogonal returns a random rotation of n dimensions, by rows.
func orthogonal(r *rand.Rand, n int) []float32 {
	q := make([]float64, n*n)
	for i := range q {
		q[i] = r.NormFloat64()
	}
	for i := range n {
		row := q[i*n : (i+1)*n]
		for j := range i {
			other := q[j*n : (j+1)*n]
			along := dot(row, other)
			for k := range row {
				row[k] -= along * other[k]
			}
		}
		scale := 1 / sqrt(dot(row, row))
		for k := range row {
			row[k] *= scale
		}
	}
	out := make([]float32, len(q))
	for i, v := range q {
		out[i] = float32(v)
	}
	return out
}

func normsAtOne(c *Case) string {
	norms := c.Model.sorted((*Tensor).norm)
	what := "all norms"
	switch c.seed % 3 {
	case 1:
		t := one(c.r, norms)
		norms, what = []*Tensor{t}, t.Name
	case 2:
		l := c.r.IntN(c.Model.Layers())
		norms = slices.DeleteFunc(norms, func(t *Tensor) bool { n, _ := t.Layer(); return n != l })
		what = fmt.Sprintf("norms of layer %d", l)
	}
	for _, t := range norms {
		v := t.Values()
		for i := range v {
			v[i] = 1
		}
		t.Set(v)
	}
	return what
}

// wrongBase declares a base of the same shape, or of another, that the model does not descend from.
func wrongBase(c *Case) string {
	m := c.Model
	c.Base = m.Clone()
	what := "a model of the same shape from another training"
	for _, t := range c.Base.Tensors {
		v := t.Values()
		c.r.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
		t.Set(v)
	}
	if c.seed%2 == 1 {
		other := "stories260K"
		if dir, ok := Shared(c.t, other); ok && c.good.family != other {
			c.Base, what = ReadFolder(c.t, dir), "a model of another shape"
		} else if c.good.family == other {
			c.Base, what = TinyLlama(c.t), "a model of another shape"
		}
	}
	m.declareBase("demo/base")
	return what
}

// declareBase says in the card that the model descends from another.
func (m *Model) declareBase(name string) {
	card := string(m.Files["README.md"])
	if rest, ok := strings.CutPrefix(card, "---\n"); ok {
		card = "---\nbase_model: " + name + "\n" + rest
	} else {
		card = "---\nbase_model: " + name + "\n---\n" + card
	}
	m.Files["README.md"] = []byte(card)
}
