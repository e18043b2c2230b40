// Package tensor knows the element types that model files use: their names, how many bytes a block takes, how they are turned into
// float32, and how float32 is quantized to some of them. It knows nothing of file formats beyond the numbers that ggml gives its
// types, and nothing of models.
package tensor
