package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
)

const policyHelp = `Rules in Cedar (https://docs.cedarpolicy.com) about who may pull and push what, by facts
of licences, findings of lineage, levels of openness and verification. An organization
can have a policy, and the hub one for all. A rule can only forbid; what access control
allows and no rule forbids is permitted:

  @id("no-research-only")
  @reason("Models for research only are not for this organization.")
  forbid (principal, action == Action::"pull", resource)
  when { resource.license.restrictions.contains("research") };

Rules are about principal (name, admin, anonymous, role in the model: "reader", "writer",
"maintainer", "owner" or ""; and of what somebody said when they accepted terms: country,
commercial, purpose, monthlyUsers, annualRevenueUSD), whose members an organization has
(principal in Organization::"acme"), about resource (repository, organization, digest, verification; and from the files: format,
programs, parameters, signed, openness.claimed, .verified, .osaid, license.expression,
.ids, .openness, .commercial, .modify, .redistribute, .restrictions, .territories, .osi,
.textMatch, lineage.errors, .warnings, .findings, .bases, .unknown) and context.now. A
rule that asks for something that is not known forbids, and the answer names what that
is. @advice("warn") makes a rule that forbids nothing and is only told of.

Those who may push to a repository can always pull from it. Rules about a push that ask
for facts of the files cannot be asked at the push itself, which reads no files: they
keep the version from others as soon as the facts are known.`

func newPolicyCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Show, set or try rules about who may pull and push what",
		Long:  policyHelp,
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newPolicyShowCommand(e), newPolicySetCommand(e), newPolicyTestCommand(e))
	return cmd
}

// policyScope parses HOST, for the hub, or HOST/ORG.
func policyScope(arg string) (host string, scope registry.Name, err error) {
	if strings.Contains(arg, "/") {
		return organization(arg)
	}
	host, err = client.ParseHost(arg)
	return host, "", err
}

func newPolicyShowCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var history, asJSON bool
	cmd := &cobra.Command{
		Use:     "show HOST[:PORT][/ORG]",
		Short:   "Print the policy of an organization, or of the hub, as an administrator",
		Example: `  carat policy show hub.example.org/acme --history`,
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, scope, err := policyScope(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			hub, err := e.hub(&remote, host)
			if err != nil {
				return err
			}
			p, err := hub.Policy(cmd.Context(), scope)
			if err != nil {
				return adminHint(err, host)
			}
			if asJSON {
				return printJSON(e.stdout, p)
			}
			if !history {
				if p.Text == "" {
					e.say("there is no policy")
				}
				return printLines(e.stdout, p.Text)
			}
			for _, x := range p.History {
				text := x.Text
				if text == "" {
					text = "// taken away\n"
				}
				if err := printLines(e.stdout, fmt.Sprintf("// by %s, %s\n%s", x.By, x.At.UTC().Format("2006-01-02 15:04:05 UTC"), text)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&history, "history", false, "also print the ones before, newest first")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newPolicySetCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var remove bool
	cmd := &cobra.Command{
		Use:   "set HOST[:PORT][/ORG] FILE",
		Short: "Set the policy of an organization, or of the hub, as an administrator",
		Long: `Put the rules in a file ("-" for standard input) in force in the place of those that
are. See carat policy test for what that would change, and carat policy --help for the rules.`,
		Example: `  carat policy set hub.example.org/acme rules.cedar
  carat policy set hub.example.org/acme --remove`,
		Args: usage(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, scope, err := policyScope(args[0])
			if err == nil && remove == (len(args) == 2) {
				err = errors.New("give a file with rules, or --remove")
			}
			if err != nil {
				return exit(exitUsage, err)
			}
			text := ""
			if !remove {
				if text, err = e.readPolicy(args[1]); err != nil {
					return err
				}
			}
			hub, err := e.hub(&remote, host)
			if err != nil {
				return err
			}
			return adminHint(hub.SetPolicy(cmd.Context(), scope, text), host)
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&remove, "remove", false, "take the policy away")
	return cmd
}

// maxPolicy is how long a policy may be that is read, in bytes; the hub takes less.
const maxPolicy = 1 << 20

// readPolicy reads rules. A file without any is refused: it would be taken for
// a policy that permits everything, which is what --remove is for.
func (e *env) readPolicy(name string) (string, error) {
	r := e.stdin
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		r = f
	}
	p, err := io.ReadAll(io.LimitReader(r, maxPolicy+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	switch {
	case len(p) > maxPolicy:
		return "", fmt.Errorf("%s is longer than a policy may be", name)
	case strings.TrimSpace(string(p)) == "":
		return "", fmt.Errorf("%s is empty; --remove takes a policy away", name)
	}
	return string(p), nil
}

func newPolicyTestCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var country, purpose string
	var commercial, asJSON bool
	cmd := &cobra.Command{
		Use:   "test HOST[:PORT][/ORG] FILE",
		Short: "Tell which models could not be pulled any more under a policy, as an administrator",
		Long: `Try the rules in a file ("-" for standard input) on the newest version of every model of
the organization, or of the hub, in the place of those in force, and change nothing. It
is decided as for somebody who is not signed in, of whom nothing is known but what the
flags say.

Exit codes: 0 nothing that can be pulled now would break; 1 something would, or an error;
2 wrong usage.`,
		Example: `  carat policy test hub.example.org/acme rules.cedar --country FR --commercial`,
		Args:    usage(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, scope, err := policyScope(args[0])
			if err != nil {
				return exit(exitUsage, err)
			}
			t := registry.PolicyTest{Scope: scope, Fields: map[string]string{}}
			if t.Text, err = e.readPolicy(args[1]); err != nil {
				return err
			}
			if country != "" {
				t.Fields["country"] = country
			}
			if purpose != "" {
				t.Fields["purpose"] = purpose
			}
			if cmd.Flags().Changed("commercial") {
				t.Fields["commercial"] = fmt.Sprint(commercial)
			}
			hub, err := e.hub(&remote, host)
			if err != nil {
				return err
			}
			result, err := hub.TestPolicy(cmd.Context(), t)
			if err != nil {
				return adminHint(err, host)
			}
			if asJSON {
				err = printJSON(e.stdout, result)
			} else {
				err = printLines(e.stdout, describePolicyTest(result))
			}
			if n := len(result.Broken); err == nil && n > 0 {
				err = exit(1, fmt.Errorf("%d of %d models could not be pulled any more", n, result.Models))
			}
			return err
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVar(&country, "country", "", "`CODE` of the country where who pulls is (ISO 3166-1 alpha-2)")
	cmd.Flags().StringVar(&purpose, "purpose", "", "`WORD` for what they pull, such as research or production")
	cmd.Flags().BoolVar(&commercial, "commercial", false, "whether their use is commercial")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func describePolicyTest(r *registry.PolicyTestResult) string {
	var b strings.Builder
	for _, x := range r.Broken {
		name := string(x.Name)
		if len(x.Tags) > 0 {
			name += ":" + string(x.Tags[0])
		}
		fmt.Fprintf(&b, "breaks   %s (%s)\n", name, x.Digest)
		b.WriteString(describeDecision(&x.Decision, "         "))
	}
	for _, n := range r.Mended {
		fmt.Fprintf(&b, "permits  %s, which cannot be pulled now\n", n)
	}
	fmt.Fprintf(&b, "%d models: %d break, %d are permitted anew\n", r.Models, len(r.Broken), len(r.Mended))
	return b.String()
}

// describeDecision writes which rules spoke, and what they wanted to know.
func describeDecision(d *registry.PolicyDecision, indent string) string {
	var b strings.Builder
	for _, r := range d.Denied {
		fmt.Fprintf(&b, "%s%s: %s\n", indent, r.Rule, r.Message)
	}
	for _, r := range d.Warned {
		fmt.Fprintf(&b, "%s%s warns: %s\n", indent, r.Rule, r.Message)
	}
	if len(d.Missing) > 0 {
		fmt.Fprintf(&b, "%snot known: %s\n", indent, strings.Join(d.Missing, ", "))
	}
	return b.String()
}
