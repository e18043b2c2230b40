package sqlstore

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/migrations"
)

func newKeys(t *testing.T, b bundle) *auth.Keys {
	t.Helper()
	k, err := auth.NewKeys(t.Context(), auth.KeyOptions{Store: b.Store, Clock: b.clock.now})
	check(t, err)
	return k
}

func TestTokenKeys(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, b bundle) {
		// Nodes that start together agree on the first key.
		nodes := make([]*auth.Keys, 4)
		var wg sync.WaitGroup
		for i := range nodes {
			wg.Go(func() {
				nodes[i], _ = auth.NewKeys(context.WithoutCancel(t.Context()), auth.KeyOptions{Store: b.Store, Clock: b.clock.now})
			})
		}
		wg.Wait()
		first := newKeys(t, b).List()[0]
		for i, n := range nodes {
			if n == nil {
				t.Fatalf("node %d has no keys", i)
			}
			if got := n.List(); len(got) != 1 || got[0].ID != first.ID {
				t.Fatalf("node %d has %+v, not %s", i, got, first.ID)
			}
		}
		// And on the next, when its time has come for all of them at once.
		b.clock.advance(31 * 24 * time.Hour)
		for i := range nodes {
			wg.Go(func() { check(t, nodes[i].Refresh(context.WithoutCancel(t.Context()))) })
		}
		wg.Wait()
		check(t, nodes[0].Refresh(t.Context()))
		list := nodes[0].List()
		if len(list) != 2 || list[0].Signs || !list[1].Signs || list[1].ID != first.ID || list[1].EndsAt.IsZero() {
			t.Fatalf("after the rotation: %+v", list)
		}
		for i, n := range nodes {
			check(t, n.Refresh(t.Context()))
			if got := n.List(); len(got) != 2 || got[0].ID != list[0].ID {
				t.Errorf("node %d has %+v", i, got)
			}
		}
		b.clock.advance(2 * time.Hour)
		check(t, nodes[0].Refresh(t.Context()))
		if stored, err := b.TokenKeys(t.Context()); err != nil || len(stored) != 1 || stored[0].Serial != 2 {
			t.Errorf("keys left: %+v, %v", stored, err)
		}
		// Two nodes that rotate by command at the same time make one key each,
		// or one of them is told that another does.
		for i := range nodes {
			wg.Go(func() { _ = nodes[i].Drop(context.WithoutCancel(t.Context())) })
		}
		wg.Wait()
		check(t, nodes[0].Refresh(t.Context()))
		if list := nodes[0].List(); len(list) != 1 || !list[0].Signs {
			t.Errorf("after dropping: %+v", list)
		}
		// Who comes late with a serial that is gone adds nothing.
		if added, err := b.AddTokenKey(t.Context(), auth.Key{Serial: 1, Seed: auth.NewSeed()}, b.clock.now()); added || err != nil {
			t.Errorf("added %t, %v", added, err)
		}
	})
}

// The seed that hubs had before there were several keys signs on.
func TestTokenSeedIsKept(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(string(e), func(t *testing.T) {
			t.Parallel()
			url := newURL(t, e)
			steps, err := migrations.Load(string(e))
			check(t, err)
			before := 0
			for steps[before].Name != "token_keys" {
				before++
			}
			seed := bytes.Repeat([]byte{7}, auth.SeedLen)
			db := openAt(t, url, steps[:before])
			_, err = db.writer.ExecContext(t.Context(), "INSERT INTO secrets (name, value, created_at) VALUES ('token-seed', $1, 1), ('other', $1, 1)", seed)
			check(t, err)
			check(t, migrateTo(t.Context(), db, steps))
			keys, err := New(db, Options{}).TokenKeys(t.Context())
			check(t, err)
			if len(keys) != 1 || !bytes.Equal(keys[0].Seed, seed) || time.Since(keys[0].SignsFrom).Abs() > time.Hour || !keys[0].EndsAt.IsZero() {
				t.Errorf("keys %+v", keys)
			}
			var left int
			check(t, db.reader.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM secrets").Scan(&left))
			if left != 1 {
				t.Errorf("%d secrets are left", left)
			}
		})
	}
}

// openAt opens a database with only the first steps of the schema.
func openAt(t *testing.T, url string, steps []migrations.Migration) *DB {
	t.Helper()
	db, err := openPostgres(t.Context(), url, OpenOptions{Unsafe: true})
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		db, err = openSQLite(t.Context(), path, OpenOptions{})
	}
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	check(t, migrateTo(t.Context(), db, steps))
	return db
}
