package content

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/carat-hub/carat/inference/pickle"
)

// packing is a way to compress a stream. open is nil for those that are not read here.
type packing struct {
	name, magic string
	open        func(io.Reader) (io.Reader, error)
}

var packings = []packing{
	{"gzip", "\x1f\x8b", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"bzip2", "BZh", func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
	{"zlib", "\x78\x01", inflate},
	{"zlib", "\x78\x5e", inflate},
	{"zlib", "\x78\x9c", inflate},
	{"zlib", "\x78\xda", inflate},
	{"xz", "\xfd7zXZ\x00", nil},
	{"zstandard", "\x28\xb5\x2f\xfd", nil},
	{"lz4", "\x04\x22\x4d\x18", nil},
	{"lz4", "\x02\x21\x4c\x18", nil},
	{"lzma", "\x5d\x00\x00", nil},
	{"lzip", "LZIP", nil},
	{"lzop", "\x89LZO\x00\r\n\x1a\n", nil},
	{"compress", "\x1f\x9d", nil},
	{"pack", "\x1f\x1e", nil},
	{"snappy", "\xff\x06\x00\x00sNaPpY", nil},
	{"brotli", "\xce\xb2\xcf\x81", nil},
	{"blosc", "ZF", nil}, // joblib's oldest form: zlib in a file of its own
}

func inflate(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }

// compression returns how a file is compressed, nil when it is not. Texts may begin with the letters of some.
func compression(head []byte) *packing {
	for i := range packings {
		if hasPrefix(head, packings[i].magic) && !isText(head) {
			return &packings[i]
		}
	}
	return nil
}

// compressed looks into a stream.
func (l *Looker) compressed(s *source, p *packing) error {
	r, err := p.open(io.NewSectionReader(s, 0, s.size))
	if err != nil {
		if p.name != "zlib" { // two bytes may be chance
			l.report(s.where, p.name, Bad, "it is compressed and cannot be opened: %v", err)
		}
		return readError(err)
	}
	plain, whole, err := l.inflated(r)
	if readError(err) != nil {
		return err
	}
	switch {
	case err != nil && len(plain) == 0 && p.name == "zlib":
		return nil
	case err != nil:
		l.report(s.where, p.name, Bad, "it is compressed and damaged: %v", err)
	case !whole:
		l.report(s.where, p.name, Bad, "it is compressed, and only its first %d bytes were looked into", len(plain))
	default:
		l.report(s.where, p.name, Odd, "it is compressed")
	}
	return l.enter(s.inner(p.name, bytes.NewReader(plain), int64(len(plain))))
}

// inflated reads as much of a stream as may be kept. whole says that there was no more.
func (l *Looker) inflated(r io.Reader) (p []byte, whole bool, err error) {
	limit := min(l.left, maxHeld)
	p, err = io.ReadAll(io.LimitReader(r, limit+1))
	if whole = int64(len(p)) <= limit; !whole {
		p = p[:limit]
	}
	l.left -= int64(len(p))
	return p, whole, err
}

// readError returns the errors that are not about what was read.
func readError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.As(err, new(bzip2.StructuralError)), errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum),
		errors.Is(err, zlib.ErrHeader), errors.Is(err, zlib.ErrChecksum), errors.Is(err, zlib.ErrDictionary),
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, tar.ErrHeader), errors.Is(err, zip.ErrFormat),
		errors.Is(err, zip.ErrChecksum), errors.Is(err, zip.ErrAlgorithm), errors.Is(err, pickle.ErrDirectory):
		return nil
	}
	var corrupt flate.CorruptInputError
	if errors.As(err, &corrupt) {
		return nil
	}
	return err
}

// isTar reports whether a file begins with a tar header, of any age: its checksum is right.
func isTar(head []byte) bool {
	if len(head) < 512 {
		return false
	}
	field := strings.Trim(string(head[148:156]), " \x00")
	want, err := strconv.ParseInt(field, 8, 32)
	if err != nil {
		return false
	}
	sum := int64(8 * ' ')
	for i, b := range head[:512] {
		if i < 148 || i >= 156 {
			sum += int64(b)
		}
	}
	return sum == want && sum > 8*' '
}

