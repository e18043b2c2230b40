package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/provenance"
	"github.com/carat-hub/carat/provenance/modelsigning"
)

// signFlags are what "carat sign" takes.
type signFlags struct {
	key, chain, signature string
	hash                  string
	shards                int64
	symlinks              bool
	ignore                []string
}

func newSignCommand(e *env) *cobra.Command {
	var f signFlags
	cmd := &cobra.Command{
		Use:   "sign PATH --key FILE",
		Short: "Sign the files of a model",
		Long: `Sign the files of a folder, or one file, as the OpenSSF Model Signing specification
v1.0 has it: a sigstore bundle with the digest of each file. Other programs for it
verify the signature too, and a hub shows it on the model's page when the file
model.sig is pushed with the model.

The key is one of the curves P-256, P-384 and P-521 in PEM ("openssl genpkey -algorithm
EC -pkeyopt ec_paramgen_curve:P-256"). With --certificate-chain the signature carries
certificates, that of the key first, for those who trust their root.

Left out are .git, .github, .gitignore and .gitattributes, the signature itself, and
hidden files, because a push leaves those out too. Symbolic links are an error.`,
		Example: `  carat sign ./my-model --key key.pem
  carat push ./my-model models.example.org/acme/my-model:v1
  carat verify-signature models.example.org/acme/my-model:v1 --key key.pub`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error { return e.sign(cmd, &f, args[0]) },
	}
	cmd.Flags().StringVar(&f.key, "key", "", "PEM `FILE` with the private key")
	cmd.Flags().StringVar(&f.chain, "certificate-chain", "", "PEM `FILE` with the certificate of the key and those above it")
	cmd.Flags().StringVar(&f.signature, "signature", "", "`FILE` to write (default model.sig in the folder, or the file's name with .sig)")
	cmd.Flags().StringVar(&f.hash, "hash", string(modelsigning.SHA256), "sha256 or blake2b; a registry can verify only sha256 without the files")
	cmd.Flags().Int64Var(&f.shards, "shard-size", 0, "hash files in shards of so many bytes; 0 hashes them whole")
	cmd.Flags().BoolVar(&f.symlinks, "allow-symlinks", false, "follow links to files in the folder")
	cmd.Flags().StringArrayVar(&f.ignore, "ignore", nil, "`PATH` in the folder to leave out (repeatable)")
	return cmd
}

func (e *env) sign(cmd *cobra.Command, f *signFlags, path string) error {
	if f.key == "" {
		return exit(exitUsage, errors.New("--key is required"))
	}
	p, err := readSmall(f.key, maxKeyFile)
	if err != nil {
		return fmt.Errorf("--key: %w", err)
	}
	var signer modelsigning.Signer
	if signer.Key, err = modelsigning.ParsePrivateKey(p); err != nil {
		return fmt.Errorf("--key %s: %w", f.key, err)
	}
	if f.chain != "" {
		if p, err = readSmall(f.chain, maxKeyFile); err != nil {
			return fmt.Errorf("--certificate-chain: %w", err)
		}
		if signer.Chain, err = provenance.ParseCertificates(p); err != nil {
			return fmt.Errorf("--certificate-chain %s: %w", f.chain, err)
		}
	}
	s := modelsigning.Serialization{HashType: modelsigning.Hash(f.hash), AllowSymlinks: f.symlinks, IgnorePaths: f.ignore}
	if f.shards > 0 {
		s.Method, s.ShardSize = modelsigning.Shards, f.shards
	}
	out, ignored, err := signaturePath(path, f.signature)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		hidden, err := modelsigning.Hidden(path)
		if err != nil {
			return err
		}
		ignored = append(ignored, hidden...)
	}
	m, err := modelsigning.Measure(cmd.Context(), path, s, ignored...)
	if err != nil {
		return err
	}
	bundle, err := modelsigning.Sign(m, signer)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, bundle, 0o644); err != nil {
		return err
	}
	_, err = fmt.Fprintf(e.stdout, "sha256:%s\n", m.Root())
	e.say(fmt.Sprintf("signed %d files, in %s", len(m.Resources), plain(out)))
	return err
}

// signaturePath is where the signature of a path lies, and its path in the
// folder when it is there.
func signaturePath(path, given string) (file string, inside []string, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, err
	}
	if file = given; file == "" {
		file = filepath.Clean(path) + ".sig"
		if info.IsDir() {
			file = filepath.Join(path, modelsigning.SignatureFile)
		}
	}
	if !info.IsDir() {
		return file, nil, nil
	}
	folder, err := filepath.Abs(path)
	if err != nil {
		return "", nil, err
	}
	full, err := filepath.Abs(file)
	if err != nil {
		return "", nil, err
	}
	rel, err := filepath.Rel(folder, full)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return file, nil, nil //nolint:nilerr // on another drive, which is not in the folder
	}
	return file, []string{filepath.ToSlash(rel)}, nil
}
