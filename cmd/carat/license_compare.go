package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/text"
)

func newLicenseCompareCommand(e *env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "compare ID[@SINCE]|PATH ID[@SINCE]|PATH",
		Short: "Print what changes from one licence to another",
		Long: `Print what changes for those who accepted the first licence and get the second:
which permission, limit or duty, and whether that is tighter, looser or neither.
SINCE names one of several texts under an id by the day from which it held; without it
the newest is meant. A path is a text of a licence, which must be known.`,
		Example: `  carat license compare llama3 llama3.1
  carat license compare gemma@2024-04-01 gemma`,
		Args: usage(cobra.ExactArgs(2)),
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := oneLicense(args[0])
			if err != nil {
				return err
			}
			after, err := oneLicense(args[1])
			if err != nil {
				return err
			}
			c := licenses.Compare(before, after)
			if asJSON {
				return printJSON(e.stdout, c)
			}
			if len(c.Differences) == 0 {
				_, err := fmt.Fprintln(e.stdout, "No fact that is known differs.")
				return err
			}
			var b strings.Builder
			fmt.Fprintf(&b, "From %s to %s: %s\n", before.Name, after.Name, c.Change)
			for _, d := range c.Differences {
				clause := ""
				if d.Clause != "" {
					clause = " (" + licenses.Section(d.Clause) + ")"
				}
				fmt.Fprintf(&b, "%-8s %s%s\n         - %s\n         + %s\n", d.Change, d.Field, clause, orNone(d.Before), orNone(d.After))
			}
			return printLines(e.stdout, b.String())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// oneLicense returns the facts of one text of a licence.
func oneLicense(arg string) (*licenses.Fact, error) {
	id, since, dated := strings.Cut(arg, "@")
	list := licenses.Versions(id)
	if len(list) == 0 {
		return licenseOfText(arg)
	}
	if !dated {
		return list[0], nil
	}
	var days []string
	for _, f := range list {
		if f.Effective == since {
			return f, nil
		}
		days = append(days, orNone(f.Effective))
	}
	return nil, fmt.Errorf("no text of %s is known since %s; there are: %s", id, since, strings.Join(days, ", "))
}

// licenseOfText returns the facts of the licence that a file is, word for word.
func licenseOfText(path string) (*licenses.Fact, error) {
	s, err := readLicense(path)
	if err != nil {
		return nil, unknownLicense(path)
	}
	r, err := text.Known().Identify(s)
	if err != nil {
		return nil, err
	}
	if f, ok := licenses.LookupText(r.Digest); ok {
		return f, nil
	}
	if len(r.Refs) == 1 {
		if f, ok := licenses.Lookup(r.Refs[0]); ok {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s is not word for word one licence that is known; see carat license show %s", path, path)
}
