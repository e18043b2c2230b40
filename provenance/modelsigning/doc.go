// Package modelsigning signs models and verifies their signatures as the
// OpenSSF Model Signing specification (OMS) v1.0 has it: a list of files with
// their digests in an in-toto statement, in a DSSE envelope, in a sigstore
// bundle.
//
// Signing by the methods "key" and "certificate" is there, verifying by these and
// keyless (see package provenance). Files are hashed with SHA-256 or BLAKE2b, whole or in shards;
// BLAKE3 is not supported. Symbolic links are stricter than the specification
// asks: where they are allowed at all they must lead to files inside the folder.
//
// Source: ossf/model-signing-spec v1.0.
package modelsigning
