package inference

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/kernel"
	"github.com/carat-hub/carat/inference/tokenizer"
)

// EncoderOptions are the choices for an encoder; zero values take the defaults.
type EncoderOptions struct {
	// Threads is the number of threads that compute; the default is GOMAXPROCS. Results do not depend on it.
	Threads int
	// MaxTokens is how many tokens a text may have, with those that begin and end it; the default is what the model was made for,
	// and not more than 8192.
	MaxTokens int
	// Truncate leaves out the tokens of longer texts at their ends, where otherwise an error says so. Of a pair, the longer text
	// loses them.
	Truncate bool
	// Pooling takes the place of the model's own.
	Pooling Pooling
	// Normalize scales embeddings to length 1 also where the model's files do not ask for it.
	Normalize bool
}

// Encoder computes what a model sees in whole texts: embeddings, the labels of a classifier, or the words for a mask. It keeps no
// text between calls. Its methods are for one goroutine at a time; several encoders of a model can work at once.
type Encoder struct {
	m         *Model
	s         *Session // for its threads and buffers; it holds no positions
	pooling   Pooling
	normalize bool
	truncate  bool

	x, q, k, v []float32 // {tokens, …} of the texts at hand
}

// NewEncoder returns an encoder, also of a model that generates text, whose embedding is the state of a text's last token where
// its files say nothing else. Close frees its threads. It returns an *UnsupportedError for a model whose files want a way of
// pooling that is not known here, unless the options have another, and an error for an unknown one.
func (m *Model) NewEncoder(o EncoderOptions) (*Encoder, error) {
	d := m.desc
	switch {
	case o.Pooling != "" && !o.Pooling.known():
		return nil, fmt.Errorf("unknown pooling %q", o.Pooling)
	case o.Pooling == "" && d.unembeddable != nil:
		return nil, d.unembeddable
	case o.Pooling == "":
		o.Pooling = d.Pooling
	}
	if o.MaxTokens <= 0 {
		o.MaxTokens = min(d.MaxTokens, 8192)
	}
	s := m.NewSession(SessionOptions{Threads: o.Threads, Context: o.MaxTokens})
	return &Encoder{m: m, s: s, pooling: o.Pooling, normalize: o.Normalize || d.Normalized, truncate: o.Truncate}, nil
}

// Close ends the encoder's threads. The encoder cannot be used afterwards.
func (e *Encoder) Close() { e.s.Close() }

// Size returns the number of elements of an embedding.
func (e *Encoder) Size() int { return e.m.weights.embeddingSize(e.m.desc.Hidden) }

// Labels returns the labels of the model's classifier, nil when it has none.
func (e *Encoder) Labels() []string {
	if e.m.weights.classifier == nil && e.m.weights.tagger == nil {
		return nil
	}
	return slices.Clone(e.m.desc.Labels)
}

