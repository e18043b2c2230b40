package tokenizer

import (
	"regexp"
	"strings"
	"unicode"
)

// The patterns that are scanned by hand, as tokenizer.json files write them.
const (
	gpt2Pattern   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2Pattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	// lookahead ends most patterns of this kind; the rest of such a pattern is left to Go's engine.
	lookahead = `|\s+(?!\S)|\s+`

	maxPattern = 1 << 12
)

// behavior is what becomes of the matches of a split pattern and the text between them.
type behavior uint8

const (
	isolated       behavior = iota // both are pieces
	removed                        // the text between matches is
	matchesOnly                    // the matches are
	mergedPrevious                 // a match ends the piece before it
	mergedNext                     // a match begins the piece after it
	contiguous                     // matches in a row are one piece
)

var behaviors = map[string]behavior{
	"Isolated": isolated, "Removed": removed, "MergedWithPrevious": mergedPrevious, "MergedWithNext": mergedNext, "Contiguous": contiguous,
}

// compileSplit returns a splitter at the matches of pattern.
func compileSplit(pattern string, how behavior) (splitter, error) {
	return compileSplitInverted(pattern, how, false)
}

// compileSplitInverted is compileSplit that can take the text between matches for the matches.
func compileSplitInverted(pattern string, how behavior, invert bool) (splitter, error) {
	if how == isolated {
		switch pattern {
		case gpt2Pattern:
			return gpt2Split, nil
		case llama3Pattern, cl100kPattern:
			return llama3Split(3), nil
		case qwen2Pattern:
			return llama3Split(1), nil
		}
	}
	if len(pattern) > maxPattern {
		return nil, unsupported("split pattern of %d bytes", len(pattern))
	}
	body, spaces := strings.CutSuffix(pattern, lookahead)
	translated, err := translate(body)
	if err != nil {
		return nil, err
	}
	if spaces {
		translated = `\A(?:` + translated + `)`
	}
	re, err := regexp.Compile(translated)
	if err != nil {
		return nil, unsupported("split pattern %.200q: %v", pattern, err)
	}
	find := func(s string) [][]int { return re.FindAllStringIndex(s, -1) }
	if spaces {
		find = func(s string) [][]int { return findWithSpaces(re, s) }
	}
	return func(out []string, s string, _ bool) []string {
		var parts []part
		start := 0
		for _, m := range find(s) {
			if m[0] == m[1] {
				continue
			}
			if m[0] > start {
				parts = append(parts, part{start, m[0], invert})
			}
			parts = append(parts, part{m[0], m[1], !invert})
			start = m[1]
		}
		if start < len(s) {
			parts = append(parts, part{start, len(s), invert})
		}
		return how.pieces(out, s, parts)
	}, nil
}

// part is a match of a pattern or the text between two.
type part struct {
	start, end int
	match      bool
}

// pieces appends what the parts of s become.
func (how behavior) pieces(out []string, s string, parts []part) []string {
	for i := 0; i < len(parts); i++ {
		p := parts[i]
		switch how {
		case isolated:
		case removed:
			if p.match {
				continue
			}
		case matchesOnly:
			if !p.match {
				continue
			}
		case contiguous:
			for ; i+1 < len(parts) && parts[i+1].match == p.match; i++ {
				p.end = parts[i+1].end
			}
		case mergedPrevious:
			if !p.match && i+1 < len(parts) {
				i++
				p.end = parts[i].end
			}
		case mergedNext:
			// Of matches in a row only the last has a next piece that is none.
			if p.match && i+1 < len(parts) && !parts[i+1].match {
				i++
				p.end = parts[i].end
			}
		}
		out = append(out, s[p.start:p.end])
	}
	return out
}

// findWithSpaces finds the matches of an anchored expression followed by the alternatives of lookahead.
func findWithSpaces(re *regexp.Regexp, s string) (found [][]int) {
	for i := 0; i < len(s); {
		_, c, n := at(s, i)
		e := i
		if m := re.FindStringIndex(s[i:]); m != nil {
			e = i + m[1]
		}
		if e == i && c == space {
			e = spaceEnd(s, i)
		}
		if e > i {
			found = append(found, []int{i, e})
			i = e
		} else {
			i += n
		}
	}
	return found
}

// translate rewrites the classes that Go's engine limits to ASCII to the whole of Unicode.
func translate(pattern string) (string, error) {
	const (
		spaces = `\t-\r\x{85}\p{Z}`
		words  = `\p{L}\p{M}\p{N}_`
	)
	var b strings.Builder
	inClass := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		if c != '\\' || i+1 == len(pattern) {
			switch {
			case c == '[' && !inClass:
				inClass = true
			case c == '[' || c == '&' && inClass && strings.HasPrefix(pattern[i:], "&&"):
				return "", unsupported("split pattern %.200q: nested character class", pattern)
			case c == ']':
				inClass = false
			}
			b.WriteByte(c)
			continue
		}
		i++
		set := map[byte]string{'s': spaces, 'd': `\p{Nd}`, 'w': words}[byte(unicode.ToLower(rune(pattern[i])))]
		switch negated := unicode.IsUpper(rune(pattern[i])); {
		case set == "" && (pattern[i] == 'b' || pattern[i] == 'B' || pattern[i] == 'A' || pattern[i] == 'z'):
			return "", unsupported("split pattern %.200q: \\%c", pattern, pattern[i])
		case set == "":
			b.WriteByte('\\')
			b.WriteByte(pattern[i])
		case inClass && negated:
			return "", unsupported("split pattern %.200q: \\%c inside a class", pattern, pattern[i])
		case inClass:
			b.WriteString(set)
		case negated:
			b.WriteString("[^" + set + "]")
		default:
			b.WriteString("[" + set + "]")
		}
	}
	return b.String(), nil
}
