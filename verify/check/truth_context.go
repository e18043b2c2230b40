package check

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// contextCheck compares what is said of the length of the context.
var contextCheck = check{
	id: idContext, level: verify.LevelQuick, after: []string{idHeaders},
	proves: "The declared context length is one that the positions allow, and the card claims no more.",
	run:    compareContext,
}

type contextEvidence struct {
	Declared  int   `json:"declared"`            // tokens
	Positions int   `json:"positions,omitempty"` // rows of learned positions
	Original  int   `json:"original,omitempty"`  // that the model was trained with before positions were scaled
	Scaled    int   `json:"scaled,omitempty"`    // that scaling makes of them
	Tokenizer int   `json:"tokenizer,omitempty"` // most tokens, as the tokenizer's configuration says
	Claims    []int `json:"claims,omitempty"`    // of the card
}

// positionNames are what learned positions are called.
var positionNames = []string{"position_embd.weight", "wpe.weight", "embeddings.position_embeddings.weight", "embed_positions.weight"}

// unlimited is from where on tokenizers mean that they have no limit.
const unlimited = 1 << 30

func compareContext(ctx context.Context, m *model) (finding, error) {
	d, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	c, err := m.claims()
	if err != nil {
		return finding{}, err
	}
	ev := contextEvidence{Declared: d.ContextLength, Positions: learned(d)}
	text := c.config
	if text["max_position_embeddings"] == nil && text.object("text_config") != nil {
		text = text.object("text_config")
	}
	for _, key := range []string{"max_position_embeddings", "n_positions"} {
		if n, ok := text.integer(key); ok {
			ev.Declared = n // before package inference makes less of it
			break
		}
	}
	if ev.Declared <= 0 {
		return skipped("nothing says how long the context is"), nil
	}
	if ev.Positions > 0 && ev.Positions < ev.Declared {
		return failed(ev, "a context of %d tokens is declared, but there are only %d positions", ev.Declared, ev.Positions), nil
	}
	odd, err := ev.compare(m, c, text)
	if err != nil {
		return finding{}, err
	}
	if len(odd) > 0 {
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

// compare fills in what else is said of the context and returns what does not agree.
func (ev *contextEvidence) compare(m *model, c *claims, text document) (odd []string, err error) {
	ev.scaling(c, text)
	if ev.Scaled > 0 && ev.Declared > ev.Scaled+ev.Scaled/50 {
		odd = append(odd, fmt.Sprintf("a context of %d tokens is declared, but scaling makes only %d of the %d that the model was trained with", ev.Declared, ev.Scaled, ev.Original))
	}
	settings, err := documentAt(m.part.files, "tokenizer_config.json")
	if err != nil {
		return nil, err
	}
	if n, ok := settings.integer("model_max_length"); ok && n > 0 && n < unlimited {
		ev.Tokenizer = n
		if n > ev.Declared+ev.Declared/50 {
			odd = append(odd, fmt.Sprintf("the tokenizer allows %d tokens, the model has a context of %d", n, ev.Declared))
		}
	}
	ev.Claims = contextClaims(c.card.Body)
	most := max(ev.Declared, ev.Scaled)
	for _, n := range ev.Claims {
		if n > most+most/10 {
			odd = append(odd, fmt.Sprintf("the card claims a context of %d tokens, the configuration declares %d", n, ev.Declared))
		}
	}
	return odd, nil
}

// scaling reads how rotated positions are stretched.
func (ev *contextEvidence) scaling(c *claims, text document) {
	rope := text.object("rope_scaling")
	if rope == nil {
		rope = text.object("rope_parameters")
	}
	factor, _ := rope["factor"].(float64)
	original, ok := rope.integer("original_max_position_embeddings")
	if !ok {
		original, ok = text.integer("original_max_position_embeddings")
	}
	if c.head != nil {
		arch := c.head.Text("general.architecture", "")
		factor = c.head.Float(arch+".rope.scaling.factor", 0)
		original = int(min(max(c.head.Int(arch+".rope.scaling.original_context_length", 0), 0), unlimited))
		ok = original > 0
	}
	if ok && original > 0 && original < unlimited && factor >= 1 && factor < 1e6 {
		ev.Original, ev.Scaled = original, int(min(float64(original)*factor, unlimited))
	}
}

// learned returns how many rows of learned positions a model has.
func learned(d *inference.Facts) int {
	for _, t := range d.Tensors {
		for _, name := range positionNames {
			if (t.Name == name || strings.HasSuffix(t.Name, "."+name)) && len(t.Shape) == 2 {
				return t.Shape[0]
			}
		}
	}
	return 0
}

// contextClaim finds what a card says of the context: "128K context", "context length of 32,768 tokens".
var contextClaim = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(\d{1,3}(?:,\d{3})+|\d{1,7})\s?(k|m)?[\s-]*(?:tokens?\s+)?context(?:[\s-]+(?:length|window|size))?\b|context[\s-]+(?:length|window|size)(?:\s+(?:of|is|up to))*:?\s+(\d{1,3}(?:,\d{3})+|\d{1,7})\s?(k|m)?\b`)
})

func contextClaims(body string) (list []int) {
	for _, match := range contextClaim().FindAllStringSubmatch(body, 8) {
		digits, unit := match[1]+match[3], strings.ToLower(match[2]+match[4])
		n, err := strconv.Atoi(strings.ReplaceAll(digits, ",", ""))
		switch unit {
		case "k":
			n *= 1024
		case "m":
			n *= 1 << 20
		}
		if err == nil && n >= 256 && n < unlimited {
			list = append(list, n)
		}
	}
	return list
}
