package inference

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// steppingClock gives times a second apart.
func steppingClock() func() time.Time {
	now := time.Unix(0, 0)
	return func() time.Time {
		now = now.Add(time.Second)
		return now
	}
}

func TestGenerateText(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	prompt := tok.Encode("In the beginning", true)
	var pieces []string
	s := session(t, m, SessionOptions{Threads: 1})
	g, err := s.Generate(t.Context(), prompt, GenerateOptions{
		MaxTokens: 20, Clock: steppingClock(), OnText: func(text string) error { pieces = append(pieces, text); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if g.Text != tok.Decode(g.IDs) || g.Text != strings.Join(pieces, "") || len(pieces) < 10 || g.End != EndLength || len(g.IDs) != 20 {
		t.Errorf("%+v in pieces %q", g, pieces)
	}
	// The clock is read at the start, after the prompt and for each token.
	want := GenerationStats{
		PromptTokens: len(prompt), PromptTime: time.Second, FirstToken: 2 * time.Second, Tokens: 20, DecodeTime: 19 * time.Second,
	}
	if g.Stats != want || g.Stats.PromptRate() != float64(len(prompt)) || g.Stats.DecodeRate() != 1 {
		t.Errorf("%+v", g.Stats)
	}

	whole := g.Text
	at := strings.Index(whole, "LORD")
	if at < 0 {
		t.Fatalf("no such word in %q", whole)
	}
	for _, stop := range []string{"LORD", "ORD", whole[at-3 : at+6]} {
		s.Truncate(0)
		var out strings.Builder
		g, err := s.Generate(t.Context(), prompt, GenerateOptions{
			MaxTokens: 20, Stop: []string{"never", stop, ""}, OnText: func(text string) error { out.WriteString(text); return nil },
		})
		if want := whole[:strings.Index(whole, stop)]; err != nil || g.Text != want || out.String() != want || g.End != EndStop || len(g.IDs) == 20 {
			t.Errorf("stopped at %q: %+v, written %q, %v", stop, g, out.String(), err)
		}
	}
	// What looks like the beginning of a stop string comes in the end.
	s.Truncate(0)
	if g, err := s.Generate(t.Context(), prompt, GenerateOptions{MaxTokens: 20, Stop: []string{whole + "!"}}); err != nil || g.Text != whole || g.End != EndLength {
		t.Errorf("%+v, %v", g, err)
	}
	full := errors.New("full")
	s.Truncate(0)
	if g, err := s.Generate(t.Context(), prompt, GenerateOptions{OnText: func(string) error { return full }}); !errors.Is(err, full) || g.End != "" {
		t.Errorf("%+v, %v", g, err)
	}
}

// TestGenerateEnds: a text goes on to the end of the context, or to an end token.
func TestGenerateEnds(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	s := session(t, m, SessionOptions{Threads: 1, Context: 40})
	g, err := s.Generate(t.Context(), sequence, GenerateOptions{IgnoreEnd: true})
	if err != nil || g.End != EndContext || len(g.IDs) != 40-len(sequence)+1 {
		t.Errorf("%+v, %v", g, err)
	}
	m.eos = []int{g.IDs[3]}
	s.Truncate(0)
	first := slices.Index(g.IDs, g.IDs[3])
	if again, err := s.Generate(t.Context(), sequence, GenerateOptions{}); err != nil || again.End != EndToken || !slices.Equal(again.IDs, g.IDs[:first+1]) {
		t.Errorf("%+v, %v", again, err)
	}
}

func TestGenerateSamples(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	generate := func(o Sampling) []int {
		g, err := session(t, m, SessionOptions{Threads: 1}).Generate(t.Context(), sequence, GenerateOptions{MaxTokens: 30, Sampler: sampler(t, o)})
		if err != nil {
			t.Fatal(err)
		}
		return g.IDs
	}
	o := DefaultSampling()
	greedy := generate(Sampling{})
	if one, two := generate(o), generate(o); !slices.Equal(one, two) || slices.Equal(one, greedy) {
		t.Errorf("%v and %v, greedy %v", one, two, greedy)
	}
	// The prompt counts too: nothing that occurs may come again.
	seen := map[int]bool{}
	for _, id := range sequence {
		seen[id] = true
	}
	for _, id := range generate(Sampling{PresencePenalty: 1e6}) {
		if seen[id] {
			t.Errorf("token %d comes again", id)
		}
		seen[id] = true
	}
}

func TestGenerateWithoutTokenizer(t *testing.T) {
	t.Parallel()
	m, err := Open(t.Context(), newToy().gguf(t))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := session(t, m, SessionOptions{Threads: 1})
	if g, err := s.Generate(t.Context(), []int{1}, GenerateOptions{MaxTokens: 3}); err != nil || len(g.IDs) == 0 || g.Text != "" {
		t.Errorf("%+v, %v", g, err)
	}
	s.Truncate(0)
	if _, err := s.Generate(t.Context(), []int{1}, GenerateOptions{MaxTokens: 3, Stop: []string{"x"}}); err == nil {
		t.Error("text without a tokenizer")
	}
}

// FuzzStop compares with a search in the whole text, however that is cut into pieces.
func FuzzStop(f *testing.F) {
	f.Add("aabaabaac", "aabaac", "ba", uint64(1))
	f.Add("xyz", "xyzzy", "q", uint64(2))
	f.Fuzz(func(t *testing.T, text, stop1, stop2 string, seed uint64) {
		if stop1 == "" || stop2 == "" {
			return
		}
		want, found := text, false
		for _, stop := range []string{stop1, stop2} {
			if i := strings.Index(text, stop); i >= 0 && (!found || i < len(want)) {
				want, found = text[:i], true
			}
		}
		r, s := rand.New(rand.NewPCG(seed, seed)), stopper{stops: []string{stop1, stop2}}
		var got strings.Builder
		stopped := false
		for rest := text; rest != "" && !stopped; {
			n := 1 + r.IntN(min(len(rest), 4))
			var safe string
			safe, stopped = s.add(rest[:n])
			got.WriteString(safe)
			rest = rest[n:]
		}
		got.WriteString(s.flush())
		// Of two that overlap, the one that is whole first ends the text.
		if stopped != found || !strings.HasPrefix(text, got.String()) || got.Len() < len(want) || !stopped && got.String() != text {
			t.Errorf("%q with %q and %q: %q, %v", text, stop1, stop2, got.String(), stopped)
		}
		if utf8.ValidString(text) && stopped && !strings.HasPrefix(text[got.Len():], stop1) && !strings.HasPrefix(text[got.Len():], stop2) {
			t.Errorf("%q ends before no stop string", got.String())
		}
	})
}
