package inference

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Sampling says how a token is chosen from logits. The zero value chooses the most likely one.
//
// The steps come in the order of llama.cpp's default chain: penalties, TopK, TopP, MinP, Temperature. TopP and MinP therefore
// judge the model's own distribution, and the temperature only those that are left.
type Sampling struct {
	// Temperature divides the logits of the tokens that are left: below 1 the likely ones gain. 0 takes the most likely.
	Temperature float64
	// TopK keeps that many of the most likely tokens; 0 keeps all.
	TopK int
	// TopP keeps the most likely tokens whose probabilities together reach it; 0 and 1 keep all.
	TopP float64
	// MinP keeps the tokens at least that many times as likely as the most likely one.
	MinP float64
	// RepeatPenalty divides the logits above zero of tokens that occur in the window, and multiplies those below; 0 and 1 do nothing.
	// FrequencyPenalty is subtracted as often as the token occurs, PresencePenalty once.
	RepeatPenalty, FrequencyPenalty, PresencePenalty float64
	// RepeatWindow is how many of the last tokens the penalties look at; the default is 64, and a negative one is all.
	RepeatWindow int
	// Seed makes a sequence of choices that comes again with the same seed.
	Seed uint64
}

// DefaultSampling is what llama.cpp's programs use where nothing else is said.
func DefaultSampling() Sampling {
	return Sampling{Temperature: 0.8, TopK: 40, TopP: 0.95, MinP: 0.05}
}

const defaultRepeatWindow = 64

func (o *Sampling) check() error {
	for _, f := range []struct {
		name       string
		value, max float64
	}{
		{"temperature", o.Temperature, math.MaxFloat32},
		{"top-p", o.TopP, 1},
		{"min-p", o.MinP, 1},
		{"repeat penalty", o.RepeatPenalty, math.MaxFloat32},
	} {
		if !(f.value >= 0 && f.value <= f.max) {
			return fmt.Errorf("sampling: %s %g is not from 0 to %g", f.name, f.value, f.max)
		}
	}
	if bad := o.FrequencyPenalty + o.PresencePenalty; bad-bad != 0 {
		return fmt.Errorf("sampling: penalties of %g and %g", o.FrequencyPenalty, o.PresencePenalty)
	}
	if o.TopK < 0 {
		return fmt.Errorf("sampling: top-k %d is negative", o.TopK)
	}
	return nil
}

// penalizes reports whether earlier tokens matter.
func (o *Sampling) penalizes() bool {
	return o.RepeatPenalty != 0 && o.RepeatPenalty != 1 || o.FrequencyPenalty != 0 || o.PresencePenalty != 0
}

// Candidate is a token that can be chosen and how likely that is.
type Candidate struct {
	ID          int
	Probability float64
}

// Sampler chooses tokens. It remembers those that its penalties look at, and where it is in its sequence of random numbers. It is
// for one goroutine at a time. The zero value chooses as the zero Sampling does.
type Sampler struct {
	o      Sampling
	random *rand.Rand
	recent []int // a ring when the window is limited
	next   int   // where the ring goes on
	counts map[int]int

	logits []float32 // with penalties
	left   []choice
}

// choice is a token that is left, with its logit and then its share of the draw.
type choice struct {
	id           int
	logit, share float64
}

// NewSampler returns a sampler. It returns an error for numbers that make no sense.
func NewSampler(o Sampling) (*Sampler, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.RepeatWindow == 0 {
		o.RepeatWindow = defaultRepeatWindow
	}
	// The second word only has to be the same always.
	return &Sampler{o: o, random: rand.New(rand.NewPCG(o.Seed, 0x9e3779b97f4a7c15)), counts: map[int]int{}}, nil
}

// Accept tells the sampler of tokens of the sequence, for its penalties.
func (s *Sampler) Accept(ids ...int) {
	if !s.o.penalizes() {
		return
	}
	for _, id := range ids {
		s.counts[id]++
		switch {
		case s.o.RepeatWindow < 0:
		case len(s.recent) < s.o.RepeatWindow:
			s.recent = append(s.recent, id)
		default:
			old := s.recent[s.next]
			if s.counts[old]--; s.counts[old] == 0 {
				delete(s.counts, old)
			}
			s.recent[s.next] = id
			s.next = (s.next + 1) % len(s.recent)
		}
	}
}

// Sample returns the id of a token chosen from logits, which stay as they are, and accepts it. It is -1 when every logit is NaN.
// Of equals the lowest id is taken to be the more likely.
func (s *Sampler) Sample(logits []float32) int {
	id := s.choose(logits)
	if id >= 0 {
		s.Accept(id)
	}
	return id
}

