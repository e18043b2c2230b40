package client

import (
	"context"
	"fmt"
	"net/http"
)

// Delete takes the tag of ref away, or, when ref has a digest, the version
// with all of its tags. A tag is never taken for a version: where a registry
// deletes no tags, nothing is done. Errors: ErrForeignCredentials,
// ErrDowngrade, *ResponseError.
func (c *Client) Delete(ctx context.Context, ref Reference) error {
	r := c.remote(ref.Host)
	resp, err := r.try(r.scoped(ctx, ref.Name, "pull", "delete"), nil,
		request{method: http.MethodDelete, url: r.url(ref.Name, "manifests", ref.Target().String())},
		http.StatusAccepted, http.StatusOK, http.StatusNoContent)
	if err != nil {
		return fmt.Errorf("delete %s: %w", ref, err)
	}
	drain(resp)
	return nil
}
