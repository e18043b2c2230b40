package inference

import (
	"errors"
	"io/fs"
	"slices"
	"testing"
)

func TestPrompt(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	got, err := m.Prompt(t.Context(), []Message{{"user", "Who?"}, {"assistant", "I."}, {"user", "Why?"}}, nil)
	if want := "<|user|>Who?\n<|assistant|>I.<|endoftext|><|user|>Why?\n<|assistant|>"; got != want || err != nil {
		t.Errorf("got %q, %v, expected %q", got, err, want)
	}
	tok, err := m.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	user := []Message{{"user", "Who?"}}
	if ids, err := m.PromptTokens(t.Context(), user, nil); err != nil || !slices.Equal(ids, tok.Encode("<|user|>Who?\n<|assistant|>", false)) {
		t.Errorf("tokens %v, %v", ids, err)
	}
	if _, err := m.PromptTokens(t.Context(), nil, nil); err == nil {
		t.Error("no messages are a prompt")
	}
	m.chatTemplate = ""
	if ids, err := m.PromptTokens(t.Context(), user, nil); err != nil || !slices.Equal(ids, tok.Encode("Who?", true)) {
		t.Errorf("tokens without a template: %v, %v", ids, err)
	}
	if _, err := m.Prompt(t.Context(), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a template: %v", err)
	}
	m.chatTemplate = "{% if %}"
	if _, err := m.Prompt(t.Context(), nil, nil); err == nil {
		t.Error("a broken template renders")
	}
	if _, err := m.PromptTokens(t.Context(), user, nil); err == nil {
		t.Error("a broken template gives tokens")
	}
}
