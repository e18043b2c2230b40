package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/registry"
)

func newLicenseTextCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "text",
		Short: "Tell which licence a version's text is, and confirm texts that the hub does not know",
		Long: `A licence is known by its words. Texts of most licences are known to the program; of
another one an administrator, who has read it, says which licence of the catalogue it
is. The hub signs that and keeps the text, finds it word for word in all other versions
from then on, and assesses them anew.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLicenseTextReadCommand(e), newLicenseTextConfirmCommand(e), newLicenseTextListCommand(e), newLicenseTextShowCommand(e), newLicenseTextForgetCommand(e))
	return cmd
}

func newLicenseTextReadCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "read HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]",
		Short: "Print which licence the text in a version is, and how it differs from the likest",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ref, err := e.termsOf(&remote, args[0])
			if err != nil {
				return err
			}
			x, err := c.Hub(ref.Host).LicenseReading(cmd.Context(), ref.Name, ref.Target())
			if err != nil {
				return hint(cmd.Context(), c, err, ref)
			}
			return showReading(e.stdout, x, asJSON)
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// showReading prints what the text of a licence is.
func showReading(w io.Writer, x *registry.Reading, asJSON bool) error {
	if asJSON {
		return printJSON(w, x)
	}
	var b strings.Builder
	name := func(ref string) string {
		if f, ok := licenses.Lookup(ref); ok && f.Name != ref {
			return fmt.Sprintf("%s (%s)", ref, f.Name)
		}
		return ref
	}
	by := "word for word"
	if x.Confirmed {
		by = "word for word, by a text that an administrator of the hub confirmed"
	}
	switch {
	case len(x.Refs) > 0:
		for _, ref := range x.Refs {
			fmt.Fprintf(&b, "It is %s, %s.\n", name(ref), by)
		}
	case len(x.Contains) > 0:
		for _, ref := range x.Contains {
			fmt.Fprintf(&b, "It has %s in it, and other words, which may change what it says:\n", name(ref))
		}
		fmt.Fprintf(&b, "  %s\n", x.Uncovered)
	case len(x.Candidates) > 0:
		b.WriteString("It is no licence that is known word for word. It resembles\n")
		for _, c := range x.Candidates {
			fmt.Fprintf(&b, "  %3.0f %%  %s\n", 100*c.Likeness, name(c.Ref))
		}
	default:
		b.WriteString("It is no licence that is known, and resembles none.\n")
	}
	if d := x.Difference; d != nil {
		fmt.Fprintf(&b, "Against %s, %d words are gone [-so-] and %d are new {+so+}:\n  %s\n", x.Compared, d.Removed, d.Added, d.Text())
	}
	fmt.Fprintf(&b, "%d words, sha256:%s\n", x.Words, x.Digest)
	return printLines(w, b.String())
}

func newLicenseTextConfirmCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var license, reason string
	cmd := &cobra.Command{
		Use:     "confirm HOST[:PORT]/ORG/NAME[:TAG|@DIGEST] --license ID --reason TEXT",
		Short:   "Say which licence the text in a version is, as an administrator who has read it",
		Example: `  carat license text confirm hub.example.org/acme/model:v1 --license LicenseRef-scancode-qwen-2024 --reason "The text on the vendor's site."`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ref, err := e.termsOf(&remote, args[0])
			switch {
			case err != nil:
				return err
			case license == "":
				return exit(exitUsage, errors.New("--license is required"))
			case reason == "":
				return exit(exitUsage, errors.New("--reason is required"))
			}
			x, err := c.Hub(ref.Host).ConfirmLicenseText(cmd.Context(), ref.Name, ref.Target(), license, reason)
			if err != nil {
				return adminHint(err, ref.Host)
			}
			e.say(fmt.Sprintf("%s is %s from now on", x.Text, plain(x.Ref)))
			return nil
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVar(&license, "license", "", "`ID` of the licence in the catalogue (required)")
	cmd.Flags().StringVar(&reason, "reason", "", "`TEXT` that says by what one knows (required)")
	return cmd
}

func newLicenseTextListCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list HOST[:PORT]",
		Short: "Print the texts that were confirmed, as an administrator",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			hub, err := e.hub(&remote, args[0])
			if err != nil {
				return err
			}
			list, err := hub.LicenseTexts(cmd.Context())
			if err != nil {
				return adminHint(err, args[0])
			}
			if asJSON {
				return printJSON(e.stdout, list)
			}
			w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "DIGEST\tLICENCE\tFOUND IN\tBY\tDAY\tREASON")
			for _, x := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", x.Text, plain(x.Ref), plain(string(x.Name)), plain(x.By), x.At.UTC().Format(time.DateOnly), plain(x.Reason))
			}
			return w.Flush()
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newLicenseTextShowCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "show HOST[:PORT] DIGEST",
		Short: "Print a text that was confirmed, as an administrator",
		Args:  usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			hub, d, err := e.textAt(&remote, args)
			if err != nil {
				return err
			}
			x, err := hub.LicenseText(cmd.Context(), d)
			if err != nil {
				return adminHint(err, args[0])
			}
			return printLines(e.stdout, strings.TrimRight(x.Content, "\n"))
		},
	}
	remote.register(cmd)
	return cmd
}

func newLicenseTextForgetCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "forget HOST[:PORT] DIGEST",
		Short: "Take a confirmation back, as an administrator",
		Args:  usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			hub, d, err := e.textAt(&remote, args)
			if err != nil {
				return err
			}
			return adminHint(hub.ForgetLicenseText(cmd.Context(), d), args[0])
		},
	}
	remote.register(cmd)
	return cmd
}

// textAt parses HOST DIGEST.
func (e *env) textAt(remote *remoteFlags, args []string) (*client.Hub, registry.Digest, error) {
	d, err := registry.ParseDigest(args[1])
	if err != nil {
		return nil, d, exit(exitUsage, err)
	}
	hub, err := e.hub(remote, args[0])
	return hub, d, err
}
