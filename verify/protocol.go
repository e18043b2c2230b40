package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/sandbox"
)

// The tasks of a child.
const (
	taskVerify  = "verify"
	taskInspect = "inspect"
	taskProbe   = "probe" // does nothing: it shows what the sandbox is worth here
)

// request is what a child is told beside its files.
type request struct {
	Files []requestFile `json:"files"`

	Level   Level `json:"level,omitempty"`
	Threads int   `json:"threads,omitempty"`

	Bases       []requestBase `json:"bases,omitempty"`
	Previous    *Report       `json:"previous,omitempty"`
	Fingerprint bool          `json:"fingerprint,omitempty"`
}

// requestBase is a base and its files, which lie among the same descriptors
// and ranges as the model's.
type requestBase struct {
	Base
	Files []requestFile `json:"files,omitempty"`
}

// pack fills in the files of the model and those of the bases.
func (r *request) pack(files Files, bases []Base) (disk []*os.File, ranges []sandbox.Range) {
	all := slices.Clone(files)
	for _, b := range bases {
		all = append(all, b.Files...)
	}
	list, disk, ranges := pack(all)
	r.Files, list = list[:len(files)], list[len(files):]
	r.Bases = nil
	for _, b := range bases {
		n := len(b.Files)
		r.Bases, list = append(r.Bases, requestBase{Base: b, Files: list[:n]}), list[n:]
	}
	return disk, ranges
}

// options are those of the request, seen from the child.
func (r *request) options(disk []*os.File, ranges []sandbox.Range) (RunOptions, error) {
	o := RunOptions{Level: r.Level, Threads: r.Threads, Previous: r.Previous, Fingerprint: r.Fingerprint}
	for _, b := range r.Bases {
		files, err := unpack(b.Files, disk, ranges)
		if err != nil {
			return o, err
		}
		b.Base.Files = files
		o.Bases = append(o.Bases, b.Base)
	}
	return o, nil
}

// requestFile says which of the child's descriptors or ranges a file is.
type requestFile struct {
	Path   string          `json:"path"`
	Size   int64           `json:"size"` // bytes
	Digest registry.Digest `json:"digest,omitzero"`
	Packed bool            `json:"packed,omitempty"`
	Range  bool            `json:"range,omitempty"` // read through the parent, and no descriptor
	Index  int             `json:"index"`           // among the descriptors, or among the ranges
}

// message is one word of a child. Exactly one field is set.
type message struct {
	Current string          `json:"current,omitempty"` // the check that begins
	Result  *Result         `json:"result,omitempty"`  // of a check that is done
	Verdict *verdict        `json:"verdict,omitempty"` // the last word of taskVerify
	Facts   json.RawMessage `json:"facts,omitempty"`   // of taskInspect
	Problem *string         `json:"problem,omitempty"` // a ContentError of taskInspect
}

// verdict is what a verification came to.
type verdict struct {
	State   State          `json:"state"`
	Summary string         `json:"summary"`
	Files   []VerifiedFile `json:"files"`
}

// pack splits files into what a child gets as descriptors and what it reads
// through its parent.
func pack(files Files) (list []requestFile, disk []*os.File, ranges []sandbox.Range) {
	for _, f := range files {
		r := requestFile{Path: f.Path, Size: f.Size, Digest: f.Digest, Packed: f.Packed}
		if f.OS() != nil {
			r.Index, disk = len(disk), append(disk, f.OS())
		} else {
			r.Range, r.Index, ranges = true, len(ranges), append(ranges, sandbox.Range{ReaderAt: f, Size: f.Size})
		}
		list = append(list, r)
	}
	return list, disk, ranges
}

// unpack is what pack has done, seen from the child.
func unpack(list []requestFile, disk []*os.File, ranges []sandbox.Range) (Files, error) {
	var files Files
	for _, r := range list {
		var f *File
		switch {
		case r.Range && r.Index < len(ranges):
			f = NewFile(r.Path, r.Size, r.Digest, ranges[r.Index])
		case !r.Range && r.Index < len(disk):
			var err error
			if f, err = OpenFile(r.Path, r.Digest, disk[r.Index]); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("file %s was not handed over", r.Path)
		}
		f.Packed = r.Packed
		files = append(files, f)
	}
	return files, nil
}

// Limits of what a child may say in one result. It is believed no further than that.
const (
	maxResults  = 4096
	maxReason   = 8 << 10
	maxEvidence = 1 << 20
)

var errWord = errors.New("the checks sent what they must not send")

// valid reports whether a result is one that checks can have.
func (r *Result) valid() error {
	switch r.Outcome {
	case OutcomePassed, OutcomeWarned, OutcomeFailed, OutcomeSkipped:
	default:
		return errWord
	}
	if r.ID == "" || len(r.ID) > 100 || len(r.Proves) > maxReason || len(r.File) > 4096 || len(r.Reason) > maxReason || len(r.Evidence) > maxEvidence {
		return errWord
	}
	if r.Outcome != OutcomePassed && r.Reason == "" {
		return errWord
	}
	return nil
}

// valid reports whether a verdict is one that checks on these files can have.
func (v *verdict) valid(files Files) error {
	switch v.State {
	case StatePassed, StateFailed, StateUnsupported, StateError:
	default:
		return errWord
	}
	if len(v.Files) > len(files) || len(v.Summary) > maxReason {
		return errWord
	}
	for _, f := range v.Files {
		if files.Lookup(f.Path) == nil {
			return errWord
		}
	}
	return nil
}
