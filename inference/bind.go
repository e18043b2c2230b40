package inference

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tensor"
)

func (b *binder) layer(i int) (l layer, err error) {
	d, names := b.d, b.names
	name := func(pattern string) string {
		if pattern == "" {
			return ""
		}
		return fmt.Sprintf(pattern, i)
	}
	attentionNorm, feedForwardNorm := name(names.attentionNorm), name(names.feedForwardNorm)
	if split := name(names.splitAttentionNorm); split != "" && b.has(split+".weight") {
		attentionNorm, feedForwardNorm = split, name(names.splitFeedForwardNorm)
	}
	if d.family.unnormedStart && i == 0 && !b.has(attentionNorm+".weight") {
		attentionNorm = ""
	}
	l.parallel = d.Parallel
	if d.family.parallelUnnormd && !b.has(feedForwardNorm+".weight") {
		feedForwardNorm, l.parallel = "", true
	}
	for _, v := range []struct {
		to   *norm
		name string
	}{
		{&l.attentionNorm, attentionNorm},
		{&l.postAttention, name(names.postAttention)},
		{&l.feedForwardNorm, feedForwardNorm},
		{&l.postFeedForward, name(names.postFeedForward)},
		{&l.afterAttention, name(names.afterAttention)},
		{&l.afterFeedForward, name(names.afterFeedForward)},
	} {
		if *v.to, err = b.norm(v.name, d.Hidden); err != nil {
			return l, err
		}
	}
	if d.Latent != nil {
		err = b.latentAttention(&l, name)
	} else {
		err = b.attention(&l, i, name)
	}
	if err != nil {
		return l, err
	}
	if d.hasExperts(i) {
		l.experts, err = b.experts(name, i)
		return l, err
	}
	l.feed, err = b.feed(name(names.gate), name(names.up), name(names.gateUp), name(names.down), d.feedForward(i))
	if err != nil {
		return l, err
	}
	if scale := name(names.activationScale); scale != "" && b.has(scale) {
		l.feed.divisor, err = b.flat(scale, d.feedForward(i))
	}
	return l, err
}

// matrixOf binds a matrix of a layer, which may be stored transposed.
func (b *binder) matrixOf(name string, rows, cols int) (linear, error) {
	ls, err := b.matricesOf(name, []int{rows}, cols)
	if err != nil {
		return linear{}, err
	}
	return ls[0], nil
}

// matricesOf binds matrices of a layer that are stored as one, which may be transposed.
func (b *binder) matricesOf(name string, runs []int, cols int) ([]linear, error) {
	rows := 0
	for _, n := range runs {
		rows += n
	}
	if !b.names.transposed {
		t, err := b.find(name+".weight", rows, cols)
		if err != nil {
			return nil, err
		}
		return b.cut(name, t, runs, cols)
	}
	t, err := b.find(name+".weight", cols, rows)
	if err != nil {
		return nil, err
	}
	elements, width := t.typ.Block()
	b.decoded += t.size
	if b.dry || !t.typ.Runnable() || elements != 1 {
		return b.cut(name, t, runs, cols)
	}
	raw, err := b.c.read(t)
	if err != nil {
		return nil, err
	}
	return b.cutMemory(name, t.typ, transposeBytes(raw, cols, rows, width), runs, cols)
}

// transposeBytes returns the {rows, cols} matrix of elements of width bytes as {cols, rows}.
func transposeBytes(b []byte, rows, cols, width int) []byte {
	out := make([]byte, len(b))
	for r := range rows {
		for c := range cols {
			copy(out[(c*rows+r)*width:][:width], b[(r*cols+c)*width:])
		}
	}
	return out
}

// transpose returns the {rows, cols} matrix v as {cols, rows}.
func transpose(v []float32, rows, cols int) []float32 {
	out := make([]float32, len(v))
	for r := range rows {
		for c := range cols {
			out[c*rows+r] = v[r*cols+c]
		}
	}
	return out
}

