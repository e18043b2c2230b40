package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/auth"
)

const workerHelp = `Work jobs of a hub and serve nothing: inspect what was pushed, verify models,
clean up. Any number of workers share the jobs of a hub on Postgres with its
servers; give them the database and the blob storage that the servers have.
The data folder holds only the cache of model files, which may be lost.

Every option can be given as an environment variable too, as for "carat serve".

SIGTERM ends in order: running verifications are finished, or given back to be
begun anew elsewhere.`

func newWorkerCommand(e *env) *cobra.Command {
	c := serveConfig{Visibility: string(auth.Public), Redirect: defaultRedirect}
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Work jobs of a hub: verify models",
		Long:  workerHelp,
		Example: `  carat worker --database-url postgres://carat@db/carat \
    --blobs 's3://models?endpoint=http://s3:9000&path-style=true' --verify-workers 4`,
		Args: usage(cobra.NoArgs),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			return flagsFromEnv(cmd.Flags(), e.getenv)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return work(cmd.Context(), c, e)
		},
	}
	f := cmd.Flags()
	f.IntVar(&c.VerifyWorkers, "verify-workers", 1, "verifications at a time")
	f.DurationVar(&c.Redirect, "redirect", defaultRedirect, "how long the servers' redirect URLs hold: objects are deleted later than that")
	c.registerBackend(f)
	return cmd
}

// work works jobs until ctx ends.
func work(ctx context.Context, c serveConfig, e *env) error {
	log, err := newLogger(e.stderr, c.LogFormat, c.LogLevel)
	if err != nil {
		return err
	}
	switch {
	case !strings.HasPrefix(c.DatabaseURL, "postgres"):
		return exit(exitUsage, errors.New("a worker shares a hub's Postgres: give --database-url (a hub on SQLite verifies by itself)"))
	case c.Blobs == "":
		return exit(exitUsage, errors.New("a worker reads the hub's blobs: give --blobs, an s3:// URL or a folder that it shares with the servers"))
	case c.VerifyWorkers < 1:
		return exit(exitUsage, errors.New("--verify-workers must be above zero"))
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	delegateGroup(ctx, log)
	b, err := newBackend(ctx, c, e.getenv, log)
	if err != nil {
		return err
	}
	defer func() {
		if err := b.close(); err != nil {
			log.Error("close the worker", slog.Any("error", err))
		}
	}()
	if err := b.startJobs(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // told to stop before it had begun
		}
		return err
	}
	if _, err := fmt.Fprintf(e.stdout, "Carat works jobs, %d verifications at a time\n", c.VerifyWorkers); err != nil {
		return err
	}
	<-ctx.Done()
	return b.stopJobs(ctx)
}
