package client

import (
	"net/http"
	"slices"
	"testing"

	"github.com/carat-hub/carat/registry"
)

func TestTags(t *testing.T) {
	t.Parallel()
	host := newRegistry(t, func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/demo/m/tags/list" || r.URL.Query().Get("n") != "2" {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_, _ = w.Write([]byte(`{"name":"demo/m","tags":["v1","\u001b[2J","v2","v3"]}`))
		})
	})
	c, _ := newClient(t, nil)
	tags, err := c.Tags(t.Context(), parseRef(t, host+"/demo/m"), 2)
	if want := []registry.Tag{"v1", "v2"}; err != nil || !slices.Equal(tags, want) {
		t.Errorf("Tags = %q, %v, want %q", tags, err, want)
	}
	if _, err := c.Tags(t.Context(), parseRef(t, host+"/demo/other"), 2); err == nil {
		t.Error("tags of what is not there")
	}
}
