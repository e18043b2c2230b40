// Package client pushes models to registries and pulls them, as a library.
//
// It speaks plain OCI distribution-spec v1.1 to any registry: a folder or a
// GGUF file becomes a CNCF ModelPack v0.0.7 manifest with one raw layer for
// each file, and a manifest whose layers name their files becomes a folder
// again. Transfers resume after a broken connection, every byte is checked
// against its digest, and what a registry says is never trusted with a path
// or with another origin's credentials. The hub's own API (type Hub) is extra:
// nothing here needs it.
//
// The package knows of this module only package registry: names, digests and
// media types. It does not parse weights; what a manifest says about a model
// comes from the caller in a Description.
package client
