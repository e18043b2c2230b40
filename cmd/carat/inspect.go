package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
)

// inspection is what "carat inspect" found, and its JSON form.
type inspection struct {
	Reference string           `json:"reference,omitempty"`
	Path      string           `json:"path,omitempty"`
	Digest    *registry.Digest `json:"digest,omitempty"` // of the manifest
	Kind      string           `json:"kind"`             // packing of the manifest; "folder" or "file" on disk
	Tags      []registry.Tag   `json:"tags,omitempty"`
	Size      int64            `json:"size"` // bytes of all files
	Files     []inspectedFile  `json:"files"`

	Facts *registry.Facts `json:"facts,omitempty"`
	// ParamSize is the packer's claim where nobody has counted, "2.9M".
	ParamSize    string                        `json:"paramSize,omitempty"`
	FactsError   string                        `json:"factsError,omitempty"`
	Verification *registry.VerificationSummary `json:"verification,omitempty"`
	// Problem is why "carat pull" does not take the artifact, as far as its manifest tells.
	Problem string `json:"problem,omitempty"`
}

type inspectedFile struct {
	Path      string           `json:"path"`
	Size      int64            `json:"size"`             // bytes
	Digest    *registry.Digest `json:"digest,omitempty"` // not computed for files on disk
	MediaType string           `json:"mediaType,omitempty"`
}

func newInspectCommand(e *env) *cobra.Command {
	var remote remoteFlags
	var asJSON, tensors bool
	var file string
	cmd := &cobra.Command{
		Use:   "inspect HOST[:PORT]/ORG/NAME[:TAG|@DIGEST] | PATH",
		Short: "Print the facts of a model",
		Long: `Print the facts of a model in a registry or on disk: files and sizes, format,
architecture, parameters, quantization, context length, licence, tags and
verification. A hub has read them out of the files; of any other registry the
manifest and its config are shown. An argument that exists on disk is a path.

--tensors lists the tensors of the weights instead: name, type, shape (outermost
dimension first), elements and bytes. Of a model in a registry only the headers
of its files are fetched.`,
		Example: `  carat inspect localhost:8080/demo/tiny-llama:v1
  carat inspect model-q4_k_m.gguf --tensors`,
		Args: usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if tensors {
				l, err := e.tensors(cmd.Context(), &remote, args[0], file)
				if err != nil {
					return err
				}
				if asJSON {
					return l.printJSON(e.stdout)
				}
				return l.print(e.stdout)
			}
			if file != "" {
				return exit(exitUsage, errors.New("--file goes with --tensors"))
			}
			i, err := e.inspect(cmd.Context(), &remote, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				enc := json.NewEncoder(e.stdout)
				enc.SetIndent("", "  ")
				return enc.Encode(i)
			}
			return i.print(e.stdout)
		},
	}
	remote.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&tensors, "tensors", false, "list the tensors")
	cmd.Flags().StringVar(&file, "file", "", "with --tensors, `NAME` of the GGUF file to list, where a model has several")
	return cmd
}

func (e *env) inspect(ctx context.Context, remote *remoteFlags, arg string) (*inspection, error) {
	if _, err := os.Stat(arg); err == nil {
		return inspectPath(ctx, arg)
	}
	ref, err := client.ParseReference(arg)
	if err != nil {
		return nil, exit(exitUsage, fmt.Errorf("there is no file or folder %q, and it is no reference either: %w", arg, err))
	}
	c, err := e.client(remote, client.Options{})
	if err != nil {
		return nil, err
	}
	i, err := inspectHub(ctx, c, ref)
	var answer *client.ResponseError
	if errors.Is(err, client.ErrNoHub) || errors.As(err, &answer) && answer.Status < http.StatusInternalServerError {
		// Not a hub, or no model: the manifest still says something, or why there is none.
		i, err = inspectArtifact(ctx, c, ref)
	}
	return i, hint(ctx, c, err, ref)
}

func inspectPath(ctx context.Context, path string) (*inspection, error) {
	s, err := client.OpenSource(path)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	i := &inspection{Path: path, Kind: "file", Size: s.Size()}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		i.Kind = "folder"
	}
	for _, f := range s.Files {
		i.Files = append(i.Files, inspectedFile{Path: f.Path, Size: f.Size, MediaType: f.MediaType})
	}
	if i.Facts, err = localFacts(ctx, s.Path); err != nil {
		i.FactsError = err.Error()
	}
	return i, nil
}

