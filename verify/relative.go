package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// maxPrevious is how many older versions are looked at for a report.
const maxPrevious = 16

// declared returns the bases that a version declares, which its facts tell
// when it has been inspected.
func (s *Service) declared(ctx context.Context, v registry.Version) ([]registry.DeclaredBase, error) {
	facts := v.Facts
	if facts == nil {
		var broken *ContentError
		var err error
		if facts, err = s.inspect(ctx, v); err != nil && !errors.As(err, &broken) {
			return nil, err
		}
	}
	if facts == nil {
		return nil, nil
	}
	return facts.Bases[:min(len(facts.Bases), MaxBases)], nil
}

// plan is what a verification needs beside the version: its bases that are in
// the hub, and the versions whose files are opened, the version itself first.
type plan struct {
	declared []registry.DeclaredBase
	bases    []Base
	versions []registry.Version
}

// plan looks up what a verification of a version needs.
func (s *Service) plan(ctx context.Context, v registry.Version) (p plan, err error) {
	if p.declared, err = s.declared(ctx, v); err != nil {
		return plan{}, err
	}
	p.versions = []registry.Version{v}
	for _, d := range p.declared {
		b, of, err := s.findBase(ctx, v.Name, d)
		if err != nil {
			return plan{}, fmt.Errorf("look for the base of %s@%s: %w", v.Name, v.Digest, err)
		}
		if of != nil {
			p.bases, p.versions = append(p.bases, b), append(p.versions, *of)
		}
	}
	return p, nil
}

// size is how many bytes all files have.
func (p plan) size() (n int64) {
	for _, v := range p.versions {
		for _, f := range v.Files {
			n += f.Size
		}
	}
	return n
}

// open opens all files at once, as the cache asks for. Bases for which there
// is no room are left out with the reason. Errors: ErrTooLarge for the version
// alone.
func (s *Service) open(ctx context.Context, p plan) ([]Base, Files, func(), error) {
	bases := p.bases
	all, release, err := s.o.Source.Together(ctx, p.versions)
	if errors.Is(err, ErrTooLarge) && len(bases) > 0 {
		for i := range bases {
			bases[i].Problem = "there is no room for it beside the model"
		}
		all, release, err = s.o.Source.Together(ctx, p.versions[:1])
	}
	if err != nil {
		return nil, nil, nil, err
	}
	for i, files := range all[1:] {
		bases[i].Files = files
	}
	return bases, all[0], release, nil
}

// findBase looks a declared base up: the newest version of the model of that
// name, nil when there is none. A private one is found for models of the same
// organization alone; to all others it is as if it were not there.
func (s *Service) findBase(ctx context.Context, of registry.Name, d registry.DeclaredBase) (Base, *registry.Version, error) {
	n, ok := registry.BaseName(d.Name)
	if !ok || n == of {
		return Base{}, nil, nil
	}
	visibility, exists, err := s.o.Versions.Visibility(ctx, n)
	if err != nil || !exists {
		return Base{}, nil, err
	}
	org, _, _ := n.Split()
	mine, _, _ := of.Split()
	private := visibility != auth.Public
	if private && org != mine {
		return Base{}, nil, nil
	}
	versions, err := s.o.Versions.Versions(ctx, auth.System(string(n), auth.Pull))
	if err != nil || len(versions) == 0 {
		return Base{}, nil, err
	}
	b := Base{Name: d.Name, Private: private}
	if !private {
		b.Digest = &versions[0].Digest
	}
	return b, &versions[0], nil
}

// previous returns the newest report of the newest version before, nil when
// none of them was verified.
func (s *Service) previous(ctx context.Context, v registry.Version) (*Report, error) {
	all, err := s.o.Versions.Versions(ctx, auth.System(string(v.Name), auth.Pull))
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(all, func(o registry.Version) bool { return o.Digest == v.Digest })
	if at < 0 {
		return nil, nil
	}
	older := all[at+1:]
	for _, o := range older[:min(len(older), maxPrevious)] {
		c, err := s.o.Store.Verification(ctx, o.Name, o.Digest)
		switch {
		case registry.IsCode(err, registry.CodeManifestUnknown):
		case err != nil:
			return nil, err
		case c.Report != nil && (c.State == StatePassed || c.State == StateUnsupported):
			return c.Report.comparable(), nil
		}
	}
	return nil, nil
}

// comparable returns what of a report the checks of the next version compare
// with: what was declared, tokenized and predicted.
func (r *Report) comparable() *Report {
	p := *r
	p.Files = nil
	p.Results = slices.DeleteFunc(slices.Clone(r.Results), func(x Result) bool {
		return !slices.Contains([]string{"structure.headers", "tokenizer.roundtrip", "run.perplexity"}, x.ID) || len(x.Evidence) > 64<<10
	})
	return &p
}
