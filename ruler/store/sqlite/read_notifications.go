package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"nocturne/ruler/store"
)

const notificationColumns = `n.id, n.partition, n.server, n.name, n.device, n.class, n.state, n.severity, n.rule_id, n.title, n.reason,
	n.opened, n.changed, n.resolved, n.muted, n.folded_into, n.held, n.simulated, n.labels, n.annotations, n.parts, n.saved, n.version, n.probe`

func scanNotification(rows *sql.Rows, more ...any) (store.Notification, error) {
	var n store.Notification
	var server []byte
	var opened, changed, resolved, version int64
	var labels, annotations, parts string
	err := rows.Scan(append([]any{&n.ID, &n.Partition, &server, &n.Name, &n.Device, &n.Class, &n.State, &n.Severity, &n.RuleID, &n.Title, &n.Reason,
		&opened, &changed, &resolved, &n.Muted, &n.FoldedInto, &n.Held, &n.Simulated, &labels, &annotations, &parts, &n.Saved, &version, &n.Probe}, more...)...)
	if err != nil {
		return n, err
	}
	n.Server, n.Version = serverID(server), uint64(version)
	n.Opened, n.Changed, n.Resolved = moment(opened), moment(changed), moment(resolved)
	return n, errors.Join(fromJSON(labels, &n.Labels), fromJSON(annotations, &n.Annotations), fromJSON(parts, &n.Parts))
}

func scanNotifications(ctx context.Context, q querier, query string, args ...any) ([]store.Notification, error) {
	out := []store.Notification{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		n, err := scanNotification(rows)
		out = append(out, n)
		return err
	}, query, args...)
	return out, err
}

func notificationFilter(q store.NotificationQuery) filter {
	var f filter
	switch {
	case !q.ResolvedSince.IsZero():
		f.add("(n.state = 'firing' OR (n.state = 'resolved' AND n.changed >= ?))", unix(q.ResolvedSince))
	case q.State != "":
		f.add("n.state = ?", string(q.State))
	}
	if !q.Server.IsZero() {
		f.add("n.server = ?", q.Server[:])
	}
	f.equal("n.device", q.Device)
	if !q.OpenAt.IsZero() {
		f.add("n.opened <= ? AND (n.state = 'firing' OR n.resolved > ?)", unix(q.OpenAt), unix(q.OpenAt))
	}
	f.equal("n.severity", q.Severity)
	f.equal("n.class", q.Class)
	f.equal("n.rule_id", q.RuleID)
	f.equal("n.site", q.Site)
	if len(q.IDs) > 0 {
		args := make([]any, len(q.IDs))
		for i, id := range q.IDs {
			args[i] = id
		}
		f.add("n.id IN (?"+strings.Repeat(", ?", len(args)-1)+")", args...)
	}
	f.text(q.Text, "n.title", "n.name", "n.device", "n.reason", "n.class", "n.id")
	if q.Muted != nil {
		if *q.Muted {
			f.add("(n.muted <> '' OR n.folded_into <> '' OR n.held = 1)")
		} else {
			f.add("n.muted = '' AND n.folded_into = '' AND n.held = 0")
		}
	}
	exists := func(yes *bool, cond string) {
		switch {
		case yes == nil:
		case *yes:
			f.add("EXISTS (" + cond + ")")
		default:
			f.add("NOT EXISTS (" + cond + ")")
		}
	}
	const desk = "SELECT 1 FROM desk d WHERE d.notification = n.id AND "
	exists(q.Acked, desk+"d.acked <> 0")
	exists(q.Assigned, desk+"d.assignee <> ''")
	if q.Assignee != "" {
		f.add("EXISTS ("+desk+"d.assignee = ?)", q.Assignee)
	}
	if q.Owner != "" {
		f.add("EXISTS (SELECT 1 FROM servers s WHERE s.id = n.server AND s.owner = ?)", q.Owner)
	}
	if !q.Since.IsZero() {
		f.add("(n.state = 'firing' OR n.resolved >= ?)", unix(q.Since))
	}
	if !q.Before.IsZero() {
		f.add("n.opened < ?", unix(q.Before))
	}
	return f
}

// Notifications implements store.Reader.
func (s *Store) Notifications(ctx context.Context, q store.NotificationQuery) (store.NotificationPage, error) {
	f := notificationFilter(q)
	page := store.NotificationPage{Notifications: []store.Notification{}}
	err := s.read.QueryRowContext(ctx, "SELECT count(*) FROM notifications n"+f.String(), f.args...).Scan(&page.Total)
	if err == nil {
		page.Notifications, err = scanNotifications(ctx, s.read, "SELECT "+notificationColumns+" FROM notifications n"+f.String()+
			" ORDER BY n.changed DESC, n.id LIMIT ? OFFSET ?", append(f.args, clamp(q.Limit, 100_000), max(q.Offset, 0))...)
	}
	if err == nil {
		err = withWork(ctx, s.read, page.Notifications)
	}
	if err != nil {
		return store.NotificationPage{}, fmt.Errorf("list notifications: %w", err)
	}
	return page, nil
}

