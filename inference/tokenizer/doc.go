// Package tokenizer turns text into token ids and back, as the model was
// trained with: from a Hugging Face tokenizer.json or from the vocabulary of
// a GGUF file.
//
// It holds byte-level BPE, character BPE with byte fallback, and
// SentencePiece's score-driven merging. Patterns that need lookahead, which
// Go's regular expressions lack on purpose, are scanners written by hand;
// others run through RE2. What is not supported is refused with the reason,
// never guessed. All input is untrusted: sizes are bounded before use.
package tokenizer
