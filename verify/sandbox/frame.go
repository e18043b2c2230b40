package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Every word between parent and child is a frame: one byte for its kind, its length in 4 bytes (little endian), and its payload.
const (
	// From the child.
	frameLevel   = 'L' // first: a report as JSON
	frameMessage = 'M' // a message of the task
	frameRequest = 'R' // a request for bytes: see request
	frameError   = 'E' // last: the task's error
	frameDone    = 'D' // last: the task returned nil

	// From the parent.
	frameSetup = 'S' // first: a setup as JSON
	frameGo    = 'G' // the task's arguments: the level is enough, begin
	frameBytes = 'B' // the answer to a request: its number in 4 bytes, 1 at the file's end or else 0, the bytes
)

const (
	headerSize = 5
	// rangeSize is how much one request may ask for.
	rangeSize   = 1 << 20
	requestSize = 4 + 4 + 8 + 4
	bytesHeader = 4 + 1
	// reportSize bounds the frames that say how the child is doing.
	reportSize = 16 << 10
	errorSize  = 4 << 10
)

// errTooLong is in the chain of readFrame's error when a frame is longer than its kind may be.
var errTooLong = errors.New("frame too long")

// readFrame reads one frame. Limit gives the longest payload of a kind, or less than 0 for a kind that must not come; no memory is
// taken for more. It returns io.EOF at the end of r between two frames, and io.ErrUnexpectedEOF within one.
func readFrame(r io.Reader, limit func(kind byte) int64) (kind byte, payload []byte, err error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	kind = header[0]
	size, most := int64(binary.LittleEndian.Uint32(header[1:])), limit(kind)
	if most < 0 {
		return kind, nil, fmt.Errorf("unexpected frame %q", kind)
	}
	if size > most {
		return kind, nil, fmt.Errorf("%w: %d bytes, at most %d", errTooLong, size, most)
	}
	payload = make([]byte, size)
	if _, err := io.ReadFull(r, payload); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return kind, nil, err
	}
	return kind, payload, nil
}

// writeFrame writes one frame, its payload given in parts.
func writeFrame(w io.Writer, kind byte, parts ...[]byte) error {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	b := make([]byte, headerSize, headerSize+min(size, 64<<10))
	b[0] = kind
	binary.LittleEndian.PutUint32(b[1:], uint32(size))
	for _, p := range parts {
		if len(b)+len(p) <= cap(b) {
			b = append(b, p...)
			continue
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
		b = b[:0]
	}
	if len(b) == 0 {
		return nil
	}
	_, err := w.Write(b)
	return err
}

// request asks for bytes of a range.
type request struct {
	id, index uint32
	offset    int64
	size      uint32
}

func (q request) encode() []byte {
	b := make([]byte, requestSize)
	binary.LittleEndian.PutUint32(b, q.id)
	binary.LittleEndian.PutUint32(b[4:], q.index)
	binary.LittleEndian.PutUint64(b[8:], uint64(q.offset))
	binary.LittleEndian.PutUint32(b[16:], q.size)
	return b
}

// putID begins an answer to the request with its number.
func (q request) putID(b []byte) { binary.LittleEndian.PutUint32(b, q.id) }

// decodeRequest reads a request and checks it against the ranges that there are.
func decodeRequest(b []byte, ranges []Range) (request, error) {
	if len(b) != requestSize {
		return request{}, fmt.Errorf("request of %d bytes", len(b))
	}
	q := request{
		id:     binary.LittleEndian.Uint32(b),
		index:  binary.LittleEndian.Uint32(b[4:]),
		offset: int64(binary.LittleEndian.Uint64(b[8:])),
		size:   binary.LittleEndian.Uint32(b[16:]),
	}
	switch {
	case uint64(q.index) >= uint64(len(ranges)):
		return q, fmt.Errorf("request for file %d of %d", q.index, len(ranges))
	case q.size == 0 || q.size > rangeSize:
		return q, fmt.Errorf("request for %d bytes", q.size)
	case q.offset < 0 || q.offset >= ranges[q.index].Size:
		return q, fmt.Errorf("request at offset %d of %d", q.offset, ranges[q.index].Size)
	}
	q.size = uint32(min(int64(q.size), ranges[q.index].Size-q.offset))
	return q, nil
}
