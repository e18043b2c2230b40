package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
)

func newTermsCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "terms",
		Short: "Accept the terms of models, or demand that others do",
		Long: `An organization or a model may demand that its terms are accepted before a pull.
Who accepts gets a signed receipt of it, an entry of a log that the hub cannot
change behind anybody's back; see carat receipt.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTermsShowCommand(e), newTermsAcceptCommand(e), newTermsGateCommand(e), newTermsRequestsCommand(e), newTermsDecideCommand(e), newTermsEraseCommand(e))
	return cmd
}

func newTermsShowCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]",
		Short: "Print the terms of a model, and whether they have to be accepted",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ref, err := e.termsOf(&remote, args[0])
			if err != nil {
				return err
			}
			v, err := c.Hub(ref.Host).Terms(cmd.Context(), ref.Name, ref.Target())
			if err != nil {
				return hint(cmd.Context(), c, err, ref)
			}
			if asJSON {
				return printJSON(e.stdout, v)
			}
			return printLines(e.stdout, describeTerms(v))
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (e *env) termsOf(remote *remoteFlags, arg string) (*client.Client, client.Reference, error) {
	ref, err := reference(arg)
	if err != nil {
		return nil, ref, err
	}
	c, err := e.client(remote, client.Options{})
	return c, ref, err
}

// describeTerms writes terms for people.
func describeTerms(v *registry.TermsView) string {
	s := ""
	if g := v.Gate; g != nil {
		for _, text := range []string{g.Heading, g.Description, g.Prompt} {
			if text != "" {
				s += text + "\n"
			}
		}
		for _, f := range g.Fields {
			if f.Kind == registry.FieldAddress {
				s += fmt.Sprintf("records the address from which you accept as %q\n", f.Name)
				continue
			}
			s += fmt.Sprintf("asks for %q (%s)", f.Name, f.Kind)
			if len(f.Options) > 0 {
				s += ": " + strings.Join(f.Options, ", ")
			}
			s += "\n"
		}
		s += "\n"
	}
	s += v.Statement.Text()
	switch {
	case v.State != "":
		s += fmt.Sprintf("\nYour acceptance: %s\n", v.State)
	case v.Required:
		s += "\nThese terms have to be accepted before a pull.\n"
	default:
		s += "\nNothing has to be accepted before a pull.\n"
	}
	return strings.TrimPrefix(s, "\n")
}

// consentFlags are how somebody accepts terms.
type consentFlags struct {
	accept bool
	fields []string
}

func (f *consentFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.fields, "field", nil, "`NAME=VALUE` of a field that the terms ask for (repeatable)")
}

func newTermsAcceptCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var f consentFlags
	var output string
	cmd := &cobra.Command{
		Use:   "accept HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]",
		Short: "Accept the terms of a model and get a receipt",
		Long: `Print the terms of a model and accept them, after asking on a terminal or with
--yes. The receipt is printed, or written to a file with --output.`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, ref, err := e.termsOf(&remote, args[0])
			if err != nil {
				return err
			}
			a, err := e.accept(cmd.Context(), c, ref, &f)
			if err != nil {
				return hint(cmd.Context(), c, err, ref)
			}
			e.say("state: " + string(a.State))
			if output == "" {
				return printJSON(e.stdout, a.Receipt)
			}
			w, err := os.OpenFile(output, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return err
			}
			return errors.Join(printJSON(w, a.Receipt), w.Close())
		},
	}
	remote.register(cmd)
	f.register(cmd)
	cmd.Flags().BoolVarP(&f.accept, "yes", "y", false, "accept without asking")
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the receipt to a new `FILE`")
	return cmd
}

// errNotAccepted says that somebody was asked and did not accept.
var errNotAccepted = errors.New("the terms were not accepted")

// accept shows the terms of a version and accepts them, if the user wants to.
func (e *env) accept(ctx context.Context, c *client.Client, ref client.Reference, f *consentFlags) (*client.Accepted, error) {
	hub := c.Hub(ref.Host)
	v, err := hub.Terms(ctx, ref.Name, ref.Target())
	if err != nil {
		return nil, err
	}
	if err := printLines(e.stderr, describeTerms(v)); err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for _, s := range f.fields {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return nil, exit(exitUsage, fmt.Errorf("--field %q is not of the form NAME=VALUE", s))
		}
		fields[name] = value
	}
	if !f.accept {
		terminal, ok := e.stdin.(*os.File)
		if !ok || !term.IsTerminal(int(terminal.Fd())) {
			return nil, fmt.Errorf("%w: standard input is no terminal, so that nobody can be asked", errNotAccepted)
		}
		lines := bufio.NewScanner(terminal)
		ask := func(question string) string {
			fmt.Fprint(e.stderr, question)
			lines.Scan()
			return strings.TrimSpace(lines.Text())
		}
		if v.Gate != nil {
			for _, x := range v.Gate.Fields {
				if _, told := fields[x.Name]; !told && x.Kind != registry.FieldAddress {
					fields[x.Name] = ask(plain(x.Name) + " (" + string(x.Kind) + "): ")
				}
			}
		}
		if s := strings.ToLower(ask("Accept these terms? [y/N] ")); s != "y" && s != "yes" {
			return nil, errNotAccepted
		}
	}
	return hub.Accept(ctx, ref.Name, registry.Reference{Digest: v.Digest}, v.Key, fields)
}

func newTermsGateCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var g registry.ConsentGate
	var fields []string
	cmd := &cobra.Command{
		Use:   "gate HOST[:PORT]/ORG[/NAME] [auto|manual|off|default]",
		Short: "Show or set whether terms have to be accepted before a pull",
		Long: `Print the gate of an organization or a model, or set it, as an administrator:

  auto     who accepts the terms may pull
  manual   who accepts them asks, and an administrator decides (carat terms decide)
  off      nothing has to be accepted, also where the organization's models have a gate
  default  the organization's, or none

