package attestation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// maxDepth is how deep the JSON of an envelope or a statement may be nested.
const maxDepth = 64

// names are the keys that have a meaning in envelopes, statements and reports.
var names = []string{
	"payload", "payloadType", "signatures", "keyid", "sig",
	"_type", "subject", "predicateType", "predicate", "name", "digest", "mediaType",
	"version", "checkSet", "level", "state", "summary", "results", "files", "startedAt", "finishedAt", "verifier",
	"id", "file", "proves", "outcome", "reason", "evidence", "seconds", "path", "size", "platform",
	"current", "sandbox", "spent",
}

// free are the keys whose values have names of their own.
var free = map[string]bool{"evidence": true, "digest": true}

// checkJSON refuses what two parsers could read differently: a key twice in
// one object, a known key in another case, something after the object, and
// nesting without end. Errors: ErrMalformed.
func checkJSON(p []byte) error {
	c := checker{dec: json.NewDecoder(bytes.NewReader(p))}
	c.dec.UseNumber()
	t, err := c.dec.Token()
	if err == nil && t != json.Delim('{') {
		return fmt.Errorf("%w: it is not a JSON object", ErrMalformed)
	}
	if err == nil {
		err = c.object(1, true)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if c.dec.InputOffset() != int64(len(bytes.TrimRight(p, " \t\r\n"))) {
		return fmt.Errorf("%w: there is something after the object", ErrMalformed)
	}
	return nil
}

type checker struct{ dec *json.Decoder }

// object reads on behind an opening brace.
func (c checker) object(depth int, known bool) error {
	seen := map[string]bool{}
	for c.dec.More() {
		t, err := c.dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if seen[key] {
			return fmt.Errorf("the key %.40q occurs twice in one object", key)
		}
		seen[key] = true
		if known {
			for _, n := range names {
				if key != n && strings.EqualFold(key, n) {
					return fmt.Errorf("the key %.40q must be written %q", key, n)
				}
			}
		}
		if err := c.value(depth, known && !free[key]); err != nil {
			return err
		}
	}
	_, err := c.dec.Token()
	return err
}

func (c checker) value(depth int, known bool) error {
	if depth > maxDepth {
		return fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	t, err := c.dec.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		return c.object(depth+1, known)
	case json.Delim('['):
		for c.dec.More() {
			if err := c.value(depth+1, known); err != nil {
				return err
			}
		}
		_, err = c.dec.Token()
	}
	return err
}
