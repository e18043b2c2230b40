// Command arm64 writes the arm64 assembly of inference/kernel. Run it with "go generate ./inference/kernel"; what it writes is
// committed, so that building the library needs no generator.
//
// Go's assembler lacks most arithmetic of vectors. Those instructions are written as words, which the table in encode.go makes,
// each with its text in the syntax of the processor's manual beside it; the rest is in Go's own syntax.
package main
