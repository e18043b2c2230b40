package check

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/carat-hub/carat/inference/gguf"
	"github.com/carat-hub/carat/verify"
)

// maxTemplates is how many chat templates of a version are looked at, and maxTemplate how many bytes one may have.
const (
	maxTemplates = 64
	maxTemplate  = 1 << 20
)

// chatTemplate is one template and where it stands.
type chatTemplate struct{ where, source string }

// templatesOf finds the chat templates of all files: in the tokenizer's and the processor's configuration, in files of their
// own, and in the keys of GGUF files. A file that cannot be read as what it should be has none; other checks say so.
func templatesOf(files verify.Files) (list []chatTemplate, err error) {
	add := func(where, source string) {
		if len(list) < maxTemplates && source != "" {
			list = append(list, chatTemplate{storable(where), source})
		}
	}
	for _, f := range files {
		switch base := path.Base(f.Path); {
		case f.Packed:
		case base == "tokenizer_config.json" || base == "chat_template.json" || base == "processor_config.json":
			d, _, err := readDocument(f)
			if err != nil {
				return nil, err
			}
			eachTemplate(f.Path, d["chat_template"], add)
		case base == "chat_template" || hasExt(base, ".jinja", ".jinja2"):
			p, err := f.Head(maxTemplate)
			if err != nil {
				return nil, err
			}
			add(f.Path, string(p))
		case hasExt(base, ".gguf"):
			if err := ggufTemplates(f, add); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// eachTemplate adds the templates of a value of chat_template: one, or a list of named ones.
func eachTemplate(where string, v any, add func(where, source string)) {
	switch v := v.(type) {
	case string:
		add(where, v)
	case []any:
		for _, x := range v {
			if o, ok := x.(map[string]any); ok {
				add(where+" "+document(o).text("name"), document(o).text("template"))
			}
		}
	case map[string]any:
		for _, name := range sortedNames(v) {
			add(where+" "+name, document(v).text(name))
		}
	}
}

func sortedNames(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func ggufTemplates(f *verify.File, add func(where, source string)) error {
	g, err := gguf.Read(f, f.Size)
	if err != nil {
		return f.Fault() // what is wrong with the file is for the check of headers to say
	}
	for _, key := range g.Keys {
		if strings.HasPrefix(key, "tokenizer.chat_template") {
			add(f.Path+" "+key, g.Text(key, ""))
		}
	}
	return nil
}

// codeOf splits a template into what is code, each piece with its delimiters, and what is text. Comments are neither.
func codeOf(src string) (code []string, text string) {
	var plain strings.Builder
	for src != "" {
		i := strings.IndexByte(src, '{')
		if i < 0 || i+1 == len(src) {
			plain.WriteString(src)
			break
		}
		plain.WriteString(src[:i])
		end := map[byte]string{'{': "}}", '%': "%}", '#': "#}"}[src[i+1]]
		if end == "" {
			plain.WriteByte('{')
			src = src[i+1:]
			continue
		}
		n := codeEnd(src[i+2:], end)
		if src[i+1] != '#' {
			code = append(code, src[i:i+2+n])
		}
		src = src[i+2+n:]
	}
	return code, plain.String()
}

// codeEnd returns where a piece of code ends, behind its delimiter, which does not count in a literal.
func codeEnd(s, delimiter string) int {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case strings.HasPrefix(s[i:], delimiter):
			return i + len(delimiter)
		case (c == '\'' || c == '"') && delimiter != "#}":
			i += literalEnd(s[i+1:], c)
		}
	}
	return len(s)
}

// literalEnd returns how many bytes of s belong to a literal that ends with the quote, that included.
func literalEnd(s string, quote byte) int {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case quote:
			return i + 1
		}
	}
	return len(s)
}

// literalsOf returns the literals in a piece of code, unescaped.
func literalsOf(code string) []string {
	var list []string
	for i := 0; i < len(code); i++ {
		if c := code[i]; c == '\'' || c == '"' {
			n := literalEnd(code[i+1:], c)
			list = append(list, unescaped(strings.TrimSuffix(code[i+1:i+1+n], string(c))))
			i += n
		}
	}
	return list
}

// unescaped reads the escapes of a literal, those of Python that name a character included.
func unescaped(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		i++
		switch c := s[i]; c {
		case 'n':
			out.WriteByte('\n')
		case 't':
			out.WriteByte('\t')
		case 'x', 'u', 'U', '0', '1', '2', '3', '4', '5', '6', '7':
			r, n := numbered8(s[i:])
			out.WriteRune(r)
			i += n - 1
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

// numbered8 reads x41, u0041, U00000041 or 101, and returns the character and how many bytes it took.
func numbered8(s string) (r rune, n int) {
	base, digits := rune(16), map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[0]]
	if n = 1; digits == 0 {
		base, digits, n = 8, 3, 0
	}
	for end := min(n+digits, len(s)); n < end; n++ {
		d := strings.IndexByte("0123456789abcdef", s[n]|0x20)
		if s[n] >= '0' && s[n] <= '9' {
			d = int(s[n] - '0')
		}
		if d < 0 || rune(d) >= base {
			break
		}
		r = r*base + rune(d)
	}
	return r, max(n, 1)
}

// compact writes code as it would be with literals put together: without quotes, spaces and the signs that join them.
func compact(code string) string {
	var all strings.Builder
	for i := 0; i < len(code); i++ {
		switch c := code[i]; c {
		case '\'', '"':
			n := literalEnd(code[i+1:], c)
			all.WriteString(unescaped(strings.TrimSuffix(code[i+1:i+1+n], string(c))))
			i += n
		case ' ', '\n', '\t', '\r', '+', '~':
		default:
			all.WriteByte(c)
		}
	}
	return all.String()
}

// bare returns code without its literals.
func bare(code string) string {
	var all strings.Builder
	for i := 0; i < len(code); i++ {
		if c := code[i]; c == '\'' || c == '"' {
			i += literalEnd(code[i+1:], c)
			all.WriteString("''")
		} else {
			all.WriteByte(c)
		}
	}
	return all.String()
}

// jsonText writes a text as it stands in JSON, for evidence.
func jsonText(s string) string {
	p, _ := json.Marshal(s) // strings always can be
	return string(p)
}
