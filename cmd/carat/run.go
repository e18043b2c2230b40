package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/carat-hub/carat/inference"
)

// runFlags are what "carat run" takes.
type runFlags struct {
	model     modelFlags
	sampling  inference.Sampling
	given     func(flag string) bool // whether the command line has it
	maxTokens int
	context   int
	cache     string
	system    string
	stop      []string
	raw       bool
	verbose   bool
}

func newRunCommand(e *env) *cobra.Command {
	f := runFlags{sampling: inference.DefaultSampling()}
	cmd := &cobra.Command{
		Use:   "run " + modelUse + " [PROMPT]",
		Short: "Talk to a model, or let it answer a prompt",
		Long: `Run a model on this machine's CPU. With a prompt, or one piped to standard input,
it prints one answer and ends. Without, on a terminal, it is a conversation:
Ctrl-C ends an answer, Ctrl-D or /bye the conversation, /clear forgets it.

The prompt is put into the model's chat template where it has one, and otherwise
continued as it is; --raw continues it in any case. The answer goes to standard
output as it grows, everything else to standard error.

A token is chosen in these steps: penalties for repetition, --top-k, --top-p,
--min-p, --temperature. --temperature 0 always takes the most likely token, and
the same --seed gives the same answer. Where a flag is not given, the model's own
settings count (generation_config.json, or general.sampling in a GGUF file);
--verbose tells which were taken.

` + modelHelp,
		Example: `  carat run examples/tiny-llama "Who made the heaven?"
  carat run localhost:8080/demo/tiny-llama:v1
  carat run model-q4_k_m.gguf --raw --temperature 0 --max-tokens 32 < story.txt`,
		Args: usage(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.given = cmd.Flags().Changed
			return e.run(cmd.Context(), &f, args)
		},
	}
	f.model.register(cmd)
	flags, s := cmd.Flags(), &f.sampling
	flags.Float64Var(&s.Temperature, "temperature", s.Temperature, "how adventurous the choice of tokens is, 0 for the most likely")
	flags.IntVar(&s.TopK, "top-k", s.TopK, "choose among that many of the most likely tokens, 0 for all")
	flags.Float64Var(&s.TopP, "top-p", s.TopP, "choose among the most likely tokens that together are this likely, 1 for all")
	flags.Float64Var(&s.MinP, "min-p", s.MinP, "leave out tokens less likely than this share of the most likely one's probability")
	flags.Float64Var(&s.RepeatPenalty, "repeat-penalty", 1, "divide the logits of tokens that came before, 1 for no penalty")
	flags.Float64Var(&s.FrequencyPenalty, "frequency-penalty", 0, "subtract from a token's logit each time that it came before")
	flags.Float64Var(&s.PresencePenalty, "presence-penalty", 0, "subtract from the logits of tokens that came before")
	flags.IntVar(&s.RepeatWindow, "repeat-window", 64, "how many of the last tokens the penalties look at, -1 for all")
	flags.Uint64Var(&s.Seed, "seed", 0, "seed of the choices (default another one each time)")
	flags.IntVarP(&f.maxTokens, "max-tokens", "n", 0, "end the answer after so many tokens (default when the model ends it)")
	flags.IntVarP(&f.context, "ctx", "c", 0, "tokens that prompt and answers can have together (default the model's, at most 4096)")
	flags.StringVar(&f.system, "system", "", "instruction that stands before the conversation")
	flags.StringArrayVar(&f.stop, "stop", nil, "`TEXT` before which the answer ends (repeatable)")
	flags.StringVar(&f.cache, "cache", "f32", "how keys and values are kept: f32, f16 (half of the memory) or q8_0 (a quarter)")
	flags.BoolVar(&f.raw, "raw", false, "continue the prompt as it is, without a chat template")
	flags.BoolVar(&f.verbose, "verbose", false, "print times and speeds")
	return cmd
}

func (e *env) run(ctx context.Context, f *runFlags, args []string) (err error) {
	if !f.given("seed") {
		f.sampling.Seed = rand.Uint64()
	}
	if _, err := inference.NewSampler(f.sampling); err != nil {
		return exit(exitUsage, err)
	}
	cache, err := inference.ParseCacheType(f.cache)
	if err != nil {
		return exit(exitUsage, err)
	}
	prompt, talk, err := e.prompt(args)
	if err != nil {
		return err
	}
	start := time.Now()
	m, err := e.openModel(ctx, &f.model, args[0])
	if err != nil {
		return err
	}
	defer closeModel(m, &err)
	if _, err := m.Tokenizer(); err != nil {
		return fmt.Errorf("the tokenizer of %s: %w", args[0], err)
	}
	if m.ChatTemplate() == "" {
		if talk {
			return errors.New("the model has no chat template to talk by; give a prompt that it is to continue")
		}
		f.raw = true
	}
	taken := f.follow(m.SuggestedSampling())
	sampler, err := inference.NewSampler(f.sampling)
	if err != nil {
		return err
	}
	o := inference.SessionOptions{Threads: f.model.threads, Context: f.context, Cache: cache}
	s := m.NewSession(o)
	defer s.Close()
	c := &conversation{m: m, s: s, sampler: sampler, f: f}
	c.clear()
	if f.verbose {
		c.report = e.stderr
		need := m.Memory(o)
		fmt.Fprintf(e.stderr, "load     %.2fs\n", time.Since(start).Seconds())
		fmt.Fprintf(e.stderr, "memory   %s of weights, %s for %d tokens, %s to compute\n",
			formatBytes(need.Weights+need.Decoded), formatBytes(need.Cache), need.Context, formatBytes(need.Activations))
		if len(taken) > 0 {
			fmt.Fprintf(e.stderr, "sampling %s, as the model suggests\n", strings.Join(taken, ", "))
		}
	}
	if talk {
		return e.talk(ctx, c)
	}
	out := newAnswerWriter(e.stdout)
	err = c.answer(ctx, prompt, out.write)
	return errors.Join(err, out.end())
}

