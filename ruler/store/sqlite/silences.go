package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"nocturne/ruler/store"
)

const silenceColumns = `s.id, s.kind, s.notification, s.matchers, s.starts, s.ends, s.reason, s.sets, s.actor, s.via, s.created, s.lifted, s.lifted_by, s.lift_reason`

func scanSilence(rows *sql.Rows, more ...any) (store.Silence, error) {
	var v store.Silence
	var matchers string
	var starts, ends, created, lifted int64
	err := rows.Scan(append([]any{&v.ID, &v.Kind, &v.Notification, &matchers, &starts, &ends, &v.Reason, &v.Sets, &v.Actor, &v.Via, &created, &lifted, &v.LiftedBy, &v.LiftReason}, more...)...)
	if err != nil {
		return v, err
	}
	v.Starts, v.Ends, v.Created, v.Lifted = moment(starts), moment(ends), moment(created), moment(lifted)
	return v, fromJSON(matchers, &v.Matchers)
}

func scanSilences(ctx context.Context, q querier, rest string, args ...any) ([]store.Silence, error) {
	out := []store.Silence{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		v, err := scanSilence(rows)
		out = append(out, v)
		return err
	}, "SELECT "+silenceColumns+" FROM silences s "+rest, args...)
	if err != nil {
		return nil, err
	}
	for i := range out {
		err := each(ctx, q, func(rows *sql.Rows) error {
			t := store.SilenceTarget{Silence: out[i].ID}
			var at int64
			err := rows.Scan(&t.Target, &at, &t.Error)
			t.At = moment(at)
			out[i].Targets = append(out[i].Targets, t)
			return err
		}, "SELECT target, at, error FROM silence_targets WHERE silence = ? ORDER BY target", out[i].ID)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// AddSilence implements store.DeskStore.
func (s *Store) AddSilence(ctx context.Context, v store.Silence, e store.AuditEntry) error {
	return s.update(ctx, "add silence", func(w *writer) {
		w.silence(&v)
		w.audit(&e)
	})
}

// LiftSilence implements store.DeskStore.
func (s *Store) LiftSilence(ctx context.Context, id string, e store.AuditEntry) (store.Silence, error) {
	var v store.Silence
	err := s.update(ctx, "lift silence", func(w *writer) {
		found, err := scanSilences(ctx, w.tx, "WHERE s.id = ?", id)
		switch {
		case err != nil:
			w.err = err
			return
		case len(found) == 0:
			w.err = fmt.Errorf("silence %.40q: %w", id, store.ErrNotFound)
			return
		}
		v = found[0]
		if !v.Lifted.IsZero() || !v.Ends.IsZero() && !e.At.Before(v.Ends) {
			w.err = &store.ConflictError{Detail: "it is over already"}
			return
		}
		v.Lifted, v.LiftedBy = e.At, e.Actor
		w.lift(&v, e.Actor, e.Via, "", e.At)
		w.audit(&e)
	})
	return v, err
}

// LiftSilences implements store.DeskStore.
func (s *Store) LiftSilences(ctx context.Context, ls []store.Lift, at time.Time) error {
	if len(ls) == 0 {
		return nil
	}
	return s.update(ctx, "lift silences", func(w *writer) {
		for _, l := range ls {
			found, err := scanSilences(ctx, w.tx, "WHERE s.id = ? AND s.lifted = 0", l.ID)
			if err != nil {
				w.err = err
				return
			}
			for i := range found {
				w.lift(&found[i], ruler, "", l.Reason, at)
			}
		}
	})
}

// lift ends a silence, and the acknowledgement that it was made for.
func (w *writer) lift(v *store.Silence, actor, via, reason string, at time.Time) {
	w.run("UPDATE silences SET lifted = ?, lifted_by = ?, lift_reason = ? WHERE id = ?", unix(at), actor, reason, v.ID)
	kind := store.Unsilence
	switch v.Kind {
	case store.SilenceMaintenance:
		return
	case store.SilenceAck:
		kind = store.Unacknowledge
		w.run("UPDATE desk SET acked = 0, acked_by = '', revision = revision + 1 WHERE notification = ?", v.Notification)
	default:
		w.run("UPDATE desk SET revision = revision + 1 WHERE notification = ?", v.Notification)
	}
	w.remember(v.Notification, store.DeskEntry{At: at, Actor: actor, Via: via, Kind: kind, Text: reason})
}

// Silences implements store.DeskStore.
func (s *Store) Silences(ctx context.Context, q store.SilenceQuery) ([]store.Silence, error) {
	var f filter
	f.equal("s.kind", q.Kind)
	if !q.Standing.IsZero() {
		f.add("s.lifted = 0 AND (s.ends = 0 OR s.ends > ?)", unix(q.Standing))
	}
	out, err := scanSilences(ctx, s.read, f.String()+" ORDER BY s.created DESC, s.id LIMIT ?", append(f.args, clamp(q.Limit, 1000))...)
	if err != nil {
		return nil, fmt.Errorf("list silences: %w", err)
	}
	return out, nil
}

// StandingSilences implements store.DeskStore.
func (s *Store) StandingSilences(ctx context.Context, at time.Time) ([]store.StandingSilence, error) {
	var out []store.StandingSilence
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var v store.StandingSilence
		var err error
		v.Silence, err = scanSilence(rows, &v.State, &v.Saved)
		out = append(out, v)
		return err
	}, "SELECT "+silenceColumns+`, coalesce(n.state, ''), coalesce(n.saved, x'') FROM silences s LEFT JOIN notifications n ON n.id = s.notification
		WHERE s.lifted = 0 AND (s.ends = 0 OR s.ends > ?) ORDER BY s.id`, unix(at))
	if err != nil {
		return nil, fmt.Errorf("read standing silences: %w", err)
	}
	return out, nil
}

// RecordSilences implements store.DeskStore.
func (s *Store) RecordSilences(ctx context.Context, ts []store.SilenceTarget) error {
	if len(ts) == 0 {
		return nil
	}
	return s.update(ctx, "record silences", func(w *writer) {
		for _, t := range ts {
			w.run("INSERT INTO silence_targets (silence, target, at, error) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at, error = excluded.error",
				t.Silence, t.Target, unix(t.At), t.Error)
		}
	})
}
