package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// The kinds of lines in server_log.
const (
	logLabels = "labels"
	logFacts  = "facts"
	logState  = "state"
)

// What the lines hold. Fields are added, never renamed.
type labelsLog struct {
	Name      string `json:"name"`
	Site      string `json:"site"`
	Rack      string `json:"rack"`
	Role      string `json:"role"`
	Owner     string `json:"owner"`
	Simulated bool   `json:"simulated"`
	From      string `json:"from,omitempty"`
}

type factsLog struct {
	OSName          string    `json:"os_name"`
	OSType          string    `json:"os_type"`
	OSVersion       string    `json:"os_version"`
	OSBuild         string    `json:"os_build"`
	ExporterVersion string    `json:"exporter_version"`
	ReportedName    string    `json:"reported_name"`
	BootTime        time.Time `json:"boot_time,omitzero"`
}

type stateLog struct {
	State  store.ServerState `json:"state"`
	Reason string            `json:"reason"`
}

// log notes what a server's row says from now on, where it says something new.
func (w *writer) log(id record.ID, kind string, at time.Time, value any) {
	b, err := json.Marshal(value)
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("write server log: %w", err)
	}
	w.exec(stServerLog, id[:], kind, unix(at), string(b))
}

// occupant notes who came to a device's place and who left it.
func (w *writer) occupant(d *store.DeviceWrite, now time.Time) {
	serial, left := d.Occupant, d.Changed
	if d.Delete || !d.Removed.IsZero() {
		serial, left = "", d.Removed
	}
	if left.IsZero() {
		left = now
	}
	w.exec(stOccupantLeft, unix(left), d.Server[:], d.Category, d.Type, d.Place, serial)
	if serial != "" {
		w.exec(stOccupantCame, serial, d.Server[:], d.Category, d.Type, d.Place, object(d.Fields), unix(d.Changed))
	}
}

// ServerAt implements store.Inventory.
func (s *Store) ServerAt(ctx context.Context, id record.ID, at time.Time) (store.ServerPast, error) {
	past, err := s.serverAt(ctx, id, at)
	if err != nil {
		return store.ServerPast{}, fmt.Errorf("read server %s as it was: %w", id, err)
	}
	return past, nil
}

func (s *Store) serverAt(ctx context.Context, id record.ID, at time.Time) (store.ServerPast, error) {
	past := store.ServerPast{At: at, Snapshots: []store.HistoryEntry{}}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return past, err
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	var there, known int64
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM servers WHERE id = ?", id[:]).Scan(&there); err != nil {
		return past, err
	}
	if there == 0 {
		return past, store.ErrNotFound
	}
	err = tx.QueryRowContext(ctx, `SELECT coalesce(min(at), 0) FROM (SELECT min(at) AS at FROM server_log WHERE server = ?1 AND at > 0 UNION ALL SELECT min(at) FROM history WHERE server = ?1) WHERE at > 0`, id[:]).Scan(&known)
	if err != nil {
		return past, err
	}
	past.Known = moment(known)
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var kind, value string
		var since int64
		if err := rows.Scan(&kind, &since, &value); err != nil {
			return err
		}
		return setPast(&past, kind, value, moment(since))
	}, "SELECT kind, at, value FROM server_log WHERE n IN (SELECT max(n) FROM server_log WHERE server = ? AND at <= ? GROUP BY kind)", id[:], unix(at))
	if err != nil {
		return past, err
	}
	// The last one that was taken in, as the engine's own state is: a record that
	// came late was merged into what was known.
	err = each(ctx, tx, func(rows *sql.Rows) error {
		h := store.HistoryEntry{Server: id}
		var at int64
		var hash []byte
		err := rows.Scan(&h.Category, &at, &hash, &h.RecordID, &h.Changes)
		h.At = moment(at)
		copy(h.Hash[:], hash)
		past.Snapshots = append(past.Snapshots, h)
		return err
	}, "SELECT category, at, hash, record_id, changes FROM history WHERE n IN (SELECT max(n) FROM history WHERE server = ? AND at <= ? GROUP BY category) ORDER BY category", id[:], unix(at))
	return past, err
}

