package sqlite

import (
	"database/sql"
	"fmt"
	"path/filepath"
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
		count, args := kinds(q)
		wantPlan(t, s, count, args, "SEARCH d USING PRIMARY KEY (server=?)", "devices_kind")
	}
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
	s := openFile(t, path)
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
