package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func problem(name string, n byte) store.Notification {
	return store.Notification{
		ID: name, Server: id(n), Name: "db7", Device: "physical_drive c0/e252/s4", Class: "drive", Saved: []byte("own form"),
		State: store.Firing, Severity: "warning", RuleID: "drive-failed", Title: "Drive failed", Reason: "state Failed",
		Opened: at(1), Changed: at(2), Simulated: true,
		Labels: map[string]string{"alertname": "DriveFailed", "site": "fra"}, Annotations: map[string]string{"summary": "x"},
		Parts: []store.Part{{RuleID: "drive-failed", Rule: "DriveFailed", RuleVersion: "1", Shape: "s", Device: "physical_drive c0/e252/s4", State: store.Firing, Severity: "warning",
			Momentary: true, Reason: "r", Before: "a", After: "b", RecordID: "rec", Since: at(1), Changed: at(2), Count: 3, Cause: true}},
		Partition: 1,
	}
}

func notificationsRoundTrip(t *testing.T, f *fixture) {
	if _, err := f.Notification(ctx, "none"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("unknown id: got %v, want ErrNotFound", err)
	}
	n := problem("n1", 1)
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1}}, Notifications: []store.Notification{n}})
	d := must[store.NotificationDetail](t)(f.Notification(ctx, "n1"))
	n.Version = d.Version
	if !reflect.DeepEqual(d.Notification, n) {
		t.Errorf("got  %+v\nwant %+v", d.Notification, n)
	}
	if c := f.claim(1); len(c.Notifications) != 1 || !reflect.DeepEqual(c.Notifications[0], n) {
		t.Errorf("claimed %+v", c.Notifications)
	}
	if c := f.claim(2); len(c.Notifications) != 0 {
		t.Errorf("another partition claimed %+v", c.Notifications)
	}
	n.State, n.Resolved, n.Changed, n.Reason, n.Severity = store.Resolved, at(9), at(9), "Online", "critical"
	n.Parts = nil
	f.commit(store.PartitionCommit{Partition: 1, Notifications: []store.Notification{n}})
	d = must[store.NotificationDetail](t)(f.Notification(ctx, "n1"))
	if d.Version <= n.Version {
		t.Errorf("version %d after %d, want a higher one", d.Version, n.Version)
	}
	if d.State != store.Resolved || !d.Resolved.Equal(at(9)) || d.Reason != "Online" || d.Severity != "critical" || len(d.Parts) != 0 {
		t.Errorf("after it was resolved: %+v", d.Notification)
	}
	if c := f.claim(1); len(c.Notifications) != 0 {
		t.Errorf("claimed a resolved one: %+v", c.Notifications)
	}
	if s := must[store.ServerDetail](t)(f.Server(ctx, id(1))); s.Open != 0 || s.Worst != "" {
		t.Errorf("server still counts %d %q", s.Open, s.Worst)
	}
}

func notificationsFilter(t *testing.T, f *fixture) {
	c := store.PartitionCommit{Partition: 1}
	for i := range byte(6) {
		n := problem(fmt.Sprint("n", i), i%3)
		n.Changed = at(time.Duration(i) * time.Minute)
		if i >= 3 {
			n.State = store.Resolved
		}
		if i == 1 {
			n.Muted, n.Severity, n.Class, n.RuleID, n.Title = "maintenance", "critical", "silent", "absent", "No word"
		}
		if i == 2 {
			n.Labels = map[string]string{"site": "muc"}
		}
		c.Notifications = append(c.Notifications, n)
	}
	f.commit(c)
	yes, no := true, false
	for _, c := range []struct {
		name  string
		q     store.NotificationQuery
		want  string
		total int
	}{
		{"newest change first", store.NotificationQuery{}, "n5 n4 n3 n2 n1 n0", 6},
		{"page", store.NotificationQuery{Limit: 2, Offset: 2}, "n3 n2", 6},
		{"firing", store.NotificationQuery{State: store.Firing}, "n2 n1 n0", 3},
		{"what a sender asks", store.NotificationQuery{ResolvedSince: at(4 * time.Minute)}, "n5 n4 n2 n1 n0", 5},
		{"server", store.NotificationQuery{Server: id(1)}, "n4 n1", 2},
		{"severity", store.NotificationQuery{Severity: "critical"}, "n1", 1},
		{"class", store.NotificationQuery{Class: "silent"}, "n1", 1},
		{"rule", store.NotificationQuery{RuleID: "absent"}, "n1", 1},
		{"site", store.NotificationQuery{Site: "muc"}, "n2", 1},
		{"text", store.NotificationQuery{Text: "no WORD"}, "n1", 1},
		{"muted", store.NotificationQuery{Muted: &yes}, "n1", 1},
		{"not muted", store.NotificationQuery{Muted: &no, State: store.Firing}, "n2 n0", 2},
	} {
		p := must[store.NotificationPage](t)(f.Notifications(ctx, c.q))
		got := ""
		for i, n := range p.Notifications {
			if i > 0 {
				got += " "
			}
			got += n.ID
		}
		if got != c.want || p.Total != c.total {
			t.Errorf("%s: got %q of %d, want %q of %d", c.name, got, p.Total, c.want, c.total)
		}
	}
}

