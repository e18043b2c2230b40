package check

import (
	"context"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// InProcess does the checks in this process, without a sandbox.
type InProcess struct{}

var _ verify.Checks = InProcess{}

// Verify implements verify.Checks.
func (InProcess) Verify(ctx context.Context, files verify.Files, o verify.RunOptions) *verify.Report {
	return Verify(ctx, files, o)
}

// Inspect implements verify.Checks.
func (InProcess) Inspect(ctx context.Context, files verify.Files) (*registry.Facts, error) {
	return Inspect(ctx, files)
}
