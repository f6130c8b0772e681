package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nocturne/ruler/store"
)

// ruler is who does what no person did.
const ruler = "ruler"

const workColumns = "notification, revision, acked, acked_by, assignee, comments"

func scanWorks(ctx context.Context, q querier, query string, args ...any) (map[string]store.Work, error) {
	out := map[string]store.Work{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		var id string
		var w store.Work
		var acked int64
		err := rows.Scan(&id, &w.Revision, &acked, &w.AckedBy, &w.Assignee, &w.Comments)
		w.Acked = moment(acked)
		out[id] = w
		return err
	}, "SELECT "+workColumns+" FROM desk "+query, args...)
	return out, err
}

// withWork fills in what people made of a page of notifications.
func withWork(ctx context.Context, q querier, list []store.Notification) error {
	ids := make([]string, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	raw, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	works, err := scanWorks(ctx, q, "WHERE notification IN (SELECT value FROM json_each(?))", string(raw))
	for i := range list {
		list[i].Work = works[list[i].ID]
	}
	return err
}

// Do implements store.DeskStore.
func (s *Store) Do(ctx context.Context, d store.Deed) (store.Work, error) {
	var after store.Work
	err := s.update(ctx, "do "+string(d.Kind), func(w *writer) {
		state, before := w.desk(&d)
		if w.err != nil {
			return
		}
		after = before
		if d.Kind != store.Comment {
			after.Revision++
		}
		w.deed(&d, state, &after)
		w.run(`INSERT INTO desk (`+workColumns+`) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (notification) DO UPDATE SET
			revision = excluded.revision, acked = excluded.acked, acked_by = excluded.acked_by, assignee = excluded.assignee, comments = excluded.comments`,
			d.Notification, after.Revision, unix(after.Acked), after.AckedBy, after.Assignee, after.Comments)
		w.remember(d.Notification, store.DeskEntry{At: d.At, Actor: d.Actor, Via: d.Via, Kind: d.Kind, Text: deedText(&d)})
		detail, err := json.Marshal(map[string]any{"before": before, "after": after, "text": d.Text})
		if err != nil && w.err == nil {
			w.err = err
		}
		w.audit(&store.AuditEntry{At: d.At, Actor: d.Actor, Via: d.Via, Action: "notification." + string(d.Kind), Subject: d.Notification, Detail: detail})
	})
	return after, err
}

// deedText is what a deed says in the notification's history.
func deedText(d *store.Deed) string {
	first := ""
	switch {
	case d.Kind == store.Assign && d.Assignee == "":
		first = "to nobody"
	case d.Kind == store.Assign:
		first = "to " + d.Assignee
	case d.Kind == store.SilenceIt && d.Silence != nil:
		first = "until " + d.Silence.Ends.UTC().Format("2006-01-02 15:04 UTC")
	}
	if first != "" && d.Text != "" {
		first += ": "
	}
	return first + d.Text
}

// desk loads what is there, and refuses what somebody else has overtaken.
func (w *writer) desk(d *store.Deed) (store.NotificationState, store.Work) {
	var state store.NotificationState
	err := w.tx.QueryRowContext(w.ctx, "SELECT state FROM notifications WHERE id = ?", d.Notification).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("notification %.40q: %w", d.Notification, store.ErrNotFound)
	}
	if err != nil {
		w.err = err
		return "", store.Work{}
	}
	works, err := scanWorks(w.ctx, w.tx, "WHERE notification = ?", d.Notification)
	if err != nil {
		w.err = err
		return "", store.Work{}
	}
	work := works[d.Notification]
	if d.Kind != store.Comment && d.Revision != store.AnyRevision && d.Revision != work.Revision {
		w.err = &store.ConflictError{Detail: "somebody did something with it meanwhile: " + w.lastDeed(d.Notification)}
	}
	return state, work
}

