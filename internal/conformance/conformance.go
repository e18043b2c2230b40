package conformance

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/carat-hub/carat/internal/toolbin"
)

const (
	// Stable and Dev are versions of the specification that the program tests for: the last release, and its main branch.
	Stable = "stable"
	Dev    = "dev"

	// Least is how many tests must have run; a registry that supports everything runs more.
	Least = 850

	patience = 10 * time.Minute
	maxOut   = 64 << 10 // how much of the program's output a failed run shows
)

// Run runs the program for the given version of the specification against the registry at registryURL, of which only
// scheme and host matter, as user. The user must be able to push to and delete in the repositories conformance/repo1 and
// conformance/repo2, which must be empty or not there. Each failed test is an error of t, and so is a run of fewer than
// Least tests.
func Run(t testing.TB, registryURL, user, password, version string) {
	t.Helper()
	suites, out, err := run(t.Context(), toolbin.Path(t, "conformance"), t.TempDir(), registryURL, user, password, version)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s := summarise(suites)
	t.Logf("conformance with version %s: %d tests ran, %d failed, %d skipped", version, s.Ran, len(s.Failed), len(s.Skipped))
	for _, name := range s.Skipped {
		t.Logf("skipped: %s", name)
	}
	for _, failure := range s.Failed {
		t.Error(failure)
	}
	if s.Ran < Least {
		t.Errorf("%d tests ran, want at least %d", s.Ran, Least)
	}
}

// run runs the program and returns its JUnit report, and what it printed.
func run(ctx context.Context, program, results, registryURL, user, password, version string) (*report, []byte, error) {
	u, err := url.Parse(registryURL)
	if err != nil {
		return nil, nil, fmt.Errorf("parse the registry's URL: %w", err)
	}
	tls := "enabled"
	if u.Scheme == "http" {
		tls = "disabled"
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program)
	cmd.Dir = results
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"OCI_REGISTRY=" + u.Host,
		"OCI_TLS=" + tls,
		"OCI_VERSION=" + version,
		"OCI_REPO1=conformance/repo1",
		"OCI_REPO2=conformance/repo2",
		"OCI_USERNAME=" + user,
		"OCI_PASSWORD=" + password,
		"OCI_RESULTS_DIR=" + results,
		"OCI_LOG=error",
		"OCI_API_BLOBS_DIGEST_HEADER=true",
		"OCI_API_BLOBS_UPLOAD_CANCEL=true",
		"OCI_API_MANIFESTS_DIGEST_HEADER=true",
		"OCI_API_MANIFESTS_TAG_PARAM=true",
	}
	out, err := cmd.CombinedOutput()
	if len(out) > maxOut {
		out = append([]byte("…\n"), out[len(out)-maxOut:]...)
	}
	// The program ends with 1 when a test failed, which the report tells better; anything else is its own trouble.
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return nil, out, fmt.Errorf("run the conformance program: %w", err)
	}
	b, err := os.ReadFile(filepath.Join(results, "junit.xml"))
	if err != nil {
		return nil, out, fmt.Errorf("read the conformance report: %w", err)
	}
	var r report
	if err := xml.Unmarshal(b, &r); err != nil {
		return nil, out, fmt.Errorf("parse the conformance report: %w", err)
	}
	return &r, out, nil
}

// report is the part of JUnit's format that the program fills. The program counts in the attributes of the whole what its
// tests asserted; a test case is a leaf of the tree of tests.
type report struct {
	Tests    int `xml:"tests,attr"`
	Skipped  int `xml:"skipped,attr"`
	Disabled int `xml:"disabled,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Suites   []struct {
		Cases []struct {
			Name   string `xml:"name,attr"`
			Status string `xml:"status,attr"`
			Why    string `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type summary struct {
	Ran     int      // tests that passed or failed
	Failed  []string // name and reason of each test that failed
	Skipped []string // name and reason of each test that did not run
}

func summarise(r *report) summary {
	s := summary{Ran: r.Tests - r.Skipped - r.Disabled}
	for _, suite := range r.Suites {
		for _, c := range suite.Cases {
			line := c.Name
			if why := strings.TrimSpace(c.Why); why != "" {
				line += ": " + why
			}
			switch c.Status {
			case "passed":
			case "skipped":
				s.Skipped = append(s.Skipped, line)
			default:
				s.Failed = append(s.Failed, line)
			}
		}
	}
	if counted := r.Failures + r.Errors; counted > len(s.Failed) {
		s.Failed = append(s.Failed, fmt.Sprintf("%d failures counted, %d named", counted, len(s.Failed)))
	}
	return s
}
