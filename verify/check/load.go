package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// Sizes of the measurement.
const (
	speedPrompt    = 64 // tokens
	speedGenerated = 8  // tokens
)

// loadCheck loads the model anew and takes the time.
var loadCheck = check{
	id: idLoad, level: verify.LevelStandard, after: []string{idOutputs},
	proves: "The model loads, and answers, in the time and memory that were measured.",
	run:    measureLoad,
}

type loadEvidence struct {
	Prompt    int `json:"prompt"`    // tokens
	Generated int `json:"generated"` // tokens
}

func measureLoad(ctx context.Context, m *model) (f finding, err error) {
	facts, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	tok, err := m.tokenizer(ctx)
	if err != nil {
		return finding{}, err
	}
	started := m.opts.Now()
	d, err := m.open(ctx)
	if err != nil {
		return finding{}, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	f = passed(nil)
	f.measured = map[string]float64{"loadSeconds": seconds(m.opts.Now().Sub(started)), "threads": float64(m.opts.Threads)}
	ids := tok.Encode(samples[0].text, true)
	ids = ids[:min(len(ids), speedPrompt)]
	ev := loadEvidence{Prompt: len(ids)}
	if facts.Task == "" || facts.Task == inference.TextGeneration {
		ev.Generated = speedGenerated
		if n := facts.ContextLength; n > 0 && len(ids)+speedGenerated > n {
			ids = ids[:max(1, n-speedGenerated)]
			ev.Prompt = len(ids)
		}
		err = timeDecoder(ctx, d, ids, f.measured, m.opts.Now)
	} else {
		err = timeEncoder(ctx, d, f.measured, m.opts.Now)
	}
	if err != nil {
		return finding{}, err
	}
	if peak := peakMemory(); peak > 0 {
		f.measured["peakBytes"] = float64(peak)
	}
	f.evidence = ev
	return f, nil
}

// timeDecoder measures how fast a prompt is read and a reply written.
func timeDecoder(ctx context.Context, d decoder, ids []int, to map[string]float64, now func() time.Time) error {
	s := d.session(len(ids) + speedGenerated)
	defer s.Close()
	started := now()
	next := ids
	var first time.Duration
	for step := range speedGenerated + 1 {
		best := 0
		err := s.EvalEach(ctx, next, len(next)-1, func(_ int, logits []float32) error {
			best = argmax(logits)
			return nil
		})
		if err != nil {
			return fmt.Errorf("run token %d: %w", step, err)
		}
		if step == 0 {
			first = now().Sub(started)
		}
		next = []int{best}
	}
	to["firstTokenSeconds"] = seconds(first)
	rate(to, "promptTokensPerSecond", len(ids), first)
	rate(to, "tokensPerSecond", speedGenerated, now().Sub(started)-first)
	return nil
}

func timeEncoder(ctx context.Context, d decoder, to map[string]float64, now func() time.Time) error {
	e, err := d.encoder()
	if err != nil {
		return err
	}
	defer e.Close()
	started := now()
	for _, text := range encodedTexts {
		if _, err := e.Embed(ctx, text); err != nil {
			return fmt.Errorf("embed a text: %w", err)
		}
	}
	rate(to, "textsPerSecond", len(encodedTexts), now().Sub(started))
	return nil
}

// rate notes how many of something there were in a second, where the clock can tell.
func rate(to map[string]float64, name string, n int, d time.Duration) {
	if d > 0 {
		to[name] = rounded(float64(n) / d.Seconds())
	}
}
