package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"

	"github.com/carat-hub/carat/inference"
)

func exampleAnswer(t *testing.T, encode func(*inference.Model) []int, n int) string {
	t.Helper()
	m, err := inference.Load(t.Context(), exampleModel, inference.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := m.NewSession(inference.SessionOptions{Threads: 1})
	defer s.Close()
	g, err := s.Generate(t.Context(), encode(m), inference.GenerateOptions{MaxTokens: n})
	if err != nil {
		t.Fatal(err)
	}
	return g.Text
}

func TestRunAnswers(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	raw := exampleAnswer(t, func(m *inference.Model) []int {
		tok, err := m.Tokenizer()
		if err != nil {
			t.Fatal(err)
		}
		return tok.Encode("In the beginning", true)
	}, 20)
	templated := func(messages ...inference.Message) string {
		return exampleAnswer(t, func(m *inference.Model) []int {
			text, err := m.Prompt(t.Context(), messages, nil)
			if err != nil {
				t.Fatal(err)
			}
			tok, err := m.Tokenizer()
			if err != nil {
				t.Fatal(err)
			}
			return tok.Encode(text, false)
		}, 20)
	}
	user := inference.Message{Role: "user", Content: "In the beginning"}
	for name, c := range map[string]struct {
		args        []string
		stdin, want string
	}{
		"template":    {[]string{"In the beginning"}, "", templated(user)},
		"with system": {[]string{"In the beginning", "--system", "Be brief."}, "", templated(inference.Message{Role: "system", Content: "Be brief."}, user)},
		"raw":         {[]string{"--raw", "In the beginning"}, "", raw},
		"piped":       {[]string{"--raw"}, "In the beginning", raw},
		"stopped":     {[]string{"--raw", "--stop", "LORD", "In the beginning"}, "", raw[:strings.Index(raw, "LORD")]},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"run", exampleModel, "--temperature", "0", "-n", "20", "-t", "1"}, c.args...)
			out, msg := sh.run(0, c.stdin, args...)
			if want := strings.TrimSuffix(c.want, "\n") + "\n"; out != want || msg != "" {
				t.Errorf("printed %q and %q, want %q", out, msg, want)
			}
		})
	}
}

func TestRunSamples(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	run := func(args ...string) string {
		out, _ := sh.run(0, "", append([]string{"run", exampleModel, "In the beginning", "-n", "30", "-t", "1"}, args...)...)
		return out
	}
	if one, two := run("--seed", "5"), run("--seed", "5"); one != two || one == run("--seed", "6") {
		t.Errorf("a seed gives %q and %q", one, two)
	}
	if one, two := run(), run(); one == two {
		t.Error("without a seed, twice the same")
	}
	_, msg := sh.run(0, "", "run", exampleModel, "Why?", "-n", "3", "--verbose")
	for _, want := range []string{"load ", "memory   5.8 MB of weights, ", "prompt ", "answer   3 tokens, ", "ended by "} {
		if !strings.Contains(msg, want) {
			t.Errorf("--verbose does not print %q:\n%s", want, msg)
		}
	}
}

// TestRunFollowsTheModel: settings of the model count where no flag is given, and --verbose tells them.
func TestRunFollowsTheModel(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(exampleModel)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "generation_config.json"), []byte(`{"do_sample":false,"top_k":7,"repetition_penalty":1.5}`))
	run := func(args ...string) (string, string) {
		return sh.run(0, "", append([]string{"run", dir, "In the beginning", "-n", "12", "--verbose"}, args...)...)
	}
	one, msg := run()
	two, _ := run()
	if one != two {
		t.Errorf("the most likely tokens are once %q and once %q", one, two)
	}
	if want := "sampling temperature 0, top-k 7, repeat-penalty 1.5, as the model suggests\n"; !strings.Contains(msg, want) {
		t.Errorf("--verbose does not print %q:\n%s", want, msg)
	}
	plain, msg := run("--temperature", "0", "--top-k", "40", "--repeat-penalty", "1")
	if plain == one || strings.Contains(msg, "suggests") {
		t.Errorf("with flags for all the answer is %q, without %q:\n%s", plain, one, msg)
	}
}

