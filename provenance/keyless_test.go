package provenance

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestParseTrustFile(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"bad.pem": {Data: []byte("no PEM")}, "root.json": {Data: []byte("{}")}}
	read := func(name string) ([]byte, error) { return fs.ReadFile(files, name) }
	sigstore := func(identities string) string {
		return `{"sigstore":{"trustedRoot":"root.json","identities":[` + identities + `]}}`
	}
	for name, tt := range map[string]struct {
		text string
		want error
	}{
		"nothing":               {`{}`, ErrTrust},
		"an unknown field":      {`{"key":"x"}`, ErrTrust},
		"a field twice":         {`{"keys":"a","keys":"b"}`, ErrTrust},
		"a file that is away":   {`{"keys":"none.pem"}`, fs.ErrNotExist},
		"no PEM":                {`{"keys":"bad.pem"}`, ErrKey},
		"no identities":         {sigstore(``), ErrTrust},
		"no issuer":             {sigstore(`{"subject":"a"}`), ErrTrust},
		"no subject":            {sigstore(`{"issuer":"a"}`), ErrTrust},
		"both kinds of subject": {sigstore(`{"issuer":"a","subject":"b","subjectPattern":"c"}`), ErrTrust},
		"a bad pattern":         {sigstore(`{"issuer":"a","subjectPattern":"("}`), ErrTrust},
		"a long subject":        {sigstore(`{"issuer":"a","subject":"` + strings.Repeat("s", maxText+1) + `"}`), ErrTrust},
		"no trusted root":       {`{"sigstore":{"identities":[{"issuer":"a","subject":"b"}]}}`, ErrTrust},
		"plain text":            {"no PEM", ErrKey},
	} {
		if _, err := ParseTrustFile([]byte(tt.text), read); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	// A program without sigstore says so, and one with it that this is no root.
	_, err := ParseTrustFile([]byte(sigstore(`{"issuer":"a","subject":"b"}`)), read)
	if !errors.Is(err, ErrNoSigstore) && !errors.Is(err, ErrTrust) {
		t.Errorf("an empty root: %v", err)
	}
}
