package engine

import (
	"testing"
	"time"

	"nocturne/internal/stream"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// A ruler that is killed while it reads a week of the stream again must not tell
// of what it had found by then; and what stands still is no history.
func TestBehind(t *testing.T) {
	now := t0
	e, err := New(Config{Store: openStore(t), Rules: testRules(t), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	all := func(do func(s *status)) {
		for i := range e.status {
			do(&e.status[i])
		}
	}
	behind := func(want bool, when string) {
		t.Helper()
		for _, p := range []int{0, stream.Partitions - 1, store.FleetPartition} {
			if got := e.Behind(p); got != want {
				t.Errorf("%s: partition %d behind: %v", when, p, got)
			}
		}
		if e.Behind(store.MetricPartition) {
			t.Errorf("%s: metric rules have no stream", when)
		}
	}
	behind(true, "before it is known how far they are")
	old := t0.Add(-48 * time.Hour).UnixNano()
	all(func(s *status) {
		s.stream.Store(old)
		s.facts.Store(old)
		s.claimed.Store(now.UnixNano())
	})
	behind(true, "claimed, two days behind")
	now = now.Add(time.Minute)
	all(func(s *status) { s.arrived.Store(now.UnixNano()) })
	now = now.Add(4 * time.Minute)
	behind(true, "catching up")
	now = now.Add(2 * time.Minute)
	behind(false, "nothing more comes")
	all(func(s *status) {
		s.stream.Store(now.UnixNano())
		s.facts.Store(now.UnixNano())
		s.arrived.Store(now.UnixNano())
	})
	behind(false, "at the head")
}

// Until a partition says how far it is, what happened just now is told, and what
// happened in history is not.
func TestOutboxLeavesHistoryOut(t *testing.T) {
	s := openStore(t)
	claim, err := s.Claim(ctx, 1, "test")
	if err != nil {
		t.Fatal(err)
	}
	var rows []store.Notification
	for id, at := range map[string]time.Time{"history": time.Now().Add(-48 * time.Hour), "now": time.Now().Add(-time.Minute)} {
		n := notify.Notification{ID: id, State: notify.Firing, Opened: at, Changed: at}
		rows = append(rows, row(&n, 1))
	}
	if err := s.Commit(ctx, []store.PartitionCommit{{Partition: 1, Epoch: claim.Epoch, To: store.Position{Incarnation: "i", Entry: 1}, Notifications: rows}}); err != nil {
		t.Fatal(err)
	}
	got, err := Outbox{Store: s, Behind: func(int) bool { return true }}.Desired(ctx, time.Now())
	if err != nil || len(got) != 1 || got[0].ID != "now" {
		t.Errorf("%+v, %v", got, err)
	}
}
