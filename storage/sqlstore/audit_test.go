package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

// actions returns what the log says was done.
func (b bundle) actions(t *testing.T) (list []audit.Action, entries []audit.Entry) {
	t.Helper()
	_, err := b.SealAudit(t.Context())
	check(t, err)
	entries, err = b.AuditEntries(t.Context(), audit.Query{Limit: 1000})
	check(t, err)
	for _, e := range entries {
		list = append(list, e.Action)
	}
	return list, entries
}

// verified checks the log and returns its end.
func (b bundle) verified(t *testing.T) (c audit.Chain, err error) {
	err = b.VerifyAudit(t.Context(), func(line []byte) error {
		_, err := c.Add(line)
		return err
	})
	return c, err
}

func TestAuditIsPartOfTheTransaction(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := audit.WithActor(t.Context(), &audit.Actor{UserID: 7, Name: "jane", Address: "192.0.2.1", Request: "r1"})
		first, second := manifest("org/m", "one", "v1"), manifest("org/m", "two", "v1")
		check(t, b.PutManifest(ctx, first))
		check(t, b.PutManifest(ctx, first)) // changes nothing
		check(t, b.PutManifest(ctx, second))
		check(t, b.SetVisibility(ctx, "org/m", auth.Private))
		check(t, b.DeleteTag(ctx, "org/m", "v1"))
		check(t, b.DeleteManifest(ctx, "org/m", first.Manifest.Digest))
		// What fails is rolled back with its row.
		wantCode(t, b.DeleteManifest(ctx, "org/m", first.Manifest.Digest), registry.CodeManifestUnknown)
		broken := manifest("org/m", "three")
		broken.Blobs = []registry.Digest{digest("missing")}
		wantCode(t, b.PutManifest(ctx, broken), registry.CodeManifestBlobUnknown)

		got, entries := b.actions(t)
		want := []audit.Action{audit.Push, audit.MoveTag, audit.Push, audit.MoveTag, audit.SetVisibility, audit.DeleteTag, audit.DeleteManifest}
		if d := diff(want, got); d != "" {
			t.Fatalf("actions (-want +got):\n%s", d)
		}
		moved := entries[3]
		if moved.Name != "jane" || moved.UserID != 7 || moved.Address != "192.0.2.1" || moved.Request != "r1" || moved.Tag != "v1" ||
			moved.Digest != second.Manifest.Digest.String() || moved.Detail["from"] != first.Manifest.Digest.String() || !moved.At.Equal(start) {
			t.Errorf("the move of a tag: %+v", moved)
		}
		if _, err := b.verified(t); err != nil {
			t.Error(err)
		}
	})
}

func TestVerifyAuditFindsChanges(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"changed":            `UPDATE audit_log SET entry = REPLACE(entry, 'org/m2', 'org/m9') WHERE seq = 3`,
		"taken out":          `DELETE FROM audit_log WHERE seq = 3`,
		"first taken out":    `DELETE FROM audit_log WHERE seq = 1`,
		"cut off at the end": `DELETE FROM audit_log WHERE seq = 5`,
		"exchanged":          `UPDATE audit_log SET seq = CASE seq WHEN 3 THEN 1004 ELSE 1003 END WHERE seq IN (3, 4)`,
		"all taken out":      `DELETE FROM audit_log`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEngines(t, func(t *testing.T, b bundle) {
				ctx := t.Context()
				for _, n := range []string{"org/m0", "org/m1", "org/m2", "org/m3", "org/m4"} {
					check(t, b.AppendAudit(ctx, []audit.Event{{At: b.now(), Action: audit.Push, Repository: n}}))
				}
				if n, err := b.SealAudit(ctx); err != nil || n != 5 {
					t.Fatalf("sealed %d: %v", n, err)
				}
				if c, err := b.verified(t); err != nil || c.Seq != 5 {
					t.Fatalf("the whole log: %+v %v", c, err)
				}
				_, err := b.db.writer.ExecContext(ctx, statement)
				check(t, err)
				if name == "exchanged" {
					_, err = b.db.writer.ExecContext(ctx, `UPDATE audit_log SET seq = seq - 1000 WHERE seq > 1000`)
					check(t, err)
				}
				if _, err := b.verified(t); !errors.Is(err, audit.ErrBroken) {
					t.Errorf("not found: %v", err)
				}
			})
		})
	}
}

