// Command carat is the hub, its verification worker and its client in one
// binary. Each subcommand has a file of its own; see "carat help".
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
	"github.com/carat-hub/carat/verify/sandbox"
)

func main() {
	sandbox.Main(verify.Tasks(check.InProcess{})) // returns unless this process is the child of another one
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal ends the work in order, a second one at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// env is what a command has of the world outside.
type env struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// Exit codes that all commands share. A command with codes of its own
// returns exit(code, err).
const (
	exitFailed = 1
	exitUsage  = 2
)

// run is main without the process around it. It returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand(&env{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}) //nolint:contextcheck // cobra hands the context to the command that runs
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	code := exitFailed
	var coded *exitError
	if errors.As(err, &coded) {
		if code = coded.code; coded.err == nil {
			return code
		}
	}
	if ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	fmt.Fprintf(stderr, "carat: %v\n", err)
	return code
}

// exitError is an error with an exit code of its own.
type exitError struct {
	code int
	err  error
}

// exit returns an error that ends the program with the code. A nil err has
// been reported already: nothing more is printed.
func exit(code int, err error) error { return &exitError{code, err} }

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the error without its code.
func (e *exitError) Unwrap() error { return e.err }

// usage makes the complaints of an argument check usage errors.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return exit(exitUsage, fmt.Errorf("%w; see %q", err, cmd.CommandPath()+" --help"))
		}
		return nil
	}
}
