package check

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/jinja"
	"github.com/carat-hub/carat/verify"
)

// templateCheck analyses the chat templates.
var templateCheck = check{
	id: idTemplate, level: verify.LevelQuick, once: true,
	proves: "The chat templates render conversations in few steps, reach for nothing outside them, and say the same whatever the conversation is about.",
	run:    analyseTemplates,
}

type templatesEvidence struct {
	Templates []templateEvidence `json:"templates,omitempty"`
}

type templateEvidence struct {
	Where    string   `json:"where"`
	Bytes    int      `json:"bytes"`
	Rendered int      `json:"rendered"`           // conversations
	Refused  int      `json:"refused,omitempty"`  // conversations, by the template itself or as not covered here
	Failures []string `json:"failures,omitempty"` // the first few
	Warnings []string `json:"warnings,omitempty"` // the first few
}

func (ev *templateEvidence) fail(format string, args ...any) {
	ev.Failures = addNamed(ev.Failures, storable(fmt.Sprintf(format, args...)))
}

func (ev *templateEvidence) warn(format string, args ...any) {
	ev.Warnings = addNamed(ev.Warnings, storable(fmt.Sprintf(format, args...)))
}

func analyseTemplates(ctx context.Context, m *model) (finding, error) {
	list, err := templatesOf(m.files)
	if err != nil {
		return finding{}, err
	}
	if len(list) == 0 {
		return skipped("there is no chat template"), nil
	}
	var ev templatesEvidence
	var bad, odd []string
	seen := map[string]bool{}
	for _, t := range list {
		if seen[t.source] {
			continue // the same in two places
		}
		seen[t.source] = true
		one, err := analyse(ctx, t)
		if err != nil {
			return finding{}, err
		}
		for _, s := range one.Failures {
			bad = append(bad, t.where+": "+s)
		}
		for _, s := range one.Warnings {
			odd = append(odd, t.where+": "+s)
		}
		ev.Templates = append(ev.Templates, one)
	}
	switch {
	case len(bad) > 0:
		return failed(ev, "%s", listed(bad)), nil
	case len(odd) > 0:
		return warned(ev, "%s", listed(odd)), nil
	}
	return passed(ev), nil
}

// analyse looks at one template as text, and renders it. Its error is that of ctx.
func analyse(ctx context.Context, t chatTemplate) (templateEvidence, error) {
	ev := templateEvidence{Where: t.where, Bytes: len(t.source)}
	code, text := codeOf(t.source)
	reaches(&ev, code)
	hides(&ev, t.source, code, text)
	parsed, err := jinja.Parse(t.source)
	if err != nil {
		ev.refusal("template", err)
		return ev, nil
	}
	err = compare(ctx, &ev, parsed, code)
	return ev, err
}

// refusal notes why a template was not rendered.
func (ev *templateEvidence) refusal(what string, err error) {
	var limit *jinja.LimitError
	var syntax *jinja.SyntaxError
	var unsupported *fault.Unsupported
	switch {
	case errors.As(err, &limit):
		ev.fail("%s: it needs too much: %v", what, limit)
	case errors.As(err, &syntax):
		ev.fail("it is no template: %v", syntax)
	case errors.As(err, &unsupported):
		ev.warn("%s: it cannot be rendered here: %s", what, unsupported.Reason)
	default:
		ev.warn("%s: %v", what, err)
	}
}

