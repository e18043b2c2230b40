package sqlstore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/carat-hub/carat/audit"
	"github.com/carat-hub/carat/auth"
	"github.com/carat-hub/carat/registry"
)

func scanPolicy(r row) (p registry.PolicyText, err error) {
	err = r.Scan(&p.Scope, &p.Text, &p.By, timeColumn{&p.At})
	return p, err
}

// Policies implements registry.PolicyStore.
func (s *Store) Policies(ctx context.Context) (map[registry.Name]string, error) {
	found, err := list(ctx, s.db.reader, scanPolicy, `
		SELECT p.scope, p.text, p.set_by, p.set_at FROM policies p
		WHERE p.text <> '' AND p.id = (SELECT MAX(x.id) FROM policies x WHERE x.scope = p.scope)`)
	if err != nil {
		return nil, fail("read the policies", err)
	}
	texts := make(map[registry.Name]string, len(found))
	for _, p := range found {
		texts[p.Scope] = p.Text
	}
	return texts, nil
}

// PutPolicy implements registry.PolicyStore.
func (s *Store) PutPolicy(ctx context.Context, p registry.PolicyText) error {
	return s.write(ctx, "set the policy of "+string(p.Scope), nil, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO policies (scope, text, set_by, set_at) VALUES ($1, $2, $3, $4)",
			string(p.Scope), plain(p.Text), plain(p.By), micros(p.At))
		if err != nil {
			return err
		}
		// The text itself stays in the history of policies.
		return s.record(ctx, tx, audit.Event{Action: audit.SetPolicy, Repository: string(p.Scope), Detail: map[string]string{"policy": registry.DigestOf(registry.SHA256, []byte(plain(p.Text))).String()}})
	})
}

// PolicyPrincipal implements registry.PolicyStore.
func (s *Store) PolicyPrincipal(ctx context.Context, name string) (auth.Principal, error) {
	u, err := s.User(ctx, name)
	if errors.Is(err, auth.ErrUnknownUser) {
		return auth.Principal{Name: name}, nil
	}
	return u.Principal(), err
}

// PolicyHistory implements registry.PolicyStore.
func (s *Store) PolicyHistory(ctx context.Context, scope registry.Name, limit int) ([]registry.PolicyText, error) {
	found, err := list(ctx, s.db.reader, scanPolicy, "SELECT scope, text, set_by, set_at FROM policies WHERE scope = $1 ORDER BY id DESC LIMIT $2",
		string(scope), max(limit, 0))
	return found, fail("read the policies of "+string(scope), err)
}
