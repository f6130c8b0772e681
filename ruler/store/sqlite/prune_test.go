package sqlite_test

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// orphans are questions of which each must answer 0 after pruning.
var orphans = map[string]string{
	"evidence without its notification":   "SELECT count(*) FROM evidence WHERE notification NOT IN (SELECT id FROM notifications)",
	"deliveries without notification":     "SELECT count(*) FROM deliveries WHERE notification NOT IN (SELECT id FROM notifications)",
	"work on notifications that are gone": "SELECT count(*) FROM desk WHERE notification NOT IN (SELECT id FROM notifications)",
	"comments on what is gone":            "SELECT count(*) FROM deeds WHERE notification NOT IN (SELECT id FROM notifications)",
	"targets of silences that are gone":   "SELECT count(*) FROM silence_targets WHERE silence NOT IN (SELECT id FROM silences)",
	"snapshots that nobody names":         "SELECT count(*) FROM snapshots WHERE hash NOT IN (SELECT hash FROM history) AND hash NOT IN (SELECT hash FROM current)",
	"history without its snapshot":        "SELECT count(*) FROM history WHERE hash NOT IN (SELECT hash FROM snapshots)",
	"current state without its snapshot":  "SELECT count(*) FROM current WHERE hash NOT IN (SELECT hash FROM snapshots)",
}

// years fills a store with two years of a few servers: configurations, labels and
// states that come and go, notifications with evidence, deliveries and comments.
func years(t *testing.T, s *sqlite.Store, begin time.Time) {
	t.Helper()
	ctx := t.Context()
	c, err := s.Claim(ctx, 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	pos := c.Position
	var told []store.Delivery
	for day := 0; day < 730; day += 30 {
		at := begin.Add(time.Duration(day) * 24 * time.Hour)
		commit := store.PartitionCommit{Epoch: c.Epoch, From: pos, To: store.Position{Incarnation: "x", Entry: uint64(day + 1)}, StreamTime: at}
		pos = commit.To
		for n := range 4 {
			id := record.ID{byte(n + 1)}
			w := store.ServerWrite{ID: id}
			if day%(90*n+30) == 0 { // the more seldom the higher its number
				w.Labels = &store.ServerLabels{Name: fmt.Sprint("srv", n), Site: fmt.Sprint("site", day)}
				w.State = &store.StateWrite{State: []store.ServerState{store.StateUp, store.StateStopped}[day/30%2], Since: at, Reason: fmt.Sprint(day)}
				hash := store.Hash{byte(n), byte(day), byte(day >> 8)}
				commit.Snapshots = append(commit.Snapshots, store.SnapshotWrite{Server: id, Category: record.RAID, Hash: hash, Bytes: []byte{byte(day)}, At: at})
				commit.History = append(commit.History, store.HistoryEntry{Server: id, Category: record.RAID, At: at, Hash: hash})
				commit.Changes = append(commit.Changes, store.Change{Server: id, Stream: at, At: at})
			}
			commit.Servers = append(commit.Servers, w)
			for d := range 30 {
				at, note := at.Add(time.Duration(d)*24*time.Hour), fmt.Sprintf("%04d-%d", day+d, n)
				commit.Notifications = append(commit.Notifications, store.Notification{ID: note, Server: id, State: store.Resolved, Severity: "info", Opened: at, Changed: at, Resolved: at})
				commit.Evidence = append(commit.Evidence, store.Evidence{Notification: note, At: at})
				told = append(told, store.Delivery{Notification: note, Target: "am", State: []store.NotificationState{store.Firing, store.Resolved}[d%2], First: at, At: at})
			}
		}
		if err := s.Commit(ctx, []store.PartitionCommit{commit}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Do(ctx, store.Deed{Notification: fmt.Sprintf("%04d-1", day), Kind: store.Comment, Text: "x", At: at}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RecordDeliveries(ctx, told); err != nil {
		t.Fatal(err)
	}
}

// Pruning leaves nothing behind that belongs to what it took, whatever the limits
// of the kinds are, and never takes what was known when the retention begins.
func TestPruneLeavesNoOrphansAndTheLastState(t *testing.T) {
	begin := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	after := func(days int) time.Time { return begin.Add(time.Duration(days) * 24 * time.Hour) }
	full := filepath.Join(t.TempDir(), "full.db")
	s := open(t, sqlite.Config{Path: full, Partitions: 16, Hash: "test"})
	years(t, s, begin)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(full)
	if err != nil {
		t.Fatal(err)
	}
	for name, limits := range map[string]store.Limits{
		"one for all":              store.Before(after(700)),
		"evidence for longer":      {Changes: after(700), History: after(700), Notifications: after(650), Evidence: after(10), Audit: after(700)},
		"evidence for less":        {Changes: after(10), History: after(300), Notifications: after(300), Evidence: after(720), Audit: after(10)},
		"history for less":         {Changes: after(10), History: after(725), Notifications: after(10), Evidence: after(10), Audit: after(10)},
		"past everything there is": store.Before(after(9999)),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ruler.db")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, sqlite.Config{Path: path, Partitions: 16, Hash: "test"})
			defer s.Close()
			state := func() string {
				var out []any
				for n := range 4 {
					for _, at := range []time.Time{limits.History, limits.History.Add(240 * time.Hour), after(729)} {
						past, err := s.ServerAt(t.Context(), record.ID{byte(n + 1)}, at)
						if err != nil || len(past.Snapshots) == 0 {
							t.Fatalf("server %d at %v: %+v %v", n, at, past, err)
						}
						if _, err := s.Snapshot(t.Context(), past.Snapshots[0].Hash); err != nil {
							t.Errorf("server %d at %v: %v", n, at, err)
						}
						past.Known = time.Time{} // that is what pruning changes
						out = append(out, past)
					}
				}
				b, err := json.Marshal(out)
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			}
			before := state()
			if n, err := s.Prune(t.Context(), limits); err != nil || n == 0 {
				t.Fatalf("pruned %d rows, %v", n, err)
			}
			if now := state(); now != before {
				t.Errorf("what was known is another now:\n%s\nbefore\n%s", now, before)
			}
			db, err := sql.Open("sqlite", path)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			for what, q := range orphans {
				var n int
				if err := db.QueryRow(q).Scan(&n); err != nil || n != 0 {
					t.Errorf("%d: %s (%v)", n, what, err)
				}
			}
			if n, err := s.Prune(t.Context(), limits); err != nil || n != 0 {
				t.Errorf("pruning once more took %d rows, %v", n, err)
			}
		})
	}
}
