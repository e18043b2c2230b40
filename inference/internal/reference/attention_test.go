package reference

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestRotation(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 1))
	// A quarter turn of the first pair and none of the second.
	quarter := Rope{Angles: []float64{math.Pi / 2, 0}, Magnitude: 1}
	same(t, "halves", quarter.Rotate([]float64{1, 2, 3, 4, 5}, 1), []float64{-3, 2, 1, 4, 5})
	quarter.Adjacent = true
	same(t, "neighbours", quarter.Rotate([]float64{1, 2, 3, 4, 5}, 1), []float64{-2, 1, 3, 4, 5})
	for _, adjacent := range []bool{false, true} {
		rope := Rope{Angles: Angles(10000, 16), Adjacent: adjacent, Magnitude: 1}
		q, k := randomVector(r, 20), randomVector(r, 20)
		same(t, "position 0", rope.Rotate(q, 0), q)
		for p := range 50 {
			turned := rope.Rotate(q, p)
			same(t, "norm", []float64{Dot(turned, turned)}, []float64{Dot(q, q)})
			// Only the distance counts (RoFormer, equation 11), also when both are turned further.
			same(t, "distance 3", []float64{Dot(rope.Rotate(q, p+3), rope.Rotate(k, p))}, []float64{Dot(rope.Rotate(q, 3), k)})
			same(t, "turned twice", rope.Rotate(turned, 7), rope.Rotate(q, p+7))
		}
		same(t, "beyond the pairs", rope.Rotate(q, 9)[16:], q[16:])
		strong := rope
		strong.Magnitude = 3
		same(t, "magnitude", strong.Rotate(q[:16], 5), Scale(rope.Rotate(q[:16], 5), 3))
	}
	// Reordered rows make one pairing of the other.
	q := randomVector(r, 8)
	var apart []float64
	for _, i := range []int{0, 2, 4, 6, 1, 3, 5, 7} {
		apart = append(apart, q[i])
	}
	near, far := Rope{Angles: Angles(100, 8), Adjacent: true, Magnitude: 1}.Rotate(q, 5), Rope{Angles: Angles(100, 8), Magnitude: 1}.Rotate(apart, 5)
	for i := range 4 {
		same(t, "reordered", []float64{near[2*i], near[2*i+1]}, []float64{far[i], far[i+4]})
	}
}

func TestScaledAngles(t *testing.T) {
	t.Parallel()
	const base, dim, factor, original = 10000, 64, 8, 4096
	angles := Angles(base, dim)
	same(t, "ends", []float64{angles[0], angles[16]}, []float64{1, 0.01})
	rope, squeezed := Rope{Angles: angles, Magnitude: 1}, Rope{Angles: Interpolated(angles, factor), Magnitude: 1}
	x := randomVector(rand.New(rand.NewPCG(2, 2)), dim)
	same(t, "interpolation is a position divided", squeezed.Rotate(x, factor*9), rope.Rotate(x, 9))

	ntk := NTK(base, dim, factor)
	same(t, "NTK keeps the fastest and slows the slowest by the factor", []float64{ntk[0], ntk[dim/2-1]}, []float64{1, angles[dim/2-1] / factor})
	same(t, "no NTK", NTK(base, dim, 1), angles)
	same(t, "dynamic scale at and below the original, at twice of it", []float64{
		DynamicScale(4, original, original), DynamicScale(4, 1, original), DynamicScale(4, 2*original, original),
	}, []float64{1, 1, 5})

	for _, whole := range []bool{true, false} {
		yarn := YaRN(base, dim, factor, original, 32, 1, whole)
		kept, slowed := 0, 0
		for i, a := range angles {
			// The paper's ends: more than 32 turns within the context, and fewer than one.
			turns := original * a / (2 * math.Pi)
			switch {
			case turns > 32 && i+1 < dim/2 && original*angles[i+1]/(2*math.Pi) > 32:
				same(t, "fast pairs", yarn[i:i+1], angles[i:i+1])
				kept++
			case turns < 1 && original*angles[i-1]/(2*math.Pi) < 1:
				same(t, "slow pairs", yarn[i:i+1], []float64{a / factor})
				slowed++
			case yarn[i] > a || yarn[i] < a/factor || yarn[i] > yarn[i-1]:
				t.Errorf("pair %d turns by %v, of %v", i, yarn[i], a)
			}
		}
		if kept < 5 || slowed < 5 {
			t.Errorf("%d pairs kept, %d slowed", kept, slowed)
		}
	}
	same(t, "YaRN by 1", YaRN(base, dim, 1, original, 32, 1, true), angles)
	same(t, "magnitudes", []float64{YaRNMagnitude(1, 1), YaRNMagnitude(math.E, 1), YaRNMagnitude(math.E, 0.7), YaRNMagnitude(9, 0)}, []float64{1, 1.1, 1.07, 1})
	same(t, "LongRoPE", Divided([]float64{1, 0.5}, []float64{2, 5}), []float64{0.5, 0.1})
	same(t, "its magnitude", []float64{LongMagnitude(1, 4), LongMagnitude(16, 4)}, []float64{1, math.Sqrt(3)})

	// Wavelengths of 100, 2048, 4096 and 32768 in a context of 8192: shorter than a quarter, that, half, longer than all.
	var turns []float64
	for _, wavelength := range []float64{100, 2048, 8192. / 2.5, 8192, 32768} {
		turns = append(turns, 2*math.Pi/wavelength)
	}
	got := Llama3(turns, 8, 1, 4, 8192)
	same(t, "Llama 3", got, []float64{turns[0], turns[1], turns[2]/2 + turns[2]/16, turns[3] / 8, turns[4] / 8})
}

