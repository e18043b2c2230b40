package check

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/carat-hub/carat/verify"
)

// relatedWords are pairs of words whose embeddings training brings together: forms of one word, and words that stand in the same
// places.
const relatedWords = "king kings,hand hands,day days,son sons,man men,woman women,year years,word words,thing things,house houses," +
	"city cities,eye eyes,father fathers,brother brothers,child children,servant servants,people peoples,nation nations,god gods," +
	"son daughter,father mother,brother sister,he she,him her,his her,say said,go went,come came,give gave,take took,make made," +
	"know knew,see saw,eat ate,speak spoke,two three,three four,four five,five six,six seven,seven eight,eight nine,nine ten," +
	"north south,east west,day night,heaven earth,gold silver,good evil,i me,we us,they them,this that,these those,shall will," +
	"may can,is was,are were,has have,do did,who which,up down,in out,before after,first second,second third,big small,old new," +
	"old young,great little,high low,boy girl,run walk,car road,cat dog,red blue,happy sad,hot cold,bread wine"

// Bounds of the vocabulary check.
const (
	leastPairs = 32 // pairs of which both words are tokens
	// closerErrors is how many standard errors related tokens must be closer than others. Trained models have 5 and far more.
	closerErrors = 2
	meanRows     = 4096 // rows of the embedding that its mean is taken of, at most
)

// vocabularyCheck compares the embeddings of words that belong together.
var vocabularyCheck = check{
	id: idVocabulary, level: verify.LevelStandard, after: []string{idRoundTrip},
	proves: "Tokens of English words that belong together lie together in the embedding: vocabulary and embedding are of one model.",
	run:    compareWords,
}

type vocabularyEvidence struct {
	Pairs     int     `json:"pairs"`     // that were compared
	Related   float64 `json:"related"`   // mean cosine of the pairs; to 3 decimals
	Unrelated float64 `json:"unrelated"` // mean cosine of words of different pairs; to 3 decimals
	Errors    float64 `json:"errors"`    // the difference in standard errors; to 1 decimal
}

func compareWords(ctx context.Context, m *model) (finding, error) {
	tok, err := m.tokenizer(ctx)
	if err != nil {
		return finding{}, err
	}
	if err := m.load(ctx); err != nil {
		return finding{}, err
	}
	first, second, err := embedWords(m.decoder, tok)
	if err != nil {
		return finding{}, err
	}
	ev := vocabularyEvidence{Pairs: len(first)}
	if len(first) < leastPairs {
		return excusedWith(ev, "only %d of the pairs of English words are tokens", len(first)), nil
	}
	var gaps []float64
	for i := range first {
		related, unrelated := cosine(first[i], second[i]), 0.0
		for j := range first {
			if j != i {
				unrelated += (cosine(first[i], second[j]) + cosine(first[j], second[i])) / float64(2*len(first)-2)
			}
		}
		ev.Related += related / float64(len(first))
		ev.Unrelated += unrelated / float64(len(first))
		gaps = append(gaps, related-unrelated)
	}
	errors := mean(gaps) / deviation(gaps) * math.Sqrt(float64(len(gaps)))
	if math.IsNaN(errors) || math.IsInf(errors, 0) {
		errors = 0
	}
	ev.Related, ev.Unrelated, ev.Errors = decimals(ev.Related, 3), decimals(ev.Unrelated, 3), decimals(errors, 1)
	if errors < closerErrors {
		return failed(ev, "words that belong together are no closer in the embedding (%.3g) than others (%.3g): the vocabulary is that of another model",
			ev.Related, ev.Unrelated), nil
	}
	return passed(ev), nil
}

// decimals rounds to so many of them; what is not finite becomes 0.
func decimals(v float64, n int) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	scale := math.Pow(10, float64(n))
	return math.Round(v*scale) / scale
}

// embedWords returns the embeddings of the pairs of which both words are one token, less the mean of all tokens.
func embedWords(d decoder, tok lexer) (first, second [][]float32, err error) {
	middle, err := meanEmbedding(d, tok.Size())
	if err != nil {
		return nil, nil, err
	}
	for pair := range strings.SplitSeq(relatedWords, ",") {
		a, b, _ := strings.Cut(pair, " ")
		x, known := oneToken(tok, a)
		y, too := oneToken(tok, b)
		if !known || !too || x == y {
			continue
		}
		v, err := centred(d, x, middle)
		if err != nil {
			return nil, nil, err
		}
		w, err := centred(d, y, middle)
		if err != nil {
			return nil, nil, err
		}
		first, second = append(first, v), append(second, w)
	}
	return first, second, nil
}

// centred is the embedding of a token less the mean of all.
func centred(d decoder, id int, middle []float32) ([]float32, error) {
	v, err := d.embedding(id)
	if err != nil {
		return nil, fmt.Errorf("read the embedding: %w", err)
	}
	for i := range v {
		v[i] -= middle[i]
	}
	return v, nil
}

// oneToken returns the token of a word, within a text or at its beginning.
func oneToken(tok lexer, word string) (id int, ok bool) {
	for _, text := range []string{" " + word, word} {
		ids := tok.Encode(text, false)
		if len(ids) == 1 && strings.TrimSpace(strings.ToLower(tok.Decode(ids))) == word {
			return ids[0], true
		}
	}
	return 0, false
}

func meanEmbedding(d decoder, tokens int) ([]float32, error) {
	step := max(1, tokens/meanRows)
	var sum []float64
	n := 0.0
	for id := 0; id < tokens; id += step {
		v, err := d.embedding(id)
		if err != nil {
			return nil, fmt.Errorf("read the embedding: %w", err)
		}
		if sum == nil {
			sum = make([]float64, len(v))
		}
		for i, x := range v {
			sum[i] += float64(x)
		}
		n++
	}
	out := make([]float32, len(sum))
	for i, x := range sum {
		out[i] = float32(x / n)
	}
	return out, nil
}

func cosine(a, b []float32) float64 {
	var ab, aa, bb float64
	for i, x := range a {
		y := float64(b[i])
		ab, aa, bb = ab+float64(x)*y, aa+float64(x)*float64(x), bb+y*y
	}
	if aa == 0 || bb == 0 {
		return 0
	}
	return ab / math.Sqrt(aa*bb)
}
