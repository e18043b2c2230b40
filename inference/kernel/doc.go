// Package kernel holds the arithmetic of the inference core: products of matrices of each runnable tensor type over a worker
// pool, normalization, rotary embeddings, softmax and attention. Every output element is computed by one worker with one order
// of operations, so results do not depend on the number of threads. They do depend, by rounding, on whether few or many vectors are
// multiplied together: many are added up in another order, and only a few are multiplied with block types as integers.
//
// The inner loops exist in plain Go and, chosen when the program starts, in assembly for AVX2, AVX-512 and NEON, each without and
// with instructions for dot products of bytes, that tools/kernelgen writes. The build tag purego leaves the assembly out. Lengths are
// checked before assembly sees a pointer.
//
// It knows shapes and element types, not models or files.
package kernel
