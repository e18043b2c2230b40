package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// flagsFromEnv sets every flag that was not given from its variable: CARAT_
// and the flag's name in capitals, with underscores.
func flagsFromEnv(flags *pflag.FlagSet, getenv func(string) string) error {
	var problems []error
	flags.VisitAll(func(f *pflag.Flag) {
		name := "CARAT_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		if v := getenv(name); v != "" && !f.Changed {
			if err := flags.Set(f.Name, v); err != nil {
				problems = append(problems, fmt.Errorf("variable %s: %w", name, err))
			}
		}
	})
	return errors.Join(problems...)
}
