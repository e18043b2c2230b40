package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/mend"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
)

// errNotFixed says that somebody was asked and did not want the changes.
var errNotFixed = errors.New("nothing was changed")

func newLicenseFixCommand(e *env) *cobra.Command {
	var name string
	var yes, diff, declare bool
	cmd := &cobra.Command{
		Use:   "fix DIR",
		Short: "Add to a model's files what the terms of its bases demand",
		Long: `Add what carat license check finds missing in a model's folder and what needs no
decision: notices go to NOTICE, and attributions such as "Built with Llama" to the
end of the card. With --declare the card's front matter also declares the licence
that the bases demand, where that is a single one. What only a person can do is
told: another name, the text of a licence, a licence that is an expression.

Changes are shown as a unified diff and made when that is confirmed. Nothing else in
a file is touched, so that doing it again changes nothing.

Exit codes: 0 done, or nothing to change; 1 not confirmed, or an error; 2 wrong usage.`,
		Example: `  carat license fix ./my-fine-tune
  carat license fix ./my-fine-tune --declare --diff > terms.patch`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if yes && diff {
				return exit(exitUsage, errors.New("--yes makes the changes and --diff does not: give one of them"))
			}
			info, err := os.Stat(args[0])
			if err != nil {
				return err
			}
			if !info.IsDir() {
				return exit(exitUsage, fmt.Errorf("%s is no folder", args[0]))
			}
			l, err := localModel(cmd.Context(), args[0], name)
			if err != nil {
				return err
			}
			return e.fix(cmd.Context(), args[0], l.ancestry, declare, yes, diff)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "`NAME` under which the model is to be published (default its folder's)")
	cmd.Flags().BoolVar(&declare, "declare", false, "also declare the licence that the bases demand")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "make the changes without asking")
	cmd.Flags().BoolVar(&diff, "diff", false, "print the changes and make none")
	return cmd
}

// fix plans what mends the findings of a folder, and does it if the user wants to.
func (e *env) fix(ctx context.Context, dir string, a *registry.Ancestry, declare, yes, diff bool) (err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	folder, err := mendable(root, dir)
	if err != nil {
		return err
	}
	found := lineage.Evaluate(a.Graph, lineage.Options{Now: time.Now()}).Findings
	p := mend.Make(found, folder, declare)
	for i := range p.Edits {
		if err := e.printDiff(p.Edits[i].Diff()); err != nil {
			return err
		}
	}
	for _, s := range p.Told {
		e.say("to do by hand: " + plain(s))
	}
	switch {
	case len(p.Edits) == 0:
		e.say("nothing to change")
		return nil
	case diff:
		return nil
	case !yes:
		if err := e.confirm("Make these changes?", errNotFixed); err != nil {
			return err
		}
	}
	for i := range p.Edits {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := replace(root, &p.Edits[i]); err != nil {
			return fmt.Errorf("change %s: %w", p.Edits[i].Name, err)
		}
		e.say("changed " + p.Edits[i].Name)
	}
	return nil
}

// printDiff prints a diff: byte for byte, so that patch takes it, except to a
// terminal, which takes orders from some bytes.
func (e *env) printDiff(diff string) error {
	if f, ok := e.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return printLines(e.stdout, strings.TrimRight(diff, "\n"))
	}
	_, err := io.WriteString(e.stdout, diff)
	return err
}

// mendable reads the files that can be changed.
func mendable(root *os.Root, dir string) (mend.Folder, error) {
	files, err := verify.OpenPath(dir)
	if err != nil {
		return mend.Folder{}, err
	}
	card, notice := check.TextFiles(files)
	if err := files.Close(); err != nil {
		return mend.Folder{}, err
	}
	var f mend.Folder
	if f.Readme, err = mendableFile(root, card, "README.md"); err != nil {
		return f, err
	}
	f.Notice, err = mendableFile(root, notice, "NOTICE")
	return f, err
}

// mendableFile reads a file, which has another name when there is none.
func mendableFile(root *os.Root, name, otherwise string) (mend.File, error) {
	if name == "" {
		return mend.File{Name: otherwise}, nil
	}
	p, err := readRegular(root, name)
	return mend.File{Name: name, Text: p}, err
}

func readRegular(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file, so it is not changed", name)
	}
	if info.Size() > registry.MaxReadme {
		return nil, fmt.Errorf("%s is longer than %d bytes", name, registry.MaxReadme)
	}
	f, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, registry.MaxReadme+1))
	if p == nil {
		p = []byte{}
	}
	return p, err
}

// replace writes a file beside the old one and puts it in its place, if that
// is still as it was read.
func replace(root *os.Root, edit *mend.Edit) (err error) {
	mode := fs.FileMode(0o644)
	if edit.Created {
		if _, err := root.Lstat(edit.Name); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(errors.New("it was made meanwhile"), err)
		}
	} else {
		info, err := root.Lstat(edit.Name)
		if err != nil {
			return err
		}
		now, err := readRegular(root, edit.Name)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, edit.Before) {
			return errors.New("it was changed meanwhile")
		}
		mode = info.Mode().Perm()
	}
	temporary := "." + edit.Name + ".carat"
	w, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, root.Remove(temporary))
		}
	}()
	_, err = w.Write(edit.After())
	if err = errors.Join(err, w.Sync(), w.Close()); err != nil {
		return err
	}
	return root.Rename(temporary, edit.Name)
}
