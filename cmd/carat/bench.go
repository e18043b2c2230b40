package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/inference"
)

// benchFlags are what "carat bench" takes.
type benchFlags struct {
	model                     modelFlags
	prompt, generate, threads []int
	repetitions, batch        int
	cache                     string
	asJSON                    bool
	clock                     func() time.Time
}

func newBenchCommand(e *env) *cobra.Command {
	f := benchFlags{clock: time.Now}
	cmd := &cobra.Command{
		Use:   "bench " + modelUse,
		Short: "Measure the speed of a model",
		Long: `Measure how many tokens a second a model evaluates, in the tests and the table
of llama.cpp's llama-bench: ppN is the evaluation of a prompt of N tokens at
once, tgN that of N tokens one after the other. Both begin with an empty
context and use random tokens. After a warm-up (the whole prompt, or one token)
each test is run -r times; the mean and its standard deviation are printed.

` + modelHelp,
		Example: `  carat bench model-q4_k_m.gguf
  carat bench model-q4_k_m.gguf -p 512 -n 128 -t 1,2 -r 3 --json`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return e.bench(cmd.Context(), &f, args[0])
		},
	}
	f.model.remote.register(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.model.file, "file", "", "`NAME` of the GGUF file to run, where a model has several")
	flags.IntSliceVarP(&f.prompt, "prompt", "p", []int{512}, "tokens of the prompt, 0 for no such test (list)")
	flags.IntSliceVarP(&f.generate, "generate", "n", []int{128}, "tokens to generate, 0 for no such test (list)")
	flags.IntSliceVarP(&f.threads, "threads", "t", nil, "threads that compute (list; default all cores)")
	flags.IntVarP(&f.repetitions, "repetitions", "r", 5, "how often each test is run")
	flags.IntVarP(&f.batch, "batch", "b", 0, "positions computed at once (default the engine's choice)")
	flags.StringVar(&f.cache, "cache", "f32", "how keys and values are kept: f32, f16 or q8_0")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

// benchResult is one row of the table.
type benchResult struct {
	Model      string `json:"model"`
	Bytes      int64  `json:"model_size"`
	Parameters int64  `json:"model_n_params"`
	Backend    string `json:"backends"`
	Threads    int    `json:"n_threads"`
	Batch      int    `json:"n_batch,omitempty"`
	Prompt     int    `json:"n_prompt"`
	Generate   int    `json:"n_gen"`
	// Mean and Deviation are in tokens per second, Samples in tokens per second of each run.
	Mean      float64   `json:"avg_ts"`
	Deviation float64   `json:"stddev_ts"`
	Samples   []float64 `json:"samples_ts"`
}

func (e *env) bench(ctx context.Context, f *benchFlags, arg string) (err error) {
	if err := f.check(); err != nil {
		return exit(exitUsage, err)
	}
	m, err := e.openModel(ctx, &f.model, arg)
	if err != nil {
		return err
	}
	defer closeModel(m, &err)
	if !f.asJSON {
		benchHeader(e.stdout)
	}
	var all []benchResult
	for _, threads := range f.threads {
		results, err := f.measure(ctx, m, threads, func(r benchResult) {
			if !f.asJSON {
				r.print(e.stdout)
			}
		})
		if err != nil {
			return err
		}
		all = append(all, results...)
	}
	if f.asJSON {
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		return enc.Encode(all)
	}
	return nil
}

func (f *benchFlags) check() error {
	if len(f.threads) == 0 {
		f.threads = []int{runtime.GOMAXPROCS(0)}
	}
	for _, list := range [][]int{f.prompt, f.generate, f.threads} {
		for _, n := range list {
			if n < 0 || n > 1<<20 {
				return fmt.Errorf("%d is not from 0 to %d", n, 1<<20)
			}
		}
	}
	if f.repetitions < 1 || f.batch < 0 {
		return errors.New("at least one repetition, and no negative batch")
	}
	_, err := inference.ParseCacheType(f.cache)
	return err
}

