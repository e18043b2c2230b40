package hfapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// modelInfo is what clients read of a model.
type modelInfo struct {
	ID           string         `json:"id"`
	ModelID      string         `json:"modelId"`
	Author       string         `json:"author"`
	SHA          string         `json:"sha"`
	Private      bool           `json:"private"`
	Gated        any            `json:"gated"` // false, "auto" or "manual"
	Disabled     bool           `json:"disabled"`
	LastModified time.Time      `json:"lastModified"`
	CreatedAt    time.Time      `json:"createdAt"`
	Tags         []string       `json:"tags"`
	Pipeline     string         `json:"pipeline_tag,omitempty"`
	Library      string         `json:"library_name,omitempty"`
	Downloads    int            `json:"downloads"` // not counted
	Likes        int            `json:"likes"`
	CardData     map[string]any `json:"cardData,omitempty"`
	Config       map[string]any `json:"config,omitempty"`
	Siblings     []sibling      `json:"siblings,omitempty"`
	UsedStorage  int64          `json:"usedStorage,omitempty"` // bytes
}

// sibling is a file of a model.
type sibling struct {
	Name string `json:"rfilename"`
	Size int64  `json:"size"`
	Blob string `json:"blobId"`
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

// files are those of a version that can be had by their names. Archives are none.
func files(v *registry.Version) []registry.File {
	var list []registry.File
	for _, f := range v.Files {
		if !f.Packed {
			list = append(list, f)
		}
	}
	return list
}

// info answers what is known of a model.
func (h *Handler) info(c echo.Context) error {
	f, err := h.find(c, c.Param("rev"))
	if err != nil {
		return err
	}
	gate, err := h.reg.ConsentGate(c.Request().Context(), f.grant)
	if err != nil {
		return err
	}
	v := &f.version
	m := describe(v.Name, v.Facts)
	m.SHA, m.Private, m.Gated = f.commit, f.visibility != auth.Public, false
	if gate != nil {
		m.Gated = string(gate.Mode)
	}
	m.LastModified, m.CreatedAt, m.UsedStorage = v.CreatedAt, v.CreatedAt, v.Size
	for _, x := range files(v) {
		m.Siblings = append(m.Siblings, sibling{x.Path, x.Size, x.Digest.Hex()[:40], lfsOf(&x)})
	}
	return c.JSON(http.StatusOK, m)
}

// describe fills in what the facts say.
func describe(n registry.Name, f *registry.Facts) modelInfo {
	org, _, _ := n.Split()
	m := modelInfo{ID: string(n), ModelID: string(n), Author: org, Gated: false, Tags: []string{}}
	if f == nil {
		return m
	}
	card := &f.Card
	m.Pipeline, m.Library = card.Pipeline, card.Library
	m.Tags = append(m.Tags, card.Tags...)
	for _, t := range []string{card.Library, f.Format, f.Architecture, card.Pipeline} {
		if t != "" {
			m.Tags = append(m.Tags, t)
		}
	}
	m.CardData = map[string]any{}
	set := func(name string, value any, there bool) {
		if there {
			m.CardData[name] = value
		}
	}
	set("license", card.LicenseID, card.LicenseID != "")
	set("license_name", card.LicenseName, card.LicenseName != "")
	set("license_link", card.LicenseLink, card.LicenseLink != "")
	set("base_model", card.BaseModels, len(card.BaseModels) > 0)
	set("datasets", card.Datasets, len(card.Datasets) > 0)
	set("language", card.Languages, len(card.Languages) > 0)
	set("library_name", card.Library, card.Library != "")
	set("pipeline_tag", card.Pipeline, card.Pipeline != "")
	set("tags", card.Tags, len(card.Tags) > 0)
	if card.LicenseID != "" {
		m.Tags = append(m.Tags, "license:"+card.LicenseID)
	}
	if f.Architecture != "" {
		m.Config = map[string]any{"model_type": f.Architecture}
	}
	return m
}

// maxList is how many models one answer lists.
const maxList = 100

// list answers models that match a search.
func (h *Handler) list(c echo.Context) error {
	q := registry.ModelQuery{Org: c.QueryParam("author"), Text: c.QueryParam("search"), Limit: maxList}
	if s := c.QueryParam("limit"); s != "" {
		if n, err := strconv.Atoi(s); err == nil && n > 0 {
			q.Limit = min(n, maxList)
		}
	}
	found, _, err := h.reg.Models(c.Request().Context(), h.access.Principal(c), q)
	if err != nil {
		return err
	}
	models := []modelInfo{}
	for _, x := range found {
		m := describe(x.Name, x.Latest.Facts)
		visibility, _, err := h.reg.Visibility(c.Request().Context(), x.Name)
		if err != nil {
			return err
		}
		m.SHA, m.Private, m.LastModified, m.CreatedAt = commitOf(x.Latest.Digest), visibility != auth.Public, x.UpdatedAt, x.UpdatedAt
		models = append(models, m)
	}
	return c.JSON(http.StatusOK, models)
}

// branch is a branch or a tag.
type branch struct {
	Name   string `json:"name"`
	Ref    string `json:"ref"`
	Target string `json:"targetCommit"`
}

// refs answers the branch main and the tags.
func (h *Handler) refs(c echo.Context) error {
	f, err := h.find(c, "")
	if err != nil {
		return err
	}
	list, err := h.reg.Versions(c.Request().Context(), f.grant)
	if err != nil {
		return err
	}
	tags := []branch{}
	for _, v := range list {
		for _, t := range v.Tags {
			tags = append(tags, branch{string(t), "refs/tags/" + string(t), commitOf(v.Digest)})
		}
	}
	return c.JSON(http.StatusOK, map[string][]branch{
		"branches": {{defaultRevision, "refs/heads/" + defaultRevision, f.commit}}, "tags": tags, "converts": {},
	})
}

// whoami answers who the token stands for.
func (h *Handler) whoami(c echo.Context) error {
	p := h.access.Principal(c)
	if p.Anonymous() {
		return c.JSON(http.StatusUnauthorized, map[string]string{"error": "nobody is signed in"})
	}
	return c.JSON(http.StatusOK, map[string]any{
		"type": "user", "id": strconv.FormatInt(p.UserID, 10), "name": p.Name, "fullname": p.Name, "emailVerified": false, "canPay": false, "isPro": false, "orgs": []string{},
		"auth": map[string]any{"type": "access_token", "accessToken": map[string]string{"displayName": "token", "role": "read"}},
	})
}