What the gate itself does not say (heading, description, prompt, button, fields) is taken
from the model's card where it has extra_gated_heading, extra_gated_fields …

Who may push a model may always pull it. When the terms become tighter than those
that somebody accepted, they are asked again.`,
		Example: `  carat terms gate hub.example.org/acme auto --prompt "Tell us who you are." --field Company:text --field Country:country
  carat terms gate hub.example.org/acme/free off`,
		Args: usage(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, rest, ok := strings.Cut(args[0], "/")
			if !ok {
				return exit(exitUsage, fmt.Errorf("%q is not of the form HOST[:PORT]/ORG[/NAME]", args[0]))
			}
			host, err := client.ParseHost(host)
			if err != nil {
				return exit(exitUsage, err)
			}
			scope, err := registry.ParseName(rest)
			if err != nil || strings.Count(rest, "/") > 1 {
				return exit(exitUsage, fmt.Errorf("%q is no organization and no model", rest))
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			hub := c.Hub(host)
			if len(args) == 1 {
				gates, err := hub.TermsGates(cmd.Context())
				if err != nil {
					return adminHint(err, host)
				}
				if gate, ok := gates[rest]; ok {
					return printJSON(e.stdout, gate)
				}
				_, err = fmt.Fprintln(e.stdout, "default")
				return err
			}
			gate := &g
			for _, s := range fields {
				f, err := parseField(s)
				if err != nil {
					return exit(exitUsage, err)
				}
				g.Fields = append(g.Fields, f)
			}
			switch g.Mode = registry.ConsentMode(args[1]); {
			case args[1] == "default":
				gate = nil
			case g.Check() != nil:
				return exit(exitUsage, g.Check())
			}
			if err := hub.SetTermsGate(cmd.Context(), scope, gate); err != nil {
				return adminHint(err, host)
			}
			_, err = fmt.Fprintln(e.stdout, args[1])
			return err
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVar(&g.Heading, "heading", "", "`TEXT` over the terms")
	cmd.Flags().StringVar(&g.Prompt, "prompt", "", "`TEXT` for those who are asked")
	cmd.Flags().StringVar(&g.Button, "button", "", "`TEXT` of the button")
	cmd.Flags().StringArrayVar(&fields, "field", nil, "`NAME:KIND` of a field: text, checkbox, date_picker, country, ip_location (recorded, not asked), or select:A,B,C (repeatable)")
	cmd.Flags().StringVar(&g.Description, "description", "", "`TEXT` right below the heading")
	return cmd
}

// parseField reads "NAME:KIND", or "NAME:select:A,B".
func parseField(s string) (registry.ConsentField, error) {
	name, kind, ok := strings.Cut(s, ":")
	if !ok {
		return registry.ConsentField{}, fmt.Errorf("--field %q is not of the form NAME:KIND", s)
	}
	kind, options, _ := strings.Cut(kind, ":")
	f := registry.ConsentField{Name: name, Kind: registry.FieldKind(kind)}
	if options != "" {
		f.Options = strings.Split(options, ",")
	}
	return f, nil
}

func newTermsRequestsCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "requests HOST [ORG[/NAME]]",
		Short: "List acceptances that wait for a decision, as a maintainer; all of the hub as an administrator",
		Args:  usage(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "ID\tSTATE\tAT\tMODEL\tWHO")
			var scope registry.Name
			if len(args) == 2 {
				scope = registry.Name(args[1])
			}
			err = c.Hub(args[0]).AcceptancesOf(cmd.Context(), scope, func(x client.LogEntry) error {
				if all || x.State == registry.ConsentPending {
					who := "erased"
					if x.Receipt.Party != nil {
						who = plain(string(x.Receipt.Party))
					}
					fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", x.ID, plain(string(x.State)), x.At.Format("2006-01-02 15:04"), plain(string(x.Name)), who)
				}
				return nil
			})
			return errors.Join(rightsHint(err, args[0]), w.Flush())
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "list those that were decided, too")
	return cmd
}

func newTermsDecideCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "decide HOST ID accept|deny",
		Short: "Decide about an acceptance, as a maintainer of the model",
		Args:  usage(cobra.ExactArgs(3)),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[1], 10, 64)
			state, ok := map[string]registry.ConsentState{"accept": registry.ConsentAccepted, "deny": registry.ConsentDenied}[args[2]]
			if err != nil || !ok {
				return exit(exitUsage, errors.New("want the number of a request and accept or deny"))
			}
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			return rightsHint(c.Hub(args[0]).Decide(cmd.Context(), id, state), args[0])
		},
	}
	remote.register(cmd)
	return cmd
}

func newTermsEraseCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "erase HOST USER",
		Short: "Forget who a user was in the log of acceptances, as an administrator",
		Long: `Erase the name and the answers of a user from the log of acceptances. The log
holds only salted digests of them and stays whole. As long as there is the user, what
they accepted goes on to count for their pulls.`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := e.client(&remote, client.Options{})
			if err != nil {
				return err
			}
			n, err := c.Hub(args[0]).EraseParty(cmd.Context(), args[1])
			if err != nil {
				return adminHint(err, args[0])
			}
			_, err = fmt.Fprintf(e.stdout, "erased from %d entries\n", n)
			return err
		},
	}
	remote.register(cmd)
	return cmd
}