func TestMasks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mask Mask
		want string // of query 2 of 5
	}{
		"causal": {Causal, "11100"}, "bidirectional": {Bidirectional, "11111"}, "window of 2": {Window(2), "01100"},
		"window of all": {Window(0), "11100"}, "around": {Around(1), "01110"}, "chunks of 2": {Chunked(2), "00100"},
		"chunks of 3": {Chunked(3), "11100"},
	} {
		got := ""
		for key := range 5 {
			got += map[bool]string{true: "1", false: "0"}[c.mask(2, key)]
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestAttend(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 3))
	q, k, v := randomStates(r, 6, 8), randomStates(r, 6, 8), randomStates(r, 6, 3)
	s := Scores{Scale: 0.3, Mask: Causal}
	out := s.Attend(q, k, v)
	same(t, "one position is its value", out[0], v[0])
	same(t, "a window of one", Scores{Scale: 0.3, Mask: Window(1)}.Attend(q, k, v)[4], v[4])
	same(t, "no scale is the mean", Scores{Mask: Bidirectional}.Attend(q, k, v)[2], Scale(Add(v...), 1./6))
	same(t, "what comes later does not count", s.Attend(q[:4], k[:4], v[:4])[3], out[3])
	same(t, "a sharp score takes its value", Scores{Scale: 1e6, Mask: Bidirectional}.Attend(k[:1], k[:1], v[:1])[0], v[0])

	// Two keys with scores log 3 and 0 get three quarters and one quarter, with a sink of log 4 three and one eighth.
	one := [][]float64{{0}, {math.Log(3)}}
	keys, values := [][]float64{{1}, {0}}, [][]float64{{8}, {16}}
	same(t, "scores", Scores{Scale: 1, Mask: Causal}.Attend(one, keys, values)[1], []float64{10})
	sink := math.Log(4)
	same(t, "a sink", Scores{Scale: 1, Mask: Causal, Sink: &sink}.Attend(one, keys, values)[1], []float64{5})
	same(t, "a cap far away", Scores{Scale: 1, Cap: 1e9, Mask: Causal}.Attend(one, keys, values)[1], []float64{10})
	same(t, "a cap of next to nothing", Scores{Scale: 1, Cap: 1e-14, Mask: Causal}.Attend(one, keys, values)[1], []float64{12})
	away := func(query, key int) float64 { return float64(query-key) * -math.Log(3) }
	same(t, "a bias that evens the scores", Scores{Scale: 1, Bias: away, Mask: Causal}.Attend(one, keys, values)[1], []float64{12})
}

func TestAlibiSlopes(t *testing.T) {
	t.Parallel()
	eight := []float64{1. / 2, 1. / 4, 1. / 8, 1. / 16, 1. / 32, 1. / 64, 1. / 128, 1. / 256}
	same(t, "the paper's slopes for 8 heads", AlibiSlopes(8, 8), eight)
	root := math.Sqrt2
	same(t, "its slopes for 16", AlibiSlopes(16, 8)[:4], []float64{1 / root, 1. / 2, 1 / root / 2, 1. / 4})
	same(t, "what its code adds for 12", AlibiSlopes(12, 8), append(eight, 1/root, 1/root/2, 1/root/4, 1/root/8))
}

