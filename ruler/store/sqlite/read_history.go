package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"nocturne/ruler/store"
)

// History implements store.Reader.
func (s *Store) History(ctx context.Context, q store.HistoryQuery) ([]store.HistoryEntry, error) {
	var f filter
	f.add("server = ?", q.Server[:])
	if q.Category != 0 {
		f.add("category = ?", q.Category)
	}
	if !q.Before.IsZero() {
		f.add("at < ?", unix(q.Before))
	}
	out := []store.HistoryEntry{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		h := store.HistoryEntry{Server: q.Server}
		var at int64
		var hash []byte
		err := rows.Scan(&h.Category, &at, &hash, &h.RecordID, &h.Changes)
		h.At = moment(at)
		copy(h.Hash[:], hash)
		out = append(out, h)
		return err
	}, "SELECT category, at, hash, record_id, changes FROM history"+f.String()+" ORDER BY at DESC, n DESC LIMIT ?", append(f.args, clamp(q.Limit, 1000))...)
	if err != nil {
		return nil, fmt.Errorf("read history of %s: %w", q.Server, err)
	}
	return out, nil
}

// Changes implements store.Reader.
func (s *Store) Changes(ctx context.Context, q store.ChangeQuery) (store.ChangePage, error) {
	var f filter
	if !q.Server.IsZero() {
		f.add("(c.server = ? OR c.from_server = ? AND c.from_server <> x'')", q.Server[:], q.Server[:])
	}
	if q.Category != 0 {
		f.add("c.category = ?", q.Category)
	}
	f.equal("c.kind", q.Kind)
	f.equal("c.type", q.Type)
	f.equal("c.place", q.Place)
	f.equal("c.field", q.Field)
	if q.Serial != "" {
		f.add("c.id IN (SELECT id FROM changes WHERE occupant = ? UNION SELECT id FROM changes WHERE kind <> 'field' AND before = ? UNION SELECT id FROM changes WHERE kind <> 'field' AND after = ?)",
			q.Serial, q.Serial, q.Serial)
	}
	if q.Planned != nil {
		f.add(map[bool]string{true: "c.muted <> ''", false: "c.muted = ''"}[*q.Planned])
	}
	if !q.Since.IsZero() {
		f.add("c.stream >= ?", unix(q.Since))
	}
	if !q.Before.IsZero() {
		f.add("c.stream < ?", unix(q.Before))
	}
	if q.BeforeID > 0 {
		f.add("c.id < ?", q.BeforeID)
	}
	limit := clamp(q.Limit, 1000)
	page := store.ChangePage{Changes: []store.Change{}}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var c store.Change
		var server, hash, from []byte
		var at, stream int64
		err := rows.Scan(&c.ID, &server, &c.Name, &c.Category, &at, &stream, &c.Kind, &c.Type, &c.Place, &c.Field, &c.Before, &c.After, &c.From, &c.Occupant, &c.RecordID, &hash, &from, &c.FromName, &c.Muted, &c.Plan.ID, &c.Plan.Who, &c.Plan.Why, &c.Simulated)
		c.Server, c.FromServer, c.At, c.Stream = serverID(server), serverID(from), moment(at), moment(stream)
		copy(c.Hash[:], hash)
		page.Changes = append(page.Changes, c)
		return err
	}, `SELECT c.id, c.server, coalesce(s.name, ''), c.category, c.at, c.stream, c.kind, c.type, c.place, c.field, c.before, c.after, c.from_place, c.occupant, c.record_id, c.hash, c.from_server, coalesce(o.name, ''), c.muted, c.plan, c.plan_who, c.plan_why, coalesce(s.simulated, 0)
		FROM changes c LEFT JOIN servers s ON s.id = c.server LEFT JOIN servers o ON o.id = c.from_server AND c.from_server <> x''`+f.String()+" ORDER BY c.id DESC LIMIT ?", append(f.args, limit+1)...)
	if err != nil {
		return store.ChangePage{}, fmt.Errorf("list changes: %w", err)
	}
	if len(page.Changes) > limit {
		page.Changes = page.Changes[:limit]
		page.Next = page.Changes[limit-1].ID
	}
	return page, nil
}

// AuditLog implements store.Reader.
func (s *Store) AuditLog(ctx context.Context, q store.AuditQuery) ([]store.AuditEntry, error) {
	var f filter
	f.equal("actor", q.Actor)
	f.equal("subject", q.Subject)
	if q.Action != "" {
		f.add("(action = ? OR substr(action, 1, ?) = ?)", q.Action, len(q.Action)+1, q.Action+".")
	}
	f.text(q.Text, "actor", "via", "action", "subject", "detail")
	if !q.Since.IsZero() {
		f.add("at >= ?", unix(q.Since))
	}
	if !q.Before.IsZero() {
		f.add("at < ?", unix(q.Before))
	}
	if q.BeforeID > 0 {
		f.add("id < ?", q.BeforeID)
	}
	out := []store.AuditEntry{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var e store.AuditEntry
		var at int64
		var detail string
		err := rows.Scan(&e.ID, &at, &e.Actor, &e.Via, &e.Action, &e.Subject, &detail)
		e.At = moment(at)
		if detail != "" {
			e.Detail = json.RawMessage(detail)
		}
		out = append(out, e)
		return err
	}, "SELECT id, at, actor, via, action, subject, detail FROM audit"+f.String()+" ORDER BY id DESC LIMIT ?", append(f.args, clamp(q.Limit, 1000))...)
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	return out, nil
}

// Pipeline implements store.Reader.
func (s *Store) Pipeline(ctx context.Context) (store.Pipeline, error) {
	p := store.Pipeline{Partitions: []store.PartitionStatus{}, Bytes: s.Bytes()}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var v store.PartitionStatus
		var entry, epoch, stream, clock, committed int64
		var ledger, losses string
		if err := rows.Scan(&v.Partition, &v.Position.Incarnation, &entry, &epoch, &v.Owner, &stream, &clock, &committed, &v.Frozen, &ledger, &losses); err != nil {
			return err
		}
		v.Position.Entry, v.Epoch = uint64(entry), uint64(epoch)
		v.StreamTime, v.Clock, v.Committed = moment(stream), moment(clock), moment(committed)
		if err := fromJSON(ledger, &v.Ledger); err != nil {
			return err
		}
		if err := fromJSON(losses, &v.Losses); err != nil {
			return err
		}
		p.Ledger = p.Ledger.Add(v.Ledger)
		p.Partitions = append(p.Partitions, v)
		return nil
	}, "SELECT id, incarnation, entry, epoch, owner, stream_time, clock, committed, frozen, ledger, losses FROM partitions WHERE id < ? ORDER BY id", store.FleetPartition)
	if err != nil {
		return store.Pipeline{}, fmt.Errorf("read pipeline: %w", err)
	}
	return p, nil
}

func fromJSON(text string, v any) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), v)
}
