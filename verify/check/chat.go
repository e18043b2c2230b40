package check

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// replyTokens is how long a reply may be that a chat model should end. The question wants one word.
const replyTokens = 64

// question is what a chat model is asked.
const question = "Is snow white? Answer with one word."

// chatCheck lets a chat model answer.
var chatCheck = check{
	id: idChat, level: verify.LevelStandard, after: []string{idOutputs},
	proves: "The chat template keeps what is said, its control tokens are tokens of the vocabulary, and the reply ends.",
	run:    chat,
}

type chatEvidence struct {
	Prompt string `json:"prompt"` // as the template writes the question
	// Markers are what looks like control tokens in it, with how many tokens each becomes.
	Markers []marker `json:"markers"`
	// Unused are control tokens of chats that the vocabulary has and the template does not use.
	Unused []string `json:"unused,omitempty"`
	Reply  string   `json:"reply"`
	Tokens int      `json:"tokens"` // of the reply
	Ended  bool     `json:"ended"`  // by itself
}

type marker struct {
	Text   string `json:"text"`
	Tokens int    `json:"tokens"`
}

// markers look like control tokens. Tags without bars are text in many templates.
var markers = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`<\|[^|<>\s]{1,40}\|>|<｜[^｜<>\s]{1,40}｜>|<(?:start|end)_of_turn>`)
})

// chatTokens begin or end the turns in the templates of widespread families.
var chatTokens = []string{
	"<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|end|>", "<|start_header_id|>", "<|eot_id|>", "<start_of_turn>",
	"<end_of_turn>", "<｜User｜>", "<｜Assistant｜>", "<|START_OF_TURN_TOKEN|>", "<|end_of_turn|>", "<|turn_end|>",
}

func chat(ctx context.Context, m *model) (finding, error) {
	facts, err := m.facts(ctx)
	if err != nil {
		return finding{}, err
	}
	if facts.Task != "" && facts.Task != inference.TextGeneration {
		return excused("a model for %s has no conversations", facts.Task), nil
	}
	text, err := m.decoder.prompt(ctx, []inference.Message{{Role: "user", Content: question}})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return excused("the model has no chat template"), nil
	case ctx.Err() != nil:
		return finding{}, ctx.Err()
	case err != nil:
		return warned(nil, "a conversation of one question cannot be written: %s", storable(err.Error())), nil
	}
	tok, err := m.tokenizer(ctx)
	if err != nil {
		return finding{}, err
	}
	ev := chatEvidence{Prompt: storable(text), Markers: []marker{}}
	if !strings.Contains(text, question) {
		return failed(ev, "the chat template leaves out what the user says"), nil
	}
	unknown := ev.mark(text, tok)
	ids := tok.Encode(text, false)
	if n := facts.ContextLength; n > 0 && len(ids)+replyTokens > n {
		return finding{}, &cannotRunError{fmt.Sprintf("context length of %d tokens is too short for a conversation of %d", n, len(ids)+replyTokens)}
	}
	reply, ended, err := answer(ctx, m.decoder, ids)
	if err != nil {
		return finding{}, err
	}
	ev.Reply, ev.Tokens, ev.Ended = storable(tok.Decode(reply)), len(reply), ended
	switch names := listed(unknown); {
	case len(unknown) > 0 && !ended && len(ev.Unused) > 0:
		return failed(ev, "the chat template is that of another model: %s are no tokens of the vocabulary, which has %s, and the reply does not end", names, listed(ev.Unused)), nil
	case len(unknown) > 0 && !ended:
		return warned(ev, "the chat template's %s are no tokens of the vocabulary, and the reply does not end after %d tokens", names, replyTokens), nil
	case !ended && m.converses():
		return warned(ev, "the reply does not end after %d tokens", replyTokens), nil
	}
	return passed(ev), nil
}

// mark notes what looks like control tokens in a prompt and returns what is no token.
func (ev *chatEvidence) mark(text string, tok lexer) (unknown []string) {
	var used []string
	for _, found := range markers().FindAllString(text, -1) {
		if slices.Contains(used, found) || len(used) == maxNamed {
			continue
		}
		used = append(used, found)
		n := len(tok.Encode(found, false))
		ev.Markers = append(ev.Markers, marker{storable(found), n})
		if n != 1 {
			unknown = append(unknown, storable(found))
		}
	}
	for _, other := range chatTokens {
		if !slices.Contains(used, other) && len(tok.Encode(other, false)) == 1 {
			ev.Unused = append(ev.Unused, other)
		}
	}
	return unknown
}

// answer takes the most likely token again and again until the model ends.
func answer(ctx context.Context, d decoder, ids []int) (reply []int, ended bool, err error) {
	s := d.session(len(ids) + replyTokens)
	defer s.Close()
	ends := d.ends()
	for next := ids; len(reply) < replyTokens; {
		best := -1
		err := s.EvalEach(ctx, next, len(next)-1, func(_ int, logits []float32) error {
			best = argmax(logits)
			return nil
		})
		if err != nil {
			return nil, false, fmt.Errorf("run token %d of the reply: %w", len(reply), err)
		}
		if slices.Contains(ends, best) {
			return reply, true, nil
		}
		reply = append(reply, best)
		next = reply[len(reply)-1:]
	}
	return reply, false, nil
}

// converses reports whether the card says that the model was made for conversations.
func (m *model) converses() bool {
	for _, tag := range m.card().Tags {
		switch strings.ToLower(tag) {
		case "conversational", "chat", "instruct", "instruction-tuned":
			return true
		}
	}
	return false
}

// card is the model's card; empty when there is none.
func (m *model) card() registry.Card {
	f := findFile(m.files, readmeNames)
	if f == nil {
		return registry.Card{}
	}
	p, err := f.Head(registry.MaxReadme + 1)
	if err != nil {
		return registry.Card{} // Fault tells it
	}
	return registry.ParseCard(p)
}
