package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/registry"
)

// TestStoredAssessments follows what is stored of a model while that from
// which it was made appears and changes.
func TestStoredAssessments(t *testing.T) {
	t.Parallel()
	onPairings(t, func(t *testing.T, _ *theHub, url string) {
		u, host := user{t.TempDir()}, strings.TrimPrefix(url, "http://")
		u.must(t, testPassword, "login", host, "-u", adminName, "--password-stdin")
		u.must(t, "", "push", withCard(t, "m", "---\nlicense: apache-2.0\nbase_model: acme/base\n---\n# Fine\n"), host+"/acme/fine:v1", "--wait")
		history := url + "/api/v1/models/acme/fine/versions/v1/assessments"
		list := awaitJSON(t, history, func(l *assessments) bool { return len(l.Assessments) > 0 })
		first := list.Assessments[len(list.Assessments)-1]
		if !first.Unknown || first.Errors != 0 || first.RuleSet != registry.RuleSet() || first.Input == "" || first.Expression != "Apache-2.0" {
			t.Errorf("with a base that is not here: %+v", first)
		}

		// The base appears, and then changes its terms.
		u.must(t, "", "push", withCard(t, "m", "---\nlicense: apache-2.0\n---\n# Base\n"), host+"/acme/base:latest", "--wait")
		list = awaitJSON(t, history, func(l *assessments) bool { return !l.Assessments[0].Unknown })
		if a := list.Assessments[0]; a.Terms != "open" || a.Input == first.Input {
			t.Errorf("with a base that is open: %+v", a)
		}
		u.must(t, "", "push", withCard(t, "m", "---\nlicense: cc-by-nc-4.0\n---\n# Base\n"), host+"/acme/base:latest", "--wait")
		list = awaitJSON(t, history, func(l *assessments) bool { return l.Assessments[0].Terms == "restricted" })
		if n := len(list.Assessments); n < 3 || list.Assessments[0].Errors == 0 {
			t.Errorf("the history has %d results, the newest is %+v", n, list.Assessments[0])
		}

		// Lists tell it, and select by it.
		models := awaitJSON(t, url+"/api/v1/models?q=fine", func(l *modelSummaries) bool { return l.Total == 1 && l.Models[0].Latest.Assessment != nil })
		if a := models.Models[0].Latest.Assessment; a.Errors != list.Assessments[0].Errors || a.Verified != list.Assessments[0].Verified || a.Findings != nil {
			t.Errorf("in the list: %+v", a)
		}
		awaitJSON(t, url+"/api/v1/models?q=fine&openness=7", func(l *modelSummaries) bool { return l.Total == 0 })
		page := must(send(must(http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/?q=fine", nil))(t)))(t)
		if !strings.Contains(string(page.body), "contradiction") {
			t.Errorf("the page of the list says nothing of what was found:\n%s", page.body)
		}

		// A waiver counts at once.
		before := list.Assessments[0].Errors
		var waived string
		for _, f := range list.Assessments[0].Findings {
			if f.Severity == "error" {
				waived = f.ID
			}
		}
		u.must(t, "", "license", "waive", host+"/acme/fine:v1", waived, "--reason", "Agreed.", "--expires", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
		awaitJSON(t, history, func(l *assessments) bool { return l.Assessments[0].Errors == before-1 })
	})
}

type assessments struct{ Assessments []registry.AssessmentSummary }

type modelSummaries struct {
	Models []registry.ModelSummary
	Total  int
}

// awaitJSON asks an API until what it says is as wanted.
func awaitJSON[T any](t *testing.T, url string, ok func(*T) bool) T {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		resp := must(send(must(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))(t)))(t)
		if resp.status != http.StatusOK {
			t.Fatalf("%s: status %d\n%s", url, resp.status, resp.body)
		}
		var v T
		if err := json.Unmarshal(resp.body, &v); err != nil {
			t.Fatal(err)
		}
		if ok(&v) {
			return v
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s still says\n%s", url, resp.body)
		}
	}
}
