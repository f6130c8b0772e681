package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// cases keeps what one of the cases fits.
func (f *filter) cases(cases []store.ServerCase) {
	if cases == nil {
		return
	}
	conds := []string{"0"}
	for _, c := range cases {
		cond := "state IN (''" + strings.Repeat(", ?", len(c.States)) + ")"
		for _, st := range c.States {
			f.args = append(f.args, string(st))
		}
		if c.Worst != nil {
			cond += " AND worst_word IN (NULL" + strings.Repeat(", ?", len(c.Worst)) + ")"
			for _, w := range c.Worst {
				f.args = append(f.args, w)
			}
		}
		conds = append(conds, "("+cond+")")
	}
	f.where = append(f.where, "("+strings.Join(conds, " OR ")+")")
}

// osVersions is a list as a parameter: one text, however long.
func osVersions(list []store.OSVersion) string {
	rows := make([][3]string, len(list))
	for i, o := range list {
		rows[i] = [3]string{o.Type, o.Name, o.Version}
	}
	return jsonText(rows)
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // lists of texts and numbers
	}
	return string(b)
}

// OSVersions implements store.Fleet.
func (s *Store) OSVersions(ctx context.Context) ([]store.OSVersion, error) {
	out := []store.OSVersion{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var o store.OSVersion
		err := rows.Scan(&o.Type, &o.Name, &o.Version, &o.Servers)
		out = append(out, o)
		return err
	}, "SELECT os_type, os_name, os_version, count(*) FROM servers WHERE state <> 'decommissioned' GROUP BY os_type, os_name, os_version ORDER BY count(*) DESC, os_name, os_version LIMIT 5000")
	if err != nil {
		return nil, fmt.Errorf("count operating systems: %w", err)
	}
	return out, nil
}

var serverFacets = map[string]string{
	store.FacetSite: "site", store.FacetOS: "os_name", store.FacetModel: "model", store.FacetExporter: "exporter_version", store.FacetRole: "role", store.FacetOwner: "owner", store.FacetRack: "rack",
	store.FacetStanding: "state || ' ' || coalesce(worst_word, '')", store.FacetUpdates: "CASE WHEN updates > 0 THEN 'true' WHEN updates = 0 THEN 'false' ELSE '' END",
	store.FacetReboot: "CASE WHEN reboot THEN 'true' ELSE 'false' END", store.FacetReal: "CASE WHEN simulated THEN 'true' ELSE 'false' END",
}

// ServerFacets implements store.Fleet.
func (s *Store) ServerFacets(ctx context.Context) (map[string][]store.Count, error) {
	out := map[string][]store.Count{}
	for name, column := range serverFacets {
		counts, err := s.counts(ctx, "SELECT "+column+", count(*) FROM servers WHERE state <> 'decommissioned' GROUP BY 1")
		if err != nil {
			return nil, fmt.Errorf("count servers by %s: %w", name, err)
		}
		out[name] = counts
	}
	return out, nil
}

// counts reads (value, number) rows, the most first.
func (s *Store) counts(ctx context.Context, query string, args ...any) ([]store.Count, error) {
	out := []store.Count{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var c store.Count
		err := rows.Scan(&c.Value, &c.N)
		out = append(out, c)
		return err
	}, query+" ORDER BY 2 DESC, 1 LIMIT ?", append(args, store.FacetLimit)...)
	return out, err
}

