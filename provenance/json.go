package provenance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Limits of documents.
const (
	MaxDocument = 8 << 20 // bytes of one
	maxDepth    = 32      // of nesting
	maxValues   = 1 << 19 // objects, lists and scalars in one
)

// decode reads a JSON object into v, and refuses what two parsers could read
// differently: a key twice in one object whatever its case, something after
// the object, nesting without end. Unknown keys are left alone. Errors: ErrMalformed.
func decode(p []byte, v any) error {
	if len(p) > MaxDocument {
		return fmt.Errorf("%w: it has more than %d bytes", ErrMalformed, MaxDocument)
	}
	c := checker{dec: json.NewDecoder(bytes.NewReader(p))}
	c.dec.UseNumber()
	t, err := c.dec.Token()
	switch {
	case err != nil:
	case t != json.Delim('{'):
		err = fmt.Errorf("it is not a JSON object")
	default:
		err = c.object(1)
	}
	if err == nil && c.dec.InputOffset() != int64(len(bytes.TrimRight(p, " \t\r\n"))) {
		err = fmt.Errorf("there is something after the object")
	}
	if err == nil {
		err = json.Unmarshal(p, v)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// Decode reads a JSON object as all documents here are read. Errors: ErrMalformed.
func Decode(p []byte, v any) error { return decode(p, v) }

type checker struct {
	dec    *json.Decoder
	values int
}

// object reads on behind an opening brace.
func (c *checker) object(depth int) error {
	seen := map[string]bool{}
	for c.dec.More() {
		t, err := c.dec.Token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		// encoding/json takes a key in any case for a field.
		if folded := strings.ToLower(key); seen[folded] {
			return fmt.Errorf("the key %.40q occurs twice in one object", key)
		} else {
			seen[folded] = true
		}
		if err := c.value(depth); err != nil {
			return err
		}
	}
	_, err := c.dec.Token()
	return err
}

func (c *checker) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	if c.values++; c.values > maxValues {
		return fmt.Errorf("it has more than %d values", maxValues)
	}
	t, err := c.dec.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		return c.object(depth + 1)
	case json.Delim('['):
		for c.dec.More() {
			if err := c.value(depth + 1); err != nil {
				return err
			}
		}
		_, err = c.dec.Token()
	}
	return err
}
