package content

import (
	"encoding/binary"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"
)

// magic is what files of one kind begin with.
type magic struct {
	prefix   string
	kind     string
	severity Severity
	reason   string
}

const native = "it is a program for processors, which a model does not need"

// magics are those of programs, and of documents that can hold some.
var magics = []magic{
	{"\x7fELF", "ELF program", Bad, native},
	{"\xfe\xed\xfa\xce", "Mach-O program", Bad, native},
	{"\xfe\xed\xfa\xcf", "Mach-O program", Bad, native},
	{"\xce\xfa\xed\xfe", "Mach-O program", Bad, native},
	{"\xcf\xfa\xed\xfe", "Mach-O program", Bad, native},
	{"\xca\xfe\xba\xbe", "Mach-O program or Java class", Bad, native},
	{"\x00asm", "WebAssembly program", Bad, native},
	{"dex\n03", "Android program", Bad, native},
	{"!<arch>\n", "archive of object files", Bad, native},
	{"BC\xc0\xde", "LLVM bitcode", Bad, native},
	{"\x1bLua", "Lua bytecode", Bad, "it is compiled code"},
	{"\x4c\x00\x00\x00\x01\x14\x02\x00", "Windows shortcut", Bad, "opening it runs what it names"},
	{"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Office document or installer", Bad, "it may hold macros and is not looked into"},
	{"MSCF", "cabinet archive", Bad, "it cannot be looked into"},
	{"ITSF", "compiled help file", Bad, "it may run scripts"},
	{"7z\xbc\xaf\x27\x1c", "7z archive", Bad, "it cannot be looked into"},
	{"Rar!\x1a\x07", "RAR archive", Bad, "it cannot be looked into"},
	{"xar!", "xar archive", Bad, "it cannot be looked into"},
	{"070701", "cpio archive", Bad, "it cannot be looked into"},
	{"#!", "script", Odd, "it is a script, which nothing runs by itself"},
	{"\xef\xbb\xbf#!", "script", Odd, "it is a script, which nothing runs by itself"},
}

// bytecode is what Python writes in front of compiled code: a version and the two ends of a line.
func bytecode(head []byte) bool {
	return len(head) >= 17 && head[2] == '\r' && head[3] == '\n' && head[1] <= 0x0f && (head[16] == 0xe3 || head[8] == 0xe3 || head[12] == 0xe3)
}

func recognise(head []byte) (magic, bool) {
	for _, m := range magics {
		if hasPrefix(head, m.prefix) {
			return m, true
		}
	}
	if hasPrefix(head, "MZ") && len(head) >= 64 {
		if at := binary.LittleEndian.Uint32(head[60:]); uint64(at)+4 <= uint64(len(head)) && hasPrefix(head[at:], "PE\x00\x00") {
			return magic{"", "Windows program", Bad, native}, true
		}
		if !isText(head) {
			return magic{"", "DOS or Windows program", Bad, native}, true
		}
	}
	if bytecode(head) {
		return magic{"", "Python bytecode", Bad, "it is compiled code"}, true
	}
	return magic{}, false
}

// isText reports whether a head is UTF-8, as far as it goes, without control characters that texts do not have.
func isText(head []byte) bool {
	for i := 0; i < len(head); {
		r, n := utf8.DecodeRune(head[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return len(head)-i < utf8.UTFMax && len(head) == headSize
		case r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b:
			return false
		}
		i += n
	}
	return true
}

// markup begins documents that browsers open, and active finds what runs in them.
var (
	markup = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)^\s*(?:<\?xml[^>]*>\s*)?(?:<!--[^>]*-->\s*)*(?:<!doctype\s+(?:html|svg)|<html|<svg|<head|<body|<script|<iframe|<xsl)`)
	})
	active = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)<script|<iframe|<object|<embed|<foreignobject|\bon[a-z]{3,20}\s*=|(?:java|vb)script:|data:text/html|<meta[^>]+http-equiv\s*=\s*["']?refresh`)
	})
	pdf = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`/(?:JavaScript|JS|Launch|OpenAction|EmbeddedFile|RichMedia|XFA)\b`)
	})
)

// maxText is how many bytes of a text are searched.
const maxText = 8 << 20

// text looks at what is text: markup, and the description of a Keras model.
func (l *Looker) text(s *source) error {
	switch {
	case hasPrefix(s.head, "%PDF-"):
		return l.document(s, "PDF document", pdf())
	case markup().Match(s.head):
		return l.document(s, "HTML or SVG document", active())
	}
	if strings.Contains(string(s.head), `class_name`) {
		return l.keras(s)
	}
	return nil
}

// document reports what is active in a document.
func (l *Looker) document(s *source, kind string, re *regexp.Regexp) error {
	p, err := s.bytesAt(0, maxText)
	if err != nil {
		return err
	}
	if found := re.Find(p); found != nil {
		l.report(s.where, kind, Odd, "it holds active content: %.40q", found)
	} else if int64(len(p)) < s.size {
		l.report(s.where, kind, Odd, "only its first %d bytes were looked at", len(p))
	}
	return nil
}