// PendingUpdates implements store.Fleet.
func (s *Store) PendingUpdates(ctx context.Context, limit int) ([]store.PendingUpdate, error) {
	out := []store.PendingUpdate{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var u store.PendingUpdate
		err := rows.Scan(&u.Place, &u.Title, &u.Severity, &u.Security, &u.Servers)
		out = append(out, u)
		return err
	}, `SELECT d.place, max(coalesce(json_extract(d.fields, '$.title'), '')), max(coalesce(json_extract(d.fields, '$.severity'), '')),
		max(coalesce(json_extract(d.fields, '$.security') IN (1, 'true'), 0)), count(*)
		FROM devices d JOIN servers s ON s.id = d.server AND s.state <> 'decommissioned'
		WHERE d.removed = 0 AND d.type = 'update_pending' GROUP BY d.place ORDER BY count(*) DESC, d.place LIMIT ?`, clamp(limit, 1000))
	if err != nil {
		return nil, fmt.Errorf("list updates that wait: %w", err)
	}
	return out, nil
}

// deviceFilter is what a query asks of devices alone, so that an index can
// answer it: what belongs to servers is a list of them.
func deviceFilter(q store.DeviceQuery) filter {
	var f filter
	f.add("d.removed = 0 AND d.server NOT IN (SELECT id FROM servers WHERE state = 'decommissioned')")
	many := q.Category == record.Updates || q.Category == record.Software || q.Category == 0 && isMany(q.Type)
	if !many {
		f.add("d.category NOT IN (5, 6)") // devices_kind serves
	}
	if q.Category != 0 {
		f.add("d.category = ?", q.Category)
	}
	f.equal("d.type", q.Type)
	f.equal("d.model", q.Model)
	f.equal("d.firmware", q.Firmware)
	f.equal("d.state", q.State)
	if q.Site != "" {
		f.add("d.server IN (SELECT id FROM servers WHERE site = ?)", q.Site)
	}
	if !q.Server.IsZero() {
		f.add("d.server = ?", q.Server[:])
	}
	if q.Text != "" {
		var t, n filter
		t.text(q.Text, "d.occupant", "d.place", "d.model")
		n.text(q.Text, "name")
		f.add("("+t.where[0]+" OR d.server IN (SELECT id FROM servers"+n.String()+"))", append(t.args, n.args...)...)
	}
	return f
}

// kinds counts the devices of a query by type, model, firmware and state: what
// device_kinds says, where it can, without the devices of decommissioned servers.
func kinds(q store.DeviceQuery) (query string, args []any) {
	const group = " GROUP BY 1, 2, 3, 4"
	if q.Category != 0 || q.Site != "" || q.Text != "" || !q.Server.IsZero() || isMany(q.Type) {
		f := deviceFilter(q)
		return "SELECT d.type, d.model, d.firmware, d.state, count(*) AS n FROM devices d" + f.String() + group, f.args
	}
	var f, gone filter
	gone.add("s.state = 'decommissioned' AND +d.removed = 0 AND d.category NOT IN (5, 6)")
	for _, f := range []*filter{&f, &gone} {
		f.equal("d.type", q.Type)
		f.equal("d.model", q.Model)
		f.equal("d.firmware", q.Firmware)
		f.equal("d.state", q.State)
	}
	// CROSS and the plus: by the few servers, not by every device that is alike.
	return "SELECT type, model, firmware, state, sum(n) AS n FROM (SELECT type, model, firmware, state, n FROM device_kinds d" + f.String() +
		" UNION ALL SELECT d.type, d.model, d.firmware, d.state, -1 FROM servers s CROSS JOIN devices d ON d.server = s.id" + gone.String() + ")" + group, append(f.args, gone.args...)
}

// isMany tells whether a type of device is one of updates or software.
func isMany(typ string) bool {
	switch typ {
	case record.DeviceUpdateStatus, record.DeviceUpdatePending, record.DeviceUpdateInstalled, record.DeviceProgram, record.DeviceDriver:
		return true
	}
	return false
}

// problemList is the devices that something is open about, as one parameter.
func problemList(q store.DeviceQuery) string {
	rows := make([][4]any, len(q.Problems))
	for i, p := range q.Problems {
		typ, place, _ := strings.Cut(p.Device, " ")
		rows[i] = [4]any{hex.EncodeToString(p.Server[:]), typ, place, p.Rank}
	}
	return jsonText(rows)
}