// lowRankFolder writes an adapter that changes what the example model's first layer feeds forward.
func lowRankFolder(t *testing.T) string {
	t.Helper()
	const module = "base_model.model.model.layers.0.mlp.down_proj.lora_"
	header := `{"` + module + `A.weight":{"dtype":"F32","shape":[1,512],"data_offsets":[0,2048]},` +
		`"` + module + `B.weight":{"dtype":"F32","shape":[256,1],"data_offsets":[2048,3072]}}`
	file := append([]byte{byte(len(header)), byte(len(header) >> 8), 0, 0, 0, 0, 0, 0}, header...)
	for i := range 768 {
		file = append(file, 0, 0, 0x80, []byte{0x3f, 0xbf}[i%2]) // 1 and -1
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "adapter_model.safetensors"), file)
	write(t, filepath.Join(dir, "adapter_config.json"), []byte(`{"peft_type":"LORA","r":1,"lora_alpha":1,"target_modules":["down_proj"]}`))
	return dir
}

func TestRunWithAdapter(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	args := []string{"run", exampleModel, "Why?", "--temperature", "0", "-n", "12"}
	plain, _ := sh.run(0, "", args...)
	adapted, _ := sh.run(0, "", append(args, "--adapter", lowRankFolder(t))...)
	if adapted == plain || adapted == "" {
		t.Errorf("%q with the adapter, %q without", adapted, plain)
	}
	sh.run(1, "", append(args, "--adapter", t.TempDir())...)
	sh.run(1, "", append(args, "--adapter", "no-such-folder")...)
}

func TestRunRefused(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	for name, c := range map[string]struct {
		code int
		args []string
		want string
	}{
		"no model":     {2, []string{"no-such-thing", "x"}, "no file or folder"},
		"empty prompt": {2, []string{exampleModel, " \n"}, "prompt is empty"},
		"nothing read": {2, []string{exampleModel}, "prompt is empty"},
		"temperature":  {2, []string{exampleModel, "x", "--temperature", "-1"}, "temperature"},
		"file":         {2, []string{exampleModel, "x", "--file", "../x"}, "leaves the model's folder"},
		"no such file": {1, []string{exampleModel, "x", "--file", "x.gguf"}, "no such file"},
		"too long":     {1, []string{exampleModel, strings.Repeat("x ", 50), "--ctx", "20"}, "no room for an answer in a context of 20"},
		"unreachable":  {1, []string{"127.0.0.1:1/demo/m:v1", "x"}, "cannot reach 127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, msg := sh.run(c.code, "", append([]string{"run"}, c.args...)...)
			if out != "" || !strings.Contains(msg, c.want) {
				t.Errorf("printed %q and %q", out, msg)
			}
		})
	}
}

