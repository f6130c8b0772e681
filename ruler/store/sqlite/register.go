package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"nocturne/ruler/store"
)

// registerFrom says which server an entry means. The plus takes the text's
// affinity from the key: without it no index on an expression serves.
const registerFrom = ` FROM register e LEFT JOIN servers s ON s.id = coalesce(
	(SELECT id FROM servers WHERE lower(name) = +e.key AND state <> 'decommissioned' AND last_seen > 0 ORDER BY last_seen DESC, id LIMIT 1),
	(SELECT id FROM servers WHERE lower(reported_name) = +e.key AND state <> 'decommissioned' ORDER BY last_seen DESC, id LIMIT 1),
	(SELECT o.server FROM occupants o JOIN servers x ON x.id = o.server AND x.state <> 'decommissioned' WHERE e.serial <> '' AND o.serial = e.serial AND o.type = 'system' AND o.until = 0 LIMIT 1),
	(SELECT id FROM servers WHERE lower(name) = +e.key AND state <> 'decommissioned' ORDER BY id LIMIT 1))`

// Register implements store.Register.
func (s *Store) Register(ctx context.Context, q store.RegisterQuery) (store.RegisterPage, error) {
	page := store.RegisterPage{Entries: []store.RegisterEntry{}}
	f := registerFilter(q)
	err := s.read.QueryRowContext(ctx, "SELECT count(*)"+registerFrom+f.String(), f.args...).Scan(&page.Total)
	if err == nil {
		list, args := registerPage(q)
		err = each(ctx, s.read, func(rows *sql.Rows) error {
			e, err := scanRegister(rows)
			page.Entries = append(page.Entries, e)
			return err
		}, list, args...)
	}
	if err != nil {
		return store.RegisterPage{}, fmt.Errorf("list register: %w", err)
	}
	return page, nil
}

func registerFilter(q store.RegisterQuery) filter {
	var f filter
	f.text(q.Text, "e.name", "e.serial", "e.site", "e.owner", "e.contract", "e.note")
	if q.Names != nil {
		low := make([]string, len(q.Names))
		for i, n := range q.Names {
			low[i] = strings.ToLower(n)
		}
		f.add("e.key IN (SELECT value FROM json_each(?))", jsonText(low))
	}
	if q.Servers != nil {
		ids := make([]string, len(q.Servers))
		for i := range q.Servers {
			ids[i] = q.Servers[i].String()
		}
		list := jsonText(ids)
		const these = "(SELECT unhex(value) FROM json_each(?))"
		// Which entries could mean one of them is asked first: what an entry does mean costs more.
		f.add("e.key IN (SELECT lower(name) FROM servers WHERE id IN "+these+" UNION SELECT lower(reported_name) FROM servers WHERE id IN "+these+
			" UNION SELECT key FROM register WHERE serial <> '' AND serial IN (SELECT serial FROM occupants WHERE server IN "+these+" AND type = 'system' AND until = 0))", list, list, list)
		f.add("s.id IN "+these, list)
	}
	if q.Missing != nil {
		f.add(map[bool]string{true: "coalesce(s.last_seen, 0) = 0", false: "coalesce(s.last_seen, 0) <> 0"}[*q.Missing])
	}
	if !q.WarrantyBefore.IsZero() {
		f.add("e.warranty <> 0 AND e.warranty < ?", unix(q.WarrantyBefore))
	}
	if q.Drift {
		f.add(`s.state IN ('waiting', 'up', 'silent', 'stopped') AND (e.site NOT IN ('', s.site) OR e.rack NOT IN ('', s.rack) OR e.role NOT IN ('', s.role) OR e.owner NOT IN ('', s.owner))`)
	}
	return f
}

func registerPage(q store.RegisterQuery) (query string, args []any) {
	f := registerFilter(q)
	return `SELECT e.name, e.serial, e.site, e.rack, e.role, e.owner, e.warranty, e.contract, e.note, e.created, e.changed, e.by, e.version,
		s.id, s.name, s.reported_name, s.site, s.rack, s.role, s.owner, s.state, s.last_seen` + registerFrom + f.String() + " ORDER BY e.key LIMIT ? OFFSET ?", append(f.args, clamp(q.Limit, 100_000), max(q.Offset, 0))
}

func scanRegister(rows *sql.Rows) (store.RegisterEntry, error) {
	var e store.RegisterEntry
	var warranty, created, changed int64
	var id []byte
	var name, reported, site, rack, role, owner, state sql.NullString
	var seen sql.NullInt64
	err := rows.Scan(&e.Name, &e.Serial, &e.Site, &e.Rack, &e.Role, &e.Owner, &warranty, &e.Contract, &e.Note, &created, &changed, &e.By, &e.Version,
		&id, &name, &reported, &site, &rack, &role, &owner, &state, &seen)
	e.Warranty, e.Created, e.Changed = moment(warranty), moment(created), moment(changed)
	e.Server = store.Server{ID: serverID(id), Name: name.String, ReportedName: reported.String, Site: site.String, Rack: rack.String, Role: role.String, Owner: owner.String,
		State: store.ServerState(state.String), LastSeen: moment(seen.Int64)}
	return e, err
}

// PutRegister implements store.RegisterWriter.
func (s *Store) PutRegister(ctx context.Context, entries []store.RegisterEntry) error {
	return s.update(ctx, "write register", func(w *writer) {
		for i := range entries {
			w.register(&entries[i])
		}
	})
}

func (w *writer) register(e *store.RegisterEntry) {
	if w.err != nil {
		return
	}
	key := strings.ToLower(e.Name)
	var version int64
	err := w.tx.QueryRowContext(w.ctx, "SELECT version FROM register WHERE key = ?", key).Scan(&version)
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		w.err = err
	case e.Version != store.AnyVersion && e.Version != version:
		w.err = fmt.Errorf("%s is at version %d: %w", e.Name, version, store.ErrStale)
	}
	w.exec(stRegister, key, e.Name, e.Serial, e.Site, e.Rack, e.Role, e.Owner, unix(e.Warranty), e.Contract, e.Note, unix(e.Changed), unix(e.Changed), e.By)
}

// DeleteRegister implements store.RegisterWriter.
func (s *Store) DeleteRegister(ctx context.Context, name string) error {
	return s.update(ctx, "delete from register", func(w *writer) {
		if w.exec(stRegisterDelete, strings.ToLower(name)) == 0 && w.err == nil {
			w.err = store.ErrNotFound
		}
	})
}
