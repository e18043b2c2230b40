package inference

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// openDeclaring opens a copy of the example whose config.json says something else.
func openDeclaring(t *testing.T, other map[string]any) *Model {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(tinyFolder)); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, configName)
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	c := map[string]any{}
	if err := json.Unmarshal(p, &c); err != nil {
		t.Fatal(err)
	}
	maps.Copy(c, other)
	if p, err = json.Marshal(c); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, p, 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func evalTokens(t *testing.T, m *Model) []float32 {
	t.Helper()
	s := session(t, m, SessionOptions{Threads: 1})
	logits, err := s.Eval(t.Context(), []int{0, 2032, 335, 444, 262, 750, 389, 382, 262})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(logits)
}

// TestAlteredAgainstDeclared compares an alteration with a model that declares it.
func TestAlteredAgainstDeclared(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		declare map[string]any
		alter   Alteration
	}{
		"base":    {map[string]any{"rope_theta": 500000.0}, Alteration{RopeBase: 500000}},
		"heads":   {map[string]any{"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64}, Alteration{Heads: 4}},
		"epsilon": {map[string]any{"rms_norm_eps": 0.01}, Alteration{Epsilon: 0.01}},
		"nothing": {map[string]any{}, Alteration{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			declared := openDeclaring(t, tt.declare)
			m := open(t, tinyFolder)
			altered, err := m.Altered(tt.alter)
			if err != nil {
				t.Fatal(err)
			}
			want, got, plain := evalTokens(t, declared), evalTokens(t, altered), evalTokens(t, m)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("logits (-declared +altered):\n%.400s", diff)
			}
			if same := slices.Equal(plain, got); same != (name == "nothing") {
				t.Errorf("altered as the model itself: %v", same)
			}
		})
	}
}

func TestAlteredSharesTheFiles(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	swapped, err := m.Altered(Alteration{Layers: []int{0, 2, 1, 3}})
	if err != nil {
		t.Fatal(err)
	}
	back, err := swapped.Altered(Alteration{Layers: []int{0, 2, 1, 3}})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(evalTokens(t, m), evalTokens(t, swapped)) {
		t.Error("a swap changes nothing")
	}
	if !slices.Equal(evalTokens(t, m), evalTokens(t, back)) {
		t.Error("two swaps are not the model itself")
	}
	short, err := m.Altered(Alteration{Layers: []int{0, 1, 3}})
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(evalTokens(t, m), evalTokens(t, short)) {
		t.Error("leaving a layer out changes nothing")
	}
	if err := swapped.Close(); err != nil {
		t.Fatal(err)
	}
	evalTokens(t, m) // closing what shares the files did not close them
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	s := back.NewSession(SessionOptions{})
	defer s.Close()
	if _, err := s.Eval(t.Context(), []int{1}); !errors.Is(err, ErrClosed) {
		t.Errorf("error %v, want ErrClosed", err)
	}
}

func TestAlteredRefuses(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	for name, a := range map[string]Alteration{
		"heads that do not divide":  {Heads: 7},
		"negative heads":            {Heads: -8},
		"heads wider than the keys": {Heads: 1},
		"a base of one":             {RopeBase: 1},
		"a layer that is not there": {Layers: []int{0, 4}},
		"no layers":                 {Layers: []int{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var u *UnsupportedError
			if _, err := m.Altered(a); !errors.As(err, &u) {
				t.Errorf("error %v, want an *UnsupportedError", err)
			}
		})
	}
}
