package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

const serverColumns = `id, clone_of, clones, name, site, rack, role, owner, simulated, state, state_reason, state_since,
	os_name, os_type, os_version, os_build, boot_time, exporter_version, reported_name, machine_id, smbios_uuid,
	enrolled, last_seen, interval, skew, open, worst_word, address, model, updates, updates_security, reboot, labels_from`

func scanServer(rows *sql.Rows, more ...any) (store.Server, error) {
	var v store.Server
	var id, of []byte
	var updates int
	var since, boot, enrolled, seen, interval, skew int64
	err := rows.Scan(append([]any{&id, &of, &v.Clones, &v.Name, &v.Site, &v.Rack, &v.Role, &v.Owner, &v.Simulated, &v.State, &v.StateReason, &since,
		&v.OSName, &v.OSType, &v.OSVersion, &v.OSBuild, &boot, &v.ExporterVersion, &v.ReportedName, &v.MachineID, &v.SMBIOSUUID,
		&enrolled, &seen, &interval, &skew, &v.Open, &v.Worst, &v.Address, &v.Model, &updates, &v.UpdatesSecurity, &v.Reboot, &v.LabelsFrom}, more...)...)
	v.ID = serverID(id)
	if updates >= 0 {
		v.Updates = &updates
	}
	if len(of) > 0 {
		v.CloneOf = serverID(of).String()
	}
	v.StateSince, v.BootTime, v.Enrolled, v.LastSeen = moment(since), moment(boot), moment(enrolled), moment(seen)
	v.Interval, v.Skew = time.Duration(interval), time.Duration(skew)
	return v, err
}

func scanServers(ctx context.Context, q querier, query string, args ...any) ([]store.Server, error) {
	out := []store.Server{}
	err := each(ctx, q, func(rows *sql.Rows) error {
		v, err := scanServer(rows)
		out = append(out, v)
		return err
	}, query, args...)
	return out, err
}

// filter gathers conditions and their arguments.
type filter struct {
	where []string
	args  []any
}

func (f *filter) add(cond string, args ...any) {
	f.where = append(f.where, cond)
	f.args = append(f.args, args...)
}

func (f *filter) equal(column, value string) {
	if value != "" {
		f.add(column+" = ?", value)
	}
}

// text matches a part of any column; LIKE is case-insensitive for ASCII.
func (f *filter) text(value string, columns ...string) {
	if value == "" {
		return
	}
	pattern := "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(value) + "%"
	conds := make([]string, len(columns))
	for i, c := range columns {
		conds[i] = c + ` LIKE ? ESCAPE '\'`
		f.args = append(f.args, pattern)
	}
	f.where = append(f.where, "("+strings.Join(conds, " OR ")+")")
}

func (f *filter) String() string {
	if len(f.where) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.where, " AND ")
}

func clamp(limit, most int) int {
	switch {
	case limit <= 0:
		return 100
	case limit > most:
		return most
	}
	return limit
}

// Orders are constants: nothing a caller says reaches the text of a query.
var serverOrders = map[store.SortKey][2]string{
	store.ByWorst:    {"worst DESC, state = 'silent' DESC, name, id", "worst, state = 'silent', name DESC, id"},
	store.ByName:     {"name, id", "name DESC, id"},
	store.BySite:     {"site, rack, name, id", "site DESC, rack DESC, name DESC, id"},
	store.ByState:    {"state, name, id", "state DESC, name, id"},
	store.ByLastSeen: {"last_seen DESC, id", "last_seen, id"},
	store.ByOS:       {"os_name, os_version, name, id", "os_name DESC, os_version DESC, name, id"},
	store.ByModel:    {"model = '', model, name, id", "model DESC, name, id"},
	store.ByRack:     {"rack = '', rack, name, id", "rack DESC, name, id"},
	store.ByOwner:    {"owner = '', owner, name, id", "owner DESC, name, id"},
	store.ByExporter: {"exporter_version = '', exporter_version, name, id", "exporter_version DESC, name, id"},
	store.ByUpdates:  {"updates DESC, updates_security DESC, name, id", "updates < 0, updates, name, id"},
	store.ByBoot:     {"boot_time = 0, boot_time, name, id", "boot_time DESC, name, id"},
	store.BySupport:  {"supported, name, id", "supported = 1000000000, supported DESC, name, id"},
}

