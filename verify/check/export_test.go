package check

import (
	"context"
	"slices"
	"strings"

	"github.com/carat-hub/carat/verify"
)

// VerifyGroup runs the check of headers and those of one group.
func VerifyGroup(ctx context.Context, files verify.Files, o verify.RunOptions, group string) *verify.Report {
	o = o.WithDefaults()
	r := o.NewReport()
	run := runner{report: r, files: files, opts: o, engine: core{}}
	run.all(ctx, slices.DeleteFunc(checks(), func(c check) bool { return c.id != idHeaders && !strings.HasPrefix(c.id, group+".") }))
	return r
}