// tar looks into an archive of tar.
func (l *Looker) tar(s *source) error {
	l.report(s.where, "tar archive", Odd, "it is an archive; its members were looked at")
	t := tar.NewReader(io.NewSectionReader(s, 0, s.size))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			if readError(err) == nil || strings.HasPrefix(err.Error(), "archive/tar") {
				l.report(s.where, "tar archive", Bad, "it is damaged: %v", err)
				return nil
			}
			return err
		}
		if l.members++; l.members > maxMembers {
			l.report(s.where, "tar archive", Bad, "archives have more than %d members", maxMembers)
			return nil
		}
		l.memberName(s.where, h.Name)
		switch h.Typeflag {
		case tar.TypeReg:
			plain, whole, err := l.inflated(t)
			if err != nil && readError(err) != nil {
				return err
			}
			m := s.inner(shown(h.Name), bytes.NewReader(plain), int64(len(plain)))
			if !whole {
				l.report(m.where, "file", Bad, "only its first %d bytes were looked into", len(plain))
			}
			if err := l.enter(m); err != nil {
				return err
			}
		case tar.TypeDir, tar.TypeXGlobalHeader:
		default:
			l.report(s.where, "tar archive", Bad, "member %.80q is a link or device", shown(h.Name))
		}
	}
}

// shown shortens the name of a member.
func shown(name string) string {
	if len(name) > 200 {
		name = name[:200] + "…"
	}
	return strings.ToValidUTF8(name, "\uFFFD")
}

