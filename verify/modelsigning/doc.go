// Package modelsigning signs folders of model files and checks such
// signatures, by the OpenSSF Model Signing specification 1.0: a Sigstore
// bundle with a DSSE envelope around an in-toto statement that lists the digest
// of every file.
//
// Methods "key" (ECDSA on P-256, P-384, P-521) and "certificate" are there;
// keyless signatures by Sigstore are recognised and refused. Files are listed
// whole or in shards, with SHA-256 or BLAKE2b.
package modelsigning