// Servers implements store.Reader.
func (s *Store) Servers(ctx context.Context, q store.ServerQuery) (store.ServerPage, error) {
	var f filter
	f.equal("site", q.Site)
	f.equal("rack", q.Rack)
	f.equal("role", q.Role)
	f.equal("owner", q.Owner)
	f.equal("worst_word", q.Severity)
	if q.Simulated != nil {
		f.add("simulated = ?", *q.Simulated)
	}
	if q.Clones != nil {
		f.add("clones = ?", *q.Clones)
	}
	f.equal("os_type", q.OSType)
	f.equal("os_name", q.OS)
	f.equal("model", q.Model)
	f.equal("exporter_version", q.Exporter)
	if q.Updates != nil {
		f.add(map[bool]string{true: "updates > 0", false: "updates = 0"}[*q.Updates])
	}
	if q.Reboot != nil {
		f.add("reboot = ?", *q.Reboot)
	}
	f.cases(q.Cases)
	if q.Ended != nil {
		f.add("(os_type, os_name, os_version) IN (SELECT value->>0, value->>1, value->>2 FROM json_each(?))", osVersions(q.Ended))
	}
	if len(q.State) == 0 && q.Cases == nil {
		f.add("state <> 'decommissioned'")
	} else if len(q.State) > 0 {
		var args []any
		for _, st := range q.State {
			args = append(args, string(st))
		}
		f.add("state IN (?"+strings.Repeat(", ?", len(args)-1)+")", args...)
	}
	if len(q.IDs) > 0 {
		args := make([]any, len(q.IDs))
		for i := range q.IDs {
			args[i] = q.IDs[i][:]
		}
		f.add("id IN (?"+strings.Repeat(", ?", len(args)-1)+")", args...)
	}
	f.text(q.Text, "name", "reported_name", "site", "rack", "role", "owner", "os_name", "lower(hex(id))")
	order, ok := serverOrders[q.Sort]
	if !ok {
		order = serverOrders[store.ByWorst]
	}
	by := order[0]
	if q.Reverse {
		by = order[1]
	}
	table, args := "servers", f.args
	if q.Sort == store.BySupport {
		table = `(SELECT servers.*, coalesce(o.key, 1000000000) AS supported FROM servers LEFT JOIN (SELECT key, value->>0 AS t, value->>1 AS n, value->>2 AS v FROM json_each(?)) o
			ON o.t = os_type AND o.n = os_name AND o.v = os_version)`
		args = append([]any{osVersions(q.Support)}, args...)
	}
	page := store.ServerPage{Servers: []store.Server{}}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return store.ServerPage{}, fmt.Errorf("list servers: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	err = tx.QueryRowContext(ctx, "SELECT count(*) FROM servers"+f.String(), f.args...).Scan(&page.Total)
	if err == nil && page.Total > q.Offset {
		// The ids are found and ordered first, so that the sorter carries no rows
		// that are not shown.
		page.Servers, err = scanServers(ctx, tx, "SELECT "+serverColumns+" FROM (SELECT id AS wanted, row_number() OVER () AS place FROM (SELECT id FROM "+table+f.String()+
			" ORDER BY "+by+" LIMIT ? OFFSET ?)) CROSS JOIN servers ON id = wanted ORDER BY place", append(args, clamp(q.Limit, store.MaxServers), max(q.Offset, 0))...)
	}
	if err != nil {
		return store.ServerPage{}, fmt.Errorf("list servers: %w", err)
	}
	return page, nil
}

// Server implements store.Reader.
func (s *Store) Server(ctx context.Context, id record.ID) (store.ServerDetail, error) {
	found, err := scanServers(ctx, s.read, "SELECT "+serverColumns+" FROM servers WHERE id = ?", id[:])
	if err != nil {
		return store.ServerDetail{}, fmt.Errorf("read server %s: %w", id, err)
	}
	if len(found) == 0 {
		return store.ServerDetail{}, fmt.Errorf("read server %s: %w", id, store.ErrNotFound)
	}
	d := store.ServerDetail{Server: found[0], Devices: []store.Device{}, Observed: []store.Observed{}}
	err = each(ctx, s.read, func(rows *sql.Rows) error {
		var v store.Device
		var fields string
		var first, changed, removed int64
		err := rows.Scan(&v.Category, &v.Type, &v.Place, &v.Occupant, &v.State, &fields, &first, &changed, &removed)
		v.Fields, v.First, v.Changed, v.Removed = json.RawMessage(fields), moment(first), moment(changed), moment(removed)
		d.Devices = append(d.Devices, v)
		return err
	}, "SELECT category, type, place, occupant, state, fields, first, changed, removed FROM devices WHERE server = ? ORDER BY category, type, place", id[:])
	if err == nil {
		err = each(ctx, s.read, func(rows *sql.Rows) error {
			var o store.Observed
			var at int64
			var hash []byte
			err := rows.Scan(&o.Category, &at, &hash)
			o.At = moment(at)
			copy(o.Hash[:], hash)
			d.Observed = append(d.Observed, o)
			return err
		}, "SELECT category, at, hash FROM current WHERE server = ? ORDER BY category", id[:])
	}
	if err == nil && d.Clones {
		root := id
		if d.CloneOf != "" {
			root, err = record.ParseID(d.CloneOf)
		}
		if err == nil {
			d.Lines, err = scanServers(ctx, s.read, "SELECT "+serverColumns+" FROM servers WHERE (id = ? OR clone_of = ?) AND id <> ? ORDER BY id", root[:], root[:], id[:])
		}
	}
	if err != nil {
		return store.ServerDetail{}, fmt.Errorf("read server %s: %w", id, err)
	}
	return d, nil
}

// Silent implements store.Reader.
func (s *Store) Silent(ctx context.Context) ([]store.SilentServer, error) {
	out := []store.SilentServer{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var v store.SilentServer
		var err error
		v.Server, err = scanServer(rows, &v.Notification, &v.FoldedInto)
		out = append(out, v)
		return err
	}, "SELECT "+serverColumns+`,
		coalesce((SELECT n.id FROM notifications n WHERE n.server = servers.id AND n.state = 'firing' AND n.class = ? AND n.device = '' LIMIT 1), ''),
		coalesce((SELECT n.folded_into FROM notifications n WHERE n.server = servers.id AND n.state = 'firing' AND n.class = ? AND n.device = '' LIMIT 1), '')
		FROM servers WHERE state = 'silent' ORDER BY state_since, name LIMIT 10000`, store.ClassSilent, store.ClassSilent)
	if err != nil {
		return nil, fmt.Errorf("list silent servers: %w", err)
	}
	return out, nil
}

