package text

import (
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
)

//go:embed fingerprints.json
var fingerprintsJSON []byte

// stored is a fingerprint as it is embedded, one in a line.
type stored struct {
	Ref    string `json:"ref"`
	Words  int    `json:"words"`
	Anchor string `json:"anchor"` // hex
	Digest string `json:"digest"`
	Sketch string `json:"sketch,omitempty"` // base64 of little-endian numbers
}

// Known returns the library of the texts whose fingerprints come with the program.
var Known = sync.OnceValue(func() *Library {
	list, err := decode(fingerprintsJSON)
	if err != nil {
		panic(fmt.Sprintf("text: embedded fingerprints: %v", err)) // a test reads the same bytes
	}
	return NewLibrary(list)
})

func decode(p []byte) ([]Fingerprint, error) {
	var all []stored
	if err := json.Unmarshal(p, &all); err != nil {
		return nil, err
	}
	list := make([]Fingerprint, len(all))
	for i, s := range all {
		f := &list[i]
		f.Ref, f.Words, f.Digest = s.Ref, s.Words, s.Digest
		var err error
		if f.Anchor, err = strconv.ParseUint(s.Anchor, 16, 64); err != nil {
			return nil, fmt.Errorf("%s: %w", s.Ref, err)
		}
		if s.Sketch == "" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(s.Sketch)
		if err != nil || len(b) != 4*sketchSize {
			return nil, fmt.Errorf("%s: a sketch of %d bytes: %w", s.Ref, len(b), err)
		}
		f.Sketch = new(Sketch)
		for j := range f.Sketch {
			f.Sketch[j] = binary.LittleEndian.Uint32(b[4*j:])
		}
	}
	return list, nil
}

func encode(list []Fingerprint) ([]byte, error) {
	out := []byte("[\n")
	for i, f := range list {
		s := stored{Ref: f.Ref, Words: f.Words, Anchor: strconv.FormatUint(f.Anchor, 16), Digest: f.Digest}
		if f.Sketch != nil {
			var b []byte
			for _, v := range f.Sketch {
				b = binary.LittleEndian.AppendUint32(b, v)
			}
			s.Sketch = base64.StdEncoding.EncodeToString(b)
		}
		p, err := json.Marshal(s)
		if err != nil {
			return nil, err
		}
		out = append(append(out, "  "...), p...)
		if i+1 < len(list) {
			out = append(out, ',')
		}
		out = append(out, '\n')
	}
	return append(out, "]\n"...), nil
}
