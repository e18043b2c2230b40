// Command embed-go answers a prompt with a model on disk: embed-go MODEL PROMPT.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/carat-hub/carat/inference"
)

func main() {
	ctx := context.Background()
	m, err := inference.Load(ctx, os.Args[1], inference.OpenOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close()
	prompt, err := m.PromptTokens(ctx, []inference.Message{{Role: "user", Content: os.Args[2]}}, nil)
	if err != nil {
		log.Fatal(err)
	}
	show := func(text string) error { _, err := fmt.Print(text); return err }
	o := inference.GenerateOptions{MaxTokens: 64, OnText: show}
	if _, err := m.NewSession(inference.SessionOptions{}).Generate(ctx, prompt, o); err != nil {
		log.Fatal(err)
	}
}
