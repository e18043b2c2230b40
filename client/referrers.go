package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"sync"

	"github.com/carat-hub/carat/registry"
)

// Limits of a list of referrers.
const (
	maxReferrerAnswer = 4 << 20 // bytes of one page
	maxReferrers      = 500
)

// Referrers returns the manifests of an artifact type whose subject is the
// manifest that ref's digest names, all of them. Where the registry has no
// such list, the index under the subject's tag is read, as the distribution
// specification has it ("Referrers Tag Schema"). Errors: *ResponseError; one
// that says so when there are more than 500.
func (c *Client) Referrers(ctx context.Context, ref Reference, artifactType string) ([]Descriptor, error) {
	r := c.remote(ref.Host)
	ctx = r.scoped(ctx, ref.Name, "pull")
	list, err := r.referrers(ctx, ref, artifactType)
	if err != nil {
		return nil, fmt.Errorf("list what refers to %s: %w", ref, err)
	}
	return list, nil
}

func (r *remote) referrers(ctx context.Context, ref Reference, artifactType string) ([]Descriptor, error) {
	first := r.url(ref.Name, "referrers", ref.Digest.String())
	u := *first
	u.RawQuery = url.Values{"artifactType": {artifactType}}.Encode()
	var list []Descriptor
	for pages := 0; ; pages++ {
		page, link, err := r.index(ctx, &u)
		var answer *ResponseError
		if pages == 0 && errors.As(err, &answer) && answer.Status == http.StatusNotFound {
			page, _, err = r.index(ctx, r.url(ref.Name, "manifests", referrersTag(ref.Digest)))
			if errors.As(err, &answer) && answer.Status == http.StatusNotFound {
				return nil, nil
			}
			link = ""
		}
		if err != nil {
			return nil, err
		}
		for _, d := range page {
			if d.ArtifactType == artifactType && !d.Digest.IsZero() { // not every registry filters
				list = append(list, d)
			}
		}
		if len(list) > maxReferrers || pages > maxReferrers {
			return nil, fmt.Errorf("there are more than %d", maxReferrers)
		}
		if link == "" {
			return list, nil
		}
		next, err := u.Parse(link)
		if err != nil || !sameOrigin(first, next) || next.Path != first.Path {
			return nil, errors.New("the next page is said to be elsewhere")
		}
		u = *next
	}
}

var nextLink = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^\s*<([^>]*)>\s*;\s*rel="?next"?`) })

// index reads an index of manifests, and the address of what follows it.
func (r *remote) index(ctx context.Context, u *url.URL) (list []Descriptor, next string, err error) {
	resp, err := r.try(ctx, nil, request{method: http.MethodGet, url: u, header: http.Header{"Accept": {registry.MediaTypeOCIIndex}}}, http.StatusOK)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := readLimited(resp.Body, maxReferrerAnswer)
	if err != nil {
		return nil, "", err
	}
	var index struct {
		Manifests []Descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, "", fmt.Errorf("read the index: %w", err)
	}
	if m := nextLink().FindStringSubmatch(resp.Header.Get("Link")); m != nil {
		next = m[1]
	}
	return index.Manifests, next, nil
}

// referrersTag is the tag of the index of a subject's referrers: algorithm and
// hexadecimal digits, cut to what a tag may have of them.
func referrersTag(d registry.Digest) string {
	hex := d.Hex()
	return string(d.Algorithm()) + "-" + hex[:min(len(hex), 64)]
}
