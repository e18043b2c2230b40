package inference

import (
	"context"
	"fmt"
	"io/fs"
	"slices"

	"github.com/carat-hub/carat/inference/tokenizer"
)

// maxTemplate bounds a chat template.
const maxTemplate = 1 << 20

// extras are the small files of a folder beside config.json.
type extras struct {
	tokenizer, generation config // nil when the file is not there
	chatTemplate          string
}

func (c *container) readExtras(ctx context.Context) (*extras, error) {
	x := &extras{}
	if c.gguf != nil {
		x.chatTemplate = c.gguf.Text("tokenizer.chat_template", "")
		return x, nil
	}
	names := c.files.Names()
	var err error
	if slices.Contains(names, tokenizerConfigName) {
		if x.tokenizer, err = readJSON(ctx, c.files, tokenizerConfigName); err != nil {
			return nil, err
		}
	}
	if slices.Contains(names, generationConfigName) {
		if x.generation, err = readJSON(ctx, c.files, generationConfigName); err != nil {
			return nil, err
		}
	}
	x.chatTemplate = chatTemplate(x.tokenizer)
	if slices.Contains(names, chatTemplateName) {
		b, err := readAll(ctx, c.files, chatTemplateName, maxTemplate)
		if err != nil {
			return nil, err
		}
		x.chatTemplate = string(b)
	}
	return x, nil
}

// chatTemplate reads tokenizer_config.json's template: a string, or a list of named ones of which "default" counts.
func chatTemplate(c config) string {
	if s := c.text("chat_template", ""); s != "" {
		return s
	}
	list, _ := c["chat_template"].([]any)
	for _, v := range list {
		if o, ok := v.(map[string]any); ok && config(o).text("name", "") == "default" {
			return config(o).text("template", "")
		}
	}
	return ""
}

// tokenizer reads the model's tokenizer. It returns fs.ErrNotExist when there is none.
func (c *container) tokenizer(ctx context.Context, x *extras) (*tokenizer.Tokenizer, error) {
	if c.gguf != nil {
		if _, ok := c.gguf.Value("tokenizer.ggml.model"); !ok {
			return nil, fmt.Errorf("tokenizer of GGUF file: %w", fs.ErrNotExist)
		}
		return tokenizer.FromGGUF(c.gguf)
	}
	b, err := readAll(ctx, c.files, tokenizerName, tokenizer.MaxFile)
	if err != nil {
		return nil, err
	}
	return tokenizer.FromJSON(b, tokenizer.Config{
		BOS: specialToken(x.tokenizer["bos_token"]), EOS: specialToken(x.tokenizer["eos_token"]),
		UNK: specialToken(x.tokenizer["unk_token"]),
	})
}

// specialToken reads a token given as a string or as an object with its content.
func specialToken(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case map[string]any:
		return config(v).text("content", "")
	}
	return ""
}

// endTokens collects the ids that end a generation, in the order in which the files' makers override each other.
func (c *container) endTokens(x *extras, tok *tokenizer.Tokenizer) []int {
	if c.gguf == nil {
		if ids := x.generation.integers("eos_token_id"); len(ids) > 0 {
			return ids
		}
		if ids := c.config.language().integers("eos_token_id"); len(ids) > 0 {
			return ids
		}
	}
	var ids []int
	if tok != nil {
		if id, ok := tok.EOS(); ok {
			ids = append(ids, id)
		}
	}
	if c.gguf != nil {
		if id := c.gguf.Int("tokenizer.ggml.eot_token_id", -1); id >= 0 && id <= 1<<31 && !slices.Contains(ids, int(id)) {
			ids = append(ids, int(id))
		}
	}
	return ids
}
