package hub_test

import (
	"strings"
	"testing"

	"github.com/carat-hub/carat/auth"
)

// Who may not do something is told so before the body or the store is looked at.
func TestOwnRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, route := range []string{
		"GET /api/v1/tokens", "POST /api/v1/tokens", "DELETE /api/v1/tokens/1", "DELETE /api/v1/sign-ins",
		"GET /api/v1/ssh-keys", "POST /api/v1/ssh-keys", "DELETE /api/v1/ssh-keys/1",
		"GET /api/v1/token-keys", "POST /api/v1/token-keys",
	} {
		method, path, _ := strings.Cut(route, " ")
		for _, tc := range []struct {
			name, authorization string
			status              int
			code                string
		}{
			{"nobody", "", 401, "UNAUTHORIZED"},
			{"a token", b.as(admin, "open/model"), 403, "DENIED"},
		} {
			if w := b.send(method, path, "{}", "Authorization", tc.authorization, "Content-Type", "application/json"); w.Code != tc.status || code(w) != tc.code {
				t.Errorf("%s with %s: %d %s", route, tc.name, w.Code, w.Body)
			}
		}
	}
}

func TestTokenKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, tc := range []struct {
		method, body, contentType string
		who                       auth.Principal
		status                    int
		code                      string
		keys                      int // in the answer
	}{
		{"GET", "", "", user, 403, "DENIED", 0},
		{"POST", "{}", "application/json", user, 403, "DENIED", 0},
		{"GET", "", "", admin, 200, "", 1},
		{"POST", "{}", "text/plain", admin, 400, "REQUEST_INVALID", 0}, // a page of another site can send this
		{"POST", `{"dorp":true}`, "application/json", admin, 400, "REQUEST_INVALID", 0},
		{"POST", "{}", "application/json", admin, 201, "", 2},
		{"POST", "{}", "application/json", admin, 409, "CONFLICT", 0},
		{"POST", `{"drop":true}`, "application/json", admin, 201, "", 1},
		{"GET", "", "", admin, 200, "", 1},
	} {
		w := b.send(tc.method, "/api/v1/token-keys", tc.body, "Authorization", basic(tc.who), "Content-Type", tc.contentType)
		if w.Code != tc.status || code(w) != tc.code || strings.Count(w.Body.String(), `"signsFrom"`) != tc.keys || strings.Contains(strings.ToLower(w.Body.String()), "seed") {
			t.Errorf("%s %s as %s: %d %s", tc.method, tc.body, tc.who.Name, w.Code, w.Body)
		}
	}
}
