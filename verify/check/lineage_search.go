package check

import (
	"context"
	"slices"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/lineage"
)

// searchCheck takes the fingerprint with which a hub looks for relatives.
var searchCheck = check{
	id: idSearch, level: verify.LevelStandard, after: []string{idHeaders}, once: true,
	proves: "No model that was here before shares its weights without being named as a relative.",
	about:  func(ctx context.Context, m *model) bool { return m.opts.Fingerprint && !m.isAdapter(ctx) },
	run:    takeFingerprint,
}

func takeFingerprint(ctx context.Context, m *model) (finding, error) {
	r, err := inference.OpenRoles(ctx, mappable(m.part.files), false)
	if err != nil {
		return finding{}, err
	}
	defer r.Close()
	s := lineage.NewSketch(r.Layers())
	add := func(list []*inference.Weight) error {
		for i, t := range tensorsOf(list) {
			if !s.Wants(t) {
				continue
			}
			if err := s.Add(t, list[i]); err != nil {
				return err
			}
		}
		return nil
	}
	if r.Layers() == 0 {
		list, err := r.Ends(ctx)
		if err == nil {
			err = add(list)
		}
		if err != nil {
			return finding{}, err
		}
	}
	for _, i := range slices.Compact(lineage.SketchedLayers(r.Layers())) {
		list, err := r.Layer(ctx, i)
		if err == nil {
			err = add(list)
		}
		if err != nil {
			return finding{}, err
		}
	}
	print, err := s.Fingerprint()
	if err != nil {
		return excused("%s", err), nil
	}
	out := excused("no models were searched")
	out.evidence = verify.SearchEvidence{Fingerprint: print}
	return out, nil
}
