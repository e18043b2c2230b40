package inference_test

import (
	"context"
	"fmt"
	"log"

	"github.com/carat-hub/carat/inference"
)

// Complete a text with the most likely tokens.
func Example() {
	ctx := context.Background()
	m, err := inference.Load(ctx, "../examples/tiny-llama", inference.OpenOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	tok, err := m.Tokenizer()
	if err != nil {
		log.Fatal(err)
	}
	s := m.NewSession(inference.SessionOptions{Threads: 2})
	defer s.Close()
	g, err := s.Generate(ctx, tok.Encode("In the beginning", true), inference.GenerateOptions{MaxTokens: 8})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q, ended by %s\n", g.Text, g.End)
	// Output: " of the LORD, and the LORD thy", ended by length
}

// Answer in a conversation, printing as the answer grows.
func ExampleSession_Generate() {
	ctx := context.Background()
	m, err := inference.Load(ctx, "../examples/tiny-llama", inference.OpenOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	prompt, err := m.PromptTokens(ctx, []inference.Message{{Role: "user", Content: "Who made the heaven?"}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	sampler, err := inference.NewSampler(inference.Sampling{Temperature: 0.7, TopK: 40, RepeatPenalty: 1.1, Seed: 1})
	if err != nil {
		log.Fatal(err)
	}
	s := m.NewSession(inference.SessionOptions{})
	defer s.Close()
	pieces := 0
	g, err := s.Generate(ctx, prompt, inference.GenerateOptions{
		MaxTokens: 32, Sampler: sampler, Stop: []string{"\n"},
		OnText: func(string) error { pieces++; return nil },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(g.Text != "", pieces > 1, g.Stats.Tokens == len(g.IDs))
	// Output: true true true
}

// Find the text that is nearest to a question. A model made for embeddings is better at it than this one, which generates.
func ExampleModel_NewEncoder() {
	ctx := context.Background()
	m, err := inference.Load(ctx, "../examples/tiny-llama", inference.OpenOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	e, err := m.NewEncoder(inference.EncoderOptions{Pooling: inference.PoolingMean})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close()
	texts := []string{"And the waters were upon the earth.", "He that hateth his brother is a murderer."}
	vectors, err := e.EmbedAll(ctx, texts)
	if err != nil {
		log.Fatal(err)
	}
	question, err := e.Embed(ctx, "How much water covered the earth?")
	if err != nil {
		log.Fatal(err)
	}
	best := 0
	for i, v := range vectors {
		if inference.Similarity(question, v) > inference.Similarity(question, vectors[best]) {
			best = i
		}
	}
	fmt.Println(len(question), texts[best])
	// Output: 256 And the waters were upon the earth.
}

// Read what the headers tell, without loading anything.
func ExampleInspect() {
	files, err := inference.OpenPath("../examples/tiny-llama")
	if err != nil {
		log.Fatal(err)
	}
	facts, err := inference.Inspect(context.Background(), files)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(facts)
	fmt.Println(facts.Layers, "layers,", facts.ContextLength, "tokens of context, runs:", facts.Runnable)
	// Output:
	// safetensors llama, 2885888 parameters, BF16
	// 4 layers, 256 tokens of context, runs: true
}
