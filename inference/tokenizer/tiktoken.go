package tokenizer

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"strconv"

	"github.com/carat-hub/carat/inference/internal/jsonwalk"
)

// FromTiktoken reads a tiktoken file: a line for each token, its bytes in base64 and its rank, which is its id. pattern splits the
// text, in the form that tokenizer.json files use; special tokens are those that the file does not carry, by their text.
//
// It returns a *fault.Malformed for a damaged file and a *fault.Unsupported for a pattern that cannot be split.
func FromTiktoken(b []byte, pattern string, special map[string]int) (*Tokenizer, error) {
	if len(b) > MaxFile {
		return nil, malformed("", "%d bytes exceed the limit of %d", len(b), MaxFile)
	}
	split, err := compileSplit(pattern, isolated)
	if err != nil {
		return nil, err
	}
	vocab := make(map[string]int, min(bytes.Count(b, []byte("\n"))+1, MaxVocab))
	var all jsonwalk.Arena
	var raw, written []byte
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		text, rank, ok := bytes.Cut(line, []byte(" "))
		raw, err = base64.StdEncoding.AppendDecode(raw[:0], text)
		id, idErr := strconv.Atoi(string(rank))
		if !ok || err != nil || idErr != nil || len(raw) == 0 || len(raw) > maxPiece || id < 0 || id >= MaxVocab {
			return nil, malformed("", "line %d is not bytes and a rank", n)
		}
		written = appendByteRunes(written[:0], raw)
		piece := all.Add(written)
		if _, twice := vocab[piece]; twice || len(vocab) >= MaxVocab {
			return nil, malformed("", "line %d: a token twice, or more than %d", n, MaxVocab)
		}
		vocab[piece] = id
	}
	if err := lines.Err(); err != nil {
		return nil, malformed("", "%v", err)
	}
	added := make([]addedToken, 0, len(special))
	for text, id := range special {
		if text == "" || len(text) > maxPiece {
			return nil, malformed("special tokens", "a token of %d bytes", len(text))
		}
		added = append(added, addedToken{id: id, content: text, special: true})
	}
	m := &spm{ids: vocab, unk: -1, wholeWords: true}
	t, err := newTokenizer("bpe", vocab, added)
	if err != nil {
		return nil, err
	}
	m.scores = make([]float32, len(t.pieces))
	for id := range m.scores {
		m.scores[id] = -float32(id) // exact below 1<<24
	}
	none := [256]int{}
	for i := range none {
		none[i] = -1
	}
	m.bytes = &none
	t.model = m
	t.splitters = []splitter{split, byteLevel}
	t.decoders = []decoder{decodeByteLevel}
	return t, nil
}
