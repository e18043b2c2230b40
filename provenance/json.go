package provenance

import (
	"encoding/json"
	"fmt"

	"github.com/carat-hub/carat/provenance/strictjson"
)

// MaxDocument is how many bytes a document may have.
const MaxDocument = 8 << 20

// form is what documents look like. Others sign them, and what their keys are
// is theirs to say.
var form = strictjson.Form{Depth: 32, Values: 1 << 19}

// Decode reads a JSON object into v, and refuses what two parsers could read
// differently (package strictjson). Unknown keys are left alone. Errors:
// ErrMalformed.
func Decode(p []byte, v any) error {
	if len(p) > MaxDocument {
		return fmt.Errorf("%w: it has more than %d bytes", ErrMalformed, MaxDocument)
	}
	err := form.Check(p)
	if err == nil {
		err = json.Unmarshal(p, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
