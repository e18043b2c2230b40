package check

import (
	"context"
	"fmt"

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
		measured, err := f.Measure(ctx, a)
		if err != nil {
			return finding{}, err
		}
		m.report.Files = append(m.report.Files, measured)
		ev.Files++
		ev.Bytes += measured.Size
		if !f.Digest.IsZero() && measured.Digest != f.Digest {
			wrong = append(wrong, fmt.Sprintf("%s is %s, not %s", f.Path, measured.Digest, f.Digest))
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
