package jinja

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

// method returns the method of a value, bound to it, or nil.
func (r *renderer) method(line int, of any, name string) any {
	var f func(r *renderer, line int, a args) any
	switch v := of.(type) {
	case string:
		m := stringMethods[name]
		if m == nil {
			return nil
		}
		f = func(r *renderer, line int, a args) any { return m(r, line, v, a) }
	case *dict:
		m := dictMethods[name]
		if m == nil {
			return nil
		}
		f = func(r *renderer, line int, a args) any { return m(r, line, v, a) }
	case *list:
		m := listMethods[name]
		if m == nil {
			return nil
		}
		f = func(r *renderer, line int, a args) any { return m(r, line, v, a) }
	default:
		return nil
	}
	return &function{name, f}
}

func changes(what string) func(r *renderer, line int, _ any, _ args) any {
	return func(r *renderer, line int, _ any, _ args) any {
		r.refuse(line, "%s changes a value, which templates may not do", what)
		return nil
	}
}

func changesList(what string) func(*renderer, int, *list, args) any {
	return func(r *renderer, line int, l *list, a args) any { return changes(what)(r, line, l, a) }
}

func changesDict(what string) func(*renderer, int, *dict, args) any {
	return func(r *renderer, line int, d *dict, a args) any { return changes(what)(r, line, d, a) }
}

var dictMethods = map[string]func(r *renderer, line int, d *dict, a args) any{
	"items": func(r *renderer, line int, d *dict, a args) any {
		a.bind(r, line, "items")
		return r.pairs(line, d)
	},
	"keys": func(r *renderer, line int, d *dict, a args) any {
		a.bind(r, line, "keys")
		return r.view(line, d.keys)
	},
	"values": func(r *renderer, line int, d *dict, a args) any {
		a.bind(r, line, "values")
		out := make([]any, len(d.keys))
		for i := range d.keys {
			out[i] = d.at(r, i)
		}
		return r.view(line, out)
	},
	"get": func(r *renderer, line int, d *dict, a args) any {
		v := a.bind(r, line, "get", "key", "default")
		if _, ok := v[0].(left); ok || len(a.names) > 0 {
			r.fail(line, "get takes a key and a default, without names")
		}
		if _, ok := v[0].(undefined); !ok {
			if x, ok := d.get(r, v[0]); ok {
				return x
			}
		}
		if _, ok := v[1].(left); ok {
			return nil
		}
		return v[1]
	},
	"copy": func(r *renderer, line int, d *dict, a args) any {
		a.bind(r, line, "copy")
		return d // nothing can change it
	},
	"pop": changesDict("dict.pop"), "popitem": changesDict("dict.popitem"), "update": changesDict("dict.update"),
	"setdefault": changesDict("dict.setdefault"), "clear": changesDict("dict.clear"),
}

// view is what dict methods give: it has a length but no items by number.
func (r *renderer) view(line int, items []any) any {
	l := r.list(line, items)
	l.view = true
	return l
}

func (r *renderer) pairs(line int, d *dict) any {
	out := make([]any, len(d.keys))
	for i, k := range d.keys {
		r.use(line, 1)
		out[i] = &list{items: []any{k, d.at(r, i)}, tuple: true}
	}
	return r.view(line, out)
}

var listMethods = map[string]func(r *renderer, line int, l *list, a args) any{
	"index": func(r *renderer, line int, l *list, a args) any {
		v := r.one(line, "index", a)
		for i, item := range l.items {
			if r.equal(line, item, v, 0) {
				return int64(i)
			}
		}
		r.fail(line, "index of what is not in the list")
		return nil
	},
	"count": func(r *renderer, line int, l *list, a args) any {
		v, n := r.one(line, "count", a), int64(0)
		for _, item := range l.items {
			if r.equal(line, item, v, 0) {
				n++
			}
		}
		return n
	},
	"copy": func(r *renderer, line int, l *list, a args) any {
		a.bind(r, line, "copy")
		return l
	},
	"append": changesList("list.append"), "pop": changesList("list.pop"), "insert": changesList("list.insert"),
	"extend": changesList("list.extend"), "remove": changesList("list.remove"), "clear": changesList("list.clear"),
	"sort": changesList("list.sort"), "reverse": changesList("list.reverse"),
}

