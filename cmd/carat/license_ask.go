package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/licenses/term"
)

// Exit codes of "carat license ask", beside 0 for yes.
const (
	exitAskNo      = 1
	exitAskDepends = 3
)

func newLicenseAskCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var asJSON, commercial bool
	var users, revenue string
	var q term.Question
	cmd := &cobra.Command{
		Use:   "ask " + licensedUse,
		Short: "Ask whether the terms permit a use",
		Long: `Ask whether a licence, or all licences of a model and of what it was made from,
permit a use. The answer is yes, no, or "depends" with what it depends on, each with the
licence, the clause and the way through the lineage. Facts that are not given are
not assumed: whether a use is commercial is not known without --commercial or
--commercial=false.

` + licensedHelp + `

Exit codes: 0 yes; 1 no, or an error; 2 wrong usage; 3 it depends.`,
		Example: `  carat license ask llama4 --commercial --mau 5e6 --country FR
  carat license ask models.example.org/acme/model:v1 --commercial --derive --redistribute
  carat license ask ./model --commercial=false --train-on-outputs`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("commercial") {
				q.Commercial = &commercial
			}
			for _, x := range []struct {
				flag, value string
				into        **int64
			}{{"--mau", users, &q.MonthlyUsers}, {"--revenue", revenue, &q.AnnualRevenue}} {
				if x.value == "" {
					continue
				}
				n, err := term.ParseAmount(x.value)
				if err != nil {
					return exit(exitUsage, fmt.Errorf("%s: %w", x.flag, err))
				}
				*x.into = &n
			}
			if _, err := term.ParseQuestion(q.Values()); err != nil {
				return exit(exitUsage, err)
			}
			q.Country, q.Currency = strings.ToUpper(q.Country), strings.ToUpper(q.Currency)
			l, err := e.licensed(cmd.Context(), &remote, args[0], "")
			if err != nil {
				return err
			}
			if l.text != "" {
				f, err := licenseOfText(args[0])
				if err != nil {
					return err
				}
				if l, err = e.licensed(cmd.Context(), &remote, f.SPDX, ""); err != nil {
					return err
				}
			}
			a, err := l.ask(cmd.Context(), &q)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(e.stdout, a)
			} else {
				err = printLines(e.stdout, a.Text())
			}
			switch {
			case err != nil:
				return err
			case a.Verdict == term.No:
				return exit(exitAskNo, nil)
			case a.Verdict == term.Yes:
				return nil
			case a.Verdict == term.Depends:
				return exit(exitAskDepends, nil)
			}
			return errors.New("the hub gave no answer")
		},
	}
	remote.register(cmd)
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON")
	f.BoolVar(&commercial, "commercial", false, "the use is commercial (=false: it is not)")
	f.StringVar(&users, "mau", "", "`NUMBER` of monthly active users, of all products: 5e6")
	f.StringVar(&revenue, "revenue", "", "annual revenue, an `AMOUNT` in --currency")
	f.StringVar(&q.Currency, "currency", "USD", "`CODE` of the currency, ISO 4217")
	f.StringVar(&q.Country, "country", "", "`CODE` of the country of use, ISO 3166-1: FR")
	f.StringVar((*string)(&q.Modality), "modality", "", "text or multimodal, where the model does not say what it `IS`")
	f.StringVar(&q.Purpose, "purpose", "", "`WORD` for what it is used: research, personal, production …")
	f.BoolVar(&q.Derive, "derive", false, "make another model from it")
	f.BoolVar(&q.Redistribute, "redistribute", false, "pass it on, or what was made from it")
	f.BoolVar(&q.Host, "host", false, "offer it as a service")
	f.BoolVar(&q.TrainOnOutputs, "train-on-outputs", false, "train another model on its outputs")
	return cmd
}