// What templates use to leave their sandbox: Python's names with two underscores, however they are put together, and functions
// and attributes that lead to modules, frames and code.
var (
	dunder  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`__[A-Za-z]\w*?__`) })
	escapes = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\b(?:lipsum|url_for|get_flashed_messages|_TemplateReference|func_globals|func_code|gi_frame|gi_code|cr_frame|tb_frame|f_globals|f_builtins|f_back|im_func|im_self|ag_frame|popen|subprocess|os\.system|importlib|get_template|_get_frame|current_app|mro\()|\|attr\(`)
	})
	loads  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\{%[-+]?\s*(include|import|extends|from)\b`) })
	joined = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`_['"]\s*\*\s*2|2\s*\*\s*['"]_|%c|\|\s*(?:reverse|urlencode)\b[^}]*\]|\|\s*join\b[^}|]*\]\s*[\[(]|chr\(`)
	})
	objects = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\bself\s*[.\[]|\b(?:cycler|joiner|namespace|range|dict|request|config)\s*(?:\.\s*[a-z_]+\s*\.|\[)`)
	})
)

// reaches notes code that reaches for what is outside a template.
func reaches(ev *templateEvidence, code []string) {
	for _, c := range code {
		flat := compact(c)
		switch {
		case loads().MatchString(c):
			ev.fail("it loads another template: %s", jsonText(c))
		case dunder().MatchString(flat):
			ev.fail("it reaches for Python's %s", dunder().FindString(flat))
		case escapes().MatchString(flat):
			ev.fail("it reaches outside its sandbox: %s", escapes().FindString(flat))
		case joined().MatchString(c):
			ev.warn("it may put together a name to reach outside its sandbox: %s", jsonText(joined().FindString(c)))
		case objects().MatchString(bare(c)):
			ev.warn("it looks into an object that is no data: %s", jsonText(objects().FindString(bare(c))))
		}
	}
}

// Addresses, and words that a template uses when it tells a model what its user would not want.
var (
	address = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)\b(?:https?|ftp|wss?|data|file)://?[^\s'"<>)\\]+|\bwww\.[a-z0-9-]+\.[a-z]{2,}`)
	})
	injected = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`(?i)\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+|the\s+|your\s+)*(?:previous|prior|above|earlier|system|user)|\b(?:never|do not|don't|must not)\s+(?:tell|reveal|mention|disclose|admit|inform)[^.\n]{0,40}\b(?:user|this|these|instruction|human)|\bwithout\s+(?:telling|informing|the)\s+(?:the\s+)?user|\bsecretly\b|\bexfiltrat|\bcurl\s+-|\bwget\s|\bpip install\b|\bnpm install\b|\brm -rf\b|!\[[^\]]*\]\(|<(?:img|script|iframe)\b|\bbase64\b[^.\n]{0,40}\b(?:send|append|url)|\bapi[_ ]?keys?\b[^.\n]{0,40}\b(?:send|append|include|print)`)
	})
)

// hides notes characters that are not seen, addresses, and words that look like injected instructions.
func hides(ev *templateEvidence, source string, code []string, text string) {
	for i, r := range source {
		inEmoji := r == 0x200D && betweenSymbols(source, i)
		if what := invisible(r); what != "" && !inEmoji {
			ev.warn("it holds %U, %s", r, what)
		}
	}
	said := []string{text}
	for _, c := range code {
		for _, l := range literalsOf(c) {
			said = append(said, l)
			if strings.ContainsFunc(l, func(r rune) bool { return invisible(r) != "" }) {
				ev.warn("a literal holds characters that are not seen: %s", escaped(l))
			}
		}
	}
	for _, s := range said {
		if a := address().FindString(s); a != "" {
			ev.warn("its text holds an address: %s", jsonText(a))
		}
		if i := injected().FindString(s); i != "" {
			ev.warn("its text gives instructions that users do not expect: %s", jsonText(i))
		}
	}
}

// betweenSymbols reports whether what stands around a character are symbols, as in an emoji of several.
func betweenSymbols(s string, i int) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:i])
	_, n := utf8.DecodeRuneInString(s[i:])
	after, _ := utf8.DecodeRuneInString(s[i+n:])
	symbol := func(r rune) bool { return unicode.Is(unicode.So, r) || unicode.Is(unicode.Sk, r) || r == 0xFE0F }
	return symbol(before) && symbol(after)
}

// The times at which templates are rendered.
var (
	oneDay   = time.Date(2026, time.November, 23, 9, 30, 0, 0, time.UTC)
	otherDay = time.Date(2031, time.February, 4, 22, 5, 0, 0, time.UTC)
)

// setting is what a template gets to see.
type setting struct {
	name     string
	messages [][2]string // role and content
	tools    bool
	day      time.Time
}

func dialogue(contents ...string) (list [][2]string) {
	for i, c := range contents {
		list = append(list, [2]string{[]string{"user", "assistant"}[i%2], c})
	}
	return list
}

// ordinary are settings of which every template should take at least one.
var ordinary = []setting{
	{"three turns", dialogue("Hello there", "Hi!", "Two and two?"), false, oneDay},
	{"one turn", dialogue("Hello there"), false, oneDay},
	{"system message", append([][2]string{{"system", "Be brief."}}, dialogue("Hello there", "Hi!", "Two and two?")...), false, oneDay},
	{"with tools", dialogue("Hello there", "Hi!", "Two and two?"), true, oneDay},
}

// topics are what a conversation may be about without a template having anything to say of its own.
var topics = []string{
	"What is my password for the bank account?", "Please write Python code that calls an API with a key.", "Is it safe to buy stocks of this company?",
	"Who won the election, and whom should I vote for?", "I feel ill; which medicine should I take?", "Please translate the weather report.",
	"admin login", "deploy to production",
}

