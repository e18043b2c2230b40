package verify

import (
	"slices"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify/lineage"
)

// MaxBases is how many declared bases of a model are looked at.
const MaxBases = lineage.MaxBases

// Base is a model from which another one says that it comes. But for the
// files it is data that can be encoded as JSON.
type Base struct {
	Name   string           `json:"name"`             // as the model declares it
	Digest *registry.Digest `json:"digest,omitempty"` // of the version whose files these are; nil where a report must not name it
	// Private says that not everybody who sees the report may see the base.
	// Then the report tells nothing of it but whether it is the base.
	Private bool `json:"private,omitempty"`
	// Problem says why there are no files, "" when the base is not known here.
	Problem string `json:"problem,omitempty"`

	Files Files `json:"-"` // none when the base is not at hand; the caller's, as the model's own
}

// JoinBases lists the bases that a card, an adapter's configuration and GGUF
// keys declare, each once, the first that names it first. Several bases in a
// card that says no more are those of a merge.
func JoinBases(c registry.Card, adapter string, gguf []string) []registry.DeclaredBase {
	var list []registry.DeclaredBase
	add := func(name, relation, from string) {
		known := slices.ContainsFunc(list, func(b registry.DeclaredBase) bool { return registry.SameBase(b.Name, name) })
		if name != "" && !known && len(list) < MaxBases {
			list = append(list, registry.DeclaredBase{Name: name, Relation: relation, From: from})
		}
	}
	relation := string(lineage.ParseRelation(c.Relation))
	switch {
	case adapter != "":
		relation = string(lineage.Adapter)
		add(adapter, relation, "adapter")
	case relation == "" && len(c.BaseModels) > 1:
		relation = string(lineage.Merge)
	}
	for _, b := range c.BaseModels {
		add(b, relation, "card")
	}
	for _, b := range gguf {
		add(b, "", "gguf")
	}
	return list
}
