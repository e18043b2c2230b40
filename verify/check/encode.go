package check

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// encodedTexts are what the run check gives to an encoder: the first two say
// the same, the third is about something else. They were written for this
// purpose.
var encodedTexts = []string{
	"A man is playing the guitar on the street.",
	"Somebody plays a guitar in the street.",
	"Interest rates will probably rise again next year.",
}

// shownElements is how many elements of a vector the evidence holds.
const shownElements = 4

type encodeEvidence struct {
	Task  inference.Task `json:"task"`
	Size  int            `json:"size"` // elements of a vector
	Texts []encodedText  `json:"texts"`
	// Related and Unrelated are the cosines between the first text and the
	// one that says the same, and the one that does not; rounded.
	Related   float64 `json:"related"`
	Unrelated float64 `json:"unrelated"`
}

type encodedText struct {
	Text   string    `json:"text"`
	Length float64   `json:"length"` // of the vector; rounded
	Begins []float64 `json:"begins"` // its first elements; rounded
	// Label is the likeliest of a classifier of texts.
	Label       string  `json:"label,omitempty"`
	Probability float64 `json:"probability,omitempty"` // rounded
}

// encodes gives texts to an encoder or classifier, twice.
func encodes(ctx context.Context, m *model, tok lexer, task inference.Task) (finding, error) {
	for _, text := range encodedTexts {
		if len(tok.Encode(text, true)) == 0 {
			return failed(nil, "a text has no tokens"), nil
		}
	}
	e, err := m.encoder(ctx)
	if err != nil {
		return finding{}, err
	}
	defer e.Close()
	first, bad, err := encode(ctx, e, task)
	if err != nil {
		return finding{}, err
	}
	if bad != "" {
		return failed(nil, "%s", bad), nil
	}
	ev := first.evidence(task)
	second, bad, err := encode(ctx, e, task)
	switch {
	case err != nil:
		return finding{}, err
	case bad != "":
		return failed(ev, "the second run differs from the first: %s", bad), nil
	case !slices.EqualFunc(first.vectors, second.vectors, slices.Equal) || !slices.EqualFunc(first.scores, second.scores, slices.Equal):
		return failed(ev, "two runs on the same texts differ"), nil
	case slices.Equal(first.vectors[0], first.vectors[2]):
		return failed(ev, "different texts have the same vector"), nil
	case task == inference.FeatureExtraction && ev.Related <= ev.Unrelated:
		reason := fmt.Sprintf("texts that say the same are no closer (%g) than others (%g)", ev.Related, ev.Unrelated)
		return finding{outcome: verify.OutcomeWarned, reason: reason, evidence: ev}, nil
	}
	return passed(ev), nil
}

// encoding is what an encoder made of all texts.
type encoding struct {
	vectors [][]float32
	scores  [][]inference.LabelScore // of the text's labels, or of those of all its tokens
}

// encode runs the texts once. bad says what is wrong with the outputs.
func encode(ctx context.Context, e encoder, task inference.Task) (run encoding, bad string, err error) {
	for _, text := range encodedTexts {
		v, err := e.Embed(ctx, text)
		if err != nil {
			return run, "", fmt.Errorf("embed a text: %w", err)
		}
		if bad := judgeVector(v); bad != "" {
			return run, bad, nil
		}
		run.vectors = append(run.vectors, v)
		scores, err := labelled(ctx, e, task, text)
		if err != nil {
			return run, "", err
		}
		for _, of := range scores {
			if len(of) != len(e.Labels()) {
				return run, fmt.Sprintf("there are %d scores for %d labels", len(of), len(e.Labels())), nil
			}
			for _, s := range of {
				if !finite(s.Logit) {
					return run, fmt.Sprintf("the score of %q is %v", storable(s.Label), s.Logit), nil
				}
			}
		}
		run.scores = append(run.scores, slices.Concat(scores...))
	}
	return run, "", nil
}

// labelled returns what a classifier says of a text, or of each of its tokens.
func labelled(ctx context.Context, e encoder, task inference.Task, text string) ([][]inference.LabelScore, error) {
	switch task {
	case inference.TextClassification:
		s, err := e.Classify(ctx, text)
		if err != nil {
			return nil, fmt.Errorf("classify a text: %w", err)
		}
		return [][]inference.LabelScore{s}, nil
	case inference.TokenClassification:
		tags, err := e.Tag(ctx, text)
		if err != nil {
			return nil, fmt.Errorf("classify the tokens of a text: %w", err)
		}
		var all [][]inference.LabelScore
		for _, t := range tags {
			all = append(all, t.Scores)
		}
		return all, nil
	}
	return nil, nil
}

func finite(v float32) bool { return !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }

// judgeVector says what is wrong with the vector of a text.
func judgeVector(v []float32) string {
	if len(v) == 0 {
		return "there are no outputs"
	}
	zero := true
	for i, x := range v {
		if !finite(x) {
			return fmt.Sprintf("output %d is %v", i, x)
		}
		zero = zero && x == 0
	}
	if zero {
		return "all outputs are zero"
	}
	return ""
}

func (r encoding) evidence(task inference.Task) encodeEvidence {
	ev := encodeEvidence{
		Task: task, Size: len(r.vectors[0]), Related: rounded(inference.Similarity(r.vectors[0], r.vectors[1])),
		Unrelated: rounded(inference.Similarity(r.vectors[0], r.vectors[2])),
	}
	for i, v := range r.vectors {
		t := encodedText{Text: encodedTexts[i], Length: rounded(length(v))}
		for _, x := range v[:min(len(v), shownElements)] {
			t.Begins = append(t.Begins, rounded(float64(x)))
		}
		if task == inference.TextClassification {
			best := slices.MaxFunc(r.scores[i], func(a, b inference.LabelScore) int { return cmp.Compare(a.Logit, b.Logit) })
			t.Label, t.Probability = storable(best.Label), rounded(float64(best.Probability))
		}
		ev.Texts = append(ev.Texts, t)
	}
	return ev
}

func length(v []float32) float64 {
	sum := 0.0
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}
