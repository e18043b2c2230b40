// Command kernelgen writes the amd64 assembly of inference/kernel. Run it with "go generate ./inference/kernel"; what it writes
// is committed, so that building the library needs no generator.
package main