// measure runs all tests at one number of threads.
func (f *benchFlags) measure(ctx context.Context, m *inference.Model, threads int, each func(benchResult)) ([]benchResult, error) {
	cache, err := inference.ParseCacheType(f.cache)
	if err != nil {
		return nil, err
	}
	facts := m.Facts()
	var out []benchResult
	for _, test := range f.tests() {
		r := benchResult{
			Model: benchModel(facts), Bytes: facts.Bytes, Parameters: facts.Parameters, Backend: "CPU",
			Threads: threads, Batch: f.batch, Prompt: test.prompt, Generate: test.generate,
		}
		s := m.NewSession(inference.SessionOptions{
			Threads: threads, Batch: f.batch, Context: max(test.prompt, test.generate), Cache: cache,
		})
		err := f.repeat(ctx, s, m, &r)
		s.Close()
		if err != nil {
			return nil, err
		}
		each(r)
		out = append(out, r)
	}
	return out, nil
}

type benchTest struct{ prompt, generate int }

func (f *benchFlags) tests() (tests []benchTest) {
	for _, n := range f.prompt {
		if n > 0 {
			tests = append(tests, benchTest{prompt: n})
		}
	}
	for _, n := range f.generate {
		if n > 0 {
			tests = append(tests, benchTest{generate: n})
		}
	}
	return tests
}

// repeat runs one test and fills in what it gave.
func (f *benchFlags) repeat(ctx context.Context, s *inference.Session, m *inference.Model, r *benchResult) error {
	random := rand.New(rand.NewPCG(1, 2))
	n := r.Prompt + r.Generate
	if n > s.Context() {
		return fmt.Errorf("the model's context of %d does not hold %d tokens", s.Context(), n)
	}
	step := n // positions of each call
	if r.Generate > 0 {
		step = 1
	}
	ids := make([]int, n)
	run := func(n int) error {
		s.Truncate(0)
		for i := range ids {
			ids[i] = random.IntN(m.Vocabulary())
		}
		if tok, err := m.Tokenizer(); err == nil && tok.AddsBOS() {
			ids[0], _ = tok.BOS()
		}
		for i := 0; i < n; i += step {
			if _, err := s.Eval(ctx, ids[i:i+step]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := run(step); err != nil { // warms up: the whole prompt, or one token
		return err
	}
	for range f.repetitions {
		start := f.clock()
		if err := run(n); err != nil {
			return err
		}
		r.Samples = append(r.Samples, float64(n)/f.clock().Sub(start).Seconds())
	}
	r.Mean, r.Deviation = meanDeviation(r.Samples)
	return nil
}

// meanDeviation returns the mean and the standard deviation of a sample.
func meanDeviation(samples []float64) (mean, deviation float64) {
	for _, v := range samples {
		mean += v / float64(len(samples))
	}
	if len(samples) < 2 {
		return mean, 0
	}
	for _, v := range samples {
		deviation += (v - mean) * (v - mean)
	}
	return mean, math.Sqrt(deviation / float64(len(samples)-1))
}

// benchModel is the model column: architecture, size and quantization.
func benchModel(f *inference.Facts) string {
	s := f.Architecture
	if size := client.ParamSize(f.Parameters); size != "" {
		s += " " + size
	}
	return s + " " + f.Quantization
}

const benchRow = "| %-30s | %10s | %10s | %-10s | %7s | %15s | %20s |\n"

func benchHeader(w io.Writer) {
	fmt.Fprintf(w, benchRow, "model", "size", "params", "backend", "threads", "test", "t/s")
	fmt.Fprintln(w, "| ------------------------------ | ---------: | ---------: | ---------- | ------: | --------------: | -------------------: |")
}

func (r *benchResult) print(w io.Writer) {
	size := fmt.Sprintf("%.2f MiB", float64(r.Bytes)/(1<<20))
	if r.Bytes >= 1<<30 {
		size = fmt.Sprintf("%.2f GiB", float64(r.Bytes)/(1<<30))
	}
	params := fmt.Sprintf("%.2f M", float64(r.Parameters)/1e6)
	if r.Parameters >= 1e9 {
		params = fmt.Sprintf("%.2f B", float64(r.Parameters)/1e9)
	}
	test := fmt.Sprintf("pp%d", r.Prompt)
	if r.Generate > 0 {
		test = fmt.Sprintf("tg%d", r.Generate)
	}
	fmt.Fprintf(w, benchRow, plain(r.Model), size, params, r.Backend, fmt.Sprint(r.Threads), test, fmt.Sprintf("%.2f ± %.2f", r.Mean, r.Deviation))
}
