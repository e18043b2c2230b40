package oci

import (
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// referrersIndex is the answer: an OCI image index of descriptors.
type referrersIndex struct {
	SchemaVersion int                  `json:"schemaVersion"`
	MediaType     string               `json:"mediaType"`
	Manifests     []referrerDescriptor `json:"manifests"`
}

type referrerDescriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       registry.Digest   `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

func (h *Handler) referrers(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Pull)
	if err != nil {
		return err
	}
	var last registry.Digest
	if s := c.QueryParam("last"); s != "" {
		if last, err = registry.ParseDigest(s); err != nil {
			return err
		}
	}
	filter := c.QueryParam("artifactType")
	list, more, err := h.reg.Referrers(c.Request().Context(), g, r.digest, filter, last)
	if err != nil {
		return err
	}
	index := referrersIndex{SchemaVersion: 2, MediaType: registry.MediaTypeOCIIndex, Manifests: []referrerDescriptor{}}
	for _, ref := range list {
		index.Manifests = append(index.Manifests, referrerDescriptor{
			MediaType: ref.MediaType, Digest: ref.Digest, Size: ref.Size,
			ArtifactType: ref.ArtifactType, Annotations: ref.Annotations,
		})
	}
	if filter != "" {
		c.Response().Header().Set(headerFiltersApplied, "artifactType")
	}
	if more {
		q := url.Values{"last": {list[len(list)-1].Digest.String()}}
		if filter != "" {
			q.Set("artifactType", filter)
		}
		setNext(c, q.Encode())
	}
	c.Response().Header().Set(echo.HeaderContentType, registry.MediaTypeOCIIndex)
	return c.JSON(http.StatusOK, index)
}
