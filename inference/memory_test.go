package inference

import (
	"runtime"
	"testing"
)

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestMemoryEstimate compares with what the Go heap then holds; the weights are not on it.
func TestMemoryEstimate(t *testing.T) {
	// Not parallel: it measures the memory of the whole process.
	files, err := OpenPath(tinyFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []SessionOptions{{Threads: 1, Context: 256}, {Threads: 2, Context: 700, Batch: 300}} {
		e, err := EstimateMemory(t.Context(), files, o)
		if err != nil {
			t.Fatal(err)
		}
		if e.Context != o.Context || e.Weights != 5_771_776 || e.Decoded != 4*9*256 {
			t.Errorf("%+v", e)
		}
		m := open(t, tinyFolder)
		if got := m.Memory(o); got != e {
			t.Errorf("the open model says %+v, the estimate was %+v", got, e)
		}
		before := heap()
		s := m.NewSession(o)
		ids := make([]int, s.Context())
		if _, err := s.Eval(t.Context(), ids); err != nil {
			t.Fatal(err)
		}
		grown := float64(heap() - before)
		runtime.KeepAlive(m)
		s.Close()
		// Tables of the rotary embedding and scratch of the kernels are not estimated.
		if want := float64(e.Cache + e.Activations); grown < 0.95*want || grown > 1.3*want+1<<20 {
			t.Errorf("%+v: the heap grew by %.0f, estimated are %.0f", o, grown, want)
		}
		if e.Total() != e.Weights+e.Decoded+e.Cache+e.Activations {
			t.Errorf("%+v", e)
		}
	}
}

// TestDecodedWeightsAreEstimated compares with what opening counts while it does it, for architectures whose matrices are stored in
// another order, too.
func TestDecodedWeightsAreEstimated(t *testing.T) {
	t.Parallel()
	sets := map[string][]Files{}
	for _, g := range generatedArchitectures {
		sets[g.name] = []Files{g.toy().gguf(t)}
		if g.names != "" {
			sets[g.name] = append(sets[g.name], g.folder(t))
		}
	}
	for _, g := range generatedEncoders {
		sets[g.name] = append(sets[g.name], g.folder(t))
		if !g.folderOnly {
			sets[g.name] = append(sets[g.name], g.toy().gguf(t))
		}
	}
	for name, list := range sets {
		for _, files := range list {
			e, err := EstimateMemory(t.Context(), files, SessionOptions{})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			m, err := Open(t.Context(), files)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if m.weights.decoded != e.Decoded || e.Decoded == 0 {
				t.Errorf("%s: %d bytes are decoded, estimated are %d", name, m.weights.decoded, e.Decoded)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestMemoryEstimateOfAnEncoder(t *testing.T) {
	t.Parallel()
	for _, g := range generatedEncoders {
		if g.name != "nomic-bert" { // the positions of others end
			continue
		}
		files := g.toy().gguf(t)
		estimate, err := EstimateMemory(t.Context(), files, SessionOptions{Context: 700})
		if err != nil {
			t.Fatal(err)
		}
		m, err := Open(t.Context(), files)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		e := encoder(t, m, EncoderOptions{MaxTokens: 700})
		if _, err := e.EmbedTokens(t.Context(), make([]int, 700)); err != nil {
			t.Fatal(err)
		}
		held := len(e.x) + len(e.q) + len(e.k) + len(e.v) + e.s.batch*m.desc.width()
		if estimate.Activations != 4*int64(held) || estimate.Cache != 0 || e.s.keys != nil {
			t.Errorf("%+v, held are %d values", estimate, held)
		}
	}
}