// inMemory makes a matrix of values in memory.
func inMemory(v []float32, rows, cols int) (*kernel.Matrix, error) {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return kernel.NewMatrix(tensor.F32, rows, cols, raw)
}

// cutMemory is cut for a matrix in memory.
func (b *binder) cutMemory(name string, typ tensor.Type, raw []byte, runs []int, cols int) ([]linear, error) {
	rows := 0
	for _, n := range runs {
		rows += n
	}
	var bias []float32
	var err error
	if b.has(name + ".bias") {
		if bias, err = b.flat(name+".bias", rows); err != nil {
			return nil, err
		}
	}
	out := make([]linear, len(runs))
	for i, n := range runs {
		size := n * (len(raw) / max(rows, 1))
		if out[i].Matrix, err = kernel.NewMatrix(typ, n, cols, raw[:size:size]); err != nil {
			return nil, err
		}
		raw, rows = raw[size:], rows-n
		if bias != nil {
			out[i].bias, bias = bias[:n:n], bias[n:]
		}
	}
	return out, b.adapt(name, out, cols)
}

func (b *binder) attention(l *layer, i int, name func(string) string) (err error) {
	d, names := b.d, b.names
	heads, kvHeads := d.heads(i)
	q, kv := heads*d.HeadDim, kvHeads*d.HeadDim
	if fused := name(names.qkv); fused != "" && b.has(fused+".weight") {
		var parts []linear
		if names.grouped {
			parts, err = b.grouped(fused, q, kv)
		} else {
			parts, err = b.matricesOf(fused, []int{q, kv, kv}, d.Hidden)
		}
		if err != nil {
			return err
		}
		l.q, l.k, l.v = parts[0], parts[1], parts[2]
	} else {
		for _, m := range []struct {
			to   *linear
			name string
			rows int
		}{{&l.q, names.q, q}, {&l.k, names.k, kv}, {&l.v, names.v, kv}} {
			if *m.to, err = b.matrixOf(name(m.name), m.rows, d.Hidden); err != nil {
				return err
			}
		}
	}
	if l.o, err = b.matrixOf(name(names.o), d.Hidden, q); err != nil {
		return err
	}
	if sinks := name(names.sinks); sinks != "" && b.has(sinks) {
		if l.sinks, err = b.flat(sinks, heads); err != nil {
			return err
		}
	}
	return b.qkNorms(l, heads, kvHeads, name)
}

// qkNorms binds the norms of queries and keys, which not all models of an architecture have.
func (b *binder) qkNorms(l *layer, heads, kvHeads int, name func(string) string) (err error) {
	d, names := b.d, b.names
	if d.family.qkNorm == noQKNorm || names.qNorm == "" {
		return nil
	}
	if one := name(names.qHeadNorm); one != "" && b.has(fmt.Sprintf(one, 0)+".weight") {
		if l.queryNorm, err = b.headNorms(one, heads); err != nil {
			return err
		}
		l.keyNorm, err = b.headNorms(name(names.kHeadNorm), kvHeads)
		return err
	}
	q, k := name(names.qNorm), name(names.kNorm)
	if !b.has(q + ".weight") {
		// A norm of keys alone has no effect.
		for _, suffix := range []string{".weight", ".bias"} {
			b.used[k+suffix] = true
		}
		return nil
	}
	width := func(name string, heads int) int {
		if n, _ := tensor.Elements(b.stored(name).shape); d.family.qkNorm == headQKNorm && n == int64(d.HeadDim) {
			return d.HeadDim
		}
		return heads * d.HeadDim
	}
	if l.queryNorm, err = b.norm(q, width(q+".weight", heads)); err != nil {
		return err
	}
	if !b.has(k + ".weight") {
		return b.malformed(k+".weight", "tensor is missing")
	}
	l.keyNorm, err = b.norm(k, width(k+".weight", kvHeads))
	return err
}

