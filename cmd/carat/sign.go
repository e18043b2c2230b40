package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/modelsigning"
)

// signatureName is what a signature in a model's folder is called.
const signatureName = "model.sig"

// signFlags are what "carat sign" takes.
type signFlags struct {
	key, chain, signature, hash string
	shards, links               bool
	shardSize                   int64
	ignore                      []string
}

func newSignCommand(e *env) *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign PATH --key FILE",
		Short: "Sign a model's files by the OpenSSF Model Signing specification",
		Long: `Sign the files of a model on disk, a folder or one file, by OpenSSF Model Signing
1.0. The signature lists the digest of every file; it is written into the folder
as ` + signatureName + ` and goes with the model when it is pushed. .git, .gitignore,
.gitattributes and .github at the top are left out.

The key is one of PEM on P-256, P-384 or P-521, as "openssl ecparam -name
prime256v1 -genkey -noout" makes it. With --certificate-chain the signature is
checked with a root certificate instead of the public key.`,
		Example: `  openssl ecparam -name prime256v1 -genkey -noout -out key.pem
  openssl ec -in key.pem -pubout -out key.pub
  carat sign ./my-model --key key.pem
  carat verify-signature ./my-model --key key.pub`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return e.sign(cmd.Context(), &f, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.key, "key", "", "private key, a `FILE` of PEM (required)")
	flags.StringVar(&f.chain, "certificate-chain", "", "`FILE` of PEM with the key's certificate and those between it and the root")
	flags.StringVar(&f.signature, "signature", "", "write the signature to `FILE` (default "+signatureName+" in the folder, or beside the file)")
	flags.StringVar(&f.hash, "hash", modelsigning.HashSHA256, "hash of files: sha256 or blake2b")
	flags.BoolVar(&f.shards, "shards", false, "list files in shards")
	flags.Int64Var(&f.shardSize, "shard-size", modelsigning.DefaultShardSize, "`BYTES` of a shard")
	flags.BoolVar(&f.links, "allow-symlinks", false, "follow symbolic links")
	flags.StringArrayVar(&f.ignore, "ignore", nil, "leave out a `PATH` within the model (repeatable)")
	return cmd
}

func (e *env) sign(ctx context.Context, f *signFlags, path string) error {
	if f.key == "" {
		return exit(exitUsage, errors.New("--key is required"))
	}
	p, err := readSmall(f.key, maxKeyFile)
	if err != nil {
		return err
	}
	key, err := modelsigning.ParsePrivateKey(p)
	if err != nil {
		return fmt.Errorf("%s: %w", f.key, err)
	}
	var chain []*x509.Certificate
	if f.chain != "" {
		if chain, err = readCertificates(f.chain); err != nil {
			return err
		}
	}
	signature := f.signature
	if signature == "" {
		if signature, err = defaultSignature(path); err != nil {
			return err
		}
	}
	s := modelsigning.Serialization{Method: modelsigning.MethodFiles, HashType: f.hash, AllowSymlinks: f.links, IgnorePaths: f.ignore}
	if f.shards {
		s.Method, s.ShardSize = modelsigning.MethodShards, f.shardSize
	}
	m, err := modelsigning.List(ctx, path, signature, s)
	if err != nil {
		return err
	}
	name, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	bundle, err := modelsigning.Sign(m, filepath.Base(name), key, chain)
	if err != nil {
		return err
	}
	if err := os.WriteFile(signature, bundle, 0o666); err != nil { //nolint:gosec // what umask leaves: a signature is for everybody
		return err
	}
	root, err := m.Root()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "signed %d entries in %s\nsha256:%x\n", len(m.Resources), plain(signature), root)
	return err
}

