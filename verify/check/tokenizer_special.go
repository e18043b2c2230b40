package check

import (
	"context"
	"fmt"
	"slices"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/verify"
)

// specialCheck compares what files say of special tokens.
var specialCheck = check{
	id: idSpecial, level: verify.LevelQuick, unless: []string{idHeaders},
	proves: "The special tokens exist, lie inside the embedding, are the same in every file, and are found in a text as one token each.",
	run:    compareSpecial,
}

type specialEvidence struct {
	Tokens int           `json:"tokens"`         // of the tokenizer
	Rows   int           `json:"rows,omitempty"` // of the embedding
	Ids    []specialID   `json:"ids,omitempty"`
	Pieces []specialText `json:"pieces,omitempty"`
	Added  int           `json:"added"`           // special tokens that were looked for in a text
	Split  []string      `json:"split,omitempty"` // those that were not found as one token, the first few
}

// specialID is a special token that a file names by its number.
type specialID struct {
	Where string `json:"where"`
	Role  string `json:"role"` // "bos", "eos", "pad", "unk"
	ID    int    `json:"id"`
}

// specialText is a special token that a file names by its text.
type specialText struct {
	Where string `json:"where"`
	Role  string `json:"role"`
	Text  string `json:"text"`
	ID    int    `json:"id"` // -1 when the tokenizer does not know it

	text string
}

// vocabulary is what a tokenizer tells of its tokens, as *tokenizer.Tokenizer does.
type vocabulary interface {
	lexer
	ID(piece string) (int, bool)
	Piece(id int) (string, bool)
	Special(id int) bool
}

// roles are the special tokens that files name. Only those of firm are looked up while a model runs.
var (
	roles = []string{"bos", "eos", "pad", "unk"}
	firm  = []string{"bos", "eos"}
)

// maxSpecial is how many special tokens are looked for in a text.
const maxSpecial = 4096

func compareSpecial(ctx context.Context, m *model) (finding, error) {
	tok, err := m.tokenizer(ctx)
	if err != nil {
		return finding{}, err
	}
	v, ok := tok.(vocabulary)
	if !ok {
		return skipped("the tokenizer tells nothing of its special tokens"), nil
	}
	ev := specialEvidence{Tokens: tok.Size()}
	if d, err := m.facts(ctx); err == nil {
		ev.Rows = d.EmbeddingRows
	}
	if err := ev.collect(m, v); err != nil {
		return finding{}, err
	}
	bad, odd := ev.judge()
	for id := 0; id < v.Size() && ev.Added < maxSpecial; id++ {
		if ctx.Err() != nil {
			return finding{}, context.Cause(ctx)
		}
		piece, used := v.Piece(id)
		if !used || !v.Special(id) {
			continue
		}
		ev.Added++
		if got := v.Encode(piece, false); !slices.Equal(got, []int{id}) {
			ev.Split = addNamed(ev.Split, storable(piece))
		}
	}
	if len(ev.Split) > 0 {
		odd = append(odd, "these special tokens are not found in a text as one token: "+listed(ev.Split))
	}
	switch {
	case len(bad) > 0:
		return failed(ev, "%s", listed(bad)), nil
	case len(odd) > 0:
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

// collect fills in what the files say.
func (ev *specialEvidence) collect(m *model, v vocabulary) error {
	for _, name := range []string{"config.json", "generation_config.json"} {
		d, err := documentAt(m.part.files, name)
		if err != nil {
			return err
		}
		if d["eos_token_id"] == nil && d["bos_token_id"] == nil && d.object("text_config") != nil {
			d = d.object("text_config")
		}
		for _, role := range roles {
			for _, id := range integers(d[role+"_token_id"]) {
				ev.Ids = append(ev.Ids, specialID{name, role, id})
			}
		}
	}
	for _, name := range []string{"tokenizer_config.json", "special_tokens_map.json"} {
		d, err := documentAt(m.part.files, name)
		if err != nil {
			return err
		}
		for _, role := range roles {
			text := d.text(role + "_token")
			if text == "" {
				text = d.object(role + "_token").text("content")
			}
			if text != "" && len(text) < 1<<10 {
				id, ok := v.ID(text)
				if !ok {
					id = -1
				}
				ev.Pieces = append(ev.Pieces, specialText{name, role, storable(text), id, text})
			}
		}
	}
	c, err := m.claims()
	if err != nil || c.head == nil {
		return err
	}
	ev.fromGGUF(c.head)
	return nil
}

func (ev *specialEvidence) fromGGUF(g *gguf.File) {
	for role, key := range map[string]string{"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"} {
		if id := g.Int("tokenizer.ggml."+key+"_token_id", -1); id >= 0 && id < 1<<31 {
			ev.Ids = append(ev.Ids, specialID{"GGUF keys", role, int(id)})
		}
	}
	slices.SortFunc(ev.Ids, func(a, b specialID) int { return slices.Index(roles, a.Role) - slices.Index(roles, b.Role) })
}

// integers returns the whole numbers that a value is, or holds.
func integers(v any) (list []int) {
	many, ok := v.([]any)
	if !ok {
		many = []any{v}
	}
	for _, x := range many[:min(len(many), maxNamed)] {
		if n, ok := (document{"n": x}).integer("n"); ok {
			list = append(list, n)
		}
	}
	return list
}

// judge says which special tokens the model does not have, and which files do not agree.
func (ev *specialEvidence) judge() (bad, odd []string) {
	rows := max(ev.Rows, ev.Tokens)
	byID := map[string][]int{} // by role: what is said in numbers
	for _, s := range ev.Ids {
		byID[s.Role] = append(byID[s.Role], s.ID)
		sentence := fmt.Sprintf("%s says that %s is token %d, of %d", s.Where, s.Role, s.ID, rows)
		switch {
		case s.ID >= 0 && s.ID < rows:
		case slices.Contains(firm, s.Role) && s.ID >= rows:
			bad = append(bad, sentence)
		default:
			odd = append(odd, sentence)
		}
	}
	said := map[string]specialText{}
	for _, s := range ev.Pieces {
		if s.ID < 0 {
			odd = append(odd, fmt.Sprintf("%s names %s %q, which the tokenizer does not know", s.Where, s.Role, s.Text))
			continue
		}
		if other, twice := said[s.Role]; twice && other.text != s.text {
			odd = append(odd, fmt.Sprintf("%s names %s %q, %s %q", s.Where, s.Role, s.Text, other.Where, other.Text))
		}
		said[s.Role] = s
		if ids := byID[s.Role]; len(ids) > 0 && !slices.Contains(ids, s.ID) && s.Role != "pad" && s.Role != "unk" {
			odd = append(odd, fmt.Sprintf("%s names %s %q, token %d, other files the tokens %v", s.Where, s.Role, s.Text, s.ID, ids))
		}
	}
	return bad, odd
}
