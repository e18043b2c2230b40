package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/registry"
)

func newLicenseShowCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var asJSON, history bool
	var name string
	cmd := &cobra.Command{
		Use:   "show " + licensedUse,
		Short: "Print what one may, must and must not do, with the clauses",
		Long: `Print what one may, must and must not do under a licence, or with a model, over
all that it was made from; of a model also how open it is, and what the rules of
lineage find. Of a text, which licence it is: word for word, or else what it
resembles, which is no identity, with the words that differ: [-gone-] {+new+}.

` + licensedHelp,
		Example: `  carat license show llama3.1
  carat license show "Apache-2.0 AND CC-BY-NC-4.0"
  carat license show LICENSE
  carat license show localhost:8080/demo/tiny-llama:v1 --json
  carat license show localhost:8080/demo/tiny-llama:v1 --history`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := e.licensed(cmd.Context(), &remote, args[0], name)
			if err != nil {
				return err
			}
			switch {
			case history && l.hub == nil:
				return exit(exitUsage, fmt.Errorf("--history is of versions in a hub, and %s is none", args[0]))
			case history:
				return e.showHistory(cmd.Context(), l, asJSON)
			case l.text != "":
				return showText(e.stdout, l.text, args[0], asJSON)
			case l.hub == nil && !l.model:
				return showTerms(e.stdout, l, asJSON)
			}
			a, err := l.assess(cmd.Context())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(e.stdout, a)
			}
			parts := []string{a.Openness.Text(l.model), a.Terms.Text()}
			if findings := a.Lineage.Text(); findings != "" {
				parts = append([]string{findings}, parts...)
			}
			return printLines(e.stdout, strings.Join(parts, "\n"))
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&history, "history", false, "print what was found of a version in a hub since it was pushed, newest first")
	cmd.Flags().StringVar(&name, "name", "", "`NAME` under which a model on disk is to be published (default its folder's)")
	return cmd
}

// showHistory prints the stored assessments of a version.
func (e *env) showHistory(ctx context.Context, l *licensed, asJSON bool) error {
	list, err := l.hub.Assessments(ctx, l.ref.Name, l.ref.Target())
	if err != nil {
		return hint(ctx, l.client, err, l.ref)
	}
	if asJSON {
		return printJSON(e.stdout, list)
	}
	if len(list) == 0 {
		e.say("nothing is stored of it yet")
	}
	for _, a := range list {
		line := fmt.Sprintf("%s  %s, openness %d (claimed %d), %d errors, %d warnings, rules %s\n", a.CreatedAt.UTC().Format("2006-01-02 15:04:05 UTC"), a.Terms, a.Verified, a.Claimed, a.Errors, a.Warnings, a.RuleSet)
		for _, f := range a.Findings {
			waived := ""
			if f.Waived {
				waived = " (waived)"
			}
			line += fmt.Sprintf("  %s %s: %s%s\n", f.Rule, f.Severity, f.Message, waived)
		}
		if err := printLines(e.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

// shownTerms is the JSON form of what a licence says.
type shownTerms struct {
	Fact  *licenses.Fact `json:"fact,omitempty"` // of a single licence
	Terms term.Statement `json:"terms"`
}

func showTerms(w io.Writer, l *licensed, asJSON bool) error {
	s := term.New(l.ancestry.Graph)
	if asJSON {
		return printJSON(w, shownTerms{l.fact, s})
	}
	var b strings.Builder
	if f := l.fact; f != nil {
		fmt.Fprintf(&b, "%s\n%s", f.Name, f.SPDX)
		if f.Version != "" {
			fmt.Fprintf(&b, ", version %s", f.Version)
		}
		if f.Effective != "" {
			fmt.Fprintf(&b, ", in force since %s", f.Effective)
		}
		fmt.Fprintf(&b, "\n%s\n", f.URL)
		if n := len(licenses.Versions(f.SPDX)); n > 1 {
			fmt.Fprintf(&b, "the newest of %d texts under that id\n", n)
		}
		if lists := listWords(f.Lists); len(lists) > 0 {
			fmt.Fprintf(&b, "On the lists of %s\n", strings.Join(lists, ", "))
		}
		b.WriteByte('\n')
	}
	b.WriteString(s.Text())
	return printLines(w, b.String())
}

func listWords(l licenses.Lists) (words []string) {
	for _, x := range []struct {
		on   bool
		name string
	}{{l.OSI, "the Open Source Initiative"}, {l.FSF, "the Free Software Foundation"}, {l.OpenData, "open data"}, {l.Model, "open model licences"}} {
		if x.on {
			words = append(words, x.name)
		}
	}
	return words
}

func showText(w io.Writer, s, file string, asJSON bool) error {
	x, err := registry.ReadText(s, file)
	if err != nil {
		return err
	}
	return showReading(w, x, asJSON)
}

func newLicenseListCommand(e *env) *cobra.Command {
	var asJSON bool
	var kind string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Print the licences that are known",
		Args:  usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			list := []*licenses.Fact{}
			for _, f := range licenses.All() {
				if kind == "" || string(f.Openness()) == kind {
					list = append(list, f)
				}
			}
			if len(list) == 0 {
				return exit(exitUsage, fmt.Errorf("--terms is %s, %s or %s, not %q", licenses.OpennessOpen, licenses.OpennessRestricted, licenses.OpennessUnclear, kind))
			}
			if asJSON {
				return printJSON(e.stdout, list)
			}
			w := tabwriter.NewWriter(e.stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "TERMS\tSPDX\tHUGGING FACE\tSINCE\tNAME")
			for _, f := range list {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Openness(), orNone(f.SPDX), orNone(f.ID), orNone(f.Effective), f.Name)
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&kind, "terms", "", "only those whose terms are `KIND`: open, restricted or unclear")
	return cmd
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
