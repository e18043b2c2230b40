package inference

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/carat-hub/carat/inference/jinja"
)

// Message is a turn of a conversation. Role is "system", "user" or "assistant".
type Message struct{ Role, Content string }

// Prompt writes a conversation as the model's chat template does, with what begins the assistant's answer at its end. The template
// writes the special tokens too, so the text is to be encoded without adding them. clock is what the template sees as the time; nil
// refuses templates that ask for it.
//
// It returns fs.ErrNotExist when the model has no chat template, and the errors of jinja.Parse and jinja.Template.Render.
func (m *Model) Prompt(ctx context.Context, messages []Message, clock func() time.Time) (string, error) {
	if m.chatTemplate == "" {
		return "", fmt.Errorf("chat template: %w", fs.ErrNotExist)
	}
	t, err := jinja.Parse(m.chatTemplate)
	if err != nil {
		return "", fmt.Errorf("parse chat template: %w", err)
	}
	turns := make([]any, len(messages))
	for i, msg := range messages {
		turns[i] = jinja.Map{{Key: "role", Value: msg.Role}, {Key: "content", Value: msg.Content}}
	}
	vars := map[string]any{"messages": turns, "add_generation_prompt": true, "tools": nil, "documents": nil}
	if tok := m.tok; tok != nil {
		for name, id := range map[string]func() (int, bool){"bos_token": tok.BOS, "eos_token": tok.EOS, "unk_token": tok.UNK} {
			if id, ok := id(); ok {
				vars[name], _ = tok.Piece(id)
			}
		}
	}
	text, err := t.Render(ctx, vars, jinja.Options{Clock: clock})
	if err != nil {
		return "", fmt.Errorf("render chat template: %w", err)
	}
	return text, nil
}

// PromptTokens returns the tokens of a conversation as Prompt writes it. A model without a chat template has the content of the last
// message to continue instead. Errors are those of Prompt and Tokenizer, and one for no messages.
func (m *Model) PromptTokens(ctx context.Context, messages []Message, clock func() time.Time) ([]int, error) {
	switch {
	case m.tokErr != nil:
		return nil, fmt.Errorf("a prompt needs a tokenizer: %w", m.tokErr)
	case len(messages) == 0:
		return nil, errors.New("a prompt of no messages")
	case m.chatTemplate == "":
		return m.tok.Encode(messages[len(messages)-1].Content, true), nil
	}
	text, err := m.Prompt(ctx, messages, clock)
	if err != nil {
		return nil, err
	}
	return m.tok.Encode(text, false), nil
}
