package oci

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// startUpload answers POST: a mount, a whole blob, or a new upload.
func (h *Handler) startUpload(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Push)
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	if s := c.QueryParam("mount"); s != "" {
		done, err := h.mount(c, g, r, s)
		if done || err != nil {
			return err
		}
	} else if s := c.QueryParam("digest"); s != "" {
		d, err := registry.ParseDigest(s)
		if err != nil {
			return err
		}
		if _, err := h.reg.PutBlob(ctx, g, d, c.Request().ContentLength, c.Request().Body); err != nil {
			return err
		}
		return blobCreated(c, r.name, d)
	}
	algorithm := registry.SHA256
	if s := c.QueryParam("digest-algorithm"); s != "" {
		if algorithm, err = registry.ParseAlgorithm(s); err != nil {
			return err
		}
	}
	u, err := h.reg.StartUpload(ctx, g, algorithm)
	if err != nil {
		return err
	}
	c.Response().Header().Set(headerChunkMin, strconv.Itoa(chunkMin))
	setUpload(c, u)
	return noBody(c, http.StatusAccepted)
}

// mount tries to link a blob of another repository. When the caller may not
// pull from there, or the blob is not there, an ordinary upload begins: the
// answer tells nothing of the other repository.
func (h *Handler) mount(c echo.Context, g auth.Grant, r route, digest string) (done bool, err error) {
	d, err := registry.ParseDigest(digest)
	if err != nil {
		return false, err
	}
	s := c.QueryParam("from")
	if s == "" {
		return false, nil
	}
	n, err := registry.ParseName(s)
	if err != nil {
		return false, err
	}
	from, err := h.access.Authorize(c, n, auth.Pull)
	if err != nil {
		return false, nil //nolint:nilerr // not allowed to see is answered as not there
	}
	err = h.reg.MountBlob(c.Request().Context(), g, from, d)
	if registry.IsCode(err, registry.CodeBlobUnknown) || registry.IsCode(err, registry.CodeNameUnknown) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, blobCreated(c, r.name, d)
}

func (h *Handler) getUpload(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Push)
	if err != nil {
		return err
	}
	u, err := h.reg.Upload(c.Request().Context(), g, r.upload)
	if err != nil {
		return err
	}
	setUpload(c, u)
	return c.NoContent(http.StatusNoContent)
}

func (h *Handler) patchUpload(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Push)
	if err != nil {
		return err
	}
	at, err := chunkStart(c.Request())
	if err != nil {
		return err
	}
	u, err := h.reg.AppendUpload(c.Request().Context(), g, r.upload, at, c.Request().Body)
	if u.ID != "" {
		setUpload(c, u)
	}
	if err != nil {
		return err
	}
	return noBody(c, http.StatusAccepted)
}

func (h *Handler) putUpload(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Push)
	if err != nil {
		return err
	}
	if !c.QueryParams().Has("digest") {
		return registry.Errorf(registry.CodeDigestInvalid, "the parameter digest is missing")
	}
	d, err := registry.ParseDigest(c.QueryParam("digest"))
	if err != nil {
		return err
	}
	at, err := chunkStart(c.Request())
	if err != nil {
		return err
	}
	_, err = h.reg.FinishUpload(c.Request().Context(), g, r.upload, at, c.Request().Body, d)
	if registry.IsCode(err, registry.CodeRangeInvalid) {
		if u, statErr := h.reg.Upload(c.Request().Context(), g, r.upload); statErr == nil {
			setUpload(c, u)
		}
	}
	if err != nil {
		return err
	}
	return blobCreated(c, r.name, d)
}

func (h *Handler) cancelUpload(c echo.Context, r route) error {
	g, err := h.access.Authorize(c, r.name, auth.Push)
	if err != nil {
		return err
	}
	if err := h.reg.CancelUpload(c.Request().Context(), g, r.upload); err != nil {
		return err
	}
	return noBody(c, http.StatusNoContent)
}

// setUpload adds the headers that say where an upload stands and goes on.
func setUpload(c echo.Context, u registry.Upload) {
	hd := c.Response().Header()
	hd.Set(echo.HeaderLocation, fmt.Sprintf("/v2/%s/blobs/uploads/%s", u.Name, u.ID))
	hd.Set(headerUploadID, u.ID)
	hd.Set("Range", fmt.Sprintf("0-%d", max(u.Offset-1, 0)))
}

func blobCreated(c echo.Context, n registry.Name, d registry.Digest) error {
	hd := c.Response().Header()
	hd.Set(echo.HeaderLocation, fmt.Sprintf("/v2/%s/blobs/%s", n, d))
	hd.Set(headerDigest, d.String())
	return noBody(c, http.StatusCreated)
}

// chunkStart returns the first byte's place that Content-Range gives, or
// registry.AnyOffset without one. The range must fit Content-Length.
func chunkStart(r *http.Request) (int64, error) {
	header := r.Header.Get("Content-Range")
	if header == "" {
		return registry.AnyOffset, nil
	}
	from, to, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "-")
	to, _, _ = strings.Cut(to, "/")
	first, err1 := strconv.ParseUint(from, 10, 63)
	last, err2 := strconv.ParseUint(to, 10, 63)
	if !ok || err1 != nil || err2 != nil {
		return 0, registry.Errorf(registry.CodeBlobUploadInvalid, "Content-Range %q is not <first>-<last>", header)
	}
	if first == 0 && last == 0 && r.ContentLength == 0 {
		return 0, nil // how some clients write an empty range
	}
	if last < first {
		return 0, registry.Errorf(registry.CodeRangeInvalid, "Content-Range %q ends before it starts", header)
	}
	if n := int64(last - first + 1); r.ContentLength >= 0 && r.ContentLength != n {
		return 0, registry.Errorf(registry.CodeSizeInvalid, "Content-Range %q has %d bytes, Content-Length is %d", header, n, r.ContentLength)
	}
	return int64(first), nil
}
