package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/provenance"
	"github.com/carat-hub/carat/provenance/modelsigning"
	"github.com/carat-hub/carat/registry"
)

// signatureFlags are what "carat verify-signature" takes.
type signatureFlags struct {
	remote                         remoteFlags
	key, chain, trusted, signature string
}

func newVerifySignatureCommand(e *env) *cobra.Command {
	var f signatureFlags
	cmd := &cobra.Command{
		Use:   "verify-signature PATH | HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]",
		Short: "Verify the signature of a model's files",
		Long: `Verify a signature of OpenSSF Model Signing v1.0, as "carat sign" and other programs
write it, with the public key in --key, with the root certificates in
--certificate-chain, or by the file in --trust, which may name identities of sigstore as
that of "carat serve --trusted-keys" does. The files must be exactly those that were signed: one that is
missing, differs or was not signed is a failure.

Of a reference nothing but the signature is fetched: the registry's digests of the
files are compared. A signature over shards or with another hash than SHA-256 needs the
files; pull them and give the folder. The signature is the version's file model.sig
unless --signature names another file.

Exit codes: 0 the signature is valid; 1 it is not, or is not there; 2 wrong usage.`,
		Example: `  carat verify-signature ./my-model --key key.pub
  carat verify-signature models.example.org/acme/my-model:v1 --certificate-chain root.pem`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return e.verifySignature(cmd.Context(), &f, args[0]) },
	}
	f.remote.register(cmd)
	cmd.Flags().StringVar(&f.key, "key", "", "PEM `FILE` with public keys")
	cmd.Flags().StringVar(&f.chain, "certificate-chain", "", "PEM `FILE` with the root certificates to trust")
	cmd.Flags().StringVar(&f.trusted, "trust", "", "PEM or JSON `FILE` that says what to trust")
	cmd.Flags().StringVar(&f.signature, "signature", "", "`FILE` with the signature")
	return cmd
}

func (e *env) verifySignature(ctx context.Context, f *signatureFlags, arg string) error {
	t, err := f.trust()
	if err != nil {
		return exit(exitUsage, err)
	}
	if _, err := os.Stat(arg); err == nil {
		return e.signatureOfPath(ctx, f, t, arg)
	}
	ref, err := client.ParseReference(arg)
	if err != nil {
		return exit(exitUsage, fmt.Errorf("there is no file or folder %q, and it is no reference either: %w", arg, err))
	}
	return e.signatureOfReference(ctx, f, t, ref)
}

func (f *signatureFlags) trust() (provenance.Trust, error) {
	given := 0
	for _, name := range []string{f.key, f.chain, f.trusted} {
		if name != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return provenance.Trust{}, errors.New("give either --key or --certificate-chain or --trust")
	case f.trusted != "":
		t, err := trustFile(f.trusted)
		if err != nil {
			return t, fmt.Errorf("--trust %s: %w", f.trusted, err)
		}
		return t, nil
	case f.key != "":
		t, err := pemFile(f.key)
		if err == nil && len(t.Roots) > 0 {
			err = fmt.Errorf("%w: certificates go to --certificate-chain", provenance.ErrKey)
		}
		if err != nil {
			return t, fmt.Errorf("--key %s: %w", f.key, err)
		}
		return t, nil
	}
	t, err := pemFile(f.chain)
	if err == nil && len(t.Keys) > 0 {
		err = fmt.Errorf("%w: public keys go to --key", provenance.ErrKey)
	}
	if err != nil {
		return t, fmt.Errorf("--certificate-chain %s: %w", f.chain, err)
	}
	return t, nil
}

func (e *env) signatureOfPath(ctx context.Context, f *signatureFlags, t provenance.Trust, path string) error {
	file, inside, err := signaturePath(path, f.signature)
	if err != nil {
		return err
	}
	p, err := readSmall(file, provenance.MaxDocument)
	if err != nil {
		return fmt.Errorf("read the signature: %w", err)
	}
	return e.checkSignature(p, t, func(m *modelsigning.Manifest) error {
		found, err := modelsigning.Measure(ctx, path, m.Serialization, inside...)
		if err != nil {
			return err
		}
		return m.Compare(found)
	})
}

func (e *env) signatureOfReference(ctx context.Context, f *signatureFlags, t provenance.Trust, ref client.Reference) error {
	c, err := e.client(&f.remote, client.Options{})
	if err != nil {
		return err
	}
	a, err := c.Artifact(ctx, ref)
	if err != nil {
		return hint(ctx, c, err, ref)
	}
	list, err := a.Files()
	if err != nil {
		return err
	}
	var p []byte
	i := slices.IndexFunc(list, func(f registry.File) bool { return f.Path == modelsigning.SignatureFile })
	switch {
	case f.signature != "":
		if p, err = readSmall(f.signature, provenance.MaxDocument); err != nil {
			return fmt.Errorf("--signature: %w", err)
		}
	case i < 0:
		return fmt.Errorf("%s has no file %s; give the signature with --signature", ref, modelsigning.SignatureFile)
	default:
		if p, err = c.Blob(ctx, a, client.Descriptor{Digest: list[i].Digest, Size: list[i].Size}, provenance.MaxDocument); err != nil {
			return fmt.Errorf("fetch the signature: %w", err)
		}
	}
	files := make([]modelsigning.File, len(list))
	for i, x := range list {
		if x.Digest.Algorithm() != registry.SHA256 {
			return fmt.Errorf("the registry names %s by %s, which no signature is about", plain(x.Path), x.Digest.Algorithm())
		}
		files[i] = modelsigning.File{Path: x.Path, SHA256: x.Digest.Hex()}
	}
	return e.checkSignature(p, t, func(m *modelsigning.Manifest) error {
		return m.CompareFiles(files, modelsigning.SignatureFile)
	})
}

// checkSignature verifies a signature, and then compares what was signed.
func (e *env) checkSignature(bundle []byte, t provenance.Trust, compare func(*modelsigning.Manifest) error) error {
	s, err := modelsigning.Read(bundle)
	if err != nil {
		return err
	}
	signer, err := s.Verify(t, time.Now())
	if err != nil {
		return err
	}
	if err := compare(s.Manifest); err != nil {
		return err
	}
	by := "key " + signer.KeyID
	if signer.Certificate != "" {
		by = "certificate " + plain(signer.Certificate) + ", " + by
	}
	_, err = fmt.Fprintf(e.stdout, "signature  valid, by %s\nfiles      %d, exactly those that were signed\nroot       sha256:%s\n", by, len(s.Manifest.Resources), s.Manifest.Root())
	return err
}
