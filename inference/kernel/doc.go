// Package kernel holds the arithmetic of the inference core in plain Go: dot products of each runnable tensor type, matrix
// products over a worker pool, normalization, rotary embeddings, softmax and attention. Every output element is computed by
// one worker with one order of operations, so results do not depend on the number of threads.
//
// It knows shapes and element types, not models or files.
package kernel