func inspectHub(ctx context.Context, c *client.Client, ref client.Reference) (*inspection, error) {
	v, err := c.Hub(ref.Host).Version(ctx, ref.Name, ref.Target())
	if err != nil {
		return nil, err
	}
	i := &inspection{
		Reference: ref.String(), Digest: &v.Digest, Kind: string(v.Kind), Tags: v.Tags, Size: v.Size,
		Facts: v.Facts, FactsError: v.FactsError, Verification: v.Verification,
	}
	for _, f := range v.Files {
		i.Files = append(i.Files, inspectedFile{Path: f.Path, Size: f.Size, Digest: &f.Digest, MediaType: f.MediaType})
	}
	return i, nil
}

func inspectArtifact(ctx context.Context, c *client.Client, ref client.Reference) (*inspection, error) {
	a, err := c.Artifact(ctx, ref)
	if err != nil {
		return nil, err
	}
	claims, err := c.Claims(ctx, a)
	i := &inspection{Reference: ref.String(), Digest: &a.Digest, Kind: a.ArtifactType, Size: a.Size(), ParamSize: claims.ParamSize}
	if err != nil {
		i.FactsError = err.Error()
	}
	if _, err := a.Files(); err != nil {
		i.Problem = err.Error()
	}
	for _, f := range a.Listing() {
		i.Files = append(i.Files, inspectedFile{Path: f.Path, Size: f.Size, Digest: &f.Digest, MediaType: f.MediaType})
	}
	i.Facts = &registry.Facts{
		Architecture: claims.Architecture, Format: claims.Format, Quantization: claims.Quantization,
		Card: registry.Card{Title: claims.Title, Summary: claims.Summary, Languages: claims.Languages},
	}
	if i.Facts.Quantization == "" {
		i.Facts.Quantization = claims.Precision
	}
	if len(claims.Licenses) > 0 {
		i.Facts.License.Declared = strings.Join(claims.Licenses, ", ")
	}
	return i, nil
}

// print writes the facts for people. What is not known is left out, but for
// the verification, whose absence matters.
func (i *inspection) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	row := func(key, value string) {
		if value != "" {
			fmt.Fprintf(tw, "%s\t%s\n", key, plain(value))
		}
	}
	row("reference", i.Reference)
	row("path", i.Path)
	if i.Digest != nil {
		row("digest", i.Digest.String())
	}
	row("kind", i.Kind)
	tags := make([]string, len(i.Tags))
	for n, t := range i.Tags {
		tags[n] = string(t)
	}
	row("tags", strings.Join(tags, ", "))
	if f := i.Facts; f != nil {
		row("title", f.Card.Title)
		row("format", f.Format)
		row("architecture", f.Architecture)
		row("parameters", i.parameters())
		row("quantization", f.Quantization)
		row("context length", count(f.ContextLength))
		row("vocabulary", count(f.VocabSize))
		row("tokenizer", f.Tokenizer)
		row("opset", count(f.Opset))
		row("inputs", strings.Join(f.Inputs, ", "))
		row("outputs", strings.Join(f.Outputs, ", "))
		row("imports", strings.Join(f.Imports, ", "))
		row("licence", license(f))
		row("languages", strings.Join(f.Card.Languages, ", "))
		row("card", f.Card.Problem)
	}
	row("not read", i.FactsError)
	if i.Path == "" {
		row("verification", i.verification())
	}
	row("problem", i.Problem)
	noun := "files"
	if len(i.Files) == 1 {
		noun = "file"
	}
	row("size", fmt.Sprintf("%s in %d %s", formatBytes(i.Size), len(i.Files), noun))
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	tw = tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	for _, f := range i.Files {
		fmt.Fprintf(tw, "%s\t  %s\n", formatBytes(f.Size), plain(f.Path))
	}
	return tw.Flush()
}

func (i *inspection) parameters() string {
	n := i.Facts.Parameters
	if n == 0 {
		return i.ParamSize
	}
	if short := client.ParamSize(n); short != "" {
		return fmt.Sprintf("%s (%s)", short, count(n))
	}
	return count(n)
}

func (i *inspection) verification() string {
	v := i.Verification
	switch {
	case v == nil:
		return "none"
	case v.Summary == "":
		return v.State
	}
	return v.State + ": " + v.Summary
}

func license(f *registry.Facts) string {
	declared := f.License.Declared
	if declared == "" {
		declared = f.Card.LicenseID
	}
	switch {
	case declared == "" && f.License.File == "":
		return "none declared"
	case declared == "":
		return "text in " + f.License.File
	case f.License.File != "":
		return declared + " (text in " + f.License.File + ")"
	}
	return declared
}

// count writes a number with thousands apart, "" for 0.
func count(n int64) string {
	if n == 0 {
		return ""
	}
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
