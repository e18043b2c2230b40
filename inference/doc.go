// Package inference opens open-weight models, tells facts about them and runs them on a CPU. It is a library of its own that any
// Go program can use: plain Go, no cgo.
//
// A model is a set of named files (Files): a folder as Hugging Face lays it out, a GGUF file or the parts of a split one, or anything else that can
// give an io.ReaderAt for a name, such as open descriptors, a file system, or ranged reads of a remote store. Inspect reads only
// names, sizes and headers and works for every architecture, and so does EstimateMemory for what can be run. Open maps the
// weights, which are decoded row by row while they are used, and returns a Model; a Session of it holds one sequence, which
// Generate goes on with, and an Encoder turns whole texts into embeddings, labels or the words for a mask. What a model is for is
// in its Facts: an encoder such as BERT does not generate, and a decoder has embeddings as well. Matrices in the layouts of
// quantization libraries stay packed, and adapters (OpenOptions) are applied beside the matrices that they adapt.
//
// OpenRoles gives out the weights by what they are for, in one order of rows whatever the format, to compare two models.
//
// ONNX graphs and PyTorch checkpoints are looked into and not run: Inspect tells their tensors, what goes into and out of a graph,
// and the names that a pickle would import. Nothing in a pickle is ever executed.
//
// Everything in a file is foreign. A file that breaks its format gives a *MalformedError, a sound model that cannot be run
// here an *UnsupportedError. The package knows nothing of registries, stores or verification.
package inference