// TestHeads has heads that share keys and values give what heads with copies of them give.
func TestHeads(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 4))
	const heads, kv, dim, hidden = 6, 2, 4, 10
	a := Attention{
		Heads: heads, KVHeads: kv, Query: randomLinear(r, heads*dim, hidden), Key: randomLinear(r, kv*dim, hidden),
		Value: randomLinear(r, kv*dim, hidden), Output: randomLinear(r, hidden, heads*dim), Scale: 0.5, Mask: Causal,
		Rope: &Rope{Angles: Angles(100, dim), Magnitude: 1}, Slopes: AlibiSlopes(heads, 8), Sinks: randomVector(r, heads),
	}
	x := randomStates(r, 7, hidden)
	want := a.Apply(x)
	var order []int
	for h := range heads {
		for i := range dim {
			order = append(order, h/(heads/kv)*dim+i)
		}
	}
	copies := a
	copies.KVHeads, copies.Key, copies.Value = heads, a.Key.Pick(order), a.Value.Pick(order)
	for i, got := range copies.Apply(x) {
		same(t, "copies of shared heads", got, want[i])
	}
	sharp, fixed := a, a
	sharp.QueryScale = func(position int) float64 { return float64(position) / 0.5 }
	sharp.Slopes, sharp.Sinks = nil, nil
	fixed.Slopes, fixed.Sinks, fixed.Scale = nil, nil, 6
	same(t, "a position that is its own scale", sharp.Apply(x)[6], fixed.Apply(x)[6])
	// A norm after the rotation that gives all keys one direction leaves the mean of the values.
	mean := a
	mean.Slopes, mean.Sinks, mean.RotatedNorm = nil, nil, func(x []float64) []float64 { return ones(len(x)) }
	flat := mean
	flat.Scale = 0
	same(t, "norms of rotated keys", mean.Apply(x)[6], flat.Apply(x)[6])
	clamped := a
	clamped.Clamp = 1e9
	for i, got := range clamped.Apply(x) {
		same(t, "a clamp far away", got, want[i])
	}
	clamped.Clamp, clamped.Rope, clamped.Slopes, clamped.Sinks = 1e-3, nil, nil, nil
	for i, y := range clamped.Apply(x) {
		bound := 0.0
		for _, row := range a.Output.Weight {
			for _, w := range row {
				bound += math.Abs(w) * 1e-3
			}
		}
		if math.Abs(y[0]) > bound {
			t.Errorf("position %d: %v in spite of the clamp", i, y[0])
		}
	}
}

// TestLatentIsAttention has latent attention give what plain attention gives whose keys and values are made by the product of its
// two matrices.
func TestLatentIsAttention(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(2, 5))
	const heads, plain, rotated, value, rank, hidden = 3, 4, 2, 5, 6, 8
	none := Rope{Angles: make([]float64, rotated/2), Magnitude: 1}
	l := Latent{
		Heads: heads, Query: randomLinear(r, heads*(plain+rotated), hidden), Down: randomLinear(r, rank+rotated, hidden),
		Norm: func(x []float64) []float64 { return x }, Output: randomLinear(r, hidden, heads*value), Rope: none, Rotated: rotated,
		Scale: 0.4, Mask: Causal,
	}
	a := Attention{Heads: heads, KVHeads: heads, Query: l.Query, Output: l.Output, Scale: 0.4, Mask: Causal}
	product := func(m Linear) [][]float64 {
		return Each(Linear{Weight: l.Down.Weight[:rank]}.Transposed().Apply)(m.Weight)
	}
	for range heads {
		key, v := randomLinear(r, plain, rank), randomLinear(r, value, rank)
		l.Key, l.Value = append(l.Key, key), append(l.Value, v)
		a.Key.Weight = append(append(a.Key.Weight, product(key)...), l.Down.Weight[rank:]...)
		a.Value.Weight = append(a.Value.Weight, product(v)...)
	}
	x := randomStates(r, 5, hidden)
	want := a.Apply(x)
	for i, got := range l.Apply(x) {
		same(t, "latent attention", got, want[i])
	}
	l.Rope.Angles[0] = 1
	if got := l.Apply(x); math.Abs(got[4][0]-want[4][0]) < 1e-6 || math.Abs(got[0][0]-want[0][0]) > 1e-12 {
		t.Error("the rotated part takes no part")
	}
	// A chain of two layers whose first is the identity is the second alone.
	identity := Linear{Weight: make([][]float64, hidden)}
	for i := range identity.Weight {
		identity.Weight[i] = make([]float64, hidden)
		identity.Weight[i][i] = 1
	}
	two := l
	two.QueryDown, two.QueryNorm = identity, l.Norm
	want = l.Apply(x)
	for i, got := range two.Apply(x) {
		same(t, "compressed queries", got, want[i])
	}
}

// TestRelativeBucket has the bounds that follow from the formula: 8 distances alone, then ranges that begin at 8 times powers of
// the eighth root of 16.
func TestRelativeBucket(t *testing.T) {
	t.Parallel()
	for distance, want := range map[int]int{
		0: 0, -1: 1, 1: 17, -7: 7, 7: 23, -8: 8, -11: 8, -12: 9, 15: 25, 16: 26, -16: 10, -22: 10, -23: 11, -32: 12, -64: 14, -90: 14,
		-91: 15, -1000: 15, 1000: 31,
	} {
		if got := RelativeBucket(distance, 32, 128); got != want {
			t.Errorf("distance %d is in bucket %d, want %d", distance, got, want)
		}
	}
}