// one returns the only argument.
func (r *renderer) one(line int, what string, a args) any {
	if len(a.pos) != 1 || len(a.names) > 0 {
		r.fail(line, "%s takes one argument", what)
	}
	return a.pos[0]
}

func upper(s string) string { return cases.Upper(language.Und).String(s) }
func lower(s string) string { return cases.Lower(language.Und).String(s) }

// capitalized is Python's str.capitalize.
func capitalized(s string) string {
	_, n := utf8.DecodeRuneInString(s)
	return cases.Title(language.Und).String(s[:n]) + lower(s[n:])
}

// titled is Python's str.title: a letter after what is none begins a word.
func titled(s string) string {
	var b strings.Builder
	inWord := false
	title, lower := cases.Title(language.Und), cases.Lower(language.Und)
	for _, c := range s {
		cased := unicode.IsUpper(c) || unicode.IsLower(c) || unicode.IsTitle(c)
		switch {
		case !cased:
			b.WriteRune(c)
		case c < utf8.RuneSelf && inWord:
			b.WriteRune(unicode.ToLower(c))
		case c < utf8.RuneSelf:
			b.WriteRune(unicode.ToUpper(c))
		case inWord:
			b.WriteString(lower.String(string(c)))
		default:
			b.WriteString(title.String(string(c)))
		}
		inWord = cased
	}
	return b.String()
}

// noSigma refuses a letter whose lower case depends on where it stands in the word, when words are put together from parts.
func (r *renderer) noSigma(line int, s string) {
	if strings.ContainsRune(s, 'Σ') {
		r.refuse(line, "title case of a capital sigma")
	}
}

type stringMethod = func(r *renderer, line int, s string, a args) any

// plain is a method without arguments.
func plain(name string, f func(s string) string) stringMethod {
	return func(r *renderer, line int, s string, a args) any {
		a.bind(r, line, name)
		r.size(line, 3*len(s))
		return r.str(line, f(s))
	}
}

// all reports whether there are characters and all of them are so.
func all(name string, is func(c rune) bool) stringMethod {
	return func(r *renderer, line int, s string, a args) any {
		a.bind(r, line, name)
		r.scan(line, len(s))
		for _, c := range s {
			if !is(c) {
				return false
			}
		}
		return s != ""
	}
}

// stripped is strip, lstrip or rstrip.
func stripped(name string, start, end bool) stringMethod {
	return func(r *renderer, line int, s string, a args) any {
		return r.strip(line, s, a.bind(r, line, name, "chars")[0], start, end)
	}
}

func (r *renderer) strip(line int, s string, chars any, start, end bool) string {
	cut := isSpace
	if set, ok := chars.(string); ok {
		r.use(line, len(set))
		in := map[rune]bool{}
		for _, c := range set {
			in[c] = true
		}
		cut = func(c rune) bool { return in[c] }
	} else if _, ok := chars.(left); !ok && chars != nil {
		r.fail(line, "characters to strip are a %s", typeName(chars))
	}
	r.scan(line, len(s))
	if start {
		s = strings.TrimLeftFunc(s, cut)
	}
	if end {
		s = strings.TrimRightFunc(s, cut)
	}
	return s
}

// affixed is startswith or endswith, of one string or a tuple of them.
func affixed(name string, has func(s, part string) bool) stringMethod {
	return func(r *renderer, line int, s string, a args) any {
		parts := []any{r.one(line, name, a)}
		if l, ok := parts[0].(*list); ok && l.tuple {
			parts = l.items
		}
		for _, p := range parts {
			r.use(line, 1)
			if has(s, r.textArg(line, p, "")) {
				return true
			}
		}
		return false
	}
}

