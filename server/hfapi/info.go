package hfapi

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// modelInfo is what clients read of a model.
type modelInfo struct {
	Key          string         `json:"_id"`
	ID           string         `json:"id"`
	ModelID      string         `json:"modelId"`
	Author       string         `json:"author"`
	SHA          string         `json:"sha"`
	Private      bool           `json:"private"`
	Gated        any            `json:"gated"` // false, "auto" or "manual"
	Disabled     bool           `json:"disabled"`
	LastModified timestamp      `json:"lastModified"`
	CreatedAt    timestamp      `json:"createdAt"`
	Tags         []string       `json:"tags"`
	Pipeline     string         `json:"pipeline_tag,omitempty"`
	Library      string         `json:"library_name,omitempty"`
	Downloads    int            `json:"downloads"` // not counted
	Likes        int            `json:"likes"`
	CardData     map[string]any `json:"cardData,omitempty"`
	Config       map[string]any `json:"config,omitempty"`
	Safetensors  *safetensors   `json:"safetensors,omitempty"`
	GGUF         *gguf          `json:"gguf,omitempty"`
	Siblings     []sibling      `json:"siblings,omitempty"`
	UsedStorage  int64          `json:"usedStorage,omitempty"` // bytes of the version
}

// keyLength is how many hexadecimal digits clients expect in the key of a
// model, which stands for its name alone.
const keyLength = 24

// safetensors are the parameters of a model in this format.
type safetensors struct {
	Parameters map[string]int64 `json:"parameters"` // by type
	Total      int64            `json:"total"`
}

// gguf is what the header of a file of this format says.
type gguf struct {
	Total         int64  `json:"total"` // parameters
	Architecture  string `json:"architecture,omitempty"`
	ContextLength int64  `json:"context_length,omitempty"`
}

// sibling is a file of a model; lists of models have only the names.
type sibling struct {
	Name string `json:"rfilename"`
	Size *int64 `json:"size,omitempty"` // bytes
	Blob string `json:"blobId,omitempty"`
	LFS  *lfs   `json:"lfs,omitempty"`
}

// lfs is the pointer to a file's content.
type lfs struct {
	OID         string `json:"oid"` // hex SHA-256
	SHA256      string `json:"sha256"`
	Size        int64  `json:"size"`
	PointerSize int    `json:"pointerSize"`
}

func lfsOf(f *registry.File) *lfs {
	if f.Digest.Algorithm() != registry.SHA256 {
		return nil
	}
	pointer := "version https://git-lfs.github.com/spec/v1\noid sha256:" + f.Digest.Hex() + "\nsize " + strconv.FormatInt(f.Size, 10) + "\n"
	return &lfs{f.Digest.Hex(), f.Digest.Hex(), f.Size, len(pointer)}
}

// info answers what is known of a model.
func (h *Handler) info(c echo.Context) error {
	f, err := h.find(c)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	v, err := h.reg.Version(ctx, f.grant, registry.Reference{Digest: f.listing.Digest})
	if err != nil {
		return err
	}
	r, err := h.reg.Repository(ctx, f.grant)
	if err != nil {
		return err
	}
	s := registry.ModelSummary{Name: f.name, Latest: v, UpdatedAt: v.CreatedAt, Visibility: r.Visibility, CreatedAt: r.CreatedAt}
	m, err := h.describe(c, f.grant, &s)
	if err != nil {
		return err
	}
	m.Siblings = siblings(v.Files, true)
	return c.JSON(http.StatusOK, pick(m, expanded(c)))
}

func siblings(all []registry.File, whole bool) []sibling {
	list := []sibling{}
	for _, x := range plainFiles(all) {
		s := sibling{Name: x.Path}
		if whole {
			s.Size, s.Blob, s.LFS = &x.Size, x.Digest.Hex()[:commitLength], lfsOf(&x)
		}
		list = append(list, s)
	}
	return list
}

// describe says of a model all but its files.
func (h *Handler) describe(c echo.Context, g auth.Grant, s *registry.ModelSummary) (modelInfo, error) {
	gate, err := h.reg.ConsentGate(c.Request().Context(), g)
	if err != nil {
		return modelInfo{}, err
	}
	org, _, _ := s.Name.Split()
	v, f := &s.Latest, s.Latest.Facts
	m := modelInfo{
		Key: registry.DigestOf(registry.SHA256, []byte(s.Name)).Hex()[:keyLength],
		ID:  string(s.Name), ModelID: string(s.Name), Author: org, SHA: commitOf(v.Digest), Private: s.Visibility != auth.Public, Gated: false,
		LastModified: timestamp(s.UpdatedAt), CreatedAt: timestamp(s.CreatedAt), Tags: f.Labels(), UsedStorage: v.Size,
	}
	if gate != nil {
		m.Gated = string(gate.Mode)
	}
	if f == nil {
		return m, nil
	}
	m.Pipeline, m.Library, m.CardData = f.Card.Pipeline, f.Card.Library, cardData(&f.Card)
	if f.Architecture != "" {
		m.Config = map[string]any{"model_type": f.Architecture}
	}
	switch f.Format {
	case "safetensors":
		m.Safetensors = &safetensors{Parameters: f.Types, Total: f.Parameters}
		if m.Safetensors.Parameters == nil { // inspected before types were counted
			m.Safetensors.Parameters = map[string]int64{}
		}
	case "gguf":
		m.GGUF = &gguf{f.Parameters, f.Architecture, f.ContextLength}
	}
	return m, nil
}

// cardData is the card's front matter, as far as it is kept.
func cardData(card *registry.Card) map[string]any {
	data := map[string]any{}
	text := func(key, value string) {
		if value != "" {
			data[key] = value
		}
	}
	list := func(key string, values []string) {
		if len(values) > 0 {
			data[key] = values
		}
	}
	text("license", card.LicenseID)
	text("license_name", card.LicenseName)
	text("license_link", card.LicenseLink)
	text("library_name", card.Library)
	text("pipeline_tag", card.Pipeline)
	text("base_model_relation", card.Relation)
	list("base_model", card.BaseModels)
	list("datasets", card.Datasets)
	list("language", card.Languages)
	list("tags", card.Tags)
	return data
}

// expanded are the properties that the query names, nil when it names none.
func expanded(c echo.Context) []string {
	q := c.QueryParams()
	return append(q["expand"], q["expand[]"]...)
}

// pick returns a model with its id and the named properties alone, all of it
// when none is named. Properties that nobody knows here are left out, as are
// those that a model does not have.
func pick(m modelInfo, names []string) any {
	if len(names) == 0 {
		return m
	}
	text, err := json.Marshal(m)
	var all map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		return m // its types can be encoded
	}
	some := map[string]json.RawMessage{"_id": all["_id"], "id": all["id"]}
	for _, n := range names {
		if value, ok := all[n]; ok {
			some[n] = value
		}
	}
	return some
}