const (
	deviceColumns = "d.server, d.category, d.type, d.place, d.occupant, d.state, d.fields, d.first, d.changed"
	deviceOrder   = "d.type, d.model, d.firmware, d.state, d.occupant, d.server, d.category, d.place"
	problemDevice = ` FROM (SELECT unhex(value->>0) AS server, value->>1 AS type, value->>2 AS place, max(value->>3) AS rank FROM json_each(?) GROUP BY 1, 2, 3) p
		CROSS JOIN devices d ON d.server = p.server AND d.type = p.type AND d.place = p.place`
)

// problemDevices reads columns of the devices that something is open about: by
// the list of them, each by its key. The plus keeps away the indexes of what is
// there: by those every device would be compared with the whole list.
func problemDevices(columns string, q store.DeviceQuery) (query string, args []any) {
	f := deviceFilter(q)
	f.where[0] = "+" + f.where[0]
	return "SELECT " + columns + ", p.rank" + problemDevice + f.String(), append([]any{problemList(q)}, f.args...)
}

// inRanks tells whether a query wants devices of a rank.
func inRanks(q *store.DeviceQuery, rank int) bool {
	return q.Ranks == nil || slices.Contains(q.Ranks, rank)
}

// Devices implements store.Fleet. What has a problem is little and is found by
// its key; the rest is read in the order of an index, which also skips: rows are
// looked up for the page alone.
func (s *Store) Devices(ctx context.Context, q store.DeviceQuery) (store.DevicePage, error) {
	page, err := s.devices(ctx, q)
	if err != nil {
		return store.DevicePage{}, fmt.Errorf("list devices: %w", err)
	}
	return page, nil
}

func (s *Store) devices(ctx context.Context, q store.DeviceQuery) (store.DevicePage, error) {
	f := deviceFilter(q)
	offset, limit := max(q.Offset, 0), clamp(q.Limit, 1000)
	page := store.DevicePage{Devices: []store.DeviceRow{}}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return page, err
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	bad, fitting := 0, 0                 // devices with a problem, and those of them that are wanted
	if len(q.Problems) > 0 {
		list, args := problemDevices(deviceColumns, q)
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var rank int
			v, err := scanDeviceRow(rows, &rank)
			bad++
			if inRanks(&q, rank) {
				if fitting >= offset && len(page.Devices) < limit {
					page.Devices = append(page.Devices, v)
				}
				fitting++
			}
			return err
		}, list+" ORDER BY p.rank DESC, "+deviceOrder, args...)
	}
	page.Total = fitting
	if err == nil && inRanks(&q, 0) {
		var all int
		count, args := kinds(q)
		err = tx.QueryRowContext(ctx, "SELECT coalesce(sum(n), 0) FROM ("+count+")", args...).Scan(&all)
		page.Total += all - bad
		if bad > 0 {
			f.without(problemList(q))
		}
		if more := limit - len(page.Devices); err == nil && more > 0 && page.Total > fitting {
			err = each(ctx, tx, func(rows *sql.Rows) error {
				v, err := scanDeviceRow(rows)
				page.Devices = append(page.Devices, v)
				return err
			}, calmDevices(&f), append(f.args, more, max(offset-fitting, 0))...)
		}
	}
	if err == nil {
		err = nameDevices(ctx, tx, page.Devices)
	}
	return page, err
}

// without leaves out devices that something is open about. The servers are asked
// first, for a list of three columns is read through for each row where its
// values could be NULL.
func (f *filter) without(problems string) {
	f.add(`NOT (d.server IN (SELECT unhex(value->>0) FROM json_each(?))
		AND (d.server, d.type, d.place) IN (SELECT unhex(value->>0), value->>1, value->>2 FROM json_each(?)))`, problems, problems)
}

