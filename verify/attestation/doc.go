// Package attestation makes evidence of verification reports: an in-toto
// statement about a version's manifest and each of its files, in a DSSE
// envelope signed with Ed25519, and reads such evidence back.
//
// Reading is fail-closed: Open returns a report only when all of it was
// understood and the signature is that of a key it was given. Where keys and
// envelopes lie is nothing to this package; it opens no files and no
// connections.
//
// Sources: in-toto attestation framework, Statement v1; secure-systems-lab/dsse
// v1.0.
package attestation
