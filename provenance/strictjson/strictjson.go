package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Form says what a document may look like.
type Form struct {
	Depth  int // how deep values may be nested
	Values int // objects, lists and scalars in one document; 0 for as many as it has bytes for
	// Names are the keys that have a meaning. One in another case is refused,
	// because encoding/json takes it for the same and others do not. Without
	// names, no object may have two keys that differ only in case.
	Names []string
	// Free are the keys below which every key has a meaning of its own: only
	// doubles are refused there.
	Free []string
}

// Check reports the first thing about a JSON object that two parsers could
// read differently: a key twice in one object, a known key in another case,
// something after the object, more nesting or values than the form allows.
// The error is one to show: it quotes no more than the beginning of a key.
func (f Form) Check(p []byte) error {
	c := checker{Form: f, dec: json.NewDecoder(bytes.NewReader(p))}
	c.dec.UseNumber()
	t, err := c.token()
	switch {
	case err != nil:
		return err
	case t != json.Delim('{'):
		return errors.New("it is not a JSON object")
	}
	if err := c.object(1, true); err != nil {
		return err
	}
	if c.dec.InputOffset() != int64(len(bytes.TrimRight(p, " \t\r\n"))) {
		return errors.New("there is something after the object")
	}
	return nil
}

type checker struct {
	Form
	dec    *json.Decoder
	values int
}

func (c *checker) token() (json.Token, error) {
	t, err := c.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("it is not valid JSON: %w", err)
	}
	return t, nil
}

// object reads on behind an opening brace.
func (c *checker) object(depth int, known bool) error {
	seen := map[string]bool{}
	for c.dec.More() {
		t, err := c.token()
		if err != nil {
			return err
		}
		key, _ := t.(string)
		if err := c.key(key, seen, known); err != nil {
			return err
		}
		if err := c.value(depth, known && !slices.Contains(c.Free, key)); err != nil {
			return err
		}
	}
	_, err := c.token()
	return err
}

// key refuses a key that was seen in the same object, or is a known one in
// another case.
func (c *checker) key(key string, seen map[string]bool, known bool) error {
	as := key
	if len(c.Names) == 0 {
		as = strings.ToLower(key)
	}
	if seen[as] {
		return fmt.Errorf("the key %.40q occurs twice in one object", key)
	}
	seen[as] = true
	if !known {
		return nil
	}
	for _, n := range c.Names {
		if key != n && strings.EqualFold(key, n) {
			return fmt.Errorf("the key %.40q must be written %q", key, n)
		}
	}
	return nil
}

func (c *checker) value(depth int, known bool) error {
	if depth > c.Depth {
		return fmt.Errorf("it is nested more than %d deep", c.Depth)
	}
	if c.values++; c.Values > 0 && c.values > c.Values {
		return fmt.Errorf("it has more than %d values", c.Values)
	}
	t, err := c.token()
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
		_, err = c.token()
	}
	return err
}
