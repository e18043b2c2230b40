package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/carat-hub/carat/registry"
)

// maxTagAnswer bounds one list of tags, in bytes.
const maxTagAnswer = 4 << 20

// Tags returns up to n tags of a repository, in the registry's order. What
// is no tag in the specification's grammar is left out. Errors: *ResponseError.
func (c *Client) Tags(ctx context.Context, ref Reference, n int) ([]registry.Tag, error) {
	r := c.remote(ref.Host)
	u := r.url(ref.Name, "tags", "list")
	u.RawQuery = url.Values{"n": {strconv.Itoa(n)}}.Encode()
	resp, err := r.try(r.scoped(ctx, ref.Name, "pull"), nil, request{method: http.MethodGet, url: u}, http.StatusOK)
	if err != nil {
		return nil, fmt.Errorf("list tags of %s: %w", ref.Name, err)
	}
	defer resp.Body.Close()
	body, err := readLimited(resp.Body, maxTagAnswer)
	if err != nil {
		return nil, err
	}
	var list struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("read the tags of %s: %w", ref.Name, err)
	}
	var tags []registry.Tag
	for _, s := range list.Tags {
		if t, err := registry.ParseTag(s); err == nil && len(tags) < n {
			tags = append(tags, t)
		}
	}
	return tags, nil
}
