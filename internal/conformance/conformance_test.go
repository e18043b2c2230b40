package conformance

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/carat-hub/carat/internal/toolbin"
)

func TestSummarise(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, xml string
		want      summary
	}{
		{
			"all kinds",
			`<testsuites tests="9" errors="1" failures="1" skipped="2" disabled="1"><testsuite>
			<testcase name="T/a" status="passed"><system-err>GET /v2/</system-err></testcase>
			<testcase name="T/b" status="skipped"><system-out>unsupported</system-out></testcase>
			<testcase name="T/c" status="failure"><system-out>status 500
			</system-out></testcase>
			<testcase name="T/d" status="error"></testcase>
			</testsuite></testsuites>`,
			summary{Ran: 6, Failed: []string{"T/c: status 500", "T/d"}, Skipped: []string{"T/b: unsupported"}},
		},
		{
			"failure without a name",
			`<testsuites tests="3" failures="2"><testsuite><testcase name="T/a" status="failure"/></testsuite></testsuites>`,
			summary{Ran: 3, Failed: []string{"T/a", "2 failures counted, 1 named"}},
		},
		{"empty", `<testsuites/>`, summary{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var r report
			if err := xml.Unmarshal([]byte(tc.xml), &r); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, summarise(&r)); diff != "" {
				t.Errorf("summary (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRunAgainstNothing runs the real program against a server that is no registry: nearly every test must fail, and the
// report must name them.
func TestRunAgainstNothing(t *testing.T) {
	t.Parallel()
	var authorized bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "admin" || password != "secret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		authorized = true
		w.WriteHeader(http.StatusNotFound)
	}))
	defer server.Close()
	r, out, err := run(t.Context(), toolbin.Path(t, "conformance"), t.TempDir(), server.URL, "admin", "secret", Stable)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := summarise(r)
	if len(s.Failed) < 100 || s.Ran < len(s.Failed) {
		t.Errorf("%d tests ran, %d failed, want more than 100 failures", s.Ran, len(s.Failed))
	}
	if !strings.Contains(strings.Join(s.Failed, "\n"), "OCI Conformance Test/") {
		t.Errorf("failures without the names of tests: %.500v", s.Failed)
	}
	if !authorized {
		t.Error("the program did not use its credentials")
	}
}

func TestRunWithoutProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, _, err := run(t.Context(), dir+"/none", dir, "http://127.0.0.1:1", "", "", Stable); err == nil {
		t.Error("run = nil error without a program")
	}
}