// follow takes what a model suggests where no flag says otherwise, and returns what it took.
func (f *runFlags) follow(s inference.SamplingSuggestion) (taken []string) {
	set := func(flag string, to, value *float64) {
		if value != nil && !f.given(flag) {
			*to = *value
			taken = append(taken, fmt.Sprintf("%s %g", flag, *value))
		}
	}
	set("temperature", &f.sampling.Temperature, s.Temperature)
	if s.TopK != nil && !f.given("top-k") {
		f.sampling.TopK = *s.TopK
		taken = append(taken, fmt.Sprintf("top-k %d", *s.TopK))
	}
	set("top-p", &f.sampling.TopP, s.TopP)
	set("min-p", &f.sampling.MinP, s.MinP)
	set("repeat-penalty", &f.sampling.RepeatPenalty, s.RepeatPenalty)
	return taken
}

// prompt returns what the model is to answer, or that a conversation is meant.
func (e *env) prompt(args []string) (prompt string, talk bool, err error) {
	switch {
	case len(args) == 2:
		prompt = args[1]
	case isTerminal(e.stdin) && isTerminal(e.stdout):
		return "", true, nil
	default:
		if prompt, err = e.readText("-"); err != nil {
			return "", false, err
		}
	}
	if strings.TrimSpace(prompt) == "" {
		return "", false, exit(exitUsage, errors.New("the prompt is empty"))
	}
	return prompt, false, nil
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// answerWriter writes an answer as it grows. What a model says is foreign: on
// a terminal, nothing of it but lines and tabs moves the cursor.
type answerWriter struct {
	w        io.Writer
	terminal bool
	last     byte // written
}

func newAnswerWriter(w io.Writer) *answerWriter {
	return &answerWriter{w: w, terminal: isTerminal(w)}
}

func (a *answerWriter) write(text string) error {
	if a.terminal {
		text = harmless(text)
	}
	if text == "" {
		return nil
	}
	a.last = text[len(text)-1]
	_, err := io.WriteString(a.w, text)
	return err
}

// end ends the last line.
func (a *answerWriter) end() error {
	if a.last == '\n' || a.last == 0 {
		return nil
	}
	return a.write("\n")
}

// harmless removes what a terminal would obey.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}

// conversation is what was said so far and the session that holds its tokens.
type conversation struct {
	m        *inference.Model
	s        *inference.Session
	sampler  *inference.Sampler
	f        *runFlags
	report   io.Writer // of times, nil for none
	messages []inference.Message
	held     []int // the session's tokens
}

// clear forgets everything but the system's instruction.
func (c *conversation) clear() {
	c.messages = nil
	if c.f.system != "" {
		c.messages = []inference.Message{{Role: "system", Content: c.f.system}}
	}
}

// answer writes the model's answer to a prompt and remembers both. What it has
// said before an error counts as its answer.
func (c *conversation) answer(ctx context.Context, prompt string, write func(string) error) error {
	before := len(c.messages)
	c.messages = append(c.messages, inference.Message{Role: "user", Content: prompt})
	ids, err := c.tokens(ctx, prompt)
	if err != nil {
		c.messages = c.messages[:before]
		return err
	}
	if len(ids) >= c.s.Context() {
		c.messages = c.messages[:before]
		return fmt.Errorf("%d tokens leave no room for an answer in a context of %d (--ctx)", len(ids), c.s.Context())
	}
	// The beginning that the session holds already is not evaluated again; one token must be, for its logits.
	same := 0
	for same < min(len(c.held), len(ids)-1) && c.held[same] == ids[same] {
		same++
	}
	c.s.Truncate(same)
	g, err := c.s.Generate(ctx, ids[same:], inference.GenerateOptions{
		MaxTokens: c.f.maxTokens, Sampler: c.sampler, Stop: c.f.stop, OnText: write,
	})
	c.held = append(ids, g.IDs...)[:c.s.Len()]
	c.messages = append(c.messages, inference.Message{Role: "assistant", Content: g.Text})
	if c.report != nil && err == nil {
		defer func() { c.print(g) }()
	}
	return err
}

// tokens encodes the conversation, or the prompt alone when that is to be continued as it is.
func (c *conversation) tokens(ctx context.Context, prompt string) ([]int, error) {
	if c.f.raw {
		tok, err := c.m.Tokenizer()
		if err != nil {
			return nil, err
		}
		return tok.Encode(prompt, true), nil
	}
	ids, err := c.m.PromptTokens(ctx, c.messages, time.Now)
	if err != nil {
		return nil, fmt.Errorf("%w (--raw continues the prompt without the template)", err)
	}
	return ids, nil
}

func (c *conversation) print(g inference.Generation) {
	s := g.Stats
	fmt.Fprintf(c.report, "prompt   %d tokens, %.1f tokens/s\n", s.PromptTokens, s.PromptRate())
	fmt.Fprintf(c.report, "answer   %d tokens, %.1f tokens/s, the first after %.2fs, ended by %s\n", s.Tokens, s.DecodeRate(), s.FirstToken.Seconds(), g.End)
}
