package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/attestation"
)

func newReceiptCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "receipt",
		Short: "Check proofs that terms were accepted",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newReceiptGetCommand(e), newReceiptVerifyCommand(e), newReceiptLogCommand(e), newReceiptVerifyLogCommand(e))
	return cmd
}

func newReceiptGetCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "get HOST[:PORT]/ORG/NAME",
		Short: "Print the receipt of what one accepted for a model",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ref, err := e.termsOf(&remote, args[0])
			if err != nil {
				return err
			}
			r, err := c.Hub(ref.Host).Receipt(cmd.Context(), ref.Name)
			if err != nil {
				return err
			}
			return printJSON(e.stdout, r)
		},
	}
	remote.register(cmd)
	return cmd
}

func newReceiptVerifyCommand(e *env) *cobra.Command {
	var key string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify FILE --key FILE",
		Short: "Check a receipt without any network",
		Long: `Check that a receipt was signed by a key of the hub, that it says who accepted,
and print what it says. A receipt from which that was erased is valid, and says so.
"carat keys" prints a hub's keys.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := e.receiptKeys(key)
			if err != nil {
				return err
			}
			p, err := readSmall(args[0], registry.MaxReceipt)
			if err != nil {
				return err
			}
			var r registry.Receipt
			if err := json.Unmarshal(p, &r); err != nil {
				return fmt.Errorf("%w: %w", registry.ErrReceipt, err)
			}
			signer, entry, _, err := openReceipt(cmd.Context(), &r, keys)
			if err != nil {
				return err
			}
			by, err := r.By(entry)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(e.stdout, struct {
					Entry *registry.Entry `json:"entry"`
					By    *registry.Party `json:"by,omitempty"`
					Key   string          `json:"key"`
				}{entry, by, signer.ID})
			}
			return printLines(e.stdout, describeReceipt(entry, by, signer.ID))
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "`FILE` with the public keys of the hub (required)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func describeReceipt(entry *registry.Entry, by *registry.Party, key string) string {
	var b strings.Builder
	who := "somebody whose name was erased"
	if by != nil {
		who = by.User
	}
	fmt.Fprintf(&b, "valid: %s accepted the terms of %s@%s on %s\n", who, entry.Name, entry.Digest, entry.AcceptedAt.Format("2006-01-02 15:04:05 MST"))
	for _, l := range entry.Terms.Licences {
		fmt.Fprintf(&b, "  %s", l.Ref)
		if l.Effective != "" {
			fmt.Fprintf(&b, " of %s", l.Effective)
		}
		if l.From != "" {
			fmt.Fprintf(&b, " (of %s)", l.From)
		}
		b.WriteByte('\n')
	}
	if by != nil {
		for _, name := range slices.Sorted(maps.Keys(by.Fields)) {
			fmt.Fprintf(&b, "  %s: %s\n", name, by.Fields[name])
		}
	}
	fmt.Fprintf(&b, "signed by key %s\n", key)
	return b.String()
}

// openReceipt checks the signature of a receipt and returns the key, what the
// entry says, and the entry's hash.
func openReceipt(ctx context.Context, r *registry.Receipt, keys []attestation.Key) (attestation.Key, *registry.Entry, registry.Digest, error) {
	key, payload, err := attestation.OpenStatement(ctx, r.Envelope, keys)
	if err != nil {
		return key, nil, registry.Digest{}, err
	}
	entry, err := registry.ParseEntry(payload)
	if err != nil {
		return key, nil, registry.Digest{}, err
	}
	if !key.InUse(entry.AcceptedAt) {
		return key, nil, registry.Digest{}, fmt.Errorf("%w: key %s at %s", attestation.ErrKeyTime, key.ID, entry.AcceptedAt)
	}
	return key, entry, registry.DigestOf(registry.SHA256, payload), nil
}

func (e *env) receiptKeys(path string) ([]attestation.Key, error) {
	if path == "" {
		return nil, exit(exitUsage, errors.New("--key is required"))
	}
	p, err := readSmall(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	return attestation.ParseKeys(p)
}

func newReceiptLogCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "log HOST",
		Short: "Print the whole log of acceptances as JSON lines, as an administrator",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			enc := json.NewEncoder(e.stdout)
			return adminHint(c.Hub(args[0]).Acceptances(cmd.Context(), func(x client.LogEntry) error { return enc.Encode(x) }), args[0])
		},
	}
	remote.register(cmd)
	return cmd
}

func newReceiptVerifyLogCommand(e *env) *cobra.Command {
	var key, last string
	cmd := &cobra.Command{
		Use:   "verify-log FILE --key FILE",
		Short: "Check that no entry of a log of acceptances was changed or taken out",
		Long: `Check the log that "carat receipt log" printed: every entry is signed by a key of
the hub and carries the hash of the one before it. Entries that were taken off the
end show only to who knows a later hash: give it with --last.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := e.receiptKeys(key)
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			n, hash, err := verifyLog(cmd.Context(), f, keys)
			if err != nil {
				return err
			}
			if last != "" && last != hash.String() {
				return fmt.Errorf("%w: the log ends with %s, not with %s", registry.ErrReceipt, hash, last)
			}
			_, err = fmt.Fprintf(e.stdout, "valid: %d entries, the last is %s\n", n, orNone(hash.String()))
			return err
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "`FILE` with the public keys of the hub (required)")
	cmd.Flags().StringVar(&last, "last", "", "`HASH` of the last entry as it is known from elsewhere")
	return cmd
}

// verifyLog checks a log and returns how many entries it has and the last hash.
func verifyLog(ctx context.Context, r io.Reader, keys []attestation.Key) (n int, last registry.Digest, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, registry.MaxReceipt)
	for lines.Scan() {
		n++
		var x client.LogEntry
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			return n, last, fmt.Errorf("line %d: %w: %w", n, registry.ErrReceipt, err)
		}
		_, entry, hash, err := openReceipt(ctx, &x.Receipt, keys)
		if err == nil && entry.Previous != last {
			err = fmt.Errorf("%w: the entry before it was changed, or taken out", registry.ErrReceipt)
		}
		if err == nil {
			_, err = x.Receipt.By(entry)
		}
		if err != nil {
			return n, last, fmt.Errorf("line %d: %w", n, err)
		}
		last = hash
	}
	return n, last, lines.Err()
}