const occupantOrder = "o.since DESC, o.serial, o.type, o.place, o.n DESC"

// Occupants implements store.Inventory.
func (s *Store) Occupants(ctx context.Context, q store.OccupantQuery) (store.OccupantPage, error) {
	var f filter
	f.equal("o.serial", q.Serial)
	f.equal("o.type", q.Type)
	if !q.Server.IsZero() {
		f.add("o.server = ?", q.Server[:])
	}
	f.text(q.Text, "o.serial", "o.model")
	page := store.OccupantPage{Occupants: []store.Occupant{}}
	// Searching a text reads everything, so one pass finds the page and counts.
	total, args := "count(*) OVER ()", slices.Clone(f.args)
	if q.Text == "" {
		total, args = "(SELECT count(*) FROM occupants o"+f.String()+")", append(args, f.args...)
	}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var v store.Occupant
		var server []byte
		var since, until, seen, retired int64
		err := rows.Scan(&page.Total, &v.Serial, &server, &v.Name, &v.Simulated, &seen, &v.Category, &v.Type, &v.Place, &v.Model, &since, &until, &retired)
		v.Server = serverID(server)
		if setStay(&v, since, until, retired); v.Until.IsZero() {
			v.LastSeen = moment(seen)
		}
		page.Occupants = append(page.Occupants, v)
		return err
	}, `SELECT k.total, o.serial, o.server, coalesce(s.name, ''), coalesce(s.simulated, 0), coalesce(s.last_seen, 0), o.category, o.type, o.place, o.model, o.since, o.until, `+retiredSince+`
		FROM (SELECT o.n, `+total+` AS total FROM occupants o`+f.String()+" ORDER BY "+occupantOrder+" LIMIT ? OFFSET ?) k"+`
		CROSS JOIN occupants o ON o.n = k.n LEFT JOIN servers s ON s.id = o.server ORDER BY `+occupantOrder, append(args, clamp(q.Limit, 1000), max(q.Offset, 0))...)
	if err == nil && len(page.Occupants) == 0 && q.Offset > 0 {
		err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM occupants o"+f.String(), f.args...).Scan(&page.Total)
	}
	if err != nil {
		return store.OccupantPage{}, fmt.Errorf("list serial numbers: %w", err)
	}
	return page, nil
}

// Stays implements store.Inventory.
func (s *Store) Stays(ctx context.Context, serials []string, fn func(*store.Occupant) error) error {
	list, err := json.Marshal(serials)
	if err != nil {
		return fmt.Errorf("list where serial numbers sat: %w", err)
	}
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		var v store.Occupant
		var server []byte
		var since, until, retired int64
		if err := rows.Scan(&v.Serial, &server, &v.Category, &v.Type, &v.Place, &v.Model, &since, &until, &retired); err != nil {
			return err
		}
		v.Server = serverID(server)
		setStay(&v, since, until, retired)
		return fn(&v)
	}, staysQuery, string(list))
	if err != nil {
		return fmt.Errorf("list where serial numbers sat: %w", err)
	}
	return nil
}

const staysQuery = `SELECT o.serial, o.server, o.category, o.type, o.place, o.model, o.since, o.until, ` + retiredSince + ` FROM json_each(?) j CROSS JOIN occupants o ON o.serial = j.value LEFT JOIN servers s ON s.id = o.server`

// retiredSince is since when the server of a stay is decommissioned; 0 = it is not.
const retiredSince = "CASE WHEN s.state = 'decommissioned' AND s.clone_of = x'' THEN s.state_since ELSE 0 END"

// setStay sets the times of a stay. A part that is in a server is so until that is
// decommissioned.
func setStay(v *store.Occupant, since, until, retired int64) {
	if v.Retired = until == 0 && retired != 0; v.Retired {
		until = max(since, retired)
	}
	v.Since, v.Until = moment(since), moment(until)
}

