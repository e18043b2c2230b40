package inference

import (
	"errors"
	"io/fs"
	"testing"
)

func TestPrompt(t *testing.T) {
	t.Parallel()
	m := open(t, tinyFolder)
	got, err := m.Prompt(t.Context(), []Message{{"user", "Who?"}, {"assistant", "I."}, {"user", "Why?"}}, nil)
	if want := "<|user|>Who?\n<|assistant|>I.<|endoftext|><|user|>Why?\n<|assistant|>"; got != want || err != nil {
		t.Errorf("got %q, %v, expected %q", got, err, want)
	}
	m.chatTemplate = ""
	if _, err := m.Prompt(t.Context(), nil, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a template: %v", err)
	}
	m.chatTemplate = "{% if %}"
	if _, err := m.Prompt(t.Context(), nil, nil); err == nil {
		t.Error("a broken template renders")
	}
}
