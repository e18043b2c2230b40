package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// ErrBroken says that a log is not the one that was written.
var ErrBroken = errors.New("the audit log was changed")

// MaxEntry is how long an entry may be, in bytes.
const MaxEntry = 1 << 20

// Entry is an event as part of the log.
type Entry struct {
	Seq int64 `json:"seq"` // 1 for the first, without gaps
	Event
	Previous string `json:"previous"`       // hash of the entry before it, "" for the first
	Hash     string `json:"hash,omitempty"` // of the entry without this field, "sha256:" and hexadecimal digits
}

// Follow makes the entry of an event that follows the last one of the log.
func Follow(seq int64, hash string, e Event) (Entry, error) {
	entry := Entry{Seq: seq + 1, Event: e, Previous: hash}
	var err error
	entry.Hash, err = entry.sum()
	return entry, err
}

// Line returns the entry as it is stored and exported: one line of JSON, the
// same for the same entry.
func (e Entry) Line() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func (e Entry) sum() (string, error) {
	e.Hash = ""
	line, err := e.Line()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(line)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// ParseEntry reads a line and checks its hash. Errors: ErrBroken.
func ParseEntry(line []byte) (Entry, error) {
	var e Entry
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&e); err != nil {
		return e, fmt.Errorf("%w: no entry: %w", ErrBroken, err)
	}
	again, err := e.Line()
	if err != nil || !bytes.Equal(again, line) {
		return e, fmt.Errorf("%w: entry %d is not written as the hub writes entries", ErrBroken, e.Seq)
	}
	if sum, err := e.sum(); err != nil || sum != e.Hash {
		return e, fmt.Errorf("%w: entry %d is not what it was", ErrBroken, e.Seq)
	}
	return e, nil
}

// Chain checks entries that come one after the other. The zero value expects
// the first of a log.
type Chain struct {
	Seq  int64  // of the last entry
	Hash string // of the last entry
}

// Add checks the next line. Errors: ErrBroken.
func (c *Chain) Add(line []byte) (Entry, error) {
	e, err := ParseEntry(line)
	switch {
	case err != nil:
		return e, err
	case e.Seq != c.Seq+1:
		return e, fmt.Errorf("%w: entry %d follows entry %d", ErrBroken, e.Seq, c.Seq)
	case e.Previous != c.Hash:
		return e, fmt.Errorf("%w: entry %d does not follow the entry before it, which was exchanged", ErrBroken, e.Seq)
	}
	c.Seq, c.Hash = e.Seq, e.Hash
	return e, nil
}

// End checks that the log ends where it should. Entries that were taken off
// the end show in nothing else. Errors: ErrBroken.
func (c *Chain) End(seq int64, hash string) error {
	if c.Seq != seq || c.Hash != hash {
		return fmt.Errorf("%w: it ends with entry %d, %s, and not with entry %d, %s", ErrBroken, c.Seq, c.Hash, seq, hash)
	}
	return nil
}

// ReadLines hands the lines of a log as it was exported to each.
func ReadLines(r io.Reader, each func([]byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, MaxEntry)
	for lines.Scan() {
		if err := each(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read the audit log: %w", err)
	}
	return nil
}
