package jinja

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/inference/fault"
	"github.com/carat-hub/carat/inference/internal/shared"
)

func clock() time.Time { return time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC) }

func conversation() map[string]any {
	return map[string]any{
		"messages": []Map{
			{{"role", "user"}, {"content", "Hello there"}},
			{{"role", "assistant"}, {"content", "Hi!"}},
			{{"role", "user"}, {"content", "2+2?"}},
		},
		"add_generation_prompt": true, "bos_token": "<s>", "eos_token": "</s>", "tools": nil,
		"date_string": "26 Jul 2024", "enable_thinking": true,
	}
}

func render(t testing.TB, src string, vars map[string]any, o Options) (string, error) {
	t.Helper()
	tm, err := Parse(src)
	if err != nil {
		return "", err
	}
	return tm.Render(t.Context(), vars, o)
}

// typed reports whether err is one that callers can tell apart.
func typed(err error) bool {
	var syntax *SyntaxError
	var mistake *RuntimeError
	var limit *LimitError
	var raised *RaisedError
	var unsupported *fault.Unsupported
	return errors.As(err, &syntax) || errors.As(err, &mistake) || errors.As(err, &limit) || errors.As(err, &raised) || errors.As(err, &unsupported)
}

// TestPublishedTemplates renders the chat templates of published models, which are not part of this repository.
func TestPublishedTemplates(t *testing.T) {
	t.Parallel()
	dir := shared.Path(t, "chat-templates")
	b, err := os.ReadFile(filepath.Join(dir, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]string
	if err := json.Unmarshal(b, &expected); err != nil {
		t.Fatal(err)
	}
	exact := 0
	for name, want := range expected {
		src, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := render(t, string(src), conversation(), Options{Clock: clock})
		if err != nil {
			t.Logf("%s is refused: %v", name, err)
			continue
		}
		if got != want {
			t.Errorf("%s:\n%s", name, cmp.Diff(want, got))
			continue
		}
		exact++
	}
	t.Logf("%d of %d are exact", exact, len(expected))
	if exact < 63 {
		t.Errorf("%d of %d templates are exact", exact, len(expected))
	}
}

// TestLanguage renders small templates and compares with what Jinja2 3.1 gives in transformers' environment. Where Jinja2 refuses, so
// must this; where it does not, this may refuse only as unsupported.
func TestLanguage(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/language.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vars  json.RawMessage
		Cases []struct {
			Template, Error string
			Output          *string
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	v, err := DecodeJSON(file.Vars)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]any{}
	for _, p := range v.(Map) {
		vars[p.Key] = p.Value
	}
	exact := 0
	for _, c := range file.Cases {
		got, err := render(t, c.Template, vars, Options{Clock: clock})
		var unsupported *fault.Unsupported
		switch {
		case c.Output == nil && !typed(err):
			t.Errorf("%.200q: Jinja2 gives %s, got %q, %v", c.Template, c.Error, got, err)
		case c.Output == nil || errors.As(err, &unsupported):
		case err != nil:
			t.Errorf("%.200q: %v", c.Template, err)
		case got != *c.Output:
			t.Errorf("%.200q:\n%s", c.Template, cmp.Diff(*c.Output, got))
		default:
			exact++
		}
	}
	if exact < 34 {
		t.Errorf("%d of %d are exact", exact, len(file.Cases))
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	_, err := render(t, "a\n{{ raise_exception('no ' ~ x) }}", map[string]any{"x": 7}, Options{})
	var raised *RaisedError
	if !errors.As(err, &raised) || raised.Message != "no 7" || raised.Line != 2 {
		t.Errorf("raised: %v", err)
	}
	_, err = render(t, "a\n\n{% if %}", nil, Options{})
	var bad *SyntaxError
	if !errors.As(err, &bad) || bad.Line != 3 {
		t.Errorf("syntax: %v", err)
	}
	_, err = render(t, "{{ 1 }}\n{{ x.y }}", nil, Options{})
	var mistake *RuntimeError
	if !errors.As(err, &mistake) || mistake.Line != 2 {
		t.Errorf("runtime: %v", err)
	}
	var unsupported *fault.Unsupported
	for _, src := range []string{"{% include 'x' %}", "{% extends 'x' %}", "{{ strftime_now('%Y') }}", "{{ 1|nope }}", "{{ 1 is nope }}", "{% for x in [1] recursive %}{% endfor %}"} {
		if _, err = render(t, src, nil, Options{}); !errors.As(err, &unsupported) {
			t.Errorf("%s: %v", src, err)
		}
	}
	if _, err := render(t, "{{ x }}", map[string]any{"x": struct{}{}}, Options{}); err == nil {
		t.Error("a struct was passed")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tm, err := Parse("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tm.Render(ctx, nil, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestLimits runs templates that want too much. Each must end in the limit that it runs into.
func TestLimits(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat
	for _, c := range []struct{ src, what string }{
		{"{% for a in range(60000) %}{% for b in range(60000) %}{% endfor %}{% endfor %}", "fuel"},
		{"{% for a in range(1000) %}{% for b in range(1000) %}x{% endfor %}{% endfor %}", "fuel"},
		{"{{ 'x' * 100000000 }}", "string"},
		{"{{ 'x' * 9223372036854775807 }}", "string"},
		{"{{ [0] * 9223372036854775807 }}", "list"},
		{"{{ range(1000000000) }}", "list"},
		{"{{ range(9223372036854775800, 9223372036854775807, 100)|list }}", "list"},
		{"{% set ns = namespace(s='x') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "string"},
		{"{% set ns = namespace(s=[1]) %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}", "fuel"},
		{"{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}", "fuel"},
		{"{% set ns = namespace(s=[1]) %}{% for i in range(60) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s|tojson }}", "fuel"},
		{"{% set a = namespace(s=[1], t=[1]) %}{% for i in range(50) %}{% set a.s = [a.s, a.s] %}{% set a.t = [a.t, a.t] %}{% endfor %}{{ a.s == a.t }}", "fuel"},
		{"{% set ns = namespace(s=[1]) %}{% for i in range(1000) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}", "recursion"},
		{"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "recursion"},
		{"{% macro f(n) %}{{ g(n) }}{% endmacro %}{% macro g(n) %}{{ f(n ~ n) }}{% endmacro %}{{ f('ab') }}", "string"},
		{"{% macro f() %}{% call g() %}{% endcall %}{% endmacro %}{% macro g() %}{{ f() }}{{ caller() }}{% endmacro %}{{ f() }}", "recursion"},
		{"{{ ('x' * 1000000).replace('', 'y' * 1000) }}", "string"},
		{"{{ ('a\n' * 100000)|indent(1000) }}", "string"},
		{"{{ ['x' * 100000] * 1000|int }}", "fuel"},
		{"{{ (['x' * 1000] * 10000)|join }}", "string"},
		{"{{ [[[1]]]|tojson(indent='x' * 1000000) }}", "string"},
		{"{{ ('{a}' * 10000).format(a='x' * 1000000) }}", "string"},
		{"{% for i in range(3) %}{{ 'x' * 1000000 }}{% endfor %}", "output"},
		{"{% for i in range(100000) %}{% set x = 'x' * 1000000 %}{% endfor %}", "list"},
		{"{% for i in range(10000) %}{% set x = 'x' * 1000000 %}{% endfor %}", "fuel"},
		{"{{ 9223372036854775807 + 1 }}", "number"},
		{"{{ 2 ** 64 }}", "number"},
		{"{{ 10.0 ** 400 }}", "number"},
		{"{{ 1 ** 9223372036854775807 }}{{ 3 ** 9223372036854775807 }}", "number"},
		{"{{ -9223372036854775807 - 2 }}", "number"},
		{"{{ 9007199254740993 / 2 }}", "number"},
		{deep("x", MaxSource+1), "template"},
	} {
		_, err := render(t, c.src, nil, Options{})
		var limit *LimitError
		if !errors.As(err, &limit) || limit.What != c.what {
			t.Errorf("%.120q: %v, expected the limit of %s", c.src, err, c.what)
		}
	}
	var bad *SyntaxError
	for _, src := range []string{
		"{{ " + deep("(", 100_000) + " }}", "{{ " + deep("[", 50_000) + deep("]", 50_000) + " }}", "{{ " + deep("not ", 50_000) + "1 }}",
		"{{ " + deep("-", 50_000) + "1 }}", "{{ 1" + deep("+1", 50_000) + " }}", "{{ x" + deep(".x", 50_000) + " }}", "{{ x" + deep("|x", 50_000) + " }}",
		deep("{% if 1 %}", 20_000), "{% if 1 %}" + deep("{% elif 1 %}", 20_000) + "{% endif %}", "{{ " + deep("1 if 1 else ", 10_000) + "1 }}",
		"{% set " + deep("(", 10_000) + "a" + deep(")", 10_000) + " = 1 %}", "{{ x" + deep("()", 50_000) + " }}", "{{ x" + deep("[0]", 50_000) + " }}",
	} {
		if _, err := Parse(src); !errors.As(err, &bad) {
			t.Errorf("%.40q: %v", src, err)
		}
	}
	if out, err := render(t, "{{ 'ab' * 3 }}", nil, Options{Fuel: 4, Output: 6}); out != "ababab" {
		t.Errorf("got %q, %v", out, err)
	}
	for _, o := range []Options{{Fuel: 3}, {Output: 5}} {
		if _, err := render(t, "{{ 'ab' * 3 }}", nil, o); err == nil {
			t.Errorf("%+v is no limit", o)
		}
	}
}

// TestEscapes tries the ways out of template sandboxes. Each must fail or give nothing but its own text.
func TestEscapes(t *testing.T) {
	t.Parallel()
	vars := conversation()
	for _, src := range []string{
		"{{ ''.__class__ }}", "{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ [].__class__.__base__ }}", "{{ {}.__class__ }}",
		"{{ ''['__class__'] }}", "{{ messages.__class__.__init__.__globals__ }}", "{{ messages[0].__class__ }}", "{{ messages[0]['__class__']['__mro__'] }}",
		"{{ self }}", "{{ self.__init__.__globals__.__builtins__ }}", "{{ self._TemplateReference__context }}", "{{ config }}", "{{ config.items() }}",
		"{{ request.application.__globals__ }}", "{{ lipsum.__globals__['os'].popen('id').read() }}", "{{ cycler.__init__.__globals__.os }}",
		"{{ joiner.__init__ }}", "{{ namespace.__init__.__globals__ }}", "{{ range.__class__ }}", "{{ dict.__base__ }}", "{{ dict.fromkeys(['a']) }}",
		"{{ raise_exception.__globals__ }}", "{{ strftime_now.__closure__ }}", "{{ loop.__class__ }}", "{% for x in [1] %}{{ loop.__init__ }}{% endfor %}",
		"{% for x in [1] %}{{ loop._iterator }}{% endfor %}", "{% macro m() %}{% endmacro %}{{ m.__call__.__globals__ }}", "{% macro m() %}{% endmacro %}{{ m._func }}",
		"{{ ''|attr('__class__') }}", "{{ ''|attr('__cla' ~ 'ss__') }}", "{{ ['']|map(attribute='__class__')|list }}", "{{ ['']|map('attr', '__class__')|list }}",
		"{{ '{0.__class__}'.format('') }}", "{{ '{0[__class__]}'.format(messages) }}", "{{ '{a.b}'.format(a=self) }}", "{{ '%c'|format(7) }}", "{{ ''.format_map(x) }}",
		"{{ messages.append(1) }}", "{{ messages[0].update({'a': 1}) }}", "{{ messages[0].pop('role') }}", "{{ messages.clear() }}", "{{ messages[0].setdefault('x', 1) }}",
		"{% set messages[0].role = 'x' %}", "{% set messages.x = 1 %}", "{% include '/etc/passwd' %}", "{% import 'os' as os %}", "{% from 'os' import system %}", "{% extends x %}",
		"{{ get_flashed_messages.__globals__ }}", "{{ url_for.__globals__.current_app }}", "{{ ''.join.__self__ }}", "{{ namespace()['__dict__'] }}",
		"{% set ns = namespace() %}{% set ns.__class__ = 1 %}{{ ''.__class__ }}", "{{ open('/etc/passwd').read() }}", "{{ eval('1') }}", "{{ __import__('os') }}",
		"{{ ().__class__.__bases__[0] }}", "{{ 0 .__class__ }}", "{{ (1).real.__class__ }}", "{{ caller.__globals__ }}", "{% do messages.append(1) %}", "{{ '\\x5f\\x5fclass__' }}{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
		"{% autoescape false %}{% endautoescape %}", "{{ ''.encode('utf8') }}", "{{ messages|sort(attribute='__class__') }}", "{{ [self, 1]|list }}", "${7*7} #{7*7} <%= 7*7 %>",
	} {
		out, err := render(t, src, vars, Options{Clock: clock})
		if err != nil {
			if !typed(err) {
				t.Errorf("%s: %v", src, err)
			}
			continue
		}
		if out != "" && out != "${7*7} #{7*7} <%= 7*7 %>" {
			t.Errorf("%s gives %q", src, out)
		}
	}
	if d := cmp.Diff(conversation(), vars); d != "" {
		t.Error(d)
	}
}

func TestDecodeJSON(t *testing.T) {
	t.Parallel()
	v, err := DecodeJSON([]byte(`{"b":[1,2.5,null,true,"x"],"a":{}}`))
	want := Map{{"b", []any{int64(1), 2.5, nil, true, "x"}}, {"a", Map{}}}
	if d := cmp.Diff(any(want), v); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	for _, s := range []string{"", "{", "[1", "1 2", strings.Repeat("[", 1000), `{"a"}`} {
		if _, err := DecodeJSON([]byte(s)); err == nil {
			t.Errorf("%.20q decodes", s)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, s := range []string{
		"{% for m in messages %}<|{{ m.role }}|>{{ m['content'] | trim }}{{ eos_token }}{% endfor %}",
		"{%- set ns = namespace(a=[]) -%}{% for x in range(3) %}{% set ns.a = ns.a + [x] %}{% endfor %}{{ ns.a[::-1]|tojson(indent=1) }}",
		"{% macro m(a, b='c') %}{{ a ~ b }}{{ caller() if caller }}{% endmacro %}{% call m(1) %}x{% endcall %}",
		"{{ messages|selectattr('role', 'eq', 'user')|map(attribute='content')|join(',')|title|indent }}",
		"{# c #}{% raw %}{{{% endraw %}{{ {'a': (1, 2.5e3)}.items()|list }}{{ 'a%s'|replace('a', '\\n')|e }}",
		"{{ '{}{0}{x}'.format(1, x=2) }}{{ -7 // 2 ** -1 % 3 }}{{ 'x y'.split(none, 1)[:1] }}{% filter upper %}a{% endfilter %}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		tm, err := Parse(src)
		if err == nil {
			var out string
			if out, err = tm.Render(t.Context(), conversation(), Options{Fuel: 20_000, Output: 1 << 16, Clock: clock}); len(out) > 1<<16 {
				t.Fatalf("%d bytes", len(out))
			}
		}
		if err != nil && !typed(err) {
			t.Fatalf("%v", err)
		}
	})
}