// Overview implements store.Reader.
func (s *Store) Overview(ctx context.Context) (store.Overview, error) {
	o := store.Overview{ByState: map[store.ServerState]int{}, BySeverity: map[string]int{}, Sites: []store.Group{}}
	for _, st := range store.ServerStates() {
		o.ByState[st] = 0
	}
	for _, sev := range store.Severities() {
		o.BySeverity[sev] = 0
	}
	site := map[string]*store.Group{}
	var names []string
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var name, worst string
		var st store.ServerState
		var n, simulated, clones int
		if err := rows.Scan(&name, &st, &worst, &n, &simulated, &clones); err != nil {
			return err
		}
		o.ByState[st] += n
		if st == store.StateDecommissioned {
			return nil
		}
		o.Servers += n
		o.Simulated += simulated
		o.Clones += clones
		o.BySeverity[worst] += n
		g := site[name]
		if g == nil {
			g = &store.Group{Name: name}
			site[name] = g
			names = append(names, name)
		}
		g.Servers += n
		if st == store.StateSilent {
			g.Silent += n
		}
		if worst != "" {
			g.Open += n
		}
		return nil
	}, "SELECT site, state, worst_word, count(*), sum(simulated), sum(clones) FROM servers GROUP BY site, state, worst_word ORDER BY site")
	if err == nil {
		err = s.read.QueryRowContext(ctx, "SELECT count(*) FROM notifications WHERE state = 'firing' AND muted = '' AND folded_into = '' AND held = 0").Scan(&o.Open)
	}
	if err != nil {
		return store.Overview{}, fmt.Errorf("count the fleet: %w", err)
	}
	for _, n := range names {
		o.Sites = append(o.Sites, *site[n])
	}
	return o, nil
}
