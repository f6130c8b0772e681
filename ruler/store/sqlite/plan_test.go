package sqlite

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func openFile(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path, Partitions: 16, Hash: "x"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// What is asked of a large fleet is found by an index: what scans a table, or
// looks up each row that it skips, is fast with ten servers and not with ten
// thousand.
func TestLargeQuestionsUseTheirIndexes(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "ruler.db"))
	for _, q := range []store.DeviceQuery{{}, {Type: "physical_drive"}, {Type: "physical_drive", Model: "ST4"}, {Type: "physical_drive", Model: "ST4", Firmware: "F1", State: "Onln"}} {
		f := deviceFilter(q)
		f.without("[]")
		wantPlan(t, s, calmDevices(&f), append(f.args, 100, 50_000), "USING COVERING INDEX devices_kind", "SCAN d USING INDEX", "SEARCH d USING INDEX")
		list, args := problemDevices(deviceColumns, q)
		wantPlan(t, s, list, args, "SEARCH d USING PRIMARY KEY (server=?)", "devices_kind", "SCAN d")
		count, args := kinds(q)
		wantPlan(t, s, count, args, "SEARCH d USING PRIMARY KEY (server=?)", "devices_kind")
	}
	wantPlan(t, s, groupsQuery, nil, "USING COVERING INDEX servers_group", "TEMP B-TREE")
	wantPlan(t, s, groupsAtQuery, []any{1}, "USING COVERING INDEX servers_group", "SCAN server_log", "SCAN x", "SCAN s\n")
	wantPlan(t, s, groupsAtQuery, []any{1}, "SEARCH server_log USING COVERING INDEX server_log_turns (at>?)")
	wantPlan(t, s, groupsAtQuery, []any{1}, "SEARCH x USING INDEX server_log_server (server=? AND kind=?)")
	wantPlan(t, s, staysQuery, []any{`["Z1"]`}, "SEARCH o USING INDEX occupants_serial (serial=?)", "SCAN o")
	wantPlan(t, s, travelledQuery, []any{[]byte{1}, 2, 3, 4, 5}, "SEARCH x USING INDEX occupants_serial (serial=? AND since<?)", "SCAN x", "SCAN s\n", "SCAN occupants")
	page, args := registerPage(store.RegisterQuery{Servers: []record.ID{{1}}, Limit: 100})
	wantPlan(t, s, page, args, "USING INDEX servers_reported (<expr>=?)", "SCAN servers")
	wantPlan(t, s, page, args, "USING INDEX servers_name (<expr>=?)", "SCAN s")
}

// wantPlan asks how SQLite would answer: with one step, and without others.
func wantPlan(t *testing.T, s *Store, query string, args []any, want string, never ...string) {
	t.Helper()
	var steps []string
	err := each(t.Context(), s.read, func(rows *sql.Rows) error {
		var a, b, c int
		var step string
		err := rows.Scan(&a, &b, &c, &step)
		steps = append(steps, step)
		return err
	}, "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("explain %s: %v", query, err)
	}
	plan := strings.Join(steps, "\n") + "\n"
	if !strings.Contains(plan, want) {
		t.Errorf("no %q in the plan of\n%s\n%s", want, query, plan)
	}
	for _, bad := range never {
		if strings.Contains(plan, bad) {
			t.Errorf("%q in the plan of\n%s\n%s", bad, query, plan)
		}
	}
}

