// Package tokenizer turns text into the token ids of a model and back. It reads tokenizer.json files with a BPE model (byte
// level, or characters with byte fallback as SentencePiece makes them) and the "gpt2" and "llama" vocabularies of GGUF files.
//
// Files are foreign: sizes are limited, regular expressions run on Go's linear-time engine, and the common patterns that it
// cannot express (they look ahead at white space) are scanned by hand. What is not known is refused by name, never guessed.
package tokenizer
