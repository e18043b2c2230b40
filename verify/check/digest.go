package check

import (
	"context"
	"fmt"
	"hash"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
)

// digestsCheck re-hashes every file. It also fills in the report's files.
var digestsCheck = check{
	id: idDigests, level: verify.LevelQuick, once: true,
	proves: "Every file has exactly the bytes that the manifest names.",
	run:    hashFiles,
}

type digestEvidence struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
}

func hashFiles(ctx context.Context, m *model) (finding, error) {
	var wrong []string
	var ev digestEvidence
	declared := 0
	for _, f := range m.files {
		a := registry.SHA256
		if !f.Digest.IsZero() {
			declared++
			a = f.Digest.Algorithm()
		}
		h := a.New()
		n, err := hashFile(ctx, h, f)
		if err != nil {
			return finding{}, fmt.Errorf("hash %s: %w", f.Path, err)
		}
		d := registry.DigestFromHash(a, h)
		m.report.Files = append(m.report.Files, verify.VerifiedFile{Path: f.Path, Size: n, Digest: d})
		ev.Files++
		ev.Bytes += n
		if !f.Digest.IsZero() && d != f.Digest {
			wrong = append(wrong, fmt.Sprintf("%s is %s, not %s", f.Path, d, f.Digest))
		}
	}
	switch {
	case len(wrong) > 0:
		return failed(ev, "%s", listed(wrong)), nil
	case declared == 0:
		return skipped("a local folder has no manifest to compare with"), nil
	case declared < len(m.files):
		return failed(ev, "%d files are not in the manifest", len(m.files)-declared), nil
	}
	return passed(ev), nil
}

// hashFile feeds a file to a hash and returns how many bytes that were.
func hashFile(ctx context.Context, h hash.Hash, f *verify.File) (n int64, err error) {
	p := make([]byte, 1<<20)
	for n < f.Size && ctx.Err() == nil {
		k, err := f.ReadAt(p[:min(int64(len(p)), f.Size-n)], n)
		h.Write(p[:k])
		if n += int64(k); err != nil && k == 0 {
			return n, err
		}
	}
	return n, context.Cause(ctx)
}