func foldsAreTheFleetOperators(t *testing.T, f *fixture) {
	n := problem("n1", 1)
	n.Held = true
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1}}, Notifications: []store.Notification{n}})
	if d := must[store.NotificationDetail](t)(f.Notification(ctx, "n1")); !d.Held {
		t.Fatal("not held when new")
	}
	whole := problem("fleet", 0)
	whole.Partition = store.FleetPartition
	f.commit(store.PartitionCommit{Partition: store.FleetPartition, Notifications: []store.Notification{whole}, Folds: []store.Fold{{Notification: "n1", Into: "fleet", Muted: "rack r12 is silent", At: at(5)}, {Notification: "pruned"}}})
	n.Reason, n.FoldedInto, n.Muted, n.Held = "another record", "", "", true // the partition knows nothing of folds
	f.commit(store.PartitionCommit{Partition: 1, Notifications: []store.Notification{n}})
	d := must[store.NotificationDetail](t)(f.Notification(ctx, "n1"))
	if d.Held || d.FoldedInto != "fleet" || d.Muted != "rack r12 is silent" || d.Reason != "another record" {
		t.Errorf("after the partition wrote again: %+v", d.Notification)
	}
	if w := must[store.NotificationDetail](t)(f.Notification(ctx, "fleet")); len(w.Members) != 1 || w.Members[0].ID != "n1" {
		t.Errorf("members %+v", w.Members)
	}
	if s := must[store.ServerDetail](t)(f.Server(ctx, id(1))); s.Open != 1 || s.Worst != "warning" {
		t.Errorf("a folded problem is still the server's: %d %q", s.Open, s.Worst)
	}
	f.commit(store.PartitionCommit{Partition: store.FleetPartition, Folds: []store.Fold{{Notification: "n1", At: at(6), Probe: "unreachable"}}})
	if got := must[store.NotificationDetail](t)(f.Notification(ctx, "n1")); got.FoldedInto != "" || got.Muted != "" || got.Version <= d.Version || !got.Changed.Equal(at(6)) {
		t.Errorf("after it was let go: %+v", got.Notification)
	}
}

func evidenceIsBounded(t *testing.T, f *fixture) {
	e := store.Evidence{Notification: "n1", At: at(1), Event: at(0), Effect: "firing", RuleID: "r", Reason: "why", RecordID: "rec0", Category: record.RAID, Name: "nocturne.snapshot",
		Body: "b", Attrs: []byte(`{"a":1}`), Raw: "raw", Before: "Onln", After: "Failed", Cut: true}
	f.commit(store.PartitionCommit{Partition: 1, Notifications: []store.Notification{problem("n1", 1)}, Evidence: []store.Evidence{e}})
	d := must[store.NotificationDetail](t)(f.Notification(ctx, "n1"))
	if len(d.Evidence) != 1 || !reflect.DeepEqual(d.Evidence[0], e) {
		t.Fatalf("got  %+v\nwant %+v", d.Evidence, e)
	}
	for i := range 2 * store.MaxEvidence {
		e.RecordID = fmt.Sprint("rec", i+1)
		f.commit(store.PartitionCommit{Partition: 1, Evidence: []store.Evidence{e}})
	}
	d = must[store.NotificationDetail](t)(f.Notification(ctx, "n1"))
	if len(d.Evidence) != store.MaxEvidence || d.Evidence[0].RecordID != "rec0" || d.Evidence[store.MaxEvidence-1].RecordID != fmt.Sprint("rec", 2*store.MaxEvidence) {
		t.Errorf("%d kept, from %s to %s", len(d.Evidence), d.Evidence[0].RecordID, d.Evidence[len(d.Evidence)-1].RecordID)
	}
}

