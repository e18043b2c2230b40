// Package tokenizer turns text into the token ids of a model and back. It reads tokenizer.json files (BPE at byte level or with
// byte fallback, WordPiece, Unigram, WordLevel), the "gpt2", "llama", "bert" and "t5" vocabularies of GGUF files, and tiktoken files.
//
// Files are foreign: sizes are limited, regular expressions run on Go's linear-time engine, and the common patterns that it
// cannot express (they look ahead at white space) are scanned by hand. What is not known is refused by name, never guessed.
package tokenizer
