package web

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestSignInPage(t *testing.T) {
	t.Parallel()
	s := setup(t, example())
	show := func(next, name, problem string) *httptest.ResponseRecorder {
		t.Helper()
		rec := httptest.NewRecorder()
		c := s.echo.NewContext(httptest.NewRequest(http.MethodGet, "/login", nil), rec)
		if err := s.handler.SignInPage(c, http.StatusUnauthorized, SignInForm{Next: next, Name: name, Problem: problem}); err != nil {
			t.Fatal(err)
		}
		return rec
	}
	rec := show("/org/model?ref=v1", "ada", "There is no account with that name and password.")
	if rec.Code != http.StatusUnauthorized || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, %v", rec.Code, rec.Header())
	}
	golden(t, "sign-in.html", assetHash.ReplaceAllString(rec.Body.String(), ".HASH.$1"))
	for _, payload := range payloads {
		for _, fault := range dangers(t, show(payload, payload, payload).Body.String()) {
			t.Errorf("%s: %s", payload, fault)
		}
	}
}

func TestSessionsPage(t *testing.T) {
	t.Parallel()
	s := setup(t, example())
	golden(t, "sessions.html", assetHash.ReplaceAllString(s.get("/settings/sessions", as, "user").Body.String(), ".HASH.$1"))
	for path, want := range map[string]int{"/settings/sessions/1/end": 303, "/settings/sessions/all/end": 303, "/settings/sessions/x/end": 404} {
		if rec := s.do(http.MethodPost, path, as, "user"); rec.Code != want {
			t.Errorf("POST %s: status %d, want %d", path, rec.Code, want)
		}
		if rec := s.do(http.MethodPost, path); rec.Code != http.StatusUnauthorized {
			t.Errorf("POST %s as nobody: status %d", path, rec.Code)
		}
	}
	slices.Sort(s.hub.ended)
	if !slices.Equal(s.hub.ended, []int64{-1, 1}) {
		t.Errorf("ended: %v", s.hub.ended)
	}
}

func TestSignInURL(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/": "/login", "/login?next=/x": "/login?next=%2Flogin%3Fnext%3D%2Fx", "/login": "/login", "/org/model?ref=v1": "/login?next=%2Forg%2Fmodel%3Fref%3Dv1",
	} {
		c := echo.New().NewContext(httptest.NewRequest(http.MethodGet, path, nil), httptest.NewRecorder())
		if got := signInURL(c); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
