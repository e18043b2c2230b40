package check

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/tokenizer"
	"github.com/carat-hub/carat/verify"
)

// agreementCheck compares the tokenizers of one version with each other: programs choose one of them.
var agreementCheck = check{
	id: idAgreement, level: verify.LevelQuick, unless: []string{idHeaders},
	proves: "Every form of the tokenizer in the version gives the same ids.",
	run:    compareTokenizers,
}

type agreementEvidence struct {
	Compared []string        `json:"compared,omitempty"` // what was compared with the tokenizer of the model
	Skipped  []string        `json:"skipped,omitempty"`  // what could not be, and why
	Texts    []textDifferent `json:"texts,omitempty"`    // that have other ids
	Pieces   []pieceDiffers  `json:"pieces,omitempty"`   // tokens with other ids, the first few
}

type textDifferent struct {
	Other string `json:"other"`
	Name  string `json:"name"`
	Ids   []int  `json:"ids"`      // the first few
	IdsBy []int  `json:"otherIds"` // the first few
}

type pieceDiffers struct {
	Other string `json:"other"`
	Piece string `json:"piece"`
	ID    int    `json:"id"` // of the other
	Here  int    `json:"here"`
}

// maxVocabularyFile bounds the vocabularies that are compared, in bytes.
const maxVocabularyFile = 16 << 20

func compareTokenizers(ctx context.Context, m *model) (finding, error) {
	tok, err := m.tokenizer(ctx)
	if err != nil {
		return finding{}, err
	}
	v, ok := tok.(vocabulary)
	if !ok {
		return skipped("the tokenizer tells nothing of its tokens"), nil
	}
	var ev agreementEvidence
	var bad, odd []string
	if hasExt(m.part.files[0].Path, ".gguf") {
		bad, odd, err = ev.withFolder(ctx, m, v)
	} else {
		odd, err = ev.withVocabularies(m.part.files, v)
	}
	switch {
	case err != nil:
		return finding{evidence: ev}, err
	case len(bad) > 0:
		return failed(ev, "%s", listed(bad)), nil
	case len(odd) > 0:
		return warned(ev, "%s", listed(odd)), nil
	case len(ev.Compared) == 0 && len(ev.Skipped) > 0:
		return finding{outcome: verify.OutcomeSkipped, reason: listed(ev.Skipped), evidence: ev}, nil
	case len(ev.Compared) == 0:
		return excused("there is one form of the tokenizer"), nil
	}
	return passed(ev), nil
}

