package main

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/internal/browsertest"
)

// TestSignIn goes through the pages as somebody who has an account.
func TestSignIn(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, h *theHub, url string) {
		u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		u.must(t, "", "push", example, host+"/acme/secret:v1")
		if err := h.registry.SetVisibility(t.Context(), auth.System("acme/secret", auth.Maintain), auth.Private); err != nil {
			t.Fatal(err)
		}
		ctx := browsertest.New(t)
		do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
			t.Helper()
			if err := chromedp.Do(ctx, steps...); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		signIn := func(password, wait string) {
			t.Helper()
			do("sign in", chromedp.SetValue(chromedp.CSS("#name"), adminName), chromedp.SetValue(chromedp.CSS("#password"), password),
				chromedp.Click(chromedp.CSS(".sign-in button")), chromedp.WaitVisible(chromedp.CSS(wait)))
		}
		do("be sent to sign in", chromedp.Navigate(url+"/admin/audit?actor=ada"), chromedp.WaitVisible(chromedp.CSS(".sign-in")))
		browsertest.Screenshot(t, ctx, "sign-in")
		signIn("wrong", ".sign-in .note.bad")
		browsertest.Screenshot(t, ctx, "sign-in-wrong")
		signIn(testPassword, "#actor[value=ada]")
		do("see what is private", chromedp.Navigate(url+"/acme/secret"), chromedp.WaitVisible(chromedp.CSS("#model-head")))
		do("see where one is signed in", chromedp.Click(chromedp.CSS(".user bdi")), chromedp.WaitVisible(chromedp.CSS("tr.current")))
		browsertest.Screenshot(t, ctx, "sessions")
		do("sign out", chromedp.Click(chromedp.CSS(".user button")), chromedp.WaitVisible(chromedp.CSS(`.user a[href^="/login"]`)))
		do("sign in again", chromedp.Click(chromedp.CSS(".user a")), chromedp.WaitVisible(chromedp.CSS(".sign-in")))
		signIn(testPassword, ".user button")
		do("sign out everywhere", chromedp.Navigate(url+"/settings/sessions"), chromedp.WaitVisible(chromedp.CSS(".everywhere button")),
			chromedp.Click(chromedp.CSS(".everywhere button")), chromedp.WaitVisible(chromedp.CSS(".sign-in")))
	})
}
