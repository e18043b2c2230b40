package provenance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
)

// maxIdentities is how many signers a trust file may name.
const maxIdentities = 1000

// keyless verifies a sigstore bundle that holds a payload.
type keyless func(bundle, payload []byte) (Signer, error)

// identity is who may sign keyless: what the certificate says of the signer
// (an address or a workflow), and who vouched for it. Of subject and pattern one is set.
type identity struct {
	Issuer  string `json:"issuer"`
	Subject string `json:"subject"`
	Pattern string `json:"subjectPattern"` // a regular expression of Go that matches the whole subject
}

func (i identity) check() error {
	switch {
	case i.Issuer == "" || (i.Subject == "") == (i.Pattern == ""):
		return fmt.Errorf("%w: an identity has an issuer, and either a subject or a subjectPattern", ErrTrust)
	case len(i.Issuer) > maxText || len(i.Subject) > maxText || len(i.Pattern) > maxText:
		return fmt.Errorf("%w: an identity has more than %d bytes", ErrTrust, maxText)
	}
	if _, err := regexp.Compile(i.Pattern); err != nil {
		return fmt.Errorf("%w: the subjectPattern %.80q: %w", ErrTrust, i.Pattern, err)
	}
	return nil
}

// ParseTrustFile reads what is trusted: PEM as ParseTrust does, or a JSON object
// that names a file of PEM ("keys") and, for keyless signatures, a trusted root of
// sigstore with the identities that are believed ("sigstore"). read opens the
// files that it names. Errors: ErrKey, ErrTrust, ErrNoSigstore, and those of read.
func ParseTrustFile(p []byte, read func(name string) ([]byte, error)) (Trust, error) {
	if !bytes.HasPrefix(bytes.TrimSpace(p), []byte("{")) {
		return ParseTrust(p)
	}
	if err := form.Check(p); err != nil {
		return Trust{}, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	var file struct {
		Keys     string `json:"keys"`
		Sigstore *struct {
			Root       string     `json:"trustedRoot"`
			Identities []identity `json:"identities"`
		} `json:"sigstore"`
	}
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields() // what is not understood must not pass for trust, or for a limit of it
	if err := d.Decode(&file); err != nil {
		return Trust{}, fmt.Errorf("%w: %w", ErrTrust, err)
	}
	var t Trust
	if file.Keys != "" {
		pem, err := read(file.Keys)
		if err != nil {
			return Trust{}, err
		}
		if t, err = ParseTrust(pem); err != nil {
			return Trust{}, fmt.Errorf("%s: %w", file.Keys, err)
		}
	}
	if s := file.Sigstore; s != nil {
		if n := len(s.Identities); s.Root == "" || n == 0 || n > maxIdentities {
			return Trust{}, fmt.Errorf("%w: sigstore needs a trustedRoot and 1 to %d identities", ErrTrust, maxIdentities)
		}
		for _, i := range s.Identities {
			if err := i.check(); err != nil {
				return Trust{}, err
			}
		}
		root, err := read(s.Root)
		if err != nil {
			return Trust{}, err
		}
		if t.keyless, err = newKeyless(root, s.Identities); err != nil {
			return Trust{}, fmt.Errorf("%s: %w", s.Root, err)
		}
	}
	if t.Empty() {
		return Trust{}, fmt.Errorf("%w: it names neither keys nor sigstore", ErrTrust)
	}
	return t, nil
}
