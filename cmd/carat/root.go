package main

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the linker: -X main.version=v1.2.3.
var version string

func newRootCommand(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:   "carat",
		Short: "A registry and hub for open-weight AI models",
		Long: `carat is a self-hosted registry and hub for open-weight AI models: server,
verification worker and client in one binary.

Models are named as in HOST[:PORT]/ORG/NAME[:TAG|@DIGEST]. The client commands
work with every OCI registry; what only a hub knows is left out for others.

Errors end with exit code 1, wrong usage with 2.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		Args: usage(func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q", args[0])
			}
			return nil
		}),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return exit(exitUsage, fmt.Errorf("%w; see %q", err, cmd.CommandPath()+" --help"))
	})
	root.AddCommand(
		newServeCommand(e),
		newWorkerCommand(e),
		newPushCommand(e),
		newPullCommand(e),
		newInspectCommand(e),
		newDeleteCommand(e),
		newVerifyCommand(e),
		newExportCommand(e),
		newKeysCommand(e),
		newGateCommand(e),
		newLicenseCommand(e),
		newPolicyCommand(e),
		newTermsCommand(e),
		newReceiptCommand(e),
		newAdminCommand(e),
		newVisibilityCommand(e),
		newUserCommand(e),
		newTokenCommand(e),
		newSSHKeyCommand(e),
		newAuditCommand(e),
		newSignCommand(e),
		newVerifySignatureCommand(e),
		newRunCommand(e),
		newBenchCommand(e),
		newPerplexityCommand(e),
		newQuantizeCommand(e),
		newEmbedCommand(e),
		newLoginCommand(e),
		newLogoutCommand(e),
		newVersionCommand(e),
	)
	return root
}

func newVersionCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(e.stdout, "carat", buildVersion())
			return err
		},
	}
}

// buildVersion returns the version of a release, or what the build knows of
// the module or the commit, or "devel".
func buildVersion() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return "devel-" + s.Value[:12]
		}
	}
	return "devel"
}
