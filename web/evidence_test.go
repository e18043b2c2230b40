package web

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEvidenceText(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"lists of numbers": {`{"ids":[1,2,3],"n":4}`, "{\n  \"ids\": [1, 2, 3],\n  \"n\": 4\n}"},
		"objects":          {`{"top":[{"id":1},{"id":2}]}`, "{\n  \"top\": [{\"id\": 1}, {\"id\": 2}]\n}"},
		"brackets in text": {`{"a":"[","b":["{"],"c":{"d":"}"}}`, "{\n  \"a\": \"[\",\n  \"b\": [\"{\"],\n  \"c\": {\"d\": \"}\"}\n}"},
		"escapes":          {`{"a":"\u003cb\u003e \u0026 \\u003c"}`, "{\n  \"a\": \"<b> & \\\\u003c\"\n}"},
		"empty":            {`{"a":[],"b":{}}`, "{\n  \"a\": [],\n  \"b\": {}\n}"},
		"no JSON":          {`{"a":`, `{"a":`},
	}
	for name, tt := range tests {
		if got := evidenceText(json.RawMessage(tt.in)); got != tt.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tt.want)
		}
	}
	long := `{"list":[` + strings.Repeat(`"some words",`, 20) + `{"a":1}]}`
	got := evidenceText(json.RawMessage(long))
	if strings.Count(got, "\n") != 24 || !strings.Contains(got, "    {\"a\": 1}\n") {
		t.Errorf("a long list:\n%s", got)
	}
	var a, b any
	if json.Unmarshal([]byte(got), &a) != nil || json.Unmarshal([]byte(long), &b) != nil || len(got) == 0 {
		t.Errorf("it is no JSON any more: %s", got)
	}
}
