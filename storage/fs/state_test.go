package fs

import (
	"errors"
	"testing"

	"github.com/carat-hub/carat/storage"
)

func FuzzParseState(f *testing.F) {
	for _, seed := range []string{
		`{"offset":0}`, `{"offset":17}`, `{"offset":-1}`, `{"offset":9223372036854775808}`, `{"offset":1e3}`,
		`[]`, `null`, `{"offset":1}{}`, `{"other":1}`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		st, err := parseState(raw)
		if err != nil && !errors.Is(err, storage.ErrState) {
			t.Fatalf("error %v", err)
		}
		if err == nil && st.Offset < 0 {
			t.Fatalf("offset %d", st.Offset)
		}
	})
}
