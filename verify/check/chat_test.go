package check

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

func TestChat(t *testing.T) {
	t.Parallel()
	asked := "<|user|>" + question + "<|assistant|>"
	always := func(id int) func(int) []float32 {
		return func(int) []float32 {
			l := make([]float32, 4)
			l[id] = 1
			return l
		}
	}
	tests := map[string]struct {
		template string
		err      error
		task     inference.Task
		logits   func(int) []float32
		outcome  verify.Outcome
		reason   string
	}{
		"no template":           {"", fmt.Errorf("template: %w", fs.ErrNotExist), "", nil, verify.OutcomeSkipped, "the model has no chat template"},
		"an encoder":            {"", nil, inference.FeatureExtraction, nil, verify.OutcomeSkipped, "a model for feature-extraction has no conversations"},
		"does not render":       {"", errors.New("no such filter"), "", nil, verify.OutcomeWarned, "a conversation of one question cannot be written: no such filter"},
		"leaves the text out":   {"Hello", nil, "", always(0), verify.OutcomeFailed, "the chat template leaves out what the user says"},
		"plain text, ends":      {question, nil, "", always(0), verify.OutcomePassed, ""},
		"plain text, endless":   {question, nil, "", always(1), verify.OutcomePassed, ""}, // it may be no chat model
		"no tokens, but ends":   {asked, nil, "", always(0), verify.OutcomePassed, ""},
		"no tokens and endless": {asked, nil, "", always(1), verify.OutcomeWarned, "the chat template's <|user|>; <|assistant|> are no tokens of the vocabulary, and the reply does not end after 64 tokens"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &fakeEngine{logits: tt.logits, chat: tt.template, chatErr: tt.err, known: inference.Facts{Task: tt.task}}
			f, err := chat(t.Context(), &model{engine: e, decoder: e})
			if err != nil || f.outcome != tt.outcome || f.reason != tt.reason {
				t.Errorf("%s: %q, %v; want %s: %q", f.outcome, f.reason, err, tt.outcome, tt.reason)
			}
		})
	}
}

// TestChatKnowsItsTokens gives the template of another family to a model that has tokens for turns.
func TestChatKnowsItsTokens(t *testing.T) {
	t.Parallel()
	e := &chatLexer{fakeEngine: &fakeEngine{}, known: []string{"<|user|>", "<|assistant|>"}}
	var ev chatEvidence
	if unknown := ev.mark("<|im_start|>user\nHi<|im_end|>", e); len(unknown) != 2 || len(ev.Unused) != 2 || ev.Markers[0].Tokens != 40 {
		t.Errorf("unknown %v, unused %v, %+v", unknown, ev.Unused, ev.Markers)
	}
	ev = chatEvidence{}
	if unknown := ev.mark("<|user|>Hi<|assistant|>", e); len(unknown) != 0 || len(ev.Unused) != 0 || ev.Markers[0].Tokens != 1 {
		t.Errorf("unknown %v, unused %v, %+v", unknown, ev.Unused, ev.Markers)
	}
}

// chatLexer has some texts as tokens.
type chatLexer struct {
	*fakeEngine
	known []string
}

func (l *chatLexer) Encode(text string, special bool) []int {
	for i, k := range l.known {
		if k == text {
			return []int{i}
		}
	}
	return l.fakeEngine.Encode(text, special)
}
