package inference

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/carat-hub/carat/inference/tokenizer"
)

// GenerateOptions are the choices for Generate; zero values take the defaults.
type GenerateOptions struct {
	// MaxTokens bounds the generated tokens. Without it, generation goes on until a token ends the text or the context is full.
	MaxTokens int
	// Sampler chooses the tokens; the default takes the most likely one, the lowest id on a tie. It is told of the prompt.
	Sampler *Sampler
	// Stop are strings before which the text ends. They can begin and end within tokens.
	Stop []string
	// IgnoreEnd goes on after a token that ends a text.
	IgnoreEnd bool
	// OnToken is called with each token as it is chosen; its error ends the generation and is returned.
	OnToken func(id int) error
	// OnText is called with the text as it grows, in pieces of whole characters; its error ends the generation and is returned.
	OnText func(text string) error
	// Clock is what Stats are measured with; the default is time.Now.
	Clock func() time.Time
}

// EndReason is why a generation ended.
type EndReason string

// The reasons for the end of a generation.
const (
	EndToken   EndReason = "end"     // a token that ends a text
	EndStop    EndReason = "stop"    // a stop string
	EndLength  EndReason = "length"  // MaxTokens
	EndContext EndReason = "context" // the session can hold no more
)

// Generation is what Generate made.
type Generation struct {
	// IDs are the generated tokens, a final end token included.
	IDs []int
	// Text is what they say, up to a stop string; empty when the model has no tokenizer.
	Text string
	// End is why there are no more; empty beside an error.
	End   EndReason
	Stats GenerationStats
}

// GenerationStats says how long a generation took.
type GenerationStats struct {
	// PromptTokens were evaluated in PromptTime.
	PromptTokens int
	PromptTime   time.Duration
	// FirstToken is the time from the beginning until the first token was chosen.
	FirstToken time.Duration
	// Tokens were generated; those after the first took DecodeTime.
	Tokens     int
	DecodeTime time.Duration
}

// PromptRate returns the tokens of the prompt per second, 0 when that is not known.
func (s GenerationStats) PromptRate() float64 { return rate(s.PromptTokens, s.PromptTime) }

// DecodeRate returns the generated tokens per second, 0 when that is not known.
func (s GenerationStats) DecodeRate() float64 { return rate(s.Tokens-1, s.DecodeTime) }

func rate(n int, d time.Duration) float64 {
	if n <= 0 || d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// Generate appends prompt to the sequence and then one token after the other. The last one is chosen but not evaluated, so the
// session ends before it. Errors are those of Eval and of the functions in o, and that of Tokenizer when there is none and o needs
// text; what was generated before is returned with them.
func (s *Session) Generate(ctx context.Context, prompt []int, o GenerateOptions) (Generation, error) {
	g := &generator{s: s, o: o, stop: stopper{stops: slices.DeleteFunc(slices.Clone(o.Stop), func(s string) bool { return s == "" })}}
	if s.m.tok != nil {
		g.stream = s.m.tok.NewStream(prompt...)
	} else if o.OnText != nil || len(g.stop.stops) > 0 {
		return Generation{}, fmt.Errorf("generated text needs a tokenizer: %w", s.m.tokErr)
	}
	if g.o.Clock == nil {
		g.o.Clock = time.Now
	}
	if g.o.Sampler == nil {
		g.o.Sampler = &Sampler{}
	}
	end, err := g.run(ctx, prompt)
	if err == nil && end != EndStop {
		var stopped bool
		if stopped, err = g.flush(); stopped {
			end = EndStop
		}
	}
	if err == nil {
		g.out.End = end
	}
	g.out.Text = g.text.String()
	return g.out, err
}

// generator is one call of Generate.
type generator struct {
	s      *Session
	o      GenerateOptions
	stream *tokenizer.Stream // nil without a tokenizer
	stop   stopper
	text   strings.Builder
	out    Generation
}

func (g *generator) run(ctx context.Context, prompt []int) (EndReason, error) {
	s, o, stats := g.s, &g.o, &g.out.Stats
	start := o.Clock()
	logits, err := s.Eval(ctx, prompt)
	if err != nil {
		return "", err
	}
	o.Sampler.Accept(prompt...)
	stats.PromptTokens, stats.PromptTime = len(prompt), o.Clock().Sub(start)
	var first time.Time
	for {
		id := o.Sampler.Sample(logits)
		if id < 0 {
			return "", fmt.Errorf("no token can follow %d: every logit is NaN", s.n)
		}
		g.out.IDs = append(g.out.IDs, id)
		now := o.Clock()
		if stats.Tokens++; stats.Tokens == 1 {
			first, stats.FirstToken = now, now.Sub(start)
		}
		stats.DecodeTime = now.Sub(first)
		stopped, err := g.emit(id)
		switch {
		case err != nil:
			return "", err
		case stopped:
			return EndStop, nil
		case !o.IgnoreEnd && slices.Contains(s.m.eos, id):
			return EndToken, nil
		case o.MaxTokens > 0 && len(g.out.IDs) >= o.MaxTokens:
			return EndLength, nil
		case s.n == s.context:
			return EndContext, nil
		}
		if logits, err = s.Eval(ctx, []int{id}); err != nil {
			return "", err
		}
	}
}

// emit hands a token and the text that it completes on, and reports whether a stop string came up.
func (g *generator) emit(id int) (stopped bool, err error) {
	if g.o.OnToken != nil {
		if err := g.o.OnToken(id); err != nil {
			return false, err
		}
	}
	if g.stream == nil {
		return false, nil
	}
	text, stopped := g.stop.add(g.stream.Add(id))
	return stopped, g.write(text)
}

// flush hands on what was held back for what did not come, and reports whether a stop string came up.
func (g *generator) flush() (stopped bool, err error) {
	if g.stream == nil {
		return false, nil
	}
	text, stopped := g.stop.add(g.stream.Flush())
	return stopped, g.write(text + g.stop.flush())
}

func (g *generator) write(text string) error {
	if text == "" {
		return nil
	}
	g.text.WriteString(text)
	if g.o.OnText == nil {
		return nil
	}
	return g.o.OnText(text)
}

// Argmax returns the index of the largest value, the lowest on a tie, and -1 when there is none. NaN is never the largest.
func Argmax(x []float32) int {
	best := -1
	for i, v := range x {
		if v == v && (best < 0 || v > x[best]) {
			best = i
		}
	}
	return best
}