// Notification implements store.Reader.
func (s *Store) Notification(ctx context.Context, id string) (store.NotificationDetail, error) {
	fail := func(err error) (store.NotificationDetail, error) {
		return store.NotificationDetail{}, fmt.Errorf("read notification %.40q: %w", id, err)
	}
	found, err := scanNotifications(ctx, s.read, "SELECT "+notificationColumns+" FROM notifications n WHERE n.id = ?", id)
	if err != nil {
		return fail(err)
	}
	if len(found) == 0 {
		return fail(store.ErrNotFound)
	}
	d := store.NotificationDetail{Notification: found[0], Evidence: []store.Evidence{}, Deliveries: []store.Delivery{}}
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		e := store.Evidence{Notification: id}
		var at, event int64
		var attrs string
		err := rows.Scan(&at, &event, &e.Effect, &e.RuleID, &e.Reason, &e.RecordID, &e.Category, &e.Name, &e.Body, &attrs, &e.Raw, &e.Before, &e.After, &e.Cut)
		e.At, e.Event, e.Attrs = moment(at), moment(event), json.RawMessage(attrs)
		d.Evidence = append(d.Evidence, e)
		return err
	}, "SELECT at, event, effect, rule_id, reason, record_id, category, name, body, attrs, raw, before, after, cut FROM evidence WHERE notification = ? ORDER BY n", id)
	if err != nil {
		return fail(err)
	}
	if d.Deliveries, err = s.deliveries(ctx, id); err != nil {
		return fail(err)
	}
	d.Members, err = scanNotifications(ctx, s.read, "SELECT "+notificationColumns+" FROM notifications n WHERE n.folded_into = ? ORDER BY n.name, n.id LIMIT 1000", id)
	if err != nil {
		return fail(err)
	}
	d.Earlier, err = scanNotifications(ctx, s.read, "SELECT "+notificationColumns+` FROM notifications n
		WHERE n.server = ? AND n.device = ? AND n.class = ? AND n.id <> ? AND n.opened <= ? ORDER BY n.opened DESC, n.id LIMIT 10`,
		d.Server[:], d.Device, d.Class, id, unix(d.Opened))
	if err != nil {
		return fail(err)
	}
	if err := withWork(ctx, s.read, found); err != nil {
		return fail(err)
	}
	d.Work = found[0].Work
	if d.Deeds, err = s.deeds(ctx, id); err != nil {
		return fail(err)
	}
	if d.Silences, err = scanSilences(ctx, s.read, "WHERE s.notification = ? ORDER BY s.created DESC, s.id LIMIT 100", id); err != nil {
		return fail(err)
	}
	return d, nil
}

func (s *Store) deliveries(ctx context.Context, id string) ([]store.Delivery, error) {
	out := []store.Delivery{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		v := store.Delivery{Notification: id}
		var version, first, at int64
		err := rows.Scan(&v.Target, &v.State, &version, &first, &at, &v.Attempts, &v.Error)
		v.Version, v.First, v.At = uint64(version), moment(first), moment(at)
		out = append(out, v)
		return err
	}, "SELECT target, state, version, first, at, attempts, error FROM deliveries WHERE notification = ? ORDER BY first, target, state", id)
	return out, err
}

// endUntold finds resolved ones of which a target heard the beginning and not
// the end. Who did not hear it for a week does not wait for it.
const endUntold = `n.state = 'resolved' AND n.changed >= ? AND EXISTS (SELECT 1 FROM deliveries d WHERE d.notification = n.id AND d.state = 'firing' AND d.error = ''
	AND NOT EXISTS (SELECT 1 FROM deliveries e WHERE e.notification = n.id AND e.target = d.target AND e.state = 'resolved' AND e.error = ''))`

const endWait = 7 * 24 * time.Hour

// Outbox implements store.Store.
func (s *Store) Outbox(ctx context.Context, resolvedSince time.Time) ([]store.Outgoing, error) {
	rows, err := scanNotifications(ctx, s.read, "SELECT "+notificationColumns+` FROM notifications n WHERE n.muted = '' AND n.folded_into = '' AND n.held = 0
		AND (n.state = 'firing' OR (n.state = 'resolved' AND n.changed >= ?) OR (`+endUntold+")) ORDER BY n.opened, n.id", unix(resolvedSince), unix(resolvedSince.Add(-endWait)))
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	out := make([]store.Outgoing, 0, len(rows))
	for _, n := range rows {
		d, err := s.deliveries(ctx, n.ID)
		if err != nil {
			return nil, fmt.Errorf("read outbox: deliveries of %s: %w", n.ID, err)
		}
		out = append(out, store.Outgoing{Notification: n, Deliveries: d})
	}
	return out, nil
}
