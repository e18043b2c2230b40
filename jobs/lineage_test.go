package jobs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/carat-hub/carat/inference"
	"github.com/carat-hub/carat/jobs"
	"github.com/carat-hub/carat/registry"
	blobfs "github.com/carat-hub/carat/storage/fs"
	"github.com/carat-hub/carat/storage/sqlstore"
	"github.com/carat-hub/carat/verify"
	"github.com/carat-hub/carat/verify/attestation"
	"github.com/carat-hub/carat/verify/check"
)

// TestPushShowsDescent goes the whole way for three models of one family: the base, a quantization that names it, and one that
// does not.
func TestPushShowsDescent(t *testing.T) {
	t.Parallel()
	const example = "../examples/tiny-llama"
	whole, err := inference.OpenPath(example)
	if err != nil {
		t.Fatal(err)
	}
	quantized := func(typ string) []byte {
		var out bytes.Buffer
		if err := inference.Quantize(t.Context(), whole, &out, inference.QuantizeOptions{Type: typ}); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	q8, f16 := quantized("q8_0"), quantized("f16")
	engines(t, func(t *testing.T, url string) {
		db := openDB(t, url)
		q := newQueue(t, options(db))
		store := sqlstore.New(db, sqlstore.Options{Outbox: q})
		blobs, err := blobfs.New(blobfs.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		r := registry.New(registry.Options{Blobs: blobs, Store: store})
		signer, err := attestation.NewSigner(t.Context(), store)
		if err != nil {
			t.Fatal(err)
		}
		service := verify.NewService(verify.ServiceOptions{
			Versions: r, Publisher: r, Attester: signer, Store: store, Fingerprints: store, Checks: check.InProcess{}, Source: verify.Source{Blobs: r},
		})
		start(t, q, jobs.Services{Worker: service, Backlog: store, Store: store, Collector: store, Blobs: blobs})

		base := push(t, r, "org/base", os.DirFS(example))
		wantResult(t, store, r, "org/base", base, verify.LineageSearch, verify.OutcomePassed, "")

		card := []byte("---\nbase_model: Org/Base\nbase_model_relation: quantized\n---\n# Small\n")
		small := push(t, r, "org/small", fstest.MapFS{"README.md": {Data: card}, "model.gguf": {Data: q8}})
		report := wantResult(t, store, r, "org/small", small, "lineage.base", verify.OutcomePassed, "")
		if e := evidence(report, "lineage.base"); !bytes.Contains(e, []byte(`"confirmed"`)) || !bytes.Contains(e, []byte(base.String())) {
			t.Errorf("evidence %s", e)
		}
		wantResult(t, store, r, "org/small", small, verify.LineageSearch, verify.OutcomePassed, "")

		silent := push(t, r, "other/copy", fstest.MapFS{"model.gguf": {Data: f16}})
		wantResult(t, store, r, "other/copy", silent, verify.LineageSearch, verify.OutcomeWarned,
			"the weights are close to those of models that are not named as relatives: org/base (similarity 1.00), org/small (similarity 1.00)")
	})
}

// wantResult waits for a report that passed and looks at one result.
func wantResult(t *testing.T, store *sqlstore.Store, r *registry.Registry, n registry.Name, d registry.Digest, id string, o verify.Outcome, reason string) *verify.Report {
	t.Helper()
	v, _ := awaitReport(t, store, r, n, d)
	if v.State != verify.StatePassed {
		t.Fatalf("%s: %s %s", n, v.State, v.Report.Summary)
	}
	i := slices.IndexFunc(v.Report.Results, func(x verify.Result) bool { return x.ID == id })
	if i < 0 {
		t.Fatalf("%s: no result of %s", n, id)
	}
	if got := v.Report.Results[i]; got.Outcome != o || got.Reason != reason {
		t.Errorf("%s: %s is %s: %s", n, id, got.Outcome, got.Reason)
	}
	return v.Report
}

func evidence(r *verify.Report, id string) json.RawMessage {
	i := slices.IndexFunc(r.Results, func(x verify.Result) bool { return x.ID == id })
	return r.Results[i].Evidence
}