func (w *writer) lastDeed(id string) string {
	var actor, kind string
	err := w.tx.QueryRowContext(w.ctx, "SELECT actor, kind FROM deeds WHERE notification = ? AND kind <> 'comment' ORDER BY id DESC LIMIT 1", id).Scan(&actor, &kind)
	if err != nil {
		return "nobody did what you saw"
	}
	return kind + " by " + actor
}

// deed changes what is kept of a notification.
func (w *writer) deed(d *store.Deed, state store.NotificationState, work *store.Work) {
	refuse := func(yes bool, why string) {
		if yes && w.err == nil {
			w.err = &store.ConflictError{Detail: why}
		}
	}
	switch d.Kind {
	case store.Acknowledge:
		refuse(state == store.Resolved, "it is over: nothing is left to acknowledge")
		refuse(!work.Acked.IsZero(), "it is acknowledged already, by "+work.AckedBy)
		work.Acked, work.AckedBy = d.At, d.Actor
		w.silence(d.Silence)
	case store.Unacknowledge:
		refuse(work.Acked.IsZero(), "it is not acknowledged")
		work.Acked, work.AckedBy = time.Time{}, ""
		w.liftOf(d, store.SilenceAck)
	case store.Comment:
		work.Comments++
	case store.Assign:
		work.Assignee = d.Assignee
	case store.SilenceIt:
		refuse(state == store.Resolved, "it is over: nothing is left to silence")
		w.liftOf(d, store.SilenceOne)
		w.silence(d.Silence)
	case store.Unsilence:
		refuse(w.liftOf(d, store.SilenceOne) == 0, "it is not silenced")
	default:
		w.err = fmt.Errorf("unknown deed %q", d.Kind)
	}
}

func (w *writer) silence(s *store.Silence) {
	matchers, err := json.Marshal(s.Matchers)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.run(`INSERT INTO silences (id, kind, notification, matchers, starts, ends, reason, sets, actor, via, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		s.ID, s.Kind, s.Notification, string(matchers), unix(s.Starts), unix(s.Ends), s.Reason, s.Sets, s.Actor, s.Via, unix(s.Created))
}

// liftOf ends the standing silences of a notification.
func (w *writer) liftOf(d *store.Deed, kind string) int64 {
	return w.run("UPDATE silences SET lifted = ?, lifted_by = ?, lift_reason = ? WHERE notification = ? AND kind = ? AND lifted = 0 AND (ends = 0 OR ends > ?)",
		unix(d.At), d.Actor, d.Text, d.Notification, kind, unix(d.At))
}

func (w *writer) remember(notification string, e store.DeskEntry) {
	w.run("INSERT INTO deeds (notification, at, actor, via, kind, text) VALUES (?, ?, ?, ?, ?, ?)", notification, unix(e.At), e.Actor, e.Via, string(e.Kind), e.Text)
}

func (s *Store) deeds(ctx context.Context, id string) ([]store.DeskEntry, error) {
	out := []store.DeskEntry{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var e store.DeskEntry
		var at int64
		err := rows.Scan(&e.ID, &at, &e.Actor, &e.Via, &e.Kind, &e.Text)
		e.At = moment(at)
		out = append(out, e)
		return err
	}, "SELECT id, at, actor, via, kind, text FROM (SELECT * FROM deeds WHERE notification = ? ORDER BY id DESC LIMIT 1000) ORDER BY id", id)
	return out, err
}

func (s *Store) pruneDesk(ctx context.Context, before time.Time) (int64, error) {
	var n int64
	err := s.update(ctx, "prune", func(w *writer) {
		for _, table := range []string{"desk", "deeds"} {
			n += w.run("DELETE FROM " + table + " WHERE notification NOT IN (SELECT id FROM notifications)")
		}
		n += w.run("DELETE FROM silences WHERE lifted <> 0 AND lifted < ? OR ends <> 0 AND ends < ?", unix(before), unix(before))
		w.run("DELETE FROM feed WHERE seq <= (SELECT max(seq) FROM feed) - ?", store.FeedKept)
		w.run("DELETE FROM silence_targets WHERE silence NOT IN (SELECT id FROM silences)")
	})
	return n, err
}