// cachingShell is a shell with a cache of its own.
func cachingShell(t *testing.T) (func(code int, args ...string) (stdout, stderr string), string) {
	t.Helper()
	cache, docker := t.TempDir(), t.TempDir()
	getenv := func(key string) string {
		return map[string]string{"XDG_CACHE_HOME": cache, "DOCKER_CONFIG": docker}[key]
	}
	return func(code int, args ...string) (string, string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(t.Context(), args, getenv, strings.NewReader(""), &out, &errs); got != code {
			t.Errorf("carat %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
		}
		return out.String(), errs.String()
	}, filepath.Join(cache, "carat")
}

func TestRunReference(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	blobs := 0
	registry := ggcr.New()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			blobs++
		}
		registry.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	sh, cache := cachingShell(t)
	ref := host + "/demo/tiny-llama:v1"
	pinned, _ := sh(0, "push", exampleModel, ref)
	fetched := func() int {
		mu.Lock()
		defer mu.Unlock()
		n := blobs
		blobs = 0
		return n
	}
	fetched()
	ask := func(model string) (string, string) {
		t.Helper()
		out, msg := sh(0, "run", model, "Why?", "-n", "5", "--temperature", "0")
		return out, msg
	}
	want, _ := ask(exampleModel)
	if out, _ := ask(ref); out != want || fetched() != 8 {
		t.Errorf("the first run answers %q, want %q", out, want)
	}
	for _, again := range []string{ref, strings.TrimSpace(pinned)} {
		if out, msg := ask(again); out != want || msg != "" || fetched() != 0 {
			t.Errorf("%s again answers %q and says %q", again, out, msg)
		}
	}
	// Another version shares all files but one with the first.
	other := t.TempDir()
	if err := os.CopyFS(other, os.DirFS(exampleModel)); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(other, "README.md"), []byte("# Other\n"))
	sh(0, "push", other, host+"/demo/tiny-llama:v2")
	fetched()
	if out, _ := ask(host + "/demo/tiny-llama:v2"); out != want || fetched() != 1 {
		t.Errorf("the other version answers %q", out)
	}
	// A damaged file of the cache does not get into another version.
	weights := must(filepath.Glob(filepath.Join(cache, "models", "*", "demo", "tiny-llama", "*", "model.safetensors")))(t)
	if len(weights) != 2 {
		t.Fatalf("cached %v", weights)
	}
	p := read(t, weights[0])
	p[len(p)-1] ^= 1
	write(t, weights[0], p) // with the blob, it is one file
	write(t, filepath.Join(other, "README.md"), []byte("# Third\n"))
	sh(0, "push", other, host+"/demo/tiny-llama:v3")
	fetched()
	if out, _ := ask(host + "/demo/tiny-llama:v3"); out != want || fetched() != 2 {
		t.Errorf("the third version answers %q", out)
	}

	server.Close()
	if out, msg := ask(host + "/demo/tiny-llama:v3"); out != want || !strings.Contains(msg, "does not answer; running the version pulled last") {
		t.Errorf("without its registry it answers %q and says %q", out, msg)
	}
}

// scriptedTerminal types keys and sees what is printed.
type scriptedTerminal struct {
	keys io.Writer
	mu   sync.Mutex
	out  strings.Builder
	// on is called for what is printed, after it.
	on func(all string)
}

func (s *scriptedTerminal) Write(b []byte) (int, error) {
	s.mu.Lock()
	s.out.Write(b)
	all := s.out.String()
	s.mu.Unlock()
	s.on(all)
	return len(b), nil
}

