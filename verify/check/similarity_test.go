package check

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

func TestSimilarity(t *testing.T) {
	t.Parallel()
	// Sentences come in pairs. Those of one have the same vector, but for noise, or vectors of their own.
	pairs := func(noise float64) func(int) []float32 {
		return func(call int) []float32 {
			r, own := rand.New(rand.NewPCG(uint64((call-1)/2), 1)), rand.New(rand.NewPCG(uint64(call), 2))
			v := make([]float32, 16)
			for i := range v {
				v[i] = float32(r.NormFloat64() + noise*own.NormFloat64())
			}
			return v
		}
	}
	tests := map[string]struct {
		task    inference.Task
		vectors func(int) []float32
		outcome verify.Outcome
		reason  string
	}{
		"related":      {inference.FeatureExtraction, pairs(0.5), verify.OutcomePassed, ""},
		"unrelated":    {inference.FeatureExtraction, pairs(1000), verify.OutcomeWarned, "sentences that say the same are no closer than others: en"},
		"a classifier": {inference.TextClassification, nil, verify.OutcomeSkipped, "a model for text-classification has no embeddings to compare"},
		"a decoder":    {"", nil, verify.OutcomeSkipped, "a model for text-generation has no embeddings to compare"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &fakeEngine{logits: tt.vectors, known: inference.Facts{Task: tt.task}}
			f, err := compareSentences(t.Context(), &model{engine: e})
			if err != nil || f.outcome != tt.outcome || f.reason != tt.reason {
				t.Errorf("%s: %q, %v; want %s: %q", f.outcome, f.reason, err, tt.outcome, tt.reason)
			}
		})
	}
}

// wordLexer has every word as a token, or every other one's number.
type wordLexer struct {
	*fakeEngine
	words []string
}

func (l *wordLexer) Size() int               { return len(l.words) }
func (l *wordLexer) lexer() (lexer, error)   { return l, nil }
func (l *wordLexer) Decode(ids []int) string { return l.words[ids[0]] }

func (l *wordLexer) Encode(text string, _ bool) []int {
	for i, w := range l.words {
		if w == text {
			return []int{i}
		}
	}
	return []int{0, 0}
}

// embedding is that of a pair, with noise.
func (l *wordLexer) embedding(id int) ([]float32, error) {
	if id < 0 || id >= len(l.words) {
		return nil, fmt.Errorf("token %d", id)
	}
	r, own := rand.New(rand.NewPCG(uint64(id/2), 1)), rand.New(rand.NewPCG(uint64(id), 2))
	v := make([]float32, 16)
	for i := range v {
		v[i] = float32(r.NormFloat64() + own.NormFloat64())
	}
	return v, nil
}

func TestVocabulary(t *testing.T) {
	t.Parallel()
	var words []string
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(relatedWords, ",") {
		a, b, _ := strings.Cut(pair, " ")
		if !seen[a] && !seen[b] {
			words = append(words, a, b)
			seen[a], seen[b] = true, true
		}
	}
	mixed := append(append([]string{}, words[1:]...), words[0])
	tests := map[string]struct {
		words   []string
		outcome verify.Outcome
		reason  string
	}{
		"its own":   {words, verify.OutcomePassed, ""},
		"another's": {mixed, verify.OutcomeFailed, "words that belong together are no closer in the embedding ("},
		"too few":   {words[:20], verify.OutcomeSkipped, "only 10 of the pairs of English words are tokens"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &wordLexer{fakeEngine: &fakeEngine{}, words: tt.words}
			f, err := compareWords(t.Context(), &model{lexer: e, decoder: e})
			if err != nil || f.outcome != tt.outcome || !strings.HasPrefix(f.reason, tt.reason) {
				t.Errorf("%s: %q, %v; want %s: %q", f.outcome, f.reason, err, tt.outcome, tt.reason)
			}
		})
	}
}