func (s *Sampler) choose(logits []float32) int {
	logits = s.penalized(logits)
	best := Argmax(logits)
	if s.o.Temperature == 0 || best < 0 || math.IsInf(float64(logits[best]), 0) {
		return best
	}
	at := s.random.Float64() * s.keep(logits, float64(logits[best]))
	for _, c := range s.left {
		if at -= c.share; at < 0 {
			return c.id
		}
	}
	return best // rounding left nothing for the last one
}

// Candidates returns the tokens that Sample would choose from, the most likely first; it chooses none.
func (s *Sampler) Candidates(logits []float32) []Candidate {
	logits = s.penalized(logits)
	best := Argmax(logits)
	if best < 0 {
		return nil
	}
	if s.o.Temperature == 0 || math.IsInf(float64(logits[best]), 0) {
		return []Candidate{{best, 1}}
	}
	total := s.keep(logits, float64(logits[best]))
	out := make([]Candidate, len(s.left))
	for i, c := range s.left {
		out[i] = Candidate{c.id, c.share / total}
	}
	slices.SortStableFunc(out, func(a, b Candidate) int { return cmp.Compare(b.Probability, a.Probability) })
	return out
}

// penalized returns logits with the penalties applied, in memory of the sampler's own when there are any.
func (s *Sampler) penalized(logits []float32) []float32 {
	if len(s.counts) == 0 {
		return logits
	}
	s.logits = append(s.logits[:0], logits...)
	for id, n := range s.counts {
		if id < 0 || id >= len(s.logits) {
			continue
		}
		v := float64(s.logits[id])
		if r := s.o.RepeatPenalty; r != 0 && r != 1 {
			if v > 0 {
				v /= r
			} else {
				v *= r
			}
		}
		s.logits[id] = float32(v - float64(n)*s.o.FrequencyPenalty - s.o.PresencePenalty)
	}
	return s.logits
}

// keep sets left to the tokens that no filter takes out, with their shares of the draw, and returns the sum of those. largest is
// the largest logit, which is finite.
func (s *Sampler) keep(logits []float32, largest float64) (total float64) {
	s.top(logits)
	// What TopP keeps and what MinP keeps are both the first so many in order of likelihood, so the smaller number counts, and
	// what is out by MinP, or too unlikely for TopP to reach, need not be sorted.
	o, all := &s.o, 0.0
	for i := range s.left {
		s.left[i].share = math.Exp(s.left[i].logit - largest)
		all += s.left[i].share
	}
	least := o.MinP
	limited := o.TopP > 0 && o.TopP < 1
	if limited {
		// Together, those below this share cannot make up what TopP leaves out; half of it leaves room for rounding.
		least = max(least, (1-o.TopP)*all/float64(len(s.left))/2)
	}
	if least > 0 {
		s.left = slices.DeleteFunc(s.left, func(c choice) bool { return c.share < least })
	}
	if limited {
		slices.SortFunc(s.left, moreLikely)
		sum := 0.0
		for i, c := range s.left {
			if sum += c.share; sum >= o.TopP*all {
				s.left = s.left[:i+1]
				break
			}
		}
	}
	for i := range s.left {
		c := &s.left[i]
		c.share = math.Exp((c.logit - largest) / o.Temperature)
		total += c.share
	}
	return total
}

func moreLikely(a, b choice) int {
	return cmp.Or(cmp.Compare(b.logit, a.logit), cmp.Compare(a.id, b.id))
}

// top sets left to the TopK most likely tokens, or to all in the order of their ids. NaN is none.
func (s *Sampler) top(logits []float32) {
	s.left = s.left[:0]
	k := s.o.TopK
	if k == 0 || k >= len(logits) {
		for id, v := range logits {
			if v == v {
				s.left = append(s.left, choice{id: id, logit: float64(v)})
			}
		}
		return
	}
	// left is a heap with the least likely of the best k at its root.
	for id, v := range logits {
		c := choice{id: id, logit: float64(v)}
		switch {
		case v != v:
		case len(s.left) < k:
			s.left = append(s.left, c)
			if len(s.left) == k {
				for i := k/2 - 1; i >= 0; i-- {
					s.sink(i)
				}
			}
		case moreLikely(c, s.left[0]) < 0:
			s.left[0] = c
			s.sink(0)
		}
	}
}

// sink restores the heap below the i-th.
func (s *Sampler) sink(i int) {
	for {
		child := 2*i + 1
		if child >= len(s.left) {
			return
		}
		if child+1 < len(s.left) && moreLikely(s.left[child], s.left[child+1]) < 0 {
			child++
		}
		if moreLikely(s.left[i], s.left[child]) > 0 {
			return
		}
		s.left[i], s.left[child] = s.left[child], s.left[i]
		i = child
	}
}
