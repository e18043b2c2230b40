package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/carat-hub/carat/internal/browsertest"
)

// TestTermsInBrowser fills the form of a gated model in, with a field of each
// kind, and again when the terms have become tighter.
func TestTermsInBrowser(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		admin, jane, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		admin.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		admin.must(t, userPassword, "user", "add", host, "jane", "--password-stdin")
		jane.must(t, userPassword, "login", host, "-u", "jane", "--password-stdin")
		const gated = `extra_gated_heading: "Read this first"
extra_gated_prompt: "Tell us who you are."
extra_gated_button_content: "I have read it"
extra_gated_fields:
  Company: text
  Country: country
  Since: date_picker
  Address: ip_location
  Use: {type: select, options: [Research, Product]}
  I promise: checkbox
`
		push := func(license, tag string) {
			t.Helper()
			admin.must(t, "", "push", withCard(t, "m", "---\nlicense: "+license+"\npipeline_tag: text-generation\n"+gated+"---\n# Gated\n"), host+"/acme/gated:"+tag, "--wait")
		}
		push("apache-2.0", "v1")
		admin.must(t, "", "terms", "gate", host+"/acme", "auto")
		pull := func(code int, want, tag string) {
			t.Helper()
			jane.expect(t, code, want, "pull", host+"/acme/gated:"+tag, "-o", filepath.Join(t.TempDir(), "m"))
		}
		pull(1, "/acme/gated/terms", "v1")

		ctx := browsertest.New(t)
		do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
			t.Helper()
			if err := chromedp.Do(ctx, steps...); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		field := func(name string) chromedp.CSS { return chromedp.CSS(`[name="field.` + name + `"]`) }
		fill := func() {
			t.Helper()
			do("fill the form in", chromedp.SetValue(field("Company"), "Acme & Söhne"), chromedp.SetValue(field("Country"), "FR"), chromedp.SetValue(field("Since"), "2026-11-27"),
				chromedp.SetValue(field("Use"), "Research"), chromedp.Click(field("I promise")))
		}
		do("be asked to sign in", chromedp.Navigate(url+"/acme/gated/terms?ref=v1"), chromedp.WaitVisible(chromedp.CSS(`.consent a[href^="/login"]`)), chromedp.Click(chromedp.CSS(`.consent a[href^="/login"]`)))
		do("sign in", chromedp.WaitVisible(chromedp.CSS("#password")), chromedp.SetValue(chromedp.CSS("#name"), "jane"), chromedp.SetValue(chromedp.CSS("#password"), userPassword), chromedp.Click(chromedp.CSS(".sign-in button")))
		do("see the form", chromedp.WaitVisible(field("Company")))
		browsertest.Screenshot(t, ctx, "terms-form")
		fill()
		do("accept", chromedp.Click(chromedp.CSS(".consent form button")), chromedp.WaitVisible(chromedp.CSS(`.consent a[href$="/receipt"]`)))
		browsertest.Screenshot(t, ctx, "terms-accepted")
		pull(0, "", "v1")

		push("cc-by-nc-4.0", "v2")
		pull(1, "/acme/gated/terms", "v2")
		do("be asked again", chromedp.Navigate(url+"/acme/gated/terms?ref=v2"), chromedp.WaitVisible(field("Company")))
		fill()
		do("accept the tighter terms", chromedp.Click(chromedp.CSS(".consent form button")), chromedp.WaitVisible(chromedp.CSS(`.consent a[href$="/receipt"]`)))
		pull(0, "", "v2")
	})
}