func readCertificates(path string) ([]*x509.Certificate, error) {
	p, err := readSmall(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	list, err := modelsigning.ParseCertificates(p)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// defaultSignature is where the signature of a model on disk lies.
func defaultSignature(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if info.IsDir() {
		return filepath.Join(path, signatureName), nil
	}
	return path + ".sig", nil
}

// verifySignatureFlags are what "carat verify-signature" takes.
type verifySignatureFlags struct {
	remote                remoteFlags
	key, roots, signature string
	unlisted, asJSON      bool
}

func newVerifySignatureCommand(e *env) *cobra.Command {
	var f verifySignatureFlags
	cmd := &cobra.Command{
		Use:   "verify-signature HOST[:PORT]/ORG/NAME[:TAG|@DIGEST] | PATH",
		Short: "Check a publisher's signature of a model's files",
		Long: `Check a signature by OpenSSF Model Signing 1.0, as "carat sign" and other programs
write it: it is by the key, and the files are those that were signed, no fewer and no
more. An argument that exists on disk is a path. Of a version in a registry the
digests of its manifest are compared, so that only the signature is fetched.

Exit codes: 0 valid; 1 not valid, not there, or an error; 2 wrong usage.`,
		Example: `  carat verify-signature ./my-model --key key.pub
  carat verify-signature hub.example.org/acme/model:v1 --root ca.pem`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return e.verifySignature(cmd.Context(), &f, args[0]) },
	}
	f.remote.register(cmd)
	cmd.Flags().StringVar(&f.key, "key", "", "public keys of whom to trust, a `FILE` of PEM")
	cmd.Flags().StringVar(&f.roots, "root", "", "root certificates to trust, a `FILE` of PEM")
	cmd.Flags().StringVar(&f.signature, "signature", "", "`FILE` with the signature, where it does not lie with the model")
	cmd.Flags().BoolVar(&f.unlisted, "ignore-unsigned-files", false, "let files be that were not signed")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return cmd
}

func (e *env) verifySignature(ctx context.Context, f *verifySignatureFlags, arg string) error {
	trust, err := f.trust()
	if err != nil {
		return err
	}
	var s *modelsigning.Signed
	var got *modelsigning.Manifest
	if _, statErr := os.Stat(arg); statErr == nil {
		s, got, err = signedPath(ctx, f, trust, arg)
	} else {
		s, got, err = e.signedReference(ctx, f, trust, arg)
	}
	if err != nil {
		return err
	}
	if err := s.Manifest.Compare(got, f.unlisted); err != nil {
		return err
	}
	root, err := s.Manifest.Root()
	if err != nil {
		return err
	}
	if f.asJSON {
		return printJSON(e.stdout, struct {
			Name   string `json:"name"`
			Method string `json:"method"`
			Signer string `json:"signer"`
			Root   string `json:"root"`
			Files  int    `json:"entries"`
		}{s.Name, s.Method, s.Signer, fmt.Sprintf("sha256:%x", root), len(s.Manifest.Resources)})
	}
	_, err = fmt.Fprintf(e.stdout, "valid: %d entries of %s, signed by %s %s\nsha256:%x\n", len(s.Manifest.Resources), plain(s.Name), s.Method, plain(s.Signer), root)
	return err
}

// trust reads whom to trust.
func (f *verifySignatureFlags) trust() (t modelsigning.Trust, err error) {
	if f.key == "" && f.roots == "" {
		return t, exit(exitUsage, errors.New("give whom to trust: --key or --root"))
	}
	if f.key != "" {
		p, err := readSmall(f.key, maxKeyFile)
		if err != nil {
			return t, err
		}
		if t.Keys, err = modelsigning.ParsePublicKeys(p); err != nil {
			return t, fmt.Errorf("%s: %w", f.key, err)
		}
	}
	if f.roots != "" {
		t.Roots, err = readCertificates(f.roots)
	}
	return t, err
}

// signedPath opens the signature of a model on disk and lists its files.
func signedPath(ctx context.Context, f *verifySignatureFlags, t modelsigning.Trust, path string) (*modelsigning.Signed, *modelsigning.Manifest, error) {
	signature := f.signature
	if signature == "" {
		var err error
		if signature, err = defaultSignature(path); err != nil {
			return nil, nil, err
		}
	}
	p, err := readSmall(signature, modelsigning.MaxBundle)
	if err != nil {
		return nil, nil, err
	}
	s, err := modelsigning.Open(p, t)
	if err != nil {
		return nil, nil, err
	}
	got, err := modelsigning.List(ctx, path, signature, s.Manifest.Serialization)
	return s, got, err
}

// signedReference opens the signature of a version and lists its files by the manifest's digests.
func (e *env) signedReference(ctx context.Context, f *verifySignatureFlags, t modelsigning.Trust, arg string) (*modelsigning.Signed, *modelsigning.Manifest, error) {
	ref, err := client.ParseReference(arg)
	if err != nil {
		return nil, nil, exit(exitUsage, fmt.Errorf("there is no file or folder %q, and it is no reference either: %w", arg, err))
	}
	c, err := e.client(&f.remote, client.Options{})
	if err != nil {
		return nil, nil, err
	}
	a, err := c.Artifact(ctx, ref)
	if err != nil {
		return nil, nil, hint(ctx, c, err, ref)
	}
	files, err := a.Files()
	if err != nil {
		return nil, nil, err
	}
	var bundle []byte
	digests := map[string]string{}
	for _, x := range files {
		switch {
		case x.Path == signatureName && f.signature == "":
			bundle, err = c.Blob(ctx, a, client.Descriptor{MediaType: x.MediaType, Digest: x.Digest, Size: x.Size}, modelsigning.MaxBundle)
			if err != nil {
				return nil, nil, err
			}
		case x.Path == signatureName:
		case x.Packed || x.Digest.Algorithm() != registry.SHA256:
			return nil, nil, fmt.Errorf("%s is not stored as it is; pull the model and check it on disk", x.Path)
		default:
			digests[x.Path] = x.Digest.Hex()
		}
	}
	if f.signature != "" {
		if bundle, err = readSmall(f.signature, modelsigning.MaxBundle); err != nil {
			return nil, nil, err
		}
	}
	if bundle == nil {
		return nil, nil, fmt.Errorf("there is no %s in %s", signatureName, ref)
	}
	s, err := modelsigning.Open(bundle, t)
	if err != nil {
		return nil, nil, err
	}
	got, err := modelsigning.FromDigests(digests, s.Manifest.Serialization)
	if errors.Is(err, modelsigning.ErrUnsupported) {
		err = fmt.Errorf("%w; pull the model and check it on disk", err)
	}
	return s, got, err
}
