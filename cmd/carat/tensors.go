package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/inference"
)

// tensorList is what "carat inspect --tensors" found, and its JSON form.
type tensorList struct {
	Format       string                 `json:"format"`
	Architecture string                 `json:"architecture,omitempty"`
	Quantization string                 `json:"quantization,omitempty"`
	Parameters   int64                  `json:"parameters"`
	Bytes        int64                  `json:"bytes"`
	DTypes       []inference.DTypeCount `json:"dtypes"`
	Tensors      []listedTensor         `json:"tensors"`
}

type listedTensor struct {
	inference.TensorFact
	Elements int64 `json:"elements"`
}

// tensors lists the tensors of a path or a reference. Of a remote model only
// the headers of the files are fetched.
func (e *env) tensors(ctx context.Context, remote *remoteFlags, arg, file string) (*tensorList, error) {
	if _, err := os.Stat(arg); err == nil {
		path := arg
		if file != "" {
			path = filepath.Join(arg, file)
		}
		files, err := inference.OpenPath(path)
		if err != nil {
			return nil, err
		}
		return listTensors(ctx, files)
	}
	ref, err := client.ParseReference(arg)
	if err != nil {
		return nil, exit(exitUsage, fmt.Errorf("there is no file or folder %q, and it is no reference either: %w", arg, err))
	}
	c, err := e.client(remote, client.Options{})
	if err != nil {
		return nil, err
	}
	a, err := c.Artifact(ctx, ref)
	if err != nil {
		return nil, hint(ctx, c, err, ref)
	}
	files, err := a.Files()
	if err != nil {
		return nil, err
	}
	sources := map[string]inference.Source{}
	for _, f := range files {
		if file == "" || f.Path == file {
			sources[f.Path] = inference.Source{ReaderAt: c.File(ctx, a, f), Size: f.Size}
		}
	}
	if len(sources) == 0 {
		return nil, fmt.Errorf("%s has no file %s: %w", ref, file, fs.ErrNotExist)
	}
	return listTensors(ctx, inference.FromSources(sources))
}

func listTensors(ctx context.Context, files inference.Files) (*tensorList, error) {
	f, err := inference.Inspect(ctx, files)
	if err != nil {
		return nil, nameOne(err)
	}
	l := &tensorList{
		Format: f.Format, Architecture: f.Architecture, Quantization: f.Quantization, Parameters: f.Parameters, Bytes: f.Bytes,
		DTypes: f.DTypes, Tensors: make([]listedTensor, len(f.Tensors)),
	}
	for i, t := range f.Tensors {
		n := int64(1)
		for _, d := range t.Shape {
			n *= int64(d) // the readers have checked the product
		}
		l.Tensors[i] = listedTensor{t, n}
	}
	return l, nil
}

func (l *tensorList) printJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(l)
}

// print writes the tensors, and then how many there are of each type.
func (l *tensorList) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "name\tdtype\tshape\telements\tbytes")
	for _, t := range l.Tensors {
		dims := make([]string, len(t.Shape))
		for i, d := range t.Shape {
			dims[i] = fmt.Sprint(d)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%d\t%d\n", plain(t.Name), t.DType, strings.Join(dims, "x"), t.Elements, t.Bytes)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, d := range l.DTypes {
		fmt.Fprintf(w, "%d tensors of %s: %s elements, %s\n", d.Tensors, d.DType, count(d.Elements), formatBytes(d.Bytes))
	}
	_, err := fmt.Fprintf(w, "%d tensors: %s elements, %s\n", len(l.Tensors), count(l.Parameters), formatBytes(l.Bytes))
	return err
}
