package check

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// similarErrors is how many standard errors closer paraphrases must be than other sentences. Models for embeddings have 10 and more;
// encoders that were never trained for it have 2 to 5.
const similarErrors = 2

// similarityCheck compares the embeddings of sentences that say the same in other words.
var similarityCheck = check{
	id: idSimilarity, level: verify.LevelStandard, after: []string{idOutputs},
	proves: "A model for embeddings puts sentences that say the same closer together than others.",
	run:    compareSentences,
}

type similarityEvidence struct {
	Languages []similarityIn `json:"languages"`
}

type similarityIn struct {
	Language  string  `json:"language"`
	Pairs     int     `json:"pairs"`
	Related   float64 `json:"related"`   // mean cosine of sentences that say the same; to 3 decimals
	Unrelated float64 `json:"unrelated"` // of others; to 3 decimals
	Nearest   float64 `json:"nearest"`   // the part of the sentences whose nearest one says the same; to 3 decimals
	Errors    float64 `json:"errors"`    // the difference of the means in standard errors; to 1 decimal
}

// paraphrases are pairs of sentences by language. Each was written for this purpose.
var paraphrases = []struct{ language, text string }{
	{"en", read("pairs")}, {"de", read("pairs-de")}, {"fr", read("pairs-fr")}, {"es", read("pairs-es")}, {"zh", read("pairs-zh")},
}

func compareSentences(ctx context.Context, m *model) (finding, error) {
	facts, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	if facts.Task != inference.FeatureExtraction {
		return excused("a model for %s has no embeddings to compare", orText(facts.Task)), nil
	}
	e, err := m.encoder(ctx)
	if err != nil {
		return finding{}, err
	}
	defer e.Close()
	declared := m.declaredLanguages()
	var ev similarityEvidence
	var poor []string
	for _, p := range paraphrases {
		if !declares(declared, p.language) && (len(declared) > 0 || p.language != "en") {
			continue
		}
		s, err := compareIn(ctx, e, p.language, p.text)
		if err != nil {
			return finding{}, err
		}
		ev.Languages = append(ev.Languages, s)
		if s.Errors < similarErrors {
			poor = append(poor, p.language)
		}
	}
	switch {
	case len(ev.Languages) == 0:
		return excusedWith(ev, "there are no sentences here in the declared languages"), nil
	case len(poor) > 0:
		return warned(ev, "sentences that say the same are no closer than others: %s", listed(poor)), nil
	}
	return passed(ev), nil
}

func orText(t inference.Task) inference.Task {
	if t == "" {
		return inference.TextGeneration
	}
	return t
}

// compareIn embeds the pairs of one language.
func compareIn(ctx context.Context, e encoder, language, text string) (similarityIn, error) {
	s := similarityIn{Language: language}
	var first, second [][]float32
	for pair := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		a, b, _ := strings.Cut(pair, "\n")
		x, err := e.Embed(ctx, strings.TrimSpace(a))
		if err != nil {
			return s, fmt.Errorf("embed a sentence: %w", err)
		}
		y, err := e.Embed(ctx, strings.TrimSpace(b))
		if err != nil {
			return s, fmt.Errorf("embed a sentence: %w", err)
		}
		first, second = append(first, x), append(second, y)
	}
	s.Pairs = len(first)
	var gaps []float64
	nearest := 0
	for i := range first {
		own, other, best := inference.Similarity(first[i], second[i]), 0.0, true
		for j := range first {
			if j != i {
				c := inference.Similarity(first[i], second[j])
				other += c / float64(len(first)-1)
				best = best && c < own
			}
		}
		if best {
			nearest++
		}
		s.Related += own / float64(len(first))
		s.Unrelated += other / float64(len(first))
		gaps = append(gaps, own-other)
	}
	s.Errors = mean(gaps) / deviation(gaps) * math.Sqrt(float64(len(gaps)))
	if math.IsNaN(s.Errors) || math.IsInf(s.Errors, 0) {
		s.Errors = 0
	}
	s.Related, s.Unrelated, s.Errors = decimals(s.Related, 3), decimals(s.Unrelated, 3), decimals(s.Errors, 1)
	s.Nearest = decimals(float64(nearest)/float64(max(1, len(first))), 3)
	return s, nil
}