// headNorms binds the norms of heads that are stored one by one.
func (b *binder) headNorms(pattern string, heads int) (all norm, err error) {
	for h := range heads {
		one, err := b.flat(fmt.Sprintf(pattern, h)+".weight", b.d.HeadDim)
		if err != nil {
			return norm{}, err
		}
		all.weight = append(all.weight, one...)
	}
	return all, nil
}

// grouped binds a matrix whose rows come group by group: the query heads that share a key and value head, then that key head
// and value head. It returns the queries, keys and values as matrices of their own.
func (b *binder) grouped(name string, q, kv int) ([]linear, error) {
	d := b.d
	t, err := b.find(name+".weight", q+2*kv, d.Hidden)
	if err != nil {
		return nil, err
	}
	b.decoded += t.size
	if b.dry || !t.typ.Runnable() {
		return b.cut(name, t, []int{q, kv, kv}, d.Hidden)
	}
	rows := b.adapterRows
	whole, err := b.cut(name, t, []int{q + 2*kv}, d.Hidden)
	if err != nil {
		return nil, err
	}
	if b.adapterRows > rows {
		b.adapterRows = max(rows, q, kv) // adapters are dealt out as the matrix is
	}
	raw, err := b.c.read(t)
	if err != nil {
		return nil, err
	}
	rowBytes := len(raw) / (q + 2*kv)
	share := q / kv
	part := func(row int) int { return max(row/d.HeadDim%(share+2)-share+1, 0) }
	data, bias := make([][]byte, 3), make([][]float32, 3)
	for i := range q + 2*kv {
		to := part(i)
		data[to] = append(data[to], raw[i*rowBytes:(i+1)*rowBytes]...)
		if whole[0].bias != nil {
			bias[to] = append(bias[to], whole[0].bias[i])
		}
	}
	out := make([]linear, 3)
	for i, n := range []int{q, kv, kv} {
		if out[i].Matrix, err = kernel.NewMatrix(t.typ, n, d.Hidden, data[i]); err != nil {
			return nil, fmt.Errorf("tensor %s: %w", t.name, err)
		}
		out[i].Scale, out[i].bias = whole[0].Scale, bias[i]
	}
	for _, a := range whole[0].adapters {
		parts, err := a.dealt(3, part)
		if err != nil {
			return nil, err
		}
		for i := range out {
			out[i].adapters = append(out[i].adapters, parts[i])
		}
	}
	return out, nil
}

// feed binds a feed-forward layer, the halves of which may be one matrix.
func (b *binder) feed(gate, up, gateUp, down string, width int) (g gated, err error) {
	hidden := b.d.Hidden
	fused := b.d.Gated && gateUp != "" && b.has(gateUp+".weight") && !b.has(gate+".weight")
	switch {
	case fused:
		parts, err := b.matricesOf(gateUp, []int{width, width}, hidden)
		if err != nil {
			return g, err
		}
		g.gate, g.up = parts[0], parts[1]
	case b.d.Gated:
		if g.gate, err = b.matrixOf(gate, width, hidden); err != nil {
			return g, err
		}
		fallthrough
	default:
		if g.up, err = b.matrixOf(up, width, hidden); err != nil {
			return g, err
		}
	}
	g.down, err = b.matrixOf(down, hidden, width)
	return g, err
}

func (b *binder) latentAttention(l *layer, name func(string) string) (err error) {
	d, names, a := b.d, b.names, &latent{}
	m := d.Latent
	l.latent = a
	queries := d.Heads * (m.Plain + m.Rotated)
	if m.QueryRank > 0 {
		if a.queryDown, err = b.matrixOf(name(names.queryDown), m.QueryRank, d.Hidden); err != nil {
			return err
		}
		if a.queryNorm, err = b.norm(name(names.queryDownNorm), m.QueryRank); err != nil {
			return err
		}
		a.queryUp, err = b.matrixOf(name(names.queryUp), queries, m.QueryRank)
	} else {
		a.queryUp, err = b.matrixOf(name(names.q), queries, d.Hidden)
	}
	if err != nil {
		return err
	}
	if a.down, err = b.matrixOf(name(names.latentDown), m.Rank+m.Rotated, d.Hidden); err != nil {
		return err
	}
	if a.norm, err = b.norm(name(names.latentNorm), m.Rank); err != nil {
		return err
	}
	if l.o, err = b.matrixOf(name(names.o), d.Hidden, d.Heads*m.Value); err != nil {
		return err
	}
	if key := name(names.latentKey); key != "" && b.has(key+".weight") {
		return b.absorbed(a, key, name(names.latentValue))
	}
	return b.unabsorbed(a, name(names.latUp))
}