// found is find, rfind, index or rindex.
func found(name string, last, must bool) stringMethod {
	return func(r *renderer, line int, s string, a args) any {
		part := r.textArg(line, r.one(line, name, a), "")
		r.scan(line, len(s))
		i := strings.Index(s, part)
		if last {
			i = strings.LastIndex(s, part)
		}
		if i < 0 {
			if must {
				r.fail(line, "%s of what is not in the string", name)
			}
			return int64(-1)
		}
		return int64(len([]rune(s[:i])))
	}
}

var stringMethods map[string]stringMethod

func init() {
	stringMethods = map[string]stringMethod{
		"upper": plain("upper", upper),
		"lower": plain("lower", lower),
		"capitalize": func(r *renderer, line int, s string, a args) any {
			r.noSigma(line, s)
			return plain("capitalize", capitalized)(r, line, s, a)
		},
		"title": func(r *renderer, line int, s string, a args) any {
			r.noSigma(line, s)
			return plain("title", titled)(r, line, s, a)
		},
		"strip":      stripped("strip", true, true),
		"lstrip":     stripped("lstrip", true, false),
		"rstrip":     stripped("rstrip", false, true),
		"startswith": affixed("startswith", strings.HasPrefix),
		"endswith":   affixed("endswith", strings.HasSuffix),
		"find":       found("find", false, false),
		"rfind":      found("rfind", true, false),
		"index":      found("index", false, true),
		"rindex":     found("rindex", true, true),
		"isspace":    all("isspace", isSpace),
		"isdigit": func(r *renderer, line int, s string, a args) any {
			if strings.ContainsFunc(s, func(c rune) bool { return unicode.Is(unicode.No, c) }) {
				r.refuse(line, "isdigit of superscripts and the like")
			}
			return all("isdigit", unicode.IsDigit)(r, line, s, a)
		},
		"isdecimal":  all("isdecimal", unicode.IsDigit),
		"isalpha":    all("isalpha", unicode.IsLetter),
		"isalnum":    all("isalnum", func(c rune) bool { return unicode.IsLetter(c) || unicode.IsNumber(c) }),
		"split":      func(r *renderer, line int, s string, a args) any { return r.split(line, "split", s, a) },
		"rsplit":     func(r *renderer, line int, s string, a args) any { return r.split(line, "rsplit", s, a) },
		"splitlines": splitLines,
		"replace": func(r *renderer, line int, s string, a args) any {
			v := a.bind(r, line, "replace", "old", "new", "count")
			return r.replace(line, s, r.textArg(line, v[0], ""), r.textArg(line, v[1], ""), r.intArg(line, v[2], -1))
		},
		"count": func(r *renderer, line int, s string, a args) any {
			part := r.textArg(line, r.one(line, "count", a), "")
			r.scan(line, len(s))
			return int64(strings.Count(s, part))
		},
		"join": func(r *renderer, line int, s string, a args) any {
			items := r.items(line, r.one(line, "join", a))
			for _, item := range items {
				if _, ok := item.(string); !ok {
					r.fail(line, "join of a %s", typeName(item))
				}
			}
			return r.join(line, items, s)
		},
		"removeprefix": func(r *renderer, line int, s string, a args) any {
			return strings.TrimPrefix(s, r.textArg(line, r.one(line, "removeprefix", a), ""))
		},
		"removesuffix": func(r *renderer, line int, s string, a args) any {
			return strings.TrimSuffix(s, r.textArg(line, r.one(line, "removesuffix", a), ""))
		},
		"format": func(r *renderer, line int, s string, a args) any { return r.format(line, s, a) },
	}
}

func (r *renderer) replace(line int, s, from, to string, count int64) string {
	r.scan(line, len(s))
	if count < 0 || count > maxString {
		count = maxString
	}
	n := min(int64(strings.Count(s, from)), count)
	if n*int64(len(to)) > maxString {
		r.limit(line, "string")
	}
	return r.str(line, strings.Replace(s, from, to, int(n)))
}

