//go:build !sigstore

package provenance

// newKeyless refuses: the libraries of sigstore are not in this program.
func newKeyless([]byte, []identity) (keyless, error) { return nil, ErrNoSigstore }