// calmDevices reads a page of what has no problem; it skips in an index that
// covers the question.
func calmDevices(f *filter) string {
	return "SELECT " + deviceColumns + " FROM (SELECT server, category, type, place FROM devices d" + f.String() + " ORDER BY " + deviceOrder + " LIMIT ? OFFSET ?) k" +
		" CROSS JOIN devices d USING (server, category, type, place) ORDER BY " + deviceOrder
}

func scanDeviceRow(rows *sql.Rows, more ...any) (store.DeviceRow, error) {
	var v store.DeviceRow
	var server []byte
	var fields string
	var first, changed int64
	err := rows.Scan(append([]any{&server, &v.Category, &v.Type, &v.Place, &v.Occupant, &v.State, &fields, &first, &changed}, more...)...)
	v.Server, v.Fields, v.First, v.Changed = serverID(server), json.RawMessage(fields), moment(first), moment(changed)
	return v, err
}

// nameDevices fills in what is known of their servers.
func nameDevices(ctx context.Context, q querier, list []store.DeviceRow) error {
	known := map[record.ID]store.DeviceRow{}
	for i := range list {
		v := &list[i]
		k, ok := known[v.Server]
		if !ok {
			if err := q.QueryRowContext(ctx, "SELECT name, site, simulated FROM servers WHERE id = ?", v.Server[:]).Scan(&k.Name, &k.Site, &k.Simulated); err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			known[v.Server] = k
		}
		v.Name, v.Site, v.Simulated = k.Name, k.Site, k.Simulated
	}
	return nil
}

// DeviceFacets implements store.Fleet: what is alike is counted in one pass over an
// index, or has been counted when it was written; what has a problem is taken
// out or in by itself.
func (s *Store) DeviceFacets(ctx context.Context, q store.DeviceQuery) (map[string][]store.Count, error) {
	sums := deviceSums{}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("count devices: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it wrote nothing
	calm := inRanks(&q, 0)
	if calm {
		count, args := kinds(q)
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var k deviceKind
			var n int
			err := rows.Scan(&k.typ, &k.model, &k.firmware, &k.state, &n)
			sums.add(k, 0, n)
			return err
		}, count, args...)
	}
	if err == nil && len(q.Problems) > 0 {
		list, args := problemDevices("d.type, d.model, d.firmware, d.state", q)
		err = each(ctx, tx, func(rows *sql.Rows) error {
			var k deviceKind
			var rank int
			err := rows.Scan(&k.typ, &k.model, &k.firmware, &k.state, &rank)
			if calm {
				sums.add(k, 0, -1)
			}
			if inRanks(&q, rank) {
				sums.add(k, rank, 1)
			}
			return err
		}, list, args...)
	}
	if err != nil {
		return nil, fmt.Errorf("count devices: %w", err)
	}
	return sums.facets(), nil
}

type deviceKind struct{ typ, model, firmware, state string }

// deviceSums counts by facet and value.
type deviceSums map[string]map[string]int

func (s deviceSums) add(k deviceKind, rank, n int) {
	for facet, value := range map[string]string{store.FacetType: k.typ, store.FacetModel: k.model, store.FacetFirmware: k.firmware, store.FacetState: k.state, store.FacetRank: strconv.Itoa(rank)} {
		if s[facet] == nil {
			s[facet] = map[string]int{}
		}
		s[facet][value] += n
	}
}

func (s deviceSums) facets() map[string][]store.Count {
	out := map[string][]store.Count{}
	for _, facet := range []string{store.FacetType, store.FacetModel, store.FacetFirmware, store.FacetState, store.FacetRank} {
		list := []store.Count{}
		for value, n := range s[facet] {
			if n > 0 {
				list = append(list, store.Count{Value: value, N: n})
			}
		}
		slices.SortFunc(list, func(a, b store.Count) int { return cmp.Or(b.N-a.N, strings.Compare(a.Value, b.Value)) })
		out[facet] = list[:min(len(list), store.FacetLimit)]
	}
	return out
}
