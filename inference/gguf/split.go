package gguf

import (
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync"

	"github.com/carat-hub/carat/inference/fault"
)

// MaxParts is how many files a split model may have.
const MaxParts = 4096

// partName is what llama.cpp's gguf-split calls the files of one model.
var partName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`) })

// Part is a place in a split model, as a file name tells it.
type Part struct {
	// Prefix is what the names of all parts begin with.
	Prefix string
	// No counts from 0 and is less than Count.
	No, Count int
}

// ParsePart reads a name such as "m-00002-of-00003.gguf". ok is false for a name of another form, and for a number outside its
// count.
func ParsePart(name string) (p Part, ok bool) {
	m := partName().FindStringSubmatch(name)
	if m == nil {
		return Part{}, false
	}
	no, _ := strconv.Atoi(m[2])
	count, _ := strconv.Atoi(m[3])
	return Part{m[1], no - 1, count}, no >= 1 && no <= count && count <= MaxParts
}

// Name returns the name of part no of the same model.
func (p Part) Name(no int) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", p.Prefix, no+1, p.Count)
}

// Names returns the names of all parts in order.
func (p Part) Names() []string {
	names := make([]string, p.Count)
	for i := range names {
		names[i] = p.Name(i)
	}
	return names
}

// The metadata keys of a split model. Every part has the first two, the first part has all other metadata.
const (
	keyPart    = "split.no"
	keyParts   = "split.count"
	keyTensors = "split.tensors.count"
)

// ReadParts reads the heads of the files of one model, which are split or just one, and returns them as one File: the first
// part's metadata, and all tensors, whose Part says which of names holds them. open returns a file and its size; its errors are
// returned wrapped, and those of Read with the file's name. It returns a *fault.Malformed for parts that do not belong
// together: a number or count that differs from what names says, a tensor in two of them, or not as many as they tell.
func ReadParts(names []string, open func(name string) (io.ReaderAt, int64, error)) (*File, error) {
	if len(names) == 0 || len(names) > MaxParts {
		return nil, malformed("", -1, "%d parts are not from 1 to %d", len(names), MaxParts)
	}
	var whole *File
	in := map[string]int{}
	for no, name := range names {
		f, err := readPart(name, open)
		if err != nil {
			return nil, err
		}
		if err := f.checkPart(name, no, len(names)); err != nil {
			return nil, err
		}
		if no == 0 {
			whole = f
		} else {
			if len(f.Tensors) > MaxTensors-len(whole.Tensors) {
				return nil, malformed(name, -1, "all parts have more than %d tensors", MaxTensors)
			}
			whole.Tensors = append(whole.Tensors, f.Tensors...)
		}
		for i := len(whole.Tensors) - len(f.Tensors); i < len(whole.Tensors); i++ {
			t := &whole.Tensors[i]
			if other, twice := in[t.Name]; twice {
				return nil, malformed(t.Name, -1, "tensor is in %s and in %s", names[other], name)
			}
			in[t.Name], t.Part = no, no
		}
	}
	if want := whole.Int(keyTensors, int64(len(whole.Tensors))); want != int64(len(whole.Tensors)) {
		return nil, malformed(keyTensors, -1, "the parts have %d tensors, not %d", len(whole.Tensors), want)
	}
	return whole, nil
}

func readPart(name string, open func(name string) (io.ReaderAt, int64, error)) (*File, error) {
	r, size, err := open(name)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	f, err := Read(r, size)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, fault.InFile(name, err))
	}
	return f, nil
}

// checkPart compares a part's own place with the one its name has given it.
func (f *File) checkPart(name string, no, count int) error {
	if n := f.Int(keyParts, 1); n != int64(count) {
		return malformed(name, -1, "%s is %d, by their names there are %d parts", keyParts, n, count)
	}
	if _, ok := f.Value(keyPart); !ok && count == 1 {
		return nil
	}
	if n := f.Int(keyPart, -1); n != int64(no) {
		return malformed(name, -1, "%s is %d, want %d", keyPart, n, no)
	}
	return nil
}