func (r *renderer) join(line int, items []any, sep string) string {
	parts, n := make([]string, len(items)), 0
	for i, item := range items {
		r.use(line, 1)
		parts[i] = r.text(line, item)
		if n += len(parts[i]) + len(sep); n-len(sep) > maxString {
			r.limit(line, "string")
		}
	}
	return r.str(line, strings.Join(parts, sep))
}

func (r *renderer) split(line int, name, s string, a args) any {
	v := a.bind(r, line, name, "sep", "maxsplit")
	most := r.intArg(line, v[1], -1)
	if most < 0 || most > maxString {
		most = maxString
	}
	r.scan(line, len(s))
	var parts []string
	if sep, ok := v[0].(string); ok {
		if sep == "" {
			r.fail(line, "%s at the empty string", name)
		}
		if parts = strings.SplitN(s, sep, int(most)+1); name == "rsplit" {
			parts = strings.Split(s, sep)
			if n := len(parts) - int(most); n > 1 {
				parts = append([]string{strings.Join(parts[:n], sep)}, parts[n:]...)
			}
		}
	} else {
		if _, ok := v[0].(left); !ok && v[0] != nil {
			r.fail(line, "%s at a %s", name, typeName(v[0]))
		}
		if name == "rsplit" && most < maxString {
			r.refuse(line, "rsplit at white space with a limit")
		}
		for s = strings.TrimLeftFunc(s, isSpace); s != ""; s = strings.TrimLeftFunc(s, isSpace) {
			i := strings.IndexFunc(s, isSpace)
			if i < 0 || int64(len(parts)) == most {
				parts = append(parts, s)
				break
			}
			parts = append(parts, s[:i])
			s = s[i:]
		}
	}
	return r.texts(line, parts)
}

func (r *renderer) texts(line int, parts []string) any {
	items := make([]any, len(parts))
	for i, p := range parts {
		items[i] = p
	}
	return r.list(line, items)
}

func splitLines(r *renderer, line int, s string, a args) any {
	keep := r.boolArg(line, a.bind(r, line, "splitlines", "keepends")[0], false)
	var parts []string
	for s != "" {
		i := strings.IndexAny(s, "\n\r\v\f\x1c\x1d\x1e\u0085\u2028\u2029")
		if i < 0 {
			parts = append(parts, s)
			break
		}
		_, n := utf8.DecodeRuneInString(s[i:])
		if strings.HasPrefix(s[i:], "\r\n") {
			n = 2
		}
		if keep {
			parts = append(parts, s[:i+n])
		} else {
			parts = append(parts, s[:i])
		}
		s = s[i+n:]
	}
	return r.texts(line, parts)
}

// format is str.format for fields that are empty, a number or a name.
func (r *renderer) format(line int, s string, a args) string {
	var b strings.Builder
	automatic, numbered := 0, false
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		if i+1 < len(s) && s[i+1] == s[i] {
			b.WriteByte(s[i])
			s = s[i+2:]
			continue
		}
		end := strings.IndexByte(s[i:], '}')
		if s[i] == '}' || end < 0 {
			r.fail(line, "format with a single brace")
		}
		field := s[i+1 : i+end]
		s = s[i+end+1:]
		if strings.ContainsAny(field, ".[!:{") {
			r.refuse(line, "format field %.80q", field)
		}
		at, err := strconv.Atoi(field)
		switch {
		case field == "":
			at = automatic
			automatic++
		case err == nil:
			numbered = true
		default:
			if at = indexOf(a.names, field); at < 0 {
				r.fail(line, "format without %.80q", field)
			}
			r.size(line, b.Len())
			b.WriteString(r.text(line, a.values[at]))
			continue
		}
		if at < 0 || at >= len(a.pos) || numbered && automatic > 0 {
			r.fail(line, "format field %.80q has no argument", field)
		}
		b.WriteString(r.text(line, a.pos[at]))
		r.size(line, b.Len())
	}
	return r.str(line, b.String())
}