func TestTalk(t *testing.T) {
	t.Parallel()
	m, err := inference.Load(t.Context(), exampleModel, inference.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := m.NewSession(inference.SessionOptions{Threads: 1, Context: 4000})
	defer s.Close()
	f := &runFlags{maxTokens: 8}
	sampler, err := inference.NewSampler(f.sampling)
	if err != nil {
		t.Fatal(err)
	}
	c := &conversation{m: m, s: s, sampler: sampler, f: f}
	c.clear()
	in, keys := io.Pipe()
	screen := &scriptedTerminal{keys: keys}
	typed := func(s string) { go fmt.Fprint(keys, s) }
	step := 0
	screen.on = func(all string) {
		// Each step is typed when the prompt of the step before has been answered.
		switch {
		case step < 3 && strings.Count(all, ">>> ") == step+1 && strings.HasSuffix(all, ">>> "):
			step++
			typed([]string{"garbage\x03Who?\r", "Why?\r", "/help\r"}[step-1])
		case step == 3 && strings.Count(all, "/bye") == 2 && strings.HasSuffix(all, ">>> "):
			step++
			f.maxTokens = 0
			typed("On and on\r")
		case step == 4 && strings.Count(all, "\n") > 8:
			step++
			fmt.Fprint(keys, "\x03") // read before the answer goes on
		case step == 5 && strings.HasSuffix(all, ">>> "):
			step++
			typed("\x04")
		}
	}
	if err := newConsole(in, screen).converse(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if step != 6 {
		t.Errorf("step %d:\n%s", step, screen.out.String())
	}
	if len(c.messages) != 6 || c.messages[0].Content != "Who?" || c.messages[2].Content != "Why?" || c.messages[5].Content == "" {
		t.Errorf("%+v", c.messages)
	}
	if len(c.held) != s.Len() || s.Len() > 3900 {
		t.Errorf("%d tokens known, %d held", len(c.held), s.Len())
	}
	// What the session kept of earlier turns gives the answer that a new session gives.
	fresh := m.NewSession(inference.SessionOptions{Threads: 1, Context: 4000})
	defer fresh.Close()
	f.maxTokens = 6
	var one, two strings.Builder
	again := &conversation{m: m, s: fresh, sampler: sampler, f: f, messages: append([]inference.Message(nil), c.messages...)}
	if err := errors.Join(c.answer(t.Context(), "Again?", func(s string) error { one.WriteString(s); return nil }),
		again.answer(t.Context(), "Again?", func(s string) error { two.WriteString(s); return nil })); err != nil {
		t.Fatal(err)
	}
	if one.String() != two.String() || one.Len() == 0 {
		t.Errorf("%q with what was kept, %q without", one.String(), two.String())
	}
}

func TestHarmless(t *testing.T) {
	t.Parallel()
	if got := harmless("a\x1b[2Jb\r\n\tc\u009bd\x07é"); got != "a[2Jb\n\tcdé" {
		t.Errorf("%q", got)
	}
}

func TestPerplexityCommand(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	const text = "../../inference/testdata/perplexity-kjv.txt"
	out, _ := sh.run(0, "", "perplexity", exampleModel, "--text", text, "--ctx", "128", "--json")
	var p inference.Perplexity
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		t.Fatal(err)
	}
	// llama.cpp's figure for the same weights as F16.
	if p.Perplexity < 38.3516*0.995 || p.Perplexity > 38.3516*1.005 || p.Chunks != 13 {
		t.Errorf("%+v", p)
	}
	out, _ = sh.run(0, string(read(t, text)), "perplexity", exampleModel, "--text", "-", "-c", "128")
	if !strings.HasPrefix(out, fmt.Sprintf("perplexity %.4f (", p.Perplexity)) {
		t.Errorf("printed %q", out)
	}
	sh.run(2, "", "perplexity", exampleModel)
	sh.run(1, "", "perplexity", exampleModel, "--text", "no-such-file")
	sh.run(1, "short", "perplexity", exampleModel, "--text", "-")
}

func TestBenchCommand(t *testing.T) {
	t.Parallel()
	sh := newShell(t)
	args := []string{"bench", exampleModel, "-p", "16,8", "-n", "4", "-t", "1,2", "-r", "3"}
	out, _ := sh.run(0, "", append(args, "--json")...)
	var rows []benchResult
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		t.Fatal(err)
	}
	var tests []string
	for _, r := range rows {
		tests = append(tests, fmt.Sprintf("t%d p%d n%d", r.Threads, r.Prompt, r.Generate))
		mean, deviation := meanDeviation(r.Samples)
		if len(r.Samples) != 3 || r.Mean != mean || r.Deviation != deviation || !(r.Mean > 0) || r.Parameters != 2_885_888 || r.Bytes != 5_771_776 {
			t.Errorf("%+v", r)
		}
	}
	if got := strings.Join(tests, ", "); got != "t1 p16 n0, t1 p8 n0, t1 p0 n4, t2 p16 n0, t2 p8 n0, t2 p0 n4" {
		t.Errorf("tests %s", got)
	}
	out, _ = sh.run(0, "", args...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 8 || !strings.HasPrefix(lines[2], "| llama 2.9M BF16 ") || !strings.Contains(lines[4], " tg4 |") || !strings.Contains(lines[2], " ± ") {
		t.Errorf("printed\n%s", out)
	}
	for _, l := range lines {
		if n := len([]rune(l)); n != len(lines[0]) {
			t.Errorf("a line of %d characters, not %d: %s", n, len(lines[0]), l)
		}
	}
	sh.run(2, "", "bench", exampleModel, "-r", "0")
	sh.run(2, "", "bench", exampleModel, "-p", "-1")
	if mean, deviation := meanDeviation([]float64{2, 4, 4, 4, 5, 5, 7, 9}); mean != 5 || deviation < 2.13 || deviation > 2.14 {
		t.Errorf("%g ± %g", mean, deviation)
	}
}