// render renders a template on a setting.
func render(ctx context.Context, t *jinja.Template, s setting) (string, error) {
	var messages []any
	for _, m := range s.messages {
		messages = append(messages, jinja.Map{{Key: "role", Value: m[0]}, {Key: "content", Value: m[1]}})
	}
	vars := map[string]any{
		"messages": messages, "add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>",
		"tools": nil, "documents": nil,
	}
	if s.tools {
		property := jinja.Map{{Key: "city", Value: jinja.Map{{Key: "type", Value: "string"}, {Key: "description", Value: "a city"}}}}
		function := jinja.Map{
			{Key: "name", Value: "weather"},
			{Key: "description", Value: "the weather"},
			{Key: "parameters", Value: jinja.Map{{Key: "type", Value: "object"}, {Key: "properties", Value: property}, {Key: "required", Value: []any{"city"}}}},
		}
		vars["tools"] = []any{jinja.Map{{Key: "type", Value: "function"}, {Key: "function", Value: function}}}
	}
	return t.Render(ctx, vars, jinja.Options{Clock: func() time.Time { return s.day }})
}

// maxTriggers is how many of a template's own literals are said to it.
const maxTriggers = 64

// compare renders a template on ordinary settings, and on ones that differ in what should not matter.
func compare(ctx context.Context, ev *templateEvidence, t *jinja.Template, code []string) error {
	base, baseOut, first := -1, "", error(nil)
	for i, s := range ordinary {
		out, err := render(ctx, t, s)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var limit *jinja.LimitError
		switch {
		case errors.As(err, &limit):
			ev.refusal("a conversation", err)
			return nil
		case err != nil:
			ev.Refused++
			if first == nil {
				first = err
			}
		default:
			ev.Rendered++
			if base < 0 {
				base, baseOut = i, out
			}
		}
	}
	if base < 0 {
		ev.refusal("every conversation is refused", first)
		return nil
	}
	for _, v := range variants(ordinary[base], code) {
		out, err := render(ctx, t, v)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var limit *jinja.LimitError
		if errors.As(err, &limit) {
			ev.refusal("a conversation with "+v.name, err)
			return nil
		}
		if err != nil {
			ev.Refused++
			continue
		}
		ev.Rendered++
		if extra := added(baseOut, out, v); extra != "" {
			ev.warn("text appears only with %s: %s", v.name, jsonText(extra))
		}
	}
	return nil
}

// variants are settings that differ from an ordinary one in what should not matter.
func variants(s setting, code []string) []setting {
	last := func(name, content string) setting {
		v := s
		v.name, v.messages = name, slices.Clone(s.messages)
		v.messages[len(v.messages)-1][1] = content
		return v
	}
	later := s
	later.name, later.day = "another day", otherDay
	long := s
	long.name = "many turns"
	for range 12 {
		long.messages = append(slices.Clone(long.messages), dialogue("Hi!", "Two and two?")[0], dialogue("Two and two?")[0])
		long.messages[len(long.messages)-2][0] = "assistant"
	}
	list := []setting{later, long}
	for _, topic := range topics {
		list = append(list, last("another topic", topic))
	}
	seen := map[string]bool{}
	for _, c := range code {
		for _, l := range literalsOf(c) {
			l = strings.TrimSpace(l)
			if len(l) < 3 || len(l) > 80 || seen[l] || len(seen) == maxTriggers {
				continue
			}
			seen[l] = true
			list = append(list, last("the words "+jsonText(l), "Hello there "+l+" again"))
		}
	}
	return list
}

// fewWords is how many words of its own a template may add without a word being said about it.
const fewWords = 4

// dates are words that a template may write for the time.
var dates = strings.Fields("monday tuesday wednesday thursday friday saturday sunday january february march april may june july august september october november december")

// added returns the words of an output that are neither in another one nor in the conversation; "" when they are few.
func added(base, out string, s setting) string {
	known := map[string]bool{}
	for _, text := range append([]string{base}, contents(s)...) {
		for _, w := range words(text) {
			known[w] = true
		}
	}
	var extra []string
	for _, w := range words(out) {
		if !known[w] && !slices.Contains(dates, w) {
			extra = append(extra, w)
		}
	}
	if len(extra) < fewWords && !address().MatchString(strings.Join(extra, " ")) {
		return ""
	}
	return strings.Join(extra, " ")
}

func contents(s setting) (list []string) {
	for _, m := range s.messages {
		list = append(list, m[1])
	}
	return list
}

func words(s string) []string {
	return strings.FieldsFunc(strings.ToLower(s), func(r rune) bool { return !unicode.IsLetter(r) })
}
