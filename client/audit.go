package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/carat-hub/carat/audit"
)

// Audit hands the entries of a hub's audit log to each, in their order, and
// returns where the hub says that it ends. Errors: ErrNoCredentials,
// *ResponseError, those of each.
func (h *Hub) Audit(ctx context.Context, each func(audit.Entry) error) (audit.Chain, error) {
	var end audit.Chain
	for {
		q := url.Values{"after": {strconv.FormatInt(end.Seq, 10)}}
		var page struct {
			Entries []audit.Entry `json:"entries"`
			Last    struct {
				Seq  int64  `json:"seq"`
				Hash string `json:"hash"`
			} `json:"last"`
		}
		if err := h.change(ctx, http.MethodGet, "/api/v1/audit?"+q.Encode(), nil, &page); err != nil {
			return end, fmt.Errorf("fetch the audit log: %w", err)
		}
		for _, e := range page.Entries {
			if e.Seq <= end.Seq {
				return end, fmt.Errorf("%w: entry %d follows entry %d", audit.ErrBroken, e.Seq, end.Seq)
			}
			if err := each(e); err != nil {
				return end, err
			}
			end = audit.Chain{Seq: e.Seq, Hash: e.Hash}
		}
		if len(page.Entries) == 0 || end.Seq >= page.Last.Seq {
			// What was added since is left for the next time.
			if end.Seq < page.Last.Seq {
				end = audit.Chain{Seq: page.Last.Seq, Hash: page.Last.Hash}
			}
			return end, nil
		}
	}
}
