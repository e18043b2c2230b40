package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/client"
)

func newAuditCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read and check the log of what was done to a hub",
		Args:  usage(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditExportCommand(e), newAuditVerifyCommand(e))
	return cmd
}

func newAuditExportCommand(e *env) *cobra.Command {
	var remote remoteFlags
	cmd := &cobra.Command{
		Use:   "export HOST",
		Short: "Print the whole audit log as JSON lines, as an administrator",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := e.eachAudit(cmd.Context(), &remote, args[0], func(line []byte) error {
				_, err := fmt.Fprintf(e.stdout, "%s\n", line)
				return err
			})
			return err
		},
	}
	remote.register(cmd)
	return cmd
}

// eachAudit hands the lines of a hub's audit log to each, and returns its end.
func (e *env) eachAudit(ctx context.Context, f *remoteFlags, host string, each func([]byte) error) (audit.Chain, error) {
	host, err := client.ParseHost(host)
	if err != nil {
		return audit.Chain{}, exit(exitUsage, err)
	}
	c, err := e.client(f, client.Options{})
	if err != nil {
		return audit.Chain{}, err
	}
	end, err := c.Hub(host).Audit(ctx, func(x audit.Entry) error {
		line, err := x.Line()
		if err != nil {
			return err
		}
		return each(line)
	})
	return end, adminHint(err, host)
}

func newAuditVerifyCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var file, data, databaseURL, last string
	cmd := &cobra.Command{
		Use:   "verify [HOST | --file FILE | --data DIR | --database-url URL]",
		Short: "Check that no entry of an audit log was changed or taken out",
		Long: `Check that every entry of an audit log is what was written, and follows the one before it:
of a hub, of a file that "carat audit export" printed, or of a database itself. Whoever
can write to the database could write a whole new log: keep the hash that is printed
somewhere else, and give it the next time with --last.`,
		Example: `  carat audit verify hub.example.org
  carat audit verify --file audit.jsonl --last sha256:…
  carat audit verify --data ./carat-data`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			sources := len(args)
			for _, s := range []string{file, data, databaseURL} {
				if s != "" {
					sources++
				}
			}
			if sources != 1 {
				return exit(exitUsage, errors.New("give one of a host, --file, --data and --database-url"))
			}
			var c audit.Chain
			known := last == ""
			pass := func(line []byte) error {
				x, err := c.Add(line)
				known = known || x.Hash == last
				return err
			}
			var err error
			switch {
			case file != "":
				err = eachAuditOfFile(file, pass)
			case len(args) == 1:
				var end audit.Chain
				if end, err = e.eachAudit(cmd.Context(), &remote, args[0], pass); err == nil {
					err = c.End(end.Seq, end.Hash)
				}
			default:
				err = verifyAuditStore(cmd.Context(), data, databaseURL, pass)
			}
			if err != nil {
				return err
			}
			if !known {
				return fmt.Errorf("%w: it has no entry %s", audit.ErrBroken, last)
			}
			_, err = fmt.Fprintf(e.stdout, "valid: %d entries, the last is %s\n", c.Seq, orNone(c.Hash))
			return err
		},
	}
	remote.register(cmd)
	cmd.Flags().StringVar(&file, "file", "", "`FILE` with an exported log")
	cmd.Flags().StringVar(&data, "data", "", "`DIR` of a hub with a database of its own")
	cmd.Flags().StringVar(&databaseURL, "database-url", "", "`URL` of a hub's Postgres")
	cmd.Flags().StringVar(&last, "last", "", "`HASH` of an entry as it is known from elsewhere")
	return cmd
}

// eachAuditOfFile hands the lines of an exported log to each.
func eachAuditOfFile(path string, each func([]byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return audit.ReadLines(f, each)
}

func verifyAuditStore(ctx context.Context, data, url string, each func([]byte) error) error {
	store, db, err := openStore(ctx, data, url)
	if err != nil {
		return err
	}
	return errors.Join(store.VerifyAudit(ctx, each), db.Close())
}
