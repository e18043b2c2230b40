package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// teapotTerms are the words of a licence that the catalogue names and of which no text is known.
const teapotTerms = `Whoever receives this model may pour it, warm it up and hand it on to anybody, in whole or in part, as long as each cup
comes with these words. Nobody may pour it on a book. The model comes as it is.
`

// TestLicenseText has an administrator confirm a text and finds it in another model.
func TestLicenseText(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, stranger, host := user{t.TempDir()}, user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		push := func(name, text string) {
			t.Helper()
			dir := withCard(t, name, "---\nlicense: apple-ascl\n---\n# "+name+"\n")
			write(t, filepath.Join(dir, "LICENSE"), []byte(text))
			u.must(t, "", "push", dir, host+"/acme/"+name+":v1", "--wait")
		}
		push("first", teapotTerms)
		push("second", strings.ReplaceAll(teapotTerms, " ", "\n"))
		push("twisted", strings.Replace(teapotTerms, "Nobody may", "You may", 1))
		first, second, twisted := host+"/acme/first:v1", host+"/acme/second:v1", host+"/acme/twisted:v1"
		history := url + "/api/v1/models/acme/second/versions/v1/assessments"
		count := func(want int) {
			t.Helper()
			awaitJSON(t, history, func(l *assessments) bool { return len(l.Assessments) == want })
		}
		stranger.expect(t, 0, "It is no licence that is known", "license", "text", "read", second)
		count(1)

		confirm := []string{"license", "text", "confirm", first, "--license", "apple-ascl", "--reason", "As the vendor published it."}
		stranger.expect(t, 1, "log in as an administrator", confirm...)
		u.expect(t, 2, "--license is required", "license", "text", "confirm", first)
		u.expect(t, 1, "the catalogue has no licence", "license", "text", "confirm", first, "--license", "teapot-1.0", "--reason", "r")
		u.expect(t, 0, "is LicenseRef-Apple-Sample-Code from now on", confirm...)
		stranger.expect(t, 0, "by a text that an administrator of the hub confirmed", "license", "text", "read", second)
		stranger.expect(t, 0, "[-nobody-] {+you+}", "license", "text", "read", twisted)
		count(2) // assessed anew
		page := must(send(must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/acme/twisted/license?ref=v1", nil))(t)))(t)
		if !strings.Contains(string(page.body), "<del>nobody</del> <ins>you</ins>") {
			t.Errorf("the page does not show the difference:\n%s", page.body)
		}

		stranger.expect(t, 1, "log in as an administrator", "license", "text", "list", host)
		list := u.must(t, "", "license", "text", "list", host)
		digest, _, _ := strings.Cut(strings.Split(list, "\n")[1], " ")
		if !strings.Contains(list, "As the vendor published it.") || !strings.HasPrefix(digest, "sha256:") {
			t.Fatalf("list:\n%s", list)
		}
		u.expect(t, 0, "Nobody may pour it on a book", "license", "text", "show", host, digest)
		u.must(t, "", "license", "text", "forget", host, digest)
		stranger.expect(t, 0, "It is no licence that is known", "license", "text", "read", second)
		u.expect(t, 1, "confirmed", "license", "text", "forget", host, digest)
	})
}

// TestTwistedText tells what makes a text another licence than it looks like.
func TestTwistedText(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "LICENSE")
	text := string(read(t, "../../LICENSE"))
	write(t, file, []byte(strings.Replace(text, "You may reproduce", "You may not reproduce", 1)))
	user{t.TempDir()}.expect(t, 0, "{+not+}", "license", "show", file)
	write(t, file, []byte(text))
	user{t.TempDir()}.expect(t, 0, "It is Apache-2.0", "license", "show", file)
}
