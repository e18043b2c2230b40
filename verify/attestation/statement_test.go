package attestation

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	intoto "github.com/in-toto/attestation/go/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/carat-hub/carat/registry"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/check"
	"github.com/carat-hub/carat/verify/sandbox"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	made     = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	manifest = registry.DigestOf(registry.SHA256, []byte("manifest"))
)

// sample is a report with every field set.
func sample() *verify.Report {
	file := func(path, content string) verify.VerifiedFile {
		return verify.VerifiedFile{Path: path, Size: int64(len(content)), Digest: registry.DigestOf(registry.SHA256, []byte(content))}
	}
	return &verify.Report{
		Version: verify.ReportVersion, CheckSet: 1, Level: verify.LevelStandard, Subject: &manifest, State: verify.StatePassed, Summary: "2 checks passed, 1 skipped",
		Results: []verify.Result{
			{ID: "structure.headers", Proves: "The headers are sound.", Outcome: verify.OutcomePassed, Evidence: json.RawMessage(`{"tensors":38,"Size":1,"bytes":5771776}`), Seconds: 0.001},
			{ID: "tensors.values", File: "a <b>.gguf", Proves: "No weight is NaN.", Outcome: verify.OutcomeWarned, Reason: "an odd value", Evidence: json.RawMessage(`{"max":1.391}`), Seconds: 1.5},
			{ID: "run.perplexity", Proves: "It predicts text.", Outcome: verify.OutcomeSkipped, Reason: "it does not generate", Seconds: 0},
		},
		Files:     []verify.VerifiedFile{file("a <b>.gguf", "weights"), file("onnx/README.md", "words")},
		StartedAt: made.Add(-2 * time.Second), FinishedAt: made,
		Verifier: verify.Verifier{Name: "carat", Version: "v1.2.3", Platform: "linux/amd64"},
		Sandbox:  &sandbox.Level{Layers: sandbox.Default, Landlock: 7},
		Spent:    &verify.Spent{Memory: 1 << 30, CPUSeconds: 2.5},
	}
}

func encode(t *testing.T, r *verify.Report) []byte {
	t.Helper()
	p, err := encodeStatement(registry.MediaTypeOCIManifest, r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// example is the report of verifyExample, made once for all tests.
var example = sync.OnceValue(verifyExample)

// verifyExample verifies the example model as if a hub had it.
func verifyExample() *verify.Report {
	files, err := verify.OpenPath("../../examples/tiny-llama")
	if err != nil {
		panic(err)
	}
	defer files.Close()
	return check.Verify(context.Background(), files, verify.RunOptions{Subject: &manifest, Version: "v1.2.3"})
}

func TestStatementGolden(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := json.Indent(&got, encode(t, sample()), "", "  "); err != nil {
		t.Fatal(err)
	}
	got.WriteByte('\n')
	golden := filepath.Join("testdata", "statement.json")
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestStatementForOthers reads a statement with the framework's own library.
func TestStatementForOthers(t *testing.T) {
	t.Parallel()
	var s intoto.Statement
	if err := protojson.Unmarshal(encode(t, example()), &s); err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(); err != nil {
		t.Error(err)
	}
	if s.GetType() != intoto.StatementTypeUri || len(s.GetSubject()) < 9 || s.GetSubject()[0].GetDigest()["sha256"] != manifest.Hex() {
		t.Errorf("statement of type %s about %v", s.GetType(), s.GetSubject())
	}
}

// TestStatementIsDeterministic: two verifications of the same files differ in
// nothing but times.
func TestStatementIsDeterministic(t *testing.T) {
	t.Parallel()
	times := regexp.MustCompile(`"(startedAt|finishedAt)":"[^"]+"|"(seconds|cpuSeconds|memory)":[0-9.e-]+|"(measured)":{[^}]*}`)
	timeless := func(r *verify.Report) string { return times.ReplaceAllString(string(encode(t, r)), `"$1$2$3":0`) }
	if diff := cmp.Diff(timeless(example()), timeless(verifyExample())); diff != "" {
		t.Errorf("two verifications (-first +second):\n%s", diff)
	}
	if !bytes.Equal(encode(t, sample()), encode(t, sample())) {
		t.Error("one report gave two statements")
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile("../../docs/verification-v1.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	validate := func(r *verify.Report) error {
		t.Helper()
		p, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(doc)
	}
	for name, r := range map[string]*verify.Report{
		"sample": sample(), "example": example(), "error": verify.ErrorReport(manifest, made, "no connection"),
	} {
		if err := validate(r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(*verify.Report){
		"state":   func(r *verify.Report) { r.State = verify.StateRunning },
		"outcome": func(r *verify.Report) { r.Results[0].Outcome = "fine" },
		"reason":  func(r *verify.Report) { r.Results[1].Reason = "" },
		"subject": func(r *verify.Report) { r.Subject = nil },
		"version": func(r *verify.Report) { r.Version = 2 },
		"path":    func(r *verify.Report) { r.Files[0].Path = "" },
	} {
		r := sample()
		if spoil(r); validate(r) == nil {
			t.Errorf("%s: the schema takes what no report is", name)
		}
	}
}