// absorbed binds the matrices of each head that take a query to the latent space and a latent vector to a value.
func (b *binder) absorbed(a *latent, key, value string) error {
	d, m := b.d, b.d.Latent
	for _, s := range []struct {
		to         *[]linear
		name       string
		rows, cols int
	}{{&a.key, key, m.Rank, m.Plain}, {&a.value, value, m.Value, m.Rank}} {
		t, err := b.findFlat(s.name+".weight", d.Heads*s.rows, s.cols)
		if err != nil {
			return err
		}
		runs := make([]int, d.Heads)
		for i := range runs {
			runs[i] = s.rows
		}
		if *s.to, err = b.cut(s.name, t, runs, s.cols); err != nil {
			return err
		}
	}
	return nil
}

// unabsorbed binds the matrix that makes each head's key and value, and turns the keys' part over.
func (b *binder) unabsorbed(a *latent, name string) error {
	d, m := b.d, b.d.Latent
	t, err := b.find(name+".weight", d.Heads*(m.Plain+m.Value), m.Rank)
	if err != nil {
		return err
	}
	runs := make([]int, 0, 2*d.Heads)
	for range d.Heads {
		runs = append(runs, m.Plain, m.Value)
	}
	b.decoded += 4 * int64(d.Heads) * int64(m.Plain) * int64(m.Rank)
	parts, err := b.cut(name, t, runs, m.Rank)
	if err != nil || b.dry {
		return err
	}
	a.key, a.value = make([]linear, d.Heads), make([]linear, d.Heads)
	row := make([]float32, m.Plain*m.Rank)
	for h := range d.Heads {
		for r := range m.Plain {
			if err := parts[2*h].Row(r, row[r*m.Rank:(r+1)*m.Rank]); err != nil {
				return err
			}
		}
		if a.key[h].Matrix, err = inMemory(transpose(row, m.Plain, m.Rank), m.Rank, m.Plain); err != nil {
			return err
		}
		a.key[h].Scale, a.value[h] = parts[2*h].Scale, parts[2*h+1]
		for _, adapter := range parts[2*h].adapters {
			turned, err := adapter.turned()
			if err != nil {
				return err
			}
			a.key[h].adapters = append(a.key[h].adapters, turned)
		}
	}
	return nil
}

// rope binds the tensors of GGUF files that change the rotary frequencies: factors for all sessions, or for long and short ones.
// A factor that divides nothing is not looked for, as no weight's value is: the outputs then are no numbers.
func (b *binder) rope() error {
	r, names := &b.d.Rope, b.names
	read := func(name string) ([]float64, error) {
		if name == "" || !b.has(name) {
			return nil, nil
		}
		v, err := b.flat(name, len(r.Frequencies))
		if err != nil {
			return nil, err
		}
		factors := make([]float64, len(r.Frequencies))
		for i := range factors {
			if factors[i] = 1; !b.dry {
				factors[i] = float64(v[i])
			}
		}
		return factors, nil
	}
	all, err := read(names.ropeFactors)
	if err != nil {
		return err
	}
	long, err := read(names.ropeLong)
	if err != nil {
		return err
	}
	short, err := read(names.ropeShort)
	if err != nil {
		return err
	}
	if all != nil {
		r.Frequencies = r.divide(all)
		return nil
	}
	if long != nil {
		r.Long = r.divide(long)
	}
	if short != nil {
		r.Frequencies = r.divide(short)
	}
	return nil
}
