package check

import (
	"bytes"
	"context"
	"fmt"

	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check/secret"
)

// secretsCheck looks for credentials.
var secretsCheck = check{
	id: idSecrets, level: verify.LevelQuick, once: true,
	proves: "No file holds a credential of a well-known form, such as a private key or a token of a cloud.",
	run:    findSecrets,
}

// How many bytes are searched: of a text, of any other file, and of all files.
const (
	maxSecretText   = 8 << 20
	maxSecretBinary = 1 << 20
	maxSecretTotal  = 512 << 20
)

type secretsEvidence struct {
	Bytes int64         `json:"bytes"` // that were searched
	Found []foundSecret `json:"found,omitempty"`
	More  int           `json:"more,omitempty"` // that are not listed
}

type foundSecret struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Kind    string `json:"kind"`
	Begins  string `json:"begins,omitempty"` // its first four characters
	Length  int    `json:"length"`           // bytes
	Certain bool   `json:"certain"`          // the form leaves little doubt
}

func findSecrets(ctx context.Context, m *model) (finding, error) {
	var ev secretsEvidence
	var sure, unsure []string
	for _, f := range m.files {
		if ctx.Err() != nil {
			return finding{}, context.Cause(ctx)
		}
		limit := min(int64(maxSecretText), maxSecretTotal-ev.Bytes)
		p, err := f.Head(min(limit, maxSecretBinary))
		if err == nil && int64(len(p)) < min(f.Size, limit) && bytes.IndexByte(p, 0) < 0 {
			p, err = f.Head(limit)
		}
		if err != nil {
			return finding{}, err
		}
		ev.Bytes += int64(len(p))
		for _, s := range secret.Scan(f.Path, p) {
			name := storable(f.Path)
			sentence := fmt.Sprintf("%s line %d: %s %q of %d characters", name, s.Line, s.Kind, s.Shown+"…", s.Length)
			if s.Certain {
				sure = append(sure, sentence)
			} else {
				unsure = append(unsure, sentence)
			}
			if len(ev.Found) < maxNamed {
				ev.Found = append(ev.Found, foundSecret{File: name, Line: s.Line, Kind: s.Kind, Begins: s.Shown, Length: s.Length, Certain: s.Certain})
			} else {
				ev.More++
			}
		}
	}
	switch {
	case len(sure) > 0:
		return failed(ev, "credentials are published with the model, and have to be revoked: %s", listed(sure)), nil
	case len(unsure) > 0:
		return warned(ev, "these look like credentials: %s", listed(unsure)), nil
	}
	return passed(ev), nil
}
