package tokenizer

import "encoding/json"

func (r *steps) postProcessor(raw json.RawMessage, depth int) error {
	s, ok, err := r.read("post_processor", raw, depth)
	if !ok || err != nil {
		return err
	}
	switch s.Type {
	case "Sequence":
		for _, p := range s.Processors {
			if err := r.postProcessor(p, depth+1); err != nil {
				return err
			}
		}
	case "ByteLevel": // trims offsets, which are not kept here
	case "TemplateProcessing":
		return r.template(s)
	case "BertProcessing", "RobertaProcessing":
		return r.around(s)
	default:
		return unsupported("post-processor %.40q", s.Type)
	}
	return nil
}

// around reads the tokens that BertProcessing and RobertaProcessing put around a text: pairs of a token and its id.
func (r *steps) around(s step) error {
	for _, x := range []struct {
		raw json.RawMessage
		to  *[]int
	}{{s.CLS, &r.t.prefix}, {s.SEP, &r.t.suffix}} {
		var pair []any
		if err := json.Unmarshal(x.raw, &pair); err != nil || len(pair) != 2 {
			return malformed("post_processor", "%s without a pair of token and id", s.Type)
		}
		id, ok := pair[1].(float64)
		if _, known := r.t.Piece(int(id)); !ok || id != float64(int(id)) || !known {
			return malformed("post_processor", "id %v is not in the vocabulary", pair[1])
		}
		*x.to = append(*x.to, int(id))
	}
	r.t.pairOf(s.Type == "RobertaProcessing")
	return nil
}

func (r *steps) template(s step) error {
	var before, after []int
	seen := false
	for _, p := range s.Single {
		switch {
		case p.Sequence != nil && p.Sequence.ID == "A" && !seen:
			seen = true
		case p.SpecialToken != nil:
			ids, err := r.templateToken(s, p.SpecialToken.ID)
			if err != nil {
				return err
			}
			if len(before)+len(after) > maxSteps {
				return malformed("post_processor", "template of more than %d special tokens", maxSteps)
			}
			if seen {
				after = append(after, ids...)
			} else {
				before = append(before, ids...)
			}
		default:
			return unsupported("post-processor template without exactly one sequence A")
		}
	}
	if !seen {
		return malformed("post_processor", "template without a sequence")
	}
	r.t.prefix = append(r.t.prefix, before...)
	r.t.suffix = append(r.t.suffix, after...)
	return r.pairTemplate(s)
}

// templateToken returns the ids of a special token in a template.
func (r *steps) templateToken(s step, token string) ([]int, error) {
	ids := s.SpecialTokens[token].IDs
	if len(ids) == 0 || len(ids) > maxSteps {
		return nil, malformed("post_processor", "special token %.80q has %d ids", token, len(ids))
	}
	for _, id := range ids {
		if _, ok := r.t.Piece(id); !ok {
			return nil, malformed("post_processor", "id %d is not in the vocabulary", id)
		}
	}
	return ids, nil
}

// pairTemplate reads how a pair of texts is written. A template without both texts is none.
func (r *steps) pairTemplate(s step) error {
	var parts []pairPart
	seen := map[string]int{}
	for _, p := range s.Pair {
		switch {
		case len(parts) >= maxSteps:
			return malformed("post_processor", "template of more than %d parts", maxSteps)
		case p.Sequence != nil:
			seen[p.Sequence.ID]++
			parts = append(parts, pairPart{text: map[string]int{"A": 1, "B": 2}[p.Sequence.ID], kind: p.Sequence.TypeID})
		case p.SpecialToken != nil:
			ids, err := r.templateToken(s, p.SpecialToken.ID)
			if err != nil {
				return err
			}
			parts = append(parts, pairPart{ids: ids, kind: p.SpecialToken.TypeID})
		}
	}
	for i, p := range parts {
		if p.kind < 0 || p.kind > maxTypes {
			return malformed("post_processor", "type %d of part %d", p.kind, i)
		}
	}
	if len(seen) == 2 && seen["A"] == 1 && seen["B"] == 1 {
		r.t.pair = parts
	}
	return nil
}

// maxTypes bounds the types of tokens.
const maxTypes = 1 << 10