func deliveries(t *testing.T, f *fixture) {
	f.commit(store.PartitionCommit{Partition: 1, Notifications: []store.Notification{problem("n1", 1)}})
	d := store.Delivery{Notification: "n1", Target: "http://am", State: store.Firing, Version: 1, First: at(1), At: at(1), Attempts: 1, Error: "refused"}
	again := d
	again.First, again.At, again.Attempts, again.Error = at(2), at(2), 2, ""
	over := store.Delivery{Notification: "n1", Target: "http://am", State: store.Resolved, Version: 2, First: at(3), At: at(3), Attempts: 1}
	for _, v := range [][]store.Delivery{{d}, {again, over}, nil} {
		if err := f.RecordDeliveries(ctx, v); err != nil {
			t.Fatal(err)
		}
	}
	again.First = d.First
	if got := must[store.NotificationDetail](t)(f.Notification(ctx, "n1")).Deliveries; !reflect.DeepEqual(got, []store.Delivery{again, over}) {
		t.Errorf("got %+v", got)
	}
	// A repeat that fails takes nothing back: people have heard it.
	failed := again
	failed.At, failed.Attempts, failed.Error = at(4), 1, "connection refused"
	if err := f.RecordDeliveries(ctx, []store.Delivery{failed}); err != nil {
		t.Fatal(err)
	}
	if got := must[store.NotificationDetail](t)(f.Notification(ctx, "n1")).Deliveries; !reflect.DeepEqual(got, []store.Delivery{again, over}) {
		t.Errorf("after a repeat that failed: %+v", got)
	}
}

func pruneKeepsWhatIsOpen(t *testing.T, f *fixture) {
	open, closed := problem("open", 1), problem("closed", 1)
	closed.State = store.Resolved
	old, cur := store.Hash{1}, store.Hash{2}
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1}}, Notifications: []store.Notification{open, closed},
		Evidence: []store.Evidence{{Notification: "open"}, {Notification: "closed"}},
		Changes:  []store.Change{{Server: id(1), Stream: at(1)}, {Server: id(1), Stream: at(time.Hour)}},
		Snapshots: []store.SnapshotWrite{{Server: id(1), Category: record.RAID, Hash: old, Bytes: []byte{1}, At: at(1)},
			{Server: id(1), Category: record.RAID, Hash: cur, Bytes: []byte{2}, At: at(2)}},
		History: []store.HistoryEntry{{Server: id(1), Category: record.RAID, At: at(1), Hash: old}, {Server: id(1), Category: record.RAID, At: at(2), Hash: cur}},
		Audit:   []store.AuditEntry{{At: at(1), Actor: "ruler", Action: "x"}}})
	if err := f.Audit(ctx, store.AuditEntry{At: at(time.Hour), Actor: "console", Action: "y", Subject: "z", Detail: []byte(`{"a":1}`)}); err != nil {
		t.Fatal(err)
	}
	n := must[int64](t)(f.Prune(ctx, store.Before(at(time.Minute))))
	if n != 6 {
		t.Errorf("%d rows pruned, want a change, one of history, a snapshot, a notification with its evidence, an audit line", n)
	}
	if p := must[store.ServerPast](t)(f.ServerAt(ctx, id(1), at(time.Minute))); len(p.Snapshots) != 1 || p.Snapshots[0].Hash != cur {
		t.Errorf("what held when the retention began is gone: %+v", p.Snapshots)
	}
	if p := must[store.NotificationPage](t)(f.Notifications(ctx, store.NotificationQuery{})); p.Total != 1 || p.Notifications[0].ID != "open" {
		t.Errorf("left %+v", p)
	}
	if d := must[store.NotificationDetail](t)(f.Notification(ctx, "open")); len(d.Evidence) != 1 {
		t.Errorf("evidence of the open one: %+v", d.Evidence)
	}
	if _, err := f.Snapshot(ctx, cur); err != nil {
		t.Errorf("the current snapshot went: %v", err)
	}
	if _, err := f.Snapshot(ctx, old); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unused snapshot stays: %v", err)
	}
	if a := must[[]store.AuditEntry](t)(f.AuditLog(ctx, store.AuditQuery{Limit: 10})); len(a) != 1 || a[0].Actor != "console" || string(a[0].Detail) != `{"a":1}` || !a[0].At.Equal(at(time.Hour)) {
		t.Errorf("audit log %+v", a)
	}
}

