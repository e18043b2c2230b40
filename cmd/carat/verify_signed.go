package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/carat-hub/carat/client"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
)

// verifySigned checks a signed report instead of running the checks.
func (e *env) verifySigned(ctx context.Context, f *verifyFlags, arg string) error {
	if f.key == "" {
		return exit(exitUsage, errors.New("--report needs --key"))
	}
	c, err := e.client(&f.remote, client.Options{})
	if err != nil {
		return notRun(err)
	}
	_, statErr := os.Stat(arg)
	local := statErr == nil
	if local && f.report == "" {
		return exit(exitUsage, fmt.Errorf("%s is a path: give its signed report with --report", arg))
	}
	t, err := e.trusted(ctx, c, f.key, "")
	if err != nil {
		return notRun(err)
	}
	var a *attestation.Attestation
	if local {
		a, err = e.reportAboutPath(ctx, f.report, t, arg)
	} else {
		a, err = e.reportAboutReference(ctx, c, f.report, t, arg)
	}
	switch {
	case err != nil && isEvidence(err):
		return exit(exitVerifyFailed, err)
	case err != nil:
		return notRun(err)
	}
	table := e.stdout
	if f.asJSON {
		table = e.stderr
		enc := json.NewEncoder(e.stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(a.Report); err != nil {
			return notRun(fmt.Errorf("print the report: %w", err))
		}
	}
	fmt.Fprint(table, describeEvidence(a, t))
	for _, r := range a.Report.Results {
		fmt.Fprintln(table, resultLine(r))
	}
	fmt.Fprintf(table, "%s: %s\n", a.Report.State, plain(a.Report.Summary))
	return stateExit(a.Report.State)
}

// reportAboutReference opens the report of a version: the one in a file, or
// the newest that the registry has.
func (e *env) reportAboutReference(ctx context.Context, c *client.Client, file string, t trust, arg string) (*attestation.Attestation, error) {
	ref, err := client.ParseReference(arg)
	if err != nil {
		return nil, exit(exitUsage, fmt.Errorf("there is no file or folder %q, and it is no reference either: %w", arg, err))
	}
	manifest, err := c.Artifact(ctx, ref)
	if err != nil {
		return nil, hint(ctx, c, err, ref)
	}
	pinned := ref.Pinned(manifest.Digest)
	if file != "" {
		p, err := readSmall(file, attestation.MaxEnvelope)
		if err != nil {
			return nil, fmt.Errorf("--report: %w", err)
		}
		return openReport(ctx, p, t.keys, manifest.Digest)
	}
	return attested(ctx, c, pinned, t, e.say)
}

// reportAboutPath opens the report in a file and compares the files of a
// folder with it, or one file.
func (e *env) reportAboutPath(ctx context.Context, file string, t trust, path string) (*attestation.Attestation, error) {
	p, err := readSmall(file, attestation.MaxEnvelope)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	a, err := attestation.Open(ctx, p, t.keys)
	if err != nil {
		return nil, err
	}
	measured, err := measure(ctx, path, file, a.Report)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return a, a.AboutFiles(measured)
	}
	for _, f := range a.Report.Files {
		if f.Digest == measured[0].Digest && f.Size == measured[0].Size {
			return a, nil
		}
	}
	return nil, fmt.Errorf("%w: it says nothing of %s", attestation.ErrSubject, measured[0].Digest)
}

// measure hashes the files at a path: all but hidden ones that the report does
// not name, and the report's own file.
func measure(ctx context.Context, path, report string, r *verify.Report) ([]verify.VerifiedFile, error) {
	named := make(map[string]registry.Algorithm, len(r.Files))
	list := make([]registry.File, len(r.Files))
	algorithm := registry.SHA256
	for i, f := range r.Files {
		algorithm = f.Digest.Algorithm()
		named[f.Path] = algorithm
		list[i] = registry.File{Path: f.Path, Digest: f.Digest}
	}
	files, err := openMeasured(path, list)
	if err != nil {
		return nil, err
	}
	defer files.Close()
	own, err := os.Stat(report)
	if err != nil {
		return nil, fmt.Errorf("--report: %w", err)
	}
	var measured []verify.VerifiedFile
	for _, f := range files {
		a, ok := named[f.Path]
		if !ok {
			if hidden(f.Path) || isFile(filepath.Join(path, filepath.FromSlash(f.Path)), own) {
				continue
			}
			a = algorithm
		}
		one, err := f.Measure(ctx, a)
		if err != nil {
			return nil, err
		}
		measured = append(measured, one)
	}
	if len(measured) == 0 {
		return nil, fmt.Errorf("%s holds no files", path)
	}
	return measured, nil
}

func openMeasured(path string, list []registry.File) (verify.Files, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return verify.OpenPulled(path, list)
	}
	return verify.OpenPath(path)
}

// hidden reports whether any part of a path begins with a dot.
func hidden(p string) bool { return strings.HasPrefix(p, ".") || strings.Contains(p, "/.") }

func isFile(path string, other os.FileInfo) bool {
	info, err := os.Stat(path)
	return err == nil && os.SameFile(info, other)
}

// say tells something beside the result.
func (e *env) say(s string) { fmt.Fprintf(e.stderr, "carat: %s\n", s) }
