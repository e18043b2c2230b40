package content

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/pickle"
)

// identifier is what Python takes as the name of a module or of something in it.
var identifier = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[\p{L}_][\p{L}\p{N}_.<>]*$`) })

// calls are the opcodes that call something.
var calls = []string{"REDUCE", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "BUILD", "EXT1", "EXT2", "EXT4"}

// maxStreams bounds how many times reading begins again behind a pickle that ended.
const maxStreams = 8

// pickle reports the pickles that begin at off, and whether there are any. Protocols 0 and 1 have no mark of their own, so
// that what begins like one counts when it calls something, or imports something and ends.
func (l *Looker) pickle(s *source, off int64) (found bool, err error) {
	for range maxStreams {
		size := s.size - off
		if size <= 0 {
			break
		}
		f, err := pickle.Read(io.NewSectionReader(s, off, size), size)
		if f == nil || !stated(err) {
			return found, err
		}
		head, herr := s.bytesAt(off, 2)
		if herr != nil {
			return found, herr
		}
		marked := len(head) == 2 && head[0] == 0x80 && head[1] <= 5
		if !l.judge(s.where, f, err, marked) {
			return found, nil
		}
		found = true
		if err != nil || f.Layout != "pickle" || f.Rest == 0 {
			break
		}
		off = s.size - f.Rest
	}
	return found, nil
}

// stated reports whether an error, if any, says what is wrong with the bytes and not with reading them.
func stated(err error) bool {
	var bad *fault.Malformed
	var unsupported *fault.Unsupported
	return err == nil || errors.As(err, &bad) || errors.As(err, &unsupported)
}

// judge reports a pickle that was read up to an error, nil at its end. It is false for bytes that are none.
func (l *Looker) judge(where string, f *pickle.File, err error, marked bool) bool {
	imports := dangerous(f)
	if !marked {
		called := slices.ContainsFunc(f.References, func(r pickle.Reference) bool {
			return slices.Contains(calls, r.Op) && (r.Module == "" || identifier().MatchString(r.Module))
		})
		named := slices.ContainsFunc(f.References, func(r pickle.Reference) bool {
			return identifier().MatchString(r.Module) && identifier().MatchString(r.Name)
		})
		if !called && (!named || err != nil) {
			return false
		}
	}
	i := Item{Where: where, Kind: "pickle", Imports: imports, Severity: Bad}
	switch {
	case len(imports) > 0:
		i.Reason = "unpickling it imports or calls more than plain tensors need: " + strings.Join(imports[:min(3, len(imports))], ", ")
	case err != nil && len(f.References) > 0:
		i.Reason = "it cannot be read to its end, and programs may read it in another way: " + err.Error()
	case err != nil:
		i.Severity, i.Reason = Odd, "it begins like a pickle and is none that can be read: "+err.Error()
	default:
		i.Severity, i.Reason = Odd, "unpickling runs a program, though this one only builds tensors and plain values"
	}
	l.add(i)
	return true
}

// dangerous lists the names that a pickle would import or call beside those of plain tensors.
func dangerous(f *pickle.File) []string {
	var list []string
	for _, r := range f.References {
		if name := r.Op + " " + r.String(); !r.Known && len(list) < maxImports && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// objects finds the element type of Python objects in the header of a numpy array.
var objects = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`'descr'\s*:.*['"][|<>=]?O`) })

// numpy looks at an array in the format of NPY: a header that is a Python literal, and the elements, which are a pickle when
// they are objects.
func (l *Looker) numpy(s *source) error {
	n, at := int64(0), int64(10)
	switch {
	case len(s.head) < 12:
		l.report(s.where, "numpy array", Bad, "its header is cut off")
		return nil
	case s.head[6] == 1:
		n = int64(s.head[8]) | int64(s.head[9])<<8
	default:
		at = 12
		n = int64(s.head[8]) | int64(s.head[9])<<8 | int64(s.head[10])<<16 | int64(s.head[11])<<24
	}
	if n > 1<<20 || at+n > s.size {
		l.report(s.where, "numpy array", Bad, "its header of %d bytes is too long", n)
		return nil
	}
	header, err := s.bytesAt(at, n)
	if err != nil {
		return err
	}
	if !objects().Match(header) && !strings.Contains(string(header), `\`) && strings.Contains(string(header), "'descr'") {
		return nil
	}
	l.report(s.where, "numpy array", Bad, "its elements are Python objects, which are loaded by unpickling")
	_, err = l.pickle(s, at+n)
	return err
}