// withFolder compares a GGUF file's tokenizer with the tokenizer.json at the top of the version.
func (ev *agreementEvidence) withFolder(ctx context.Context, m *model, v vocabulary) (bad, odd []string, err error) {
	var folder verify.Files
	for _, name := range []string{"tokenizer.json", "tokenizer_config.json"} {
		if f := m.files.Lookup(name); f != nil {
			folder = append(folder, f)
		}
	}
	if len(folder) == 0 || folder[0].Path != "tokenizer.json" {
		return nil, nil, nil
	}
	other, err := m.engine.tokenizer(ctx, folder)
	if hindrance := obstacle(err); hindrance != nil {
		ev.Skipped = append(ev.Skipped, "tokenizer.json: "+storable(hindrance.Error()))
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	ev.Compared = append(ev.Compared, "tokenizer.json")
	for _, s := range specimens {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		a, b := v.Encode(s.text, false), other.Encode(s.text, false)
		if slices.Equal(a, b) {
			continue
		}
		ev.Texts = append(ev.Texts, textDifferent{"tokenizer.json", s.name, a[:min(len(a), maxNamed)], b[:min(len(b), maxNamed)]})
		sentence := fmt.Sprintf("the text %q has other ids in tokenizer.json than in the GGUF file", s.name)
		if s.basic {
			bad = append(bad, sentence)
		} else {
			odd = append(odd, sentence)
		}
	}
	return bad, odd, nil
}

// withVocabularies compares tokenizer.json with the vocabularies in files of their own beside it.
func (ev *agreementEvidence) withVocabularies(files verify.Files, v vocabulary) (odd []string, err error) {
	if files.Lookup("tokenizer.json") == nil {
		return nil, nil
	}
	for _, name := range []string{"vocab.json", "vocab.txt", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"} {
		f := files.Lookup(name)
		if f == nil || f.Packed {
			continue
		}
		if f.Size > maxVocabularyFile {
			ev.Skipped = append(ev.Skipped, fmt.Sprintf("%s has %d bytes", name, f.Size))
			continue
		}
		p, err := f.Head(maxVocabularyFile)
		if err != nil {
			return nil, err
		}
		ids, why := readVocabulary(name, p)
		if why != "" {
			ev.Skipped = append(ev.Skipped, name+": "+why)
			continue
		}
		ev.Compared = append(ev.Compared, name)
		if n := ev.pieces(name, ids, v); n > 0 {
			odd = append(odd, fmt.Sprintf("%d of %d tokens of %s have other ids in tokenizer.json, or none", n, len(ids), name))
		}
	}
	return odd, nil
}

// pieces counts the tokens that have another id, and names the first few. A SentencePiece model may number its tokens from
// another begin on than the tokenizer that is made from it.
func (ev *agreementEvidence) pieces(name string, ids []string, v vocabulary) (n int) {
	shift := 0
	if path.Ext(name) == ".model" {
		shift = commonShift(ids, v)
	}
	for id, piece := range ids {
		if piece == "" {
			continue
		}
		here, ok := v.ID(piece)
		if ok && (here == id || here == id+shift) {
			continue
		}
		if same, used := v.Piece(id + shift); used && same == piece {
			continue // one of two with the same text
		}
		if !ok {
			here = -1
		}
		if n++; len(ev.Pieces) < maxNamed {
			ev.Pieces = append(ev.Pieces, pieceDiffers{name, storable(piece), id, here})
		}
	}
	return n
}

// commonShift returns by how much nine of ten tokens are shifted, 0 when there is no such number.
func commonShift(ids []string, v vocabulary) int {
	counts := map[int]int{}
	for id, piece := range ids {
		if here, ok := v.ID(piece); ok {
			counts[here-id]++
		}
	}
	for shift, n := range counts {
		if n*10 >= len(ids)*9 {
			return shift
		}
	}
	return 0
}

// readVocabulary returns the tokens of a vocabulary by their ids, or why it cannot.
func readVocabulary(name string, p []byte) (ids []string, why string) {
	switch path.Ext(name) {
	case ".txt":
		for line := range strings.Lines(string(p)) {
			if len(ids) == tokenizer.MaxVocab {
				return nil, "it has too many lines"
			}
			ids = append(ids, strings.TrimRight(line, "\r\n"))
		}
		return ids, ""
	case ".json":
		if bytes.Count(p, []byte(":")) > 2*tokenizer.MaxVocab {
			return nil, "it has too many tokens"
		}
		var m map[string]int
		if json.Unmarshal(p, &m) != nil {
			return nil, "it is no object of tokens and numbers"
		}
		for piece, id := range m {
			if id < 0 || id >= tokenizer.MaxVocab {
				return nil, "it has ids out of bounds"
			}
			for len(ids) <= id {
				ids = append(ids, "")
			}
			ids[id] = piece
		}
		return ids, ""
	}
	return sentencePieces(p)
}

// sentencePieces reads the tokens of a SentencePiece model: a message of Protocol Buffers whose field 1 repeats, each a
// message with the text in field 1.
func sentencePieces(p []byte) (ids []string, why string) {
	const broken = "it is no SentencePiece model"
	for len(p) > 0 {
		number, body, rest, ok := field(p)
		if !ok {
			return nil, broken
		}
		p = rest
		if number != 1 {
			continue
		}
		text := ""
		for len(body) > 0 {
			number, value, rest, ok := field(body)
			if !ok {
				return nil, broken
			}
			if body = rest; number == 1 {
				text = string(value)
			}
		}
		if len(ids) == tokenizer.MaxVocab {
			return nil, "it has too many tokens"
		}
		ids = append(ids, text)
	}
	if len(ids) == 0 {
		return nil, broken
	}
	return ids, ""
}

// field cuts one field of Protocol Buffers off; value is nil for a number.
func field(p []byte) (number uint64, value, rest []byte, ok bool) {
	tag, p, ok := varint(p)
	if !ok {
		return 0, nil, nil, false
	}
	size := uint64(0)
	switch tag & 7 {
	case 0:
		_, p, ok = varint(p)
		return tag >> 3, nil, p, ok
	case 1:
		size = 8
	case 5:
		size = 4
	case 2:
		if size, p, ok = varint(p); !ok {
			return 0, nil, nil, false
		}
	default:
		return 0, nil, nil, false
	}
	if size > uint64(len(p)) {
		return 0, nil, nil, false
	}
	return tag >> 3, p[:size], p[size:], true
}

func varint(p []byte) (n uint64, rest []byte, ok bool) {
	for i := 0; i < len(p) && i < 10; i++ {
		n |= uint64(p[i]&0x7f) << (7 * i)
		if p[i] < 0x80 {
			return n, p[i+1:], true
		}
	}
	return 0, nil, false
}
