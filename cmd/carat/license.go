package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/licenses"
	"github.com/carat-hub/carat/licenses/lineage"
	"github.com/carat-hub/carat/licenses/term"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// licensedUse is how commands about terms write what has some.
const licensedUse = "ID | EXPRESSION | HOST[:PORT]/ORG/NAME[:TAG|@DIGEST] | PATH"

// licensedHelp is what their help says of it.
const licensedHelp = `An argument that exists on disk is a path: a model's folder, a GGUF file or a text
of a licence. One with a slash is a version in a hub, which knows its bases.
Anything else is the id of a licence, as SPDX or Hugging Face write it, or an SPDX
expression of several.`

func newLicenseCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "license",
		Short: "Ask what licences permit and demand, and whether models keep to them",
		Long: `What licences permit, demand and forbid, as facts; which licence a text is; and what
the rules of lineage say of a model: does it keep the terms of what it was made
from? These are facts about licences and contradictions between them. They are
no legal advice.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLicenseShowCommand(e), newLicenseListCommand(e), newLicenseCompareCommand(e), newLicenseCheckCommand(e), newLicenseFixCommand(e), newLicenseAskCommand(e), newLicenseGateCommand(e), newLicenseWaiveCommand(e), newLicenseAffirmCommand(e), newLicenseTextCommand(e))
	return cmd
}

// licensed is something that has terms. Its ancestry is nil for a version in
// a hub, whose hub knows it.
type licensed struct {
	fact     *licenses.Fact // a single licence
	ancestry *registry.Ancestry
	model    bool // the ancestry is that of a model on disk
	text     string
	hub      *client.Hub
	ref      client.Reference
	client   *client.Client
}

// licensed finds what an argument names. name is that of a model on disk, ""
// for the name of its folder.
func (e *env) licensed(ctx context.Context, remote *remoteFlags, arg, name string) (*licensed, error) {
	info, err := os.Stat(arg)
	switch {
	case err == nil && !info.IsDir() && !isModelFile(arg):
		text, err := readLicense(arg)
		return &licensed{text: text}, err
	case err == nil:
		return localModel(ctx, arg, name)
	case strings.Contains(arg, "/"):
		ref, err := reference(arg)
		if err != nil {
			return nil, err
		}
		c, err := e.client(remote, client.Options{})
		if err != nil {
			return nil, err
		}
		return &licensed{hub: c.Hub(ref.Host), ref: ref, client: c}, nil
	}
	if family := licenses.Family(arg); family != "" {
		return nil, fmt.Errorf("%q names no licence by itself, it is %s", arg, family)
	}
	x, err := licenses.ParseExpression(arg)
	l := &licensed{}
	if f, ok := licenses.Lookup(arg); ok {
		// Not every id that Hugging Face has is one of SPDX.
		l.fact, x, err = f, licenses.Licence(f.SPDX), nil
	}
	if err != nil {
		return nil, exit(exitUsage, fmt.Errorf("there is no file or folder %q, and it names no licence either: %w", arg, err))
	}
	if r := x.Resolve(); len(r.Unknown) > 0 {
		return nil, unknownLicense(r.Unknown[0])
	}
	w := &lineage.Work{ID: "licence", Declared: arg, Expression: x}
	l.ancestry = &registry.Ancestry{Graph: &lineage.Graph{Root: w.ID, Works: map[string]*lineage.Work{w.ID: w}}}
	return l, nil
}

func unknownLicense(id string) error {
	return fmt.Errorf("nothing is known of a licence %q; carat license list prints all", id)
}

func isModelFile(path string) bool {
	return strings.EqualFold(filepath.Ext(path), ".gguf") || strings.EqualFold(filepath.Ext(path), ".safetensors")
}

// maxLicense is how long a text of a licence may be, in bytes.
const maxLicense = 1 << 20

func readLicense(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, maxLicense+1))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	if len(p) > maxLicense {
		return "", fmt.Errorf("%s is longer than a text of a licence may be (%d bytes)", path, maxLicense)
	}
	return string(p), nil
}

// localModel reads the facts of a model on disk. Its bases are known by their names.
func localModel(ctx context.Context, path, name string) (*licensed, error) {
	facts, err := localFacts(ctx, path)
	var content *verify.ContentError
	if err != nil && (!errors.As(err, &content) || facts == nil) {
		return nil, fmt.Errorf("read the facts of %s: %w", path, err)
	}
	s, err := client.OpenSource(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if name == "" {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		name = strings.TrimSuffix(filepath.Base(abs), filepath.Ext(abs))
	}
	v := &registry.Version{Name: registry.Name(name), Facts: facts}
	for _, f := range s.Files {
		v.Files = append(v.Files, registry.File{Path: f.Path, Size: f.Size, MediaType: f.MediaType})
	}
	return &licensed{ancestry: registry.NewAncestry(v), model: true}, nil
}

// assess returns in what way the model is open.
func (l *licensed) assess(ctx context.Context) (*registry.Assessment, error) {
	if l.hub == nil {
		return l.ancestry.Assess(time.Now()), nil
	}
	a, err := l.hub.Assessment(ctx, l.ref.Name, l.ref.Target())
	return a, hint(ctx, l.client, err, l.ref)
}

// ask answers a question about the terms.
func (l *licensed) ask(ctx context.Context, q *term.Question) (term.Answer, error) {
	if l.hub == nil {
		return term.Ask(l.ancestry.Graph, *q), nil
	}
	var a term.Answer
	err := l.hub.Ask(ctx, l.ref.Name, l.ref.Target(), q.Values(), &a)
	return a, hint(ctx, l.client, err, l.ref)
}

// printJSON prints a value as every command's --json does.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printLines prints lines with foreign words in them.
func printLines(w io.Writer, text string) error {
	for line := range strings.Lines(text) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(plain(line), " ")); err != nil {
			return err
		}
	}
	return nil
}