// memberName reports names that would be written outside the folder that an archive is unpacked in.
func (l *Looker) memberName(where, name string) {
	clean := strings.ReplaceAll(name, `\`, "/")
	if path.IsAbs(clean) || slices.Contains(strings.Split(clean, "/"), "..") || len(clean) > 1 && clean[1] == ':' {
		l.report(where, "archive", Bad, "member %.80q lies outside the archive's folder", shown(name))
	}
}

// zip looks into a zip archive: what torch.save and numpy.savez write, Keras models, Office documents, Java programs.
func (l *Looker) zip(s *source) error {
	z, err := pickle.Directory(s, s.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		if readError(err) != nil {
			return err
		}
		l.report(s.where, "zip archive", Bad, "its directory cannot be read, which some programs do without: %v", err)
		return nil
	}
	before := len(l.items)
	arrays, seen := len(z.File) > 0, map[string]bool{}
	for _, f := range z.File {
		if l.members++; l.members > maxMembers {
			l.report(s.where, "zip archive", Bad, "archives have more than %d members", maxMembers)
			return nil
		}
		l.memberName(s.where, f.Name)
		if seen[f.Name] {
			l.report(s.where, "zip archive", Bad, "it holds two members %.80q", shown(f.Name))
		}
		seen[f.Name] = true
		arrays = arrays && strings.HasSuffix(f.Name, ".npy")
		if err := l.zipped(s, f); err != nil {
			return err
		}
	}
	if flaw, err := unlisted(s, z); err != nil {
		return err
	} else if flaw != "" {
		l.report(s.where, "zip archive", Bad, "%s", flaw)
	}
	for name := range seen {
		if strings.HasSuffix(strings.ToLower(name), "vbaproject.bin") {
			l.report(s.where, "Office document", Bad, "it holds macros")
		}
	}
	if !arrays || len(l.items) > before {
		l.report(s.where, "zip archive", Odd, "it is an archive of %d members, which were looked at", len(z.File))
	}
	return nil
}

// zipped looks at one member.
func (l *Looker) zipped(s *source, f *zip.File) error {
	if strings.HasSuffix(f.Name, "/") && f.UncompressedSize64 == 0 {
		return nil
	}
	name := shown(f.Name)
	if path.Ext(name) == ".py" && strings.Contains(name, "/code/") {
		l.report(s.where+" > "+name, "TorchScript code", Odd, "it is source code that TorchScript runs")
	}
	bad := func(format string, args ...any) error {
		l.report(s.where+" > "+name, "zip member", Bad, format, args...)
		return nil
	}
	at, err := f.DataOffset()
	switch {
	case f.Flags&1 != 0:
		return bad("it is encrypted and cannot be looked into")
	case err != nil && readError(err) != nil:
		return err
	case err != nil:
		return bad("its header is damaged: %v", err)
	case f.Method == zip.Store:
		if f.CompressedSize64 != f.UncompressedSize64 || at < 0 || at > s.size || f.CompressedSize64 > uint64(s.size-at) {
			return bad("it ends outside the archive")
		}
		size := int64(f.CompressedSize64)
		return l.enter(s.inner(name, io.NewSectionReader(s, at, size), size))
	case f.Method != zip.Deflate:
		return bad("it is compressed by method %d and cannot be looked into", f.Method)
	}
	r, err := f.Open()
	if err != nil {
		if readError(err) != nil {
			return err
		}
		return bad("it cannot be opened: %v", err)
	}
	defer r.Close()
	plain, whole, err := l.inflated(r)
	switch {
	case readError(err) != nil:
		return err
	case err != nil:
		_ = bad("it is damaged: %v", err)
	case !whole:
		_ = bad("only its first %d bytes were looked into", len(plain))
	}
	return l.enter(s.inner(name, bytes.NewReader(plain), int64(len(plain))))
}

// unlisted walks through the entries of an archive from its begin, as programs do that do not trust the directory, and
// compares them with the directory. It returns what does not agree.
func unlisted(s *source, z *zip.Reader) (string, error) {
	listed := map[int64]*zip.File{}
	for _, f := range z.File {
		if at, err := f.DataOffset(); err == nil {
			listed[at] = f
		}
	}
	at, matched := int64(0), 0
	for range maxMembers {
		h, err := s.bytesAt(at, 30)
		if err != nil {
			return "", err
		}
		if len(h) < 30 || !hasPrefix(h, "PK\x03\x04") {
			break
		}
		names := int64(binary.LittleEndian.Uint16(h[26:]))
		data := at + 30 + names + int64(binary.LittleEndian.Uint16(h[28:]))
		f := listed[data]
		if f == nil {
			return "an entry is not in the directory", nil
		}
		name, err := s.bytesAt(at+30, names)
		if err != nil {
			return "", err
		}
		if string(name) != f.Name || binary.LittleEndian.Uint16(h[8:]) != f.Method || binary.LittleEndian.Uint16(h[6:])&1 != f.Flags&1 {
			return "entry " + strconv.Quote(shown(f.Name)) + " and the directory do not agree", nil
		}
		matched++
		if at, err = behind(s, data+int64(f.CompressedSize64), f.Flags); err != nil {
			return "", err
		}
	}
	if matched != len(listed) {
		return "its members do not lie one behind the other: " + strconv.Itoa(matched) + " of " + strconv.Itoa(len(listed)) + " do", nil
	}
	return "", nil
}

// behind returns where the entry after the one that ends at end begins: a descriptor of sizes may come between.
func behind(s *source, end int64, flags uint16) (int64, error) {
	if flags&8 == 0 {
		return end, nil
	}
	p, err := s.bytesAt(end, 28)
	if err != nil {
		return 0, err
	}
	for _, n := range []int{16, 24, 12, 20} {
		if len(p) >= n+2 && hasPrefix(p[n:], "PK") {
			return end + int64(n), nil
		}
	}
	return end, nil
}

// maxComment is what may follow the end of a zip archive's directory, and the size of that end.
const maxComment = 1<<16 + 22

// tail looks for a zip archive at the end of a file that begins as something else: archives are read from their end.
func (l *Looker) tail(s *source, begins string) error {
	p, err := s.bytesAt(s.size-maxComment, maxComment)
	if err != nil {
		return err
	}
	if !bytes.Contains(p, []byte("PK\x05\x06")) {
		return nil
	}
	z, err := pickle.Directory(s, s.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return readError(err)
	}
	if len(z.File) == 0 {
		return nil
	}
	l.report(s.where, "zip archive", Bad, "a zip archive of %d members hides at the end of what begins as a %s", len(z.File), begins)
	for _, f := range z.File[:min(len(z.File), 1<<10)] {
		if err := l.zipped(s, f); err != nil {
			return err
		}
	}
	return nil
}
