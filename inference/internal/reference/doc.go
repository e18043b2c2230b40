// Package reference computes Transformers in float64, as plainly as their papers say it: a model is a function of a whole
// sequence, with no cache, no batches, no threads and no absorbed matrices. Tests compare the inference core with it.
//
// It is written from the papers that its comments name, from the published code where a paper leaves something open, and for the
// meaning of GGUF's keys from llama.cpp. It must not call the core, and the core must not call it: it reads configurations and
// tensors in its own way, so that a mistake would have to be made twice to go unseen.
//
// The files linear, norm, activation, rope, attention, latent and expert hold the building blocks, and model puts them together.
// reader, scaling, factor, layer and head turn the configuration and tensors of a model, as a folder or as a GGUF file, into
// blocks; the other files say it of one family of architectures each.
//
// A new architecture is a line in the table of architectures or of encoders, which gives the folder's names of its tensors by the
// role names that GGUF files use, and a function that returns its layers' steps. What follows from tensors that are there
// (biases, norms after a half, one matrix for queries, keys and values, a router) needs no word; what an architecture computes in
// its own way is set on the Attention, Router or Step that the reader returns, as readGemma2 does. A part that is new is a block
// of its own, with its paper and a test of a property that can be checked by hand. Then an entry in the tests' table of generated
// models compares it with the core, at every position and in every way of dealing out the tokens.
package reference
