// Package tensor knows the element types that model files use: their names, how many bytes a block takes, and how the
// types that the core can run are turned into float32. It knows nothing of file formats beyond the numbers that ggml
// gives its types, and nothing of models.
package tensor
