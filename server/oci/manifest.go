package oci

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/server/content"
	"github.com/carat-hub/carat/web"
)

// maxTags is how many ?tag= parameters one manifest PUT may have.
const maxTags = 100

// getManifest answers GET and HEAD.
func (h *Handler) getManifest(c echo.Context, r route) error {
	if r.reference.Tag != "" && wantsFile(c.Request()) {
		return h.getFile(c, r)
	}
	m, err := h.reg.ManifestBy(c.Request().Context(), r.name, r.reference, h.access.Pull(c, r.name))
	if err != nil {
		return err
	}
	hd := c.Response().Header()
	hd.Set(headerDigest, m.Digest.String())
	hd.Set("ETag", `"`+m.Digest.String()+`"`)
	hd.Set("Cache-Control", "no-cache")
	hd.Set("Vary", "Authorization")
	if m.Warning != nil {
		hd.Set("Warning", warning(h.access.BaseURL(c), m.Warning))
	}
	if content.NotModified(c) {
		return c.NoContent(http.StatusNotModified)
	}
	hd.Set(echo.HeaderContentLength, fmt.Sprint(len(m.Body)))
	if c.Request().Method == http.MethodHead {
		hd.Set(echo.HeaderContentType, m.MediaType)
		return c.NoContent(http.StatusOK)
	}
	return c.Blob(http.StatusOK, m.MediaType, m.Body)
}

// warning is a Warning header in the one form that the distribution
// specification allows. Names, digests and states hold nothing to escape.
func warning(base string, e *registry.GateError) string {
	return fmt.Sprintf("299 - %q", e.Error()+"; see "+base+web.VerificationURL(e.Name, e.Digest))
}

func (h *Handler) putManifest(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Push)
	if err != nil {
		return err
	}
	put := registry.ManifestPut{Reference: r.reference, MediaType: mediaType(c.Request().Header.Get(echo.HeaderContentType))}
	if put.Tags, err = parseTags(c.QueryParams()["tag"]); err != nil {
		return err
	}
	if put.Body, err = readManifest(c.Request()); err != nil {
		return err
	}
	res, err := h.reg.PutManifest(c.Request().Context(), g, put)
	if err != nil {
		return err
	}
	hd := c.Response().Header()
	hd.Set(echo.HeaderLocation, fmt.Sprintf("/v2/%s/manifests/%s", r.name, r.reference))
	hd.Set(headerDigest, res.Digest.String())
	if !res.Subject.IsZero() {
		hd.Set(headerSubject, res.Subject.String())
	}
	for _, t := range put.Tags {
		hd.Add(headerTag, string(t))
	}
	return noBody(c, http.StatusCreated)
}

func parseTags(params []string) ([]registry.Tag, error) {
	if len(params) > maxTags {
		return nil, registry.Errorf(registry.CodeTagInvalid, "%d tags are given; at most %d are allowed", len(params), maxTags)
	}
	var tags []registry.Tag
	for _, s := range params {
		t, err := registry.ParseTag(s)
		if err != nil {
			return nil, err
		}
		tags = append(tags, t)
	}
	return tags, nil
}

// readManifest reads at most one manifest's worth of the body.
func readManifest(r *http.Request) ([]byte, error) {
	tooLarge := registry.Errorf(registry.CodeManifestTooLarge, "a manifest may have at most %d bytes", registry.MaxManifestSize)
	if r.ContentLength > registry.MaxManifestSize {
		return nil, tooLarge
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, registry.MaxManifestSize+1))
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, registry.Wrap(err, registry.CodeManifestInvalid, "the body ended early")
	case err != nil:
		return nil, fmt.Errorf("read manifest: %w", err)
	case len(body) > registry.MaxManifestSize:
		return nil, tooLarge
	}
	return body, nil
}

// deleteManifest deletes a tag or, by digest, a manifest with its tags.
func (h *Handler) deleteManifest(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Delete)
	if err != nil {
		return err
	}
	if r.reference.Tag != "" {
		err = h.reg.DeleteTag(c.Request().Context(), g, r.reference.Tag)
	} else {
		err = h.reg.DeleteManifest(c.Request().Context(), g, r.reference.Digest)
	}
	if err != nil {
		return err
	}
	return noBody(c, http.StatusAccepted)
}
