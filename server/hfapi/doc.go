// Package hfapi serves the models of a hub to clients of Hugging Face, which
// find it when HF_ENDPOINT is the hub's address: lists, information about
// models, listings of files, history, and the files by their names.
//
// It reads only. A revision is a tag, "main" for the version that stands for
// the model, a digest, or a commit: the first 40 digits of the digest of the
// version's manifest; tags and main also as refs/tags/… and refs/heads/main.
//
// Errors are rendered by package server, as the clients read them.
package hfapi
