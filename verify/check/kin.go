package check

import (
	"context"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/verify"
)

// kin are a model and its bases, all open.
type kin struct {
	bases   []*verify.Base
	readers []*inference.RoleReader // of the model, then of each base
}

// openKin opens the model and bases so that their weights have the same
// roles: names for all when the graph of one is not known.
func (m *model) openKin(ctx context.Context, bases []*verify.Base) (*kin, error) {
	k, err := m.openAs(ctx, bases, false)
	if err != nil {
		return nil, err
	}
	named := 0
	for _, r := range k.readers {
		if r.Named() {
			named++
		}
	}
	if named == 0 || named == len(k.readers) {
		return k, nil
	}
	k.close()
	return m.openAs(ctx, bases, true)
}

func (m *model) openAs(ctx context.Context, bases []*verify.Base, named bool) (*kin, error) {
	k := &kin{bases: bases}
	for i := range len(bases) + 1 {
		files := m.part.files
		if i > 0 {
			files = partsOf(bases[i-1].Files)[0].files
		}
		r, err := inference.OpenRoles(ctx, mappable(files), named)
		if err != nil {
			k.close()
			return nil, k.fault(i, err)
		}
		k.readers = append(k.readers, r)
	}
	return k, nil
}

func (k *kin) close() {
	for _, r := range k.readers {
		_ = r.Close() // closing what was only read loses nothing
	}
}

// fault tells what is wrong with the files of reader i: with those of a base
// it is no fault of the model.
func (k *kin) fault(i int, err error) error {
	if i == 0 || err == nil {
		return err
	}
	return ofBase(k.bases[i-1], err)
}

// groups calls each with the weights of all outside the layers, and then with
// those of layer after layer, so that memory holds what is made of one. The
// model's come first; the list of one that has fewer layers is empty.
func (k *kin) groups(ctx context.Context, each func(lists [][]*inference.Weight) error) error {
	layers := 0
	for _, r := range k.readers {
		layers = max(layers, r.Layers())
	}
	for layer := -1; layer < layers; layer++ {
		lists := make([][]*inference.Weight, len(k.readers))
		for i, r := range k.readers {
			var err error
			switch {
			case layer < 0:
				lists[i], err = r.Ends(ctx)
			case layer < r.Layers():
				lists[i], err = r.Layer(ctx, layer)
			}
			if err != nil {
				return k.fault(i, err)
			}
		}
		if err := each(lists); err != nil {
			return err
		}
		// What was found rests on bytes that were not read.
		for _, b := range k.bases {
			if err := b.Files.Fault(); err != nil {
				return err
			}
		}
	}
	return nil
}
