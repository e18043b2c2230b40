package attestation

import (
	"fmt"

	"github.com/carat-hub/carat/provenance/strictjson"
)

// form is what envelopes, statements and reports look like. The values of
// evidence and digest have names of their own.
var form = strictjson.Form{
	Depth: 64,
	Names: []string{
		"payload", "payloadType", "signatures", "keyid", "sig",
		"_type", "subject", "predicateType", "predicate", "name", "digest", "mediaType",
		"version", "checkSet", "level", "state", "summary", "results", "files", "startedAt", "finishedAt", "verifier",
		"id", "file", "proves", "outcome", "reason", "evidence", "seconds", "path", "size", "platform",
		"current", "sandbox", "spent",
	},
	Free: []string{"evidence", "digest"},
}

// checkJSON refuses what two parsers could read differently. Errors: ErrMalformed.
func checkJSON(p []byte) error {
	if err := form.Check(p); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
