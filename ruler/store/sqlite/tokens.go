package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"nocturne/ruler/store"
)

const tokenColumns = "id, name, kind, role, hash, created_by, created, expires, used, revoked, revoked_by"

func scanTokens(ctx context.Context, q querier, query string, args ...any) ([]store.Token, error) {
	out := []store.Token{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var t store.Token
		var hash []byte
		var created, expires, used, revoked int64
		err := rows.Scan(&t.ID, &t.Name, &t.Kind, &t.Role, &hash, &t.CreatedBy, &created, &expires, &used, &revoked, &t.RevokedBy)
		copy(t.Hash[:], hash)
		t.Created, t.Expires, t.Used, t.Revoked = moment(created), moment(expires), moment(used), moment(revoked)
		out = append(out, t)
		return err
	}, "SELECT "+tokenColumns+" FROM tokens "+query, args...)
	return out, err
}

// AddToken implements store.TokenStore.
func (s *Store) AddToken(ctx context.Context, t store.Token, e store.AuditEntry) error {
	return s.update(ctx, "add token", func(w *writer) {
		taken, err := scanTokens(ctx, w.tx, "WHERE name = ? AND revoked = 0", t.Name)
		switch {
		case err != nil:
			w.err = err
		case len(taken) > 0:
			w.err = fmt.Errorf("the name %.80q is taken: %w", t.Name, store.ErrConflict)
		default:
			w.run(`INSERT INTO tokens (id, name, kind, role, hash, created_by, created, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
				t.ID, t.Name, t.Kind, t.Role, t.Hash[:], t.CreatedBy, unix(t.Created), unix(t.Expires))
			w.audit(&e)
		}
	})
}

// RevokeToken implements store.TokenStore.
func (s *Store) RevokeToken(ctx context.Context, id string, e store.AuditEntry) (store.Token, error) {
	var t store.Token
	err := s.update(ctx, "revoke token", func(w *writer) {
		t, w.err = oneToken(ctx, w.tx, "WHERE id = ?", id)
		if w.err == nil && !t.Revoked.IsZero() {
			w.err = fmt.Errorf("token %.40q is revoked: %w", id, store.ErrConflict)
		}
		t.Revoked, t.RevokedBy = e.At, e.Actor
		w.run("UPDATE tokens SET revoked = ?, revoked_by = ? WHERE id = ?", unix(e.At), e.Actor, id)
		w.audit(&e)
	})
	return t, err
}

// TokenUsed implements store.TokenStore.
func (s *Store) TokenUsed(ctx context.Context, id string, at time.Time) error {
	return s.update(ctx, "note use of token", func(w *writer) {
		w.run("UPDATE tokens SET used = max(used, ?) WHERE id = ?", unix(at), id)
	})
}

// Tokens implements store.TokenStore.
func (s *Store) Tokens(ctx context.Context) ([]store.Token, error) {
	out, err := scanTokens(ctx, s.read, "ORDER BY created DESC, id")
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return out, nil
}

// TokenByHash implements store.TokenStore.
func (s *Store) TokenByHash(ctx context.Context, h [32]byte) (store.Token, error) {
	t, err := oneToken(ctx, s.read, "WHERE hash = ?", h[:])
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return t, fmt.Errorf("find token: %w", err)
	}
	return t, err
}

func oneToken(ctx context.Context, q querier, query string, args ...any) (store.Token, error) {
	found, err := scanTokens(ctx, q, query, args...)
	if err != nil {
		return store.Token{}, err
	}
	if len(found) == 0 {
		return store.Token{}, fmt.Errorf("token: %w", store.ErrNotFound)
	}
	return found[0], nil
}

// run executes a statement that is too rare to be prepared.
func (w *writer) run(query string, args ...any) int64 {
	if w.err != nil {
		return 0
	}
	res, err := w.tx.ExecContext(w.ctx, query, args...)
	if err != nil {
		w.err = err
		return 0
	}
	n, err := res.RowsAffected()
	if err != nil {
		w.err = err
	}
	w.rows += n
	return n
}
