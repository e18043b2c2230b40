package verifytest

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"testing"
)

// Damage is one way in which a good model is broken.
type Damage struct {
	Name string
	// do damages the model of c in one of several ways and places and says which; "" when it does not apply to the model.
	do func(c *Case) string
}

// Case is a damaged model.
type Case struct {
	Model *Model
	// Base is another model that the damaged one declares to descend from, nil where the damage is not about that.
	Base *Model
	// What says what was done, and where.
	What string

	t    testing.TB
	good Good
	seed int
	r    *rand.Rand
}

// Damages are all ways, in the order of the detection table.
func Damages() []Damage {
	return []Damage{
		{"flipped bits in a weight block", flipBits},
		{"one NaN", oneNaN},
		{"a zeroed tensor", zeroTensor},
		{"two layers swapped", swapLayers},
		{"one layer's weights shuffled", shuffleLayer},
		{"wrong rope base", wrongRopeBase},
		{"wrong head count that still fits", wrongHeads},
		{"byte-swapped tensor", swapBytes},
		{"truncated shard with repaired header", truncateShard},
		{"tokenizer of another model", otherTokenizer},
		{"vocabulary off by one", vocabularyOffByOne},
		{"embedding of another model", otherEmbedding},
		{"norm weights at 1", normsAtOne},
		{"quantization with wrong scales", wrongScales},
		{"wrong chat template", wrongTemplate},
		{"wrong declared base", wrongBase},
	}
}

// Make damages a copy of a good model; ok is false when the damage does not apply to it. The same seed gives the same case.
func (d Damage) Make(t testing.TB, g Good, seed int) (c *Case, ok bool) {
	t.Helper()
	h := fnv.New64a()
	h.Write([]byte(d.Name + "\x00" + g.Name))
	c = &Case{Model: g.Model.Clone(), t: t, good: g, seed: seed, r: rand.New(rand.NewPCG(uint64(seed), h.Sum64()))}
	c.What = d.do(c)
	return c, c.What != ""
}

// one draws one of a list.
func one[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// large are the matrices and the embedding.
func (m *Model) large() []*Tensor {
	return m.sorted(func(t *Tensor) bool { return t.matrix() || t == m.embedding() })
}

// sector is how many bytes go bad at once: those that a disk writes as one.
const sector = 512

func flipBits(c *Case) string {
	t := one(c.r, c.Model.large())
	at := c.r.IntN(len(t.Data)/sector) * sector
	for i := range sector {
		t.Data[at+i] ^= byte(c.r.Uint32())
	}
	return fmt.Sprintf("%s: half of the bits of %d bytes at %d", t.Name, sector, at)
}

func oneNaN(c *Case) string {
	t := one(c.r, c.Model.sorted(func(t *Tensor) bool { return len(t.Data) > 0 }))
	_, size := t.Type.Block()
	n := c.r.IntN(len(t.Data) / size)
	t.poison(n)
	return fmt.Sprintf("%s: block %d", t.Name, n)
}

func zeroTensor(c *Case) string {
	t := one(c.r, c.Model.sorted(func(t *Tensor) bool { return t.matrix() || t.norm() || t == c.Model.embedding() }))
	clear(t.Data)
	return t.Name
}

func swapLayers(c *Case) string {
	a := c.r.IntN(c.Model.Layers())
	b := (a + 1 + c.r.IntN(c.Model.Layers()-1)) % c.Model.Layers()
	for _, t := range c.Model.Tensors {
		switch n, _ := t.Layer(); n {
		case a:
			t.Name = t.withLayer(b)
		case b:
			t.Name = t.withLayer(a)
		}
	}
	return fmt.Sprintf("layers %d and %d", min(a, b), max(a, b))
}

func shuffleLayer(c *Case) string {
	l, rows := c.r.IntN(c.Model.Layers()), c.seed%2 == 1
	for _, t := range c.Model.matrices() {
		if n, _ := t.Layer(); n != l {
			continue
		}
		if rows {
			t.permuteRows(c.r.Perm(t.Shape[0]))
			continue
		}
		v := t.Values()
		c.r.Shuffle(len(v), func(i, j int) { v[i], v[j] = v[j], v[i] })
		t.Set(v)
	}
	if rows {
		return fmt.Sprintf("layer %d: rows of all matrices", l)
	}
	return fmt.Sprintf("layer %d: elements of all matrices", l)
}

// permuteRows puts row order[i] in place i.
func (t *Tensor) permuteRows(order []int) {
	size := len(t.Data) / t.Shape[0]
	old := slices.Clone(t.Data)
	for i, from := range order {
		copy(t.Data[i*size:(i+1)*size], old[from*size:(from+1)*size])
	}
}

func wrongRopeBase(c *Case) string {
	if c.good.Kind == Encoder || c.Model.number("rope_theta", "rope.freq_base") == 0 {
		return ""
	}
	bases := []float64{500, 1e5, 5e5, 1e6, 1000}
	base := bases[c.seed%len(bases)]
	c.Model.declare("rope_theta", "rope.freq_base", base)
	return fmt.Sprintf("%g", base)
}

func wrongHeads(c *Case) string {
	m := c.Model
	heads := m.number("num_attention_heads", "attention.head_count")
	kv := m.number("num_key_value_heads", "attention.head_count_kv")
	size := m.number("hidden_size", "embedding_length") / heads
	factor := []float64{2, 0.5}[c.seed%2]
	m.declare("num_attention_heads", "attention.head_count", heads*factor)
	if kv > 0 {
		m.declare("num_key_value_heads", "attention.head_count_kv", kv*factor)
	}
	for config, key := range map[string]string{"head_dim": "attention.key_length", "": "attention.value_length", " ": "rope.dimension_count"} {
		if _, says := m.Config[config]; says || m.GGUF() && m.number("", key) > 0 {
			m.declare(config, key, size/factor)
		}
	}
	return fmt.Sprintf("%g heads in place of %g", heads*factor, heads)
}

func swapBytes(c *Case) string {
	t := one(c.r, c.Model.large())
	width := 2
	if t.Type.String() == "F32" {
		width = 4
	}
	for i := 0; i+width <= len(t.Data); i += width {
		slices.Reverse(t.Data[i : i+width])
	}
	return t.Name
}

func truncateShard(c *Case) string {
	m := c.Model
	m.Shards = 2
	parts := m.parts()
	// The cut goes through a matrix of the last shard.
	last := parts[1]
	at := len(last) - 1 - c.r.IntN(len(last)/2)
	for !last[at].matrix() {
		at--
	}
	t := last[at]
	switch c.seed % 3 {
	case 0: // what is behind the cut is left out
		m.Tensors = m.Tensors[:len(parts[0])+at]
		return fmt.Sprintf("%s and what follows are missing", t.Name)
	case 1: // the cut tensor is as long as what is left of it
		rows := t.Shape[0]
		t.Shape[0] = 1 + c.r.IntN(rows-1)
		t.Data = t.Data[:len(t.Data)/rows*t.Shape[0]]
		m.Tensors = m.Tensors[:len(parts[0])+at+1]
		return fmt.Sprintf("%s has %d of %d rows", t.Name, t.Shape[0], rows)
	}
	// The file has its length again, and zeros in place of what was lost.
	from := c.r.IntN(len(t.Data) * 3 / 4)
	clear(t.Data[from:])
	for _, rest := range last[at+1:] {
		clear(rest.Data)
	}
	return fmt.Sprintf("%s and what follows are zero from byte %d on", t.Name, from)
}