func TestAuditOfManyWriters(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		for _, err := range together(16, func(i int) error {
			n := registry.Name("org/m" + strings.Repeat("x", i))
			if err := b.PutManifest(ctx, manifest(n, "text", "v1")); err != nil {
				return err
			}
			_, err := b.SealAudit(ctx) // every node seals
			return err
		}) {
			check(t, err)
		}
		_, err := b.SealAudit(ctx)
		check(t, err)
		if c, err := b.verified(t); err != nil || c.Seq != 32 {
			t.Errorf("the log: %+v %v", c, err)
		}
	})
}

func TestAuditQueries(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		ctx := t.Context()
		for i, who := range []string{"a", "b", "a", "\x00\xff"} {
			check(t, b.AppendAudit(ctx, []audit.Event{{
				At: start.Add(time.Duration(i) * time.Second), Action: audit.SignIn, Actor: audit.Actor{Name: who}, Repository: "org/" + string(rune('a'+i)),
			}}))
		}
		_, err := b.SealAudit(ctx)
		check(t, err)
		if _, err := b.verified(t); err != nil {
			t.Error(err)
		}
		for name, tt := range map[string]struct {
			q    audit.Query
			want []int64
		}{
			"all":        {audit.Query{Limit: 10}, []int64{1, 2, 3, 4}},
			"newest":     {audit.Query{Limit: 2, Newest: true}, []int64{4, 3}},
			"before":     {audit.Query{Limit: 2, Newest: true, Before: 3}, []int64{2, 1}},
			"after":      {audit.Query{Limit: 1, After: 2}, []int64{3}},
			"actor":      {audit.Query{Limit: 10, Actor: "a"}, []int64{1, 3}},
			"action":     {audit.Query{Limit: 10, Action: audit.Push}, nil},
			"repository": {audit.Query{Limit: 10, Repository: "org/b"}, []int64{2}},
			"time":       {audit.Query{Limit: 10, Since: start.Add(time.Second), Until: start.Add(2 * time.Second)}, []int64{2}},
			"hostile":    {audit.Query{Limit: 10, Actor: "a' OR '1'='1"}, nil},
		} {
			entries, err := b.AuditEntries(ctx, tt.q)
			check(t, err)
			var got []int64
			for _, e := range entries {
				got = append(got, e.Seq)
			}
			if d := diff(tt.want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", name, d)
			}
		}
	})
}

// BenchmarkAudit pushes versions under a tag of their own, and times again what of it is for the log: two events within the transaction of
// the push, and the sealing of them behind it.
func BenchmarkAudit(b *testing.B) {
	for _, e := range engines {
		b.Run(string(e), func(b *testing.B) {
			s := setup(b, e)
			const n = "org/m"
			s.repo(b, n, auth.Public)
			ctx := audit.WithActor(b.Context(), &audit.Actor{UserID: 1, Name: "ada", Address: "192.0.2.7", Request: uuid.NewString()})
			errUndo := errors.New("undo")
			var push, events, seal time.Duration
			for i := 0; b.Loop(); i++ {
				w := model(n, fmt.Sprint(i), registry.Tag(fmt.Sprint("v", i)))
				begun := time.Now()
				check(b, s.PutManifest(ctx, w))
				push += time.Since(begun)
				if i%100 == 99 { // a busy hub seals once a second what there is
					begun = time.Now()
					_, err := s.SealAudit(ctx)
					check(b, err)
					seal += time.Since(begun)
				}
				err := s.write(ctx, "nothing", nil, func(tx *sql.Tx) error {
					begun := time.Now()
					if err := s.recordPush(ctx, tx, w, []movedTag{{tag: w.Tags[0]}}, true); err != nil {
						return err
					}
					events += time.Since(begun)
					return errUndo
				})
				if !errors.Is(err, errUndo) {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(push.Microseconds())/float64(b.N), "µs/push")
			b.ReportMetric(float64(events)/float64(push), "events/push")
			b.ReportMetric(float64(seal)/float64(push), "sealing/push")
		})
	}
}
