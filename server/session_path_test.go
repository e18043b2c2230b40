package server

import "testing"

func TestLocalPath(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"/", "/org/model", "/org/model/files?ref=v1", "/?q=a"} {
		if got := localPath(p); got != p {
			t.Errorf("%q became %q", p, got)
		}
	}
	for _, p := range []string{
		"", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "javascript:alert(1)", "evil.example", "/\t/evil.example",
		"\t//evil.example", " //evil.example", "/\n/evil.example", "/\r\nSet-Cookie: a=b", "/\u00a0", "?next=/", "data:text/html,x", "/\x00",
	} {
		if got := localPath(p); got != "/" {
			t.Errorf("%q became %q", p, got)
		}
	}
}