// A file of the version before has its devices' models and firmware afterwards,
// counts that fit, and triggers that go on counting.
func TestModelsAreTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ruler.db")
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		t.Fatal(err)
	}
	const before = 13
	for v := range before {
		if _, err := db.Exec(migrations[v]); err != nil {
			t.Fatal(v+1, err)
		}
	}
	for n, fields := range []string{`{"model":"ST4","firmware":"F1","size":4}`, `{"model":"ST4","firmware":"F1"}`, `{"firmware":2}`, `{}`, `{"model":"gone"}`} {
		if _, err := db.Exec("INSERT INTO devices (server, category, type, place, occupant, state, fields, first, changed, removed) VALUES (x'01', 2, 'physical_drive', ?, '', 'Onln', ?, 1, 1, ?)", fmt.Sprint("s", n), fields, n/4); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(fmt.Sprint("PRAGMA user_version=", before)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var told [2]int
	s, err := Open(t.Context(), Config{Path: path, Partitions: 8, Hash: "test", Upgrade: func(from, to int) { told = [2]int{from, to} }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if want := [2]int{before, len(migrations)}; told != want {
		t.Errorf("told of versions %v, want %v", told, want)
	}
	read := func(query string) (out string) {
		t.Helper()
		if err := each(t.Context(), s.read, func(rows *sql.Rows) error {
			var text string
			err := rows.Scan(&text)
			out += text + " "
			return err
		}, query); err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := read("SELECT model || '/' || firmware FROM devices ORDER BY place"); got != "ST4/F1 ST4/F1 /2 / gone/ " {
		t.Errorf("models and firmware %q", got)
	}
	const sums = "SELECT model || '/' || firmware || ':' || n FROM device_kinds ORDER BY model, firmware"
	if got := read(sums); got != "/:1 /2:1 ST4/F1:2 " {
		t.Errorf("counts %q", got)
	}
	if _, err := s.write.ExecContext(t.Context(), "UPDATE devices SET model = 'ST6' WHERE place = 's0'"); err != nil {
		t.Fatal(err)
	}
	if got := read(sums); got != "/:1 /2:1 ST4/F1:1 ST6/F1:1 " {
		t.Errorf("counts after a change %q", got)
	}
}

// groupsOnceQuery reads the past of all servers, the plain and slow way.
const groupsOnceQuery = `WITH
	states AS (SELECT server, max(n) AS n FROM server_log WHERE kind = 'state' AND at <= ?1 GROUP BY server),
	labels AS (SELECT server, max(n) AS n FROM server_log WHERE kind = 'labels' AND at <= ?1 GROUP BY server)
	SELECT coalesce(l.value ->> 'site', s.site), coalesce(l.value ->> 'rack', s.rack), s.subnet, coalesce(l.value ->> 'simulated', s.simulated), count(*)
	FROM states JOIN server_log x ON x.n = states.n JOIN servers s ON s.id = states.server
	LEFT JOIN labels ON labels.server = s.id LEFT JOIN server_log l ON l.n = labels.n
	WHERE s.clone_of = x'' AND x.value ->> 'state' IN ('up', 'silent') GROUP BY 1, 2, 3, 4`

// Counting from what is there now says what the plain way says, whatever became of
// the servers; also in a file of the version before.
func TestGroupsLongAgo(t *testing.T) {
	s := openFile(t, filepath.Join(t.TempDir(), "ruler.db"))
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := s.write.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	dice := rand.New(rand.NewPCG(1, 2))
	pick := func(words ...string) string { return words[dice.IntN(len(words))] }
	const servers = 100
	for i := range servers {
		exec("INSERT INTO servers (id, partition, site, rack, state, clone_of) VALUES (?, ?, 'a', 'r1', 'up', CASE WHEN ? % 9 THEN x'' ELSE x'01' END)", []byte{byte(i)}, i%16, i)
	}
	for at := range int64(400) {
		id := []byte{byte(dice.IntN(servers))}
		if dice.IntN(4) == 0 {
			exec("UPDATE servers SET site = ?, rack = ?, simulated = ? WHERE id = ?", pick("a", "b"), pick("r1", "r2", "r3"), dice.IntN(2), id)
		} else {
			exec("UPDATE servers SET state = ? WHERE id = ?", pick("up", "up", "silent", "silent", "stopped", "decommissioned"), id)
		}
		for _, row := range []struct{ kind, value string }{
			{logLabels, "json_object('site', site, 'rack', rack, 'simulated', json(CASE simulated WHEN 0 THEN 'false' ELSE 'true' END))"},
			{logState, "json_object('state', state)"},
		} {
			var value string
			if err := s.write.QueryRowContext(t.Context(), "SELECT "+row.value+" FROM servers WHERE id = ?", id).Scan(&value); err != nil {
				t.Fatal(err)
			}
			exec(statementSQL[stServerLog], id, row.kind, max(0, at-int64(dice.IntN(3))), value)
		}
	}
	check := func(what string) {
		for at := int64(-1); at < 402; at += 13 {
			sorted := func(query string) string {
				g, err := s.groups(t.Context(), query, at)
				if err != nil {
					t.Fatal(err)
				}
				slices.SortFunc(g, func(a, b store.GroupSize) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
				return fmt.Sprint(g)
			}
			if once, now := sorted(groupsOnceQuery), sorted(groupsAtQuery); once != now {
				t.Errorf("%s, at %d: all at once %s\nand by what changed %s", what, at, once, now)
			}
		}
	}
	// What nothing was ever logged about counted always: the plain way does not know it.
	exec("DELETE FROM servers WHERE id NOT IN (SELECT server FROM server_log)")
	check("as written")
	turns := func() (n int) {
		if err := s.read.QueryRowContext(t.Context(), "SELECT count(*) FROM server_log WHERE turns = 1").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	written := turns()
	exec("DROP INDEX server_log_turns; ALTER TABLE server_log DROP COLUMN turns")
	exec(schemaTurns)
	if taken := turns(); taken != written {
		t.Errorf("%d lines turn as written, %d as taken over", written, taken)
	}
	check("taken over")
}

// BenchmarkGroupsAt counts the groups of 100,000 servers as they were some
// seconds ago and a year ago, each with its labels and ten states of its past: it
// is asked when servers fall silent.
func BenchmarkGroupsAt(b *testing.B) {
	s, err := Open(b.Context(), Config{Path: filepath.Join(b.TempDir(), "ruler.db"), Partitions: 16, Hash: "x"})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for _, query := range []string{
		`WITH RECURSIVE c(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM c WHERE i < 99999)
		INSERT INTO servers (id, partition, name, site, rack, state) SELECT randomblob(16), i % 16, 'srv' || i, 'site' || i % 20, 'rack' || i % 800, 'up' FROM c`,
		`INSERT INTO server_log (server, kind, at, value) SELECT id, 'labels', 1, json_object('name', name, 'site', site, 'rack', rack, 'simulated', json('false')) FROM servers`,
		`WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 10)
		INSERT INTO server_log (server, kind, at, value) SELECT id, 'state', c.i * 1000 + partition, json_object('state', CASE c.i % 2 WHEN 1 THEN 'up' ELSE 'silent' END, 'reason', '') FROM c CROSS JOIN servers`,
		"DROP INDEX server_log_turns; ALTER TABLE server_log DROP COLUMN turns", schemaTurns,
	} {
		if _, err := s.write.ExecContext(b.Context(), query); err != nil {
			b.Fatal(err)
		}
	}
	for name, at := range map[string]int64{"just now": 10_014, "all since": 5000} { // 6,250 and 100,000 servers said something since
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if g, err := s.GroupsAt(b.Context(), moment(at)); err != nil || len(g) == 0 {
					b.Fatal(len(g), err)
				}
			}
		})
	}
}