// What belongs to a notification goes with it, however many there are and
// whatever is kept longer.
func pruneLeavesNothingBehind(t *testing.T, f *fixture) {
	const n = 1200
	c := store.PartitionCommit{Partition: 1}
	var ds []store.Delivery
	for i := range n {
		v := problem(fmt.Sprintf("n%04d", i), 1)
		v.State = store.Resolved
		c.Notifications = append(c.Notifications, v)
		c.Evidence = append(c.Evidence, store.Evidence{Notification: v.ID})
		ds = append(ds, store.Delivery{Notification: v.ID, Target: "http://am", State: store.Firing, Version: 1, First: at(1), At: at(1), Attempts: 1})
	}
	f.commit(c)
	if err := f.RecordDeliveries(ctx, ds); err != nil {
		t.Fatal(err)
	}
	limits := store.Before(at(time.Minute))
	limits.Evidence = at(-time.Hour)
	if got := must[int64](t)(f.Prune(ctx, limits)); got != 3*n {
		t.Errorf("%d rows pruned, want %d: each notification with a delivery and a record", got, 3*n)
	}
}

func outbox(t *testing.T, f *fixture) {
	var c store.PartitionCommit
	c.Partition = 1
	for i, name := range []string{"a-firing", "b-fresh", "c-untold", "d-told", "e-never-told", "f-muted", "g-held", "h-half-told"} {
		n := problem(name, 1)
		n.Opened = at(time.Duration(i))
		if i > 0 {
			n.State, n.Changed = store.Resolved, at(time.Minute)
		}
		switch name {
		case "b-fresh":
			n.Changed = at(time.Hour)
		case "f-muted":
			n.State, n.Muted = store.Firing, "maintenance"
		case "g-held":
			n.State, n.Held = store.Firing, true
		}
		c.Notifications = append(c.Notifications, n)
	}
	f.commit(c)
	told := func(n, target string, s store.NotificationState, failed string) store.Delivery {
		return store.Delivery{Notification: n, Target: target, State: s, Version: 1, First: at(1), At: at(1), Attempts: 1, Error: failed}
	}
	err := f.RecordDeliveries(ctx, []store.Delivery{
		told("a-firing", "am1", store.Firing, ""),
		told("c-untold", "am1", store.Firing, ""), told("c-untold", "am1", store.Resolved, "refused"),
		told("d-told", "am1", store.Firing, ""), told("d-told", "am1", store.Resolved, ""),
		told("e-never-told", "am1", store.Firing, "refused"),
		told("h-half-told", "am1", store.Firing, ""), told("h-half-told", "am1", store.Resolved, ""), told("h-half-told", "am2", store.Firing, ""),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, o := range must[[]store.Outgoing](t)(f.Outbox(ctx, at(30*time.Minute))) {
		got += o.ID + fmt.Sprintf("/%d ", len(o.Deliveries))
	}
	if want := "a-firing/1 b-fresh/0 c-untold/2 h-half-told/3 "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
