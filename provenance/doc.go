// Package provenance reads what others signed about content: in-toto
// statements in DSSE envelopes and sigstore bundles, cosign's simple signing
// payloads and notation's JWS, and writes the statements that a hub signs.
//
// It gets bytes and answers with what they say and whose signature they bear.
// All bytes are strangers': sizes, counts and nesting are bounded, and what two
// parsers could read differently is refused. Where the bytes lie and what they
// should be about is nothing to this package; it opens no files and no
// connections. Keyless signatures in sigstore's bundles are verified against a trusted
// root in a program built with the tag "sigstore", whose libraries are large; without
// it, and those of cosign's older form always, they are recognised only.
//
// Sources: in-toto attestation framework v1, secure-systems-lab/dsse v1.0,
// sigstore protobuf-specs (bundle v0.3), SLSA v1 (provenance and verification
// summary), sigstore/cosign SIGNATURE_SPEC, notaryproject/specifications
// signature-envelope-jws.
package provenance