// travelledQuery finds the parts that came to a server ?1, or left it, at ?3, and of
// each the latest ?5 places that were known at ?4.
const travelledQuery = `WITH retired AS MATERIALIZED (SELECT 1 FROM server_log WHERE server = ?1 AND kind = 'state' AND at = ?3 AND value ->> 'state' = 'decommissioned' LIMIT 1),
	parts AS MATERIALIZED (SELECT DISTINCT o.serial, o.type FROM (
		SELECT serial, type FROM occupants WHERE server = ?1 AND category = ?2 AND until = 0 AND since = ?3
		UNION SELECT serial, type FROM occupants WHERE server = ?1 AND until <> 0 AND category = ?2 AND (until = ?3 OR since = ?3)
		UNION SELECT serial, type FROM retired CROSS JOIN occupants WHERE server = ?1 AND category = ?2 AND until = 0 AND since <= ?3
		UNION SELECT serial, type FROM retired CROSS JOIN occupants WHERE server = ?1 AND until <> 0 AND category = ?2 AND until > ?3 AND since <= ?3) o
		WHERE EXISTS (SELECT 1 FROM occupants p WHERE p.serial = o.serial AND p.server <> ?1 AND p.type = o.type AND p.category = ?2))
	SELECT o.serial, o.type, o.server, coalesce(s.name, ''), coalesce(s.simulated, 0), o.place, o.model, o.since, CASE WHEN o.until > ?4 THEN 0 ELSE o.until END,
		CASE WHEN s.clone_of <> x'' THEN 0 ELSE coalesce((SELECT CASE WHEN value ->> 'state' = 'decommissioned' THEN at END FROM server_log
			WHERE server = o.server AND kind = 'state' AND at <= ?4 ORDER BY n DESC LIMIT 1), 0) END
	FROM (SELECT x.*, row_number() OVER (PARTITION BY x.type, x.serial ORDER BY x.since DESC, x.until, x.place) AS nth
		FROM parts CROSS JOIN occupants x ON x.serial = parts.serial WHERE x.type = parts.type AND x.category = ?2 AND x.since <= ?4) o
	LEFT JOIN servers s ON s.id = o.server WHERE o.nth <= ?5 ORDER BY o.type, o.serial, o.nth`

// Travelled implements store.Store.
func (s *Store) Travelled(ctx context.Context, server record.ID, category record.Category, at, known time.Time) ([]store.Occupant, error) {
	var out []store.Occupant
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		v := store.Occupant{Category: category}
		var id []byte
		var since, until, retired int64
		err := rows.Scan(&v.Serial, &v.Type, &id, &v.Name, &v.Simulated, &v.Place, &v.Model, &since, &until, &retired)
		v.Server = serverID(id)
		setStay(&v, since, until, retired)
		out = append(out, v)
		return err
	}, travelledQuery, server[:], category, unix(at), unix(known), store.MaxStays)
	if err != nil {
		return nil, fmt.Errorf("list where parts of %s were before: %w", server, err)
	}
	return out, nil
}

// setPast reads a line of server_log.
func setPast(p *store.ServerPast, kind, value string, since time.Time) error {
	switch kind {
	case logLabels:
		var l labelsLog
		if err := fromJSON(value, &l); err != nil {
			return err
		}
		p.Labels = &store.ServerLabels{Name: l.Name, Site: l.Site, Rack: l.Rack, Role: l.Role, Owner: l.Owner, From: l.From, Simulated: l.Simulated}
	case logFacts:
		var f factsLog
		if err := fromJSON(value, &f); err != nil {
			return err
		}
		p.Facts = &store.ServerFacts{OSName: f.OSName, OSType: f.OSType, OSVersion: f.OSVersion, OSBuild: f.OSBuild, ExporterVersion: f.ExporterVersion,
			ReportedName: f.ReportedName, BootTime: f.BootTime}
	case logState:
		var st stateLog
		if err := fromJSON(value, &st); err != nil {
			return err
		}
		p.State = &store.StateWrite{State: st.State, Reason: st.Reason, Since: since}
	}
	return nil
}