// Embed returns the embedding of text. No prompt is put in front of it, which some models want. Special tokens written out in text
// are text like any other. It returns the tokenizer's error when there is none, an error for a text that is too long or has no
// tokens, ctx's error soon after ctx ends, and ErrClosed after Model.Close.
func (e *Encoder) Embed(ctx context.Context, text string) ([]float32, error) {
	all, err := e.EmbedAll(ctx, []string{text})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// EmbedAll returns the embeddings of texts, each as Embed does, but several at once, which is faster for short ones. Sums can
// round otherwise than for a text alone of less than five tokens.
func (e *Encoder) EmbedAll(ctx context.Context, texts []string) ([][]float32, error) {
	seqs := make([]passage, len(texts))
	for i, t := range texts {
		var err error
		if seqs[i], err = e.tokens(t); err != nil {
			return nil, err
		}
	}
	return e.embed(ctx, seqs)
}

// EmbedTokens returns the embedding of a text given as tokens, with those that begin and end it. Errors are those of Embed and one
// for a token outside the vocabulary.
func (e *Encoder) EmbedTokens(ctx context.Context, ids []int) ([]float32, error) {
	all, err := e.embed(ctx, []passage{{ids: ids}})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (e *Encoder) embed(ctx context.Context, texts []passage) ([][]float32, error) {
	out := make([][]float32, len(texts))
	err := e.run(ctx, texts, func(i int, states []float32) error {
		out[i] = make([]float32, e.m.desc.Hidden)
		e.pooling.of(out[i], states)
		for _, d := range e.m.weights.dense {
			next := make([]float32, d.Rows)
			if err := e.s.mul(d.linear, out[i], 1, next); err != nil {
				return err
			}
			if !d.identity {
				kernel.Activate(d.activation, next, nil)
			}
			out[i] = next
		}
		if e.normalize {
			normalize(out[i])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// States returns the final states of tokens, a vector for each. Errors are those of EmbedTokens.
func (e *Encoder) States(ctx context.Context, ids []int) ([][]float32, error) {
	var out [][]float32
	err := e.run(ctx, []passage{{ids: ids}}, func(_ int, states []float32) error {
		out = slices.Collect(slices.Chunk(slices.Clone(states), e.m.desc.Hidden))
		return nil
	})
	return out, err
}

// LabelScore is what a classifier says of one label.
type LabelScore struct {
	Label string  `json:"label"`
	Logit float32 `json:"logit"`
	// Probability is from the softmax over all labels, or of the logit by itself where several labels can be right, or there is
	// only one.
	Probability float32 `json:"probability"`
}

// Classify returns the scores of all labels for text, in the order of Labels. It returns an *UnsupportedError for a model that has
// no classifier of texts, and the errors of Embed.
func (e *Encoder) Classify(ctx context.Context, text string) ([]LabelScore, error) {
	seq, err := e.tokens(text)
	if err != nil {
		return nil, err
	}
	return e.classify(ctx, seq)
}

// ClassifyPair is Classify for a pair of texts, such as a premise and a hypothesis. It returns an *UnsupportedError also for a
// tokenizer that does not say how pairs are written.
func (e *Encoder) ClassifyPair(ctx context.Context, first, second string) ([]LabelScore, error) {
	seq, err := e.pair(first, second)
	if err != nil {
		return nil, err
	}
	return e.classify(ctx, seq)
}

// ClassifyTokens is Classify for a text given as tokens. Errors are those of Classify and EmbedTokens.
func (e *Encoder) ClassifyTokens(ctx context.Context, ids []int) ([]LabelScore, error) {
	return e.classify(ctx, passage{ids: ids})
}

func (e *Encoder) classify(ctx context.Context, seq passage) ([]LabelScore, error) {
	var scores []LabelScore
	err := e.logits(ctx, []passage{seq}, func(_ int, logits []float32) { scores = e.labelled(logits) })
	return scores, err
}

// logits calls each with the classifier's scores of every text, valid until each returns.
func (e *Encoder) logits(ctx context.Context, texts []passage, each func(i int, logits []float32)) error {
	head := e.m.weights.classifier
	if head == nil {
		return fault.NewUnsupported("task", "%s has no classifier of texts", e.m.desc.Architecture)
	}
	pooled, logits := make([]float32, e.m.desc.Hidden), make([]float32, head.out.Rows)
	return e.run(ctx, texts, func(i int, states []float32) error {
		e.m.desc.ClassifierPooling.of(pooled, states)
		if err := e.score(head, pooled, 1, logits); err != nil {
			return err
		}
		each(i, logits)
		return nil
	})
}

// labelled puts labels and probabilities to logits.
func (e *Encoder) labelled(logits []float32) []LabelScore {
	p := slices.Clone(logits)
	if len(p) == 1 || e.m.desc.MultiLabel {
		kernel.Sigmoid(p)
	} else {
		kernel.Softmax(p)
	}
	scores := make([]LabelScore, len(logits))
	for i, v := range logits {
		scores[i] = LabelScore{Label: e.m.desc.Labels[i], Logit: v, Probability: p[i]}
	}
	return scores
}

// Rank returns how well each document answers query: the logit of a classifier with one label, larger for better. It returns an
// *UnsupportedError for a model that is no such reranker, and the errors of ClassifyPair.
func (e *Encoder) Rank(ctx context.Context, query string, documents []string) ([]float32, error) {
	if head := e.m.weights.classifier; head == nil || head.out.Rows != 1 {
		return nil, fault.NewUnsupported("task", "%s has no classifier with one label", e.m.desc.Architecture)
	}
	seqs := make([]passage, len(documents))
	for i, text := range documents {
		var err error
		if seqs[i], err = e.pair(query, text); err != nil {
			return nil, err
		}
	}
	out := make([]float32, len(documents))
	err := e.logits(ctx, seqs, func(i int, logits []float32) { out[i] = logits[0] })
	if err != nil {
		return nil, err
	}
	return out, nil
}

// TokenScores is what a classifier of tokens says of one.
type TokenScores struct {
	ID int `json:"id"`
	// Piece is the token as the vocabulary writes it.
	Piece  string       `json:"piece"`
	Scores []LabelScore `json:"scores"` // in the order of Labels
}

// Tag returns the scores of all labels for each token of text, those that begin and end it included. It returns an
// *UnsupportedError for a model that has no classifier of tokens, and the errors of Embed.
func (e *Encoder) Tag(ctx context.Context, text string) ([]TokenScores, error) {
	head := e.m.weights.tagger
	if head == nil {
		return nil, fault.NewUnsupported("task", "%s has no classifier of tokens", e.m.desc.Architecture)
	}
	seq, err := e.tokens(text)
	if err != nil {
		return nil, err
	}
	var out []TokenScores
	err = e.run(ctx, []passage{seq}, func(_ int, states []float32) error {
		rows := head.out.Rows
		logits := make([]float32, len(seq.ids)*rows)
		if err := e.score(head, states, len(seq.ids), logits); err != nil {
			return err
		}
		for i, id := range seq.ids {
			piece, _ := e.m.tok.Piece(id)
			out = append(out, TokenScores{ID: id, Piece: piece, Scores: e.labelled(logits[i*rows : (i+1)*rows])})
		}
		return nil
	})
	return out, err
}

// Predict returns for each position of at the logits of the vocabulary: what the model expects there, where ids usually have the
// token that masks. It returns an *UnsupportedError for a model without a head for that, an error for a position that ids do not
// have, and the errors of EmbedTokens.
func (e *Encoder) Predict(ctx context.Context, ids []int, at ...int) ([][]float32, error) {
	head := e.m.weights.masked
	if head == nil {
		return nil, fault.NewUnsupported("task", "%s has no head that predicts masked tokens", e.m.desc.Architecture)
	}
	for _, i := range at {
		if i < 0 || i >= len(ids) {
			return nil, fmt.Errorf("position %d of %d tokens", i, len(ids))
		}
	}
	h := e.m.desc.Hidden
	out := make([][]float32, len(at))
	err := e.run(ctx, []passage{{ids: ids}}, func(_ int, states []float32) error {
		for j, i := range at {
			out[j] = make([]float32, head.out.Rows)
			if err := e.score(head, states[i*h:(i+1)*h], 1, out[j]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (e *Encoder) tokenizer() (*tokenizer.Tokenizer, error) {
	if e.m.tokErr != nil {
		return nil, fmt.Errorf("encode text: %w", e.m.tokErr)
	}
	return e.m.tok, nil
}

// tokens returns a text as the model wants it.
func (e *Encoder) tokens(text string) (passage, error) {
	tok, err := e.tokenizer()
	if err != nil {
		return passage{}, err
	}
	ids := tok.EncodePlain(text, false)
	if around := len(tok.Around(nil)); e.truncate && len(ids) > e.s.context-around {
		ids = ids[:max(0, e.s.context-around)]
	}
	return passage{ids: tok.Around(ids)}, nil
}

// pair returns two texts as the model wants them.
func (e *Encoder) pair(first, second string) (passage, error) {
	tok, err := e.tokenizer()
	if err != nil {
		return passage{}, err
	}
	a, b := tok.EncodePlain(first, false), tok.EncodePlain(second, false)
	around, _, ok := tok.AroundPair(nil, nil)
	if !ok {
		return passage{}, fault.NewUnsupported("tokenizer", "it does not say how pairs of texts are written")
	}
	for e.truncate && len(a)+len(b) > max(0, e.s.context-len(around)) {
		if len(a) > len(b) {
			a = a[:len(a)-1]
		} else {
			b = b[:len(b)-1]
		}
	}
	ids, types, _ := tok.AroundPair(a, b)
	return passage{ids, types}, nil
}

// Similarity returns the cosine of the angle between two embeddings of the same size: 1 for the same direction, 0 for nothing in
// common. It is NaN when one is all zeros.
func Similarity(a, b []float32) float64 {
	var dot, aa, bb float64
	for i, x := range a {
		y := float64(b[i])
		dot += float64(x) * y
		aa += float64(x) * float64(x)
		bb += y * y
	}
	return dot / math.Sqrt(aa*bb)
}
