package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/store"
)

func TestServersBecomeKnown(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.add(2, "db2", "muc", "r2")
	w.run(30 * time.Second)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	got, err := s.Server(ctx, a.id)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "db1" || got.Site != "fra" || got.Rack != "r1" || !got.Simulated || got.State != store.StateUp || got.OSName != "Windows Server 2022 Standard" ||
		got.ReportedName != "DB1" || got.Interval != testInterval || !got.BootTime.Equal(t0.Add(-time.Hour)) || got.Enrolled.IsZero() || got.LastSeen.IsZero() {
		t.Errorf("server %+v", got.Server)
	}
	if n := told(t, s); len(n) != 0 {
		t.Errorf("notifications %v", n)
	}
	p, err := s.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if want := (store.LedgerTotals{Received: 8, Sequences: 4}); p.Ledger != want {
		t.Errorf("ledger %+v, want %+v", p.Ledger, want)
	}
}

func TestSilenceAndRecovery(t *testing.T) {
	w := newWorld(t)
	for i := range 8 {
		w.add(i+1, "db"+string(rune('1'+i)), "fra", "r"+string(rune('1'+i)))
	}
	w.run(40 * time.Second)
	w.sims[0].silent = true
	w.run(60 * time.Second)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	silent, err := s.Silent(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(silent) != 1 || silent[0].Name != "db1" || silent[0].Notification == "" || silent[0].State != store.StateSilent {
		t.Fatalf("silent %+v", silent)
	}
	// The last heartbeat came at 31 s of stream time, the deadline is 30 s later.
	if since := silent[0].StateSince.Sub(t0); since < 61*time.Second || since > 62*time.Second {
		t.Errorf("silent since %s, want one second after its deadline", since)
	}
	if got := told(t, s); len(got) != 1 || !strings.HasSuffix(got[0], "db1 silence firing") {
		t.Errorf("notifications %q", got)
	}
	w.sims[0].silent = false
	w.run(20 * time.Second)
	d.must()
	if got := told(t, s); len(got) != 1 || !strings.HasSuffix(got[0], "silence resolved") {
		t.Errorf("notifications %q", got)
	}
	if v, err := s.Server(ctx, w.sims[0].id); err != nil || v.State != store.StateUp || v.Open != 0 {
		t.Errorf("server %+v %v", v.Server, err)
	}
}

func TestGoodbyeIsNoSilence(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.add(2, "db2", "fra", "r2")
	w.run(25 * time.Second)
	a.bye()
	w.run(2 * time.Minute)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	if got := told(t, s); len(got) != 0 {
		t.Errorf("notifications %q", got)
	}
	if v, _ := s.Server(ctx, a.id); v.State != store.StateStopped || v.StateReason != "said goodbye (shutdown), has 5m to come back" {
		t.Errorf("server %+v", v.Server)
	}
	w.run(5 * time.Minute)
	d.must()
	if got := told(t, s); len(got) != 1 {
		t.Errorf("after the time a goodbye gives: %q", got)
	}
}

func TestDriveReplaced(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.run(20 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Onln"}, [3]string{"c0/e252/s1", "S1", "Onln"})
	w.run(10 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Onln"}, [3]string{"c0/e252/s1", "S1", "Onln"}) // temperatures vary: nothing new
	w.run(10 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Onln"}, [3]string{"c0/e252/s1", "", "Failed"}) // failed drives lose their serial
	w.run(10 * time.Second)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	d.crash()
	v, err := s.Server(ctx, a.id)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(v.Devices, func(d store.Device) bool { return d.Place == "c0/e252/s1" })
	if i < 0 || v.Devices[i].Occupant != "S1" || v.Devices[i].State != "Failed" {
		t.Fatalf("devices %+v", v.Devices)
	}
	if v.Worst == "" || v.Open != 1 {
		t.Errorf("server %+v", v.Server)
	}
	notes, err := s.Notifications(ctx, store.NotificationQuery{State: store.Firing})
	if err != nil || notes.Total != 1 {
		t.Fatalf("notifications %+v %v", notes, err)
	}
	n, err := s.Notification(ctx, notes.Notifications[0].ID)
	if err != nil || len(n.Evidence) == 0 {
		t.Fatalf("notification %+v %v", n, err)
	}
	if e := n.Evidence[0]; e.Raw != "raw text of storcli" || e.After != "Failed" || e.Before != "Onln" || !strings.Contains(string(e.Attrs), `"device.state":"Failed"`) {
		t.Errorf("evidence %+v", e)
	}
	a.raid([3]string{"c0/e252/s0", "S0", "Onln"}, [3]string{"c0/e252/s1", "S9", "Onln"})
	w.run(10 * time.Second)
	d.must()
	c, err := s.Changes(ctx, store.ChangeQuery{Server: a.id, Kind: "replaced"})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Changes) != 1 || c.Changes[0].Before != "S1" || c.Changes[0].After != "S9" || c.Changes[0].Place != "c0/e252/s1" {
		t.Errorf("changes %+v", c.Changes)
	}
	h, err := s.History(ctx, store.HistoryQuery{Server: a.id, Category: record.RAID})
	if err != nil || len(h) != 3 {
		t.Errorf("%d snapshots kept, want 3: %+v %v", len(h), h, err)
	}
	if got := told(t, s); len(got) == 0 || strings.HasSuffix(got[0], "firing") {
		t.Errorf("notifications %q", got)
	}
}

func TestDecommissionForgets(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.add(2, "db2", "fra", "r2")
	w.run(20 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Failed"})
	w.run(10 * time.Second)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	if got := told(t, s); len(got) != 1 {
		t.Fatalf("notifications %q", got)
	}
	a.registryRecord(record.NameDecommissioned)
	a.silent = true
	w.run(2 * time.Minute)
	d.must()
	got, err := s.Notifications(ctx, store.NotificationQuery{})
	if err != nil || got.Total != 1 || got.Notifications[0].State != store.Resolved || !strings.Contains(got.Notifications[0].Reason, "decommissioned") {
		t.Fatalf("notifications %+v %v", got, err)
	}
	a.silent = false
	a.registryRecord(record.NameEnrolled)
	w.run(20 * time.Second)
	d.crash()
	d.must()
	if v, _ := s.Server(ctx, a.id); v.State != store.StateUp {
		t.Errorf("after it enrolled again: %+v", v.Server)
	}
}

// The registry states everybody again from time to time: no news, no writes,
// and no sign of life.
func TestRegistryRepeatsItself(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.add(2, "db2", "fra", "r2")
	w.run(20 * time.Second)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	before := dump(t, s)
	audit, err := s.AuditLog(ctx, store.AuditQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(2 * time.Minute)
	a.registryRecord(record.NameLabels)
	a.registryRecord(record.NameEnrolled)
	d.must()
	v, err := s.Server(ctx, a.id)
	if err != nil || v.LastSeen.After(w.now.Add(-time.Minute)) {
		t.Errorf("last seen %s %v", v.LastSeen, err)
	}
	if again, err := s.AuditLog(ctx, store.AuditQuery{Limit: 100}); err != nil || len(again) != len(audit) {
		t.Errorf("audit log grew from %d to %d, %v", len(audit), len(again), err)
	}
	if !strings.Contains(before, v.Enrolled.Format(time.RFC3339Nano)) {
		t.Errorf("enrolled %s is new", v.Enrolled)
	}
	a.rack = "r9"
	a.registryRecord(record.NameLabels)
	d.must()
	if v, err := s.Server(ctx, a.id); err != nil || v.Rack != "r9" {
		t.Errorf("moved to %q %v", v.Rack, err)
	}
}

func TestAgentCannotNameItself(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.run(20 * time.Second)
	a.send(record.Agent, record.Record{Time: w.now, Observed: w.now, Name: record.NameLabels, Attrs: []record.Attr{{Key: record.AttrServer, Value: record.String("king")}, {Key: record.AttrSite, Value: record.String("moon")}}})
	s := openStore(t)
	newDriver(t, w.log, s).must()
	if v, _ := s.Server(ctx, a.id); v.Name != "db1" || v.Site != "fra" {
		t.Errorf("an agent renamed its server: %+v", v.Server)
	}
}

func TestClonesAreKeptApart(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.add(2, "db2", "fra", "r2")
	w.run(30 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Onln"})
	// A copy of its disk starts in another machine, with other drives.
	b := &sim{w: w, id: a.id, name: a.name, site: a.site, rack: a.rack, machine: a.machine, board: "b-other", epoch: a.epoch}
	b.start()
	w.sims = append(w.sims, b)
	b.beat()
	b.raid([3]string{"c0/e252/s0", "X0", "Onln"})
	w.run(3 * time.Minute)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.batch = 7
	d.must()
	v, err := s.Server(ctx, a.id)
	if err != nil {
		t.Fatal(err)
	}
	if !v.Clones || len(v.Lines) != 1 || v.Lines[0].CloneOf != a.id.String() || !strings.HasPrefix(v.Lines[0].Name, "db1 ") {
		t.Fatalf("server %+v lines %+v", v.Server, v.Lines)
	}
	if len(v.Devices) != 1 || v.Devices[0].Occupant != "S0" {
		t.Errorf("devices of the first: %+v", v.Devices)
	}
	o, err := s.Server(ctx, v.Lines[0].ID)
	if err != nil || len(o.Devices) != 1 || o.Devices[0].Occupant != "X0" {
		t.Errorf("devices of the other: %+v %v", o.Devices, err)
	}
	c, err := s.Changes(ctx, store.ChangeQuery{})
	if err != nil || len(c.Changes) != 0 {
		t.Errorf("the two were mixed: %+v %v", c.Changes, err)
	}
	if got := told(t, s); len(got) != 1 || !strings.Contains(got[0], "identity") {
		t.Errorf("notifications %q", got)
	}
}

func TestEventTimeIsClamped(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	a.skew = 365 * 24 * time.Hour // its clock is a year ahead
	a.start()
	w.run(30 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Onln"})
	a.raid([3]string{"c0/e252/s0", "S1", "Onln"})
	s := openStore(t)
	newDriver(t, w.log, s).must()
	c, err := s.Changes(ctx, store.ChangeQuery{Server: a.id})
	if err != nil || len(c.Changes) == 0 {
		t.Fatalf("changes %+v %v", c, err)
	}
	if !c.Changes[0].At.Equal(w.now) {
		t.Errorf("change at %s, want the stream's %s", c.Changes[0].At, w.now)
	}
	if v, _ := s.Server(ctx, a.id); v.Skew != -a.skew || v.State != store.StateUp {
		t.Errorf("skew %s state %s", v.Skew, v.State)
	}
}

// A snapshot that is gone from the store, and a bug met by one record, cost
// that much and no more.
func TestLosesOneRecordNotThePartition(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.run(20 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Onln"})
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	d.crash()
	n := stream.Partition(a.id)
	p, err := d.part(n)
	if err != nil {
		t.Fatal(err)
	}
	p.snapshots.load = func(store.Hash) ([]byte, error) { return nil, store.ErrNotFound }
	a.raid([3]string{"c0/e252/s0", "S1", "Onln"})
	d.must()
	p.snapshots.load = func(store.Hash) ([]byte, error) { panic("bug") }
	clear(p.snapshots.young)
	clear(p.snapshots.old)
	a.raid([3]string{"c0/e252/s0", "S2", "Onln"})
	a.event("disk", 7)
	d.must()
	if v, err := s.Server(ctx, a.id); err != nil || len(v.Devices) != 1 || v.Devices[0].Occupant != "S1" || v.Open != 1 {
		t.Errorf("server %+v %v", v, err)
	}
	audit, err := s.AuditLog(ctx, store.AuditQuery{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, e := range audit {
		got += e.Action + "\n"
	}
	if !strings.Contains(got, "previous snapshot lost") || !strings.Contains(got, "record skipped") {
		t.Errorf("audit log\n%s", got)
	}
}

// A VM is reverted to a snapshot of its running state: the same epoch counts
// anew. It is not silent, and says what to do.
func TestRevertedWhileRunning(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.add(2, "db2", "muc", "r2")
	w.run(30 * time.Second)
	before := a.seq[record.Heartbeat]
	kept := a.beat()
	w.run(2 * time.Minute)
	a.deliver(kept) // a plain repetition is nothing
	a.seq[record.Heartbeat] = before
	w.run(90 * time.Second)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.batch = 5
	d.must()
	if got := told(t, s); len(got) != 0 {
		t.Errorf("notifications %q", got)
	}
	v, err := s.Server(ctx, a.id)
	if err != nil || v.State != store.StateUp || !strings.Contains(v.StateReason, "restart its exporter") {
		t.Errorf("server %+v %v", v.Server, err)
	}
	audit, err := s.AuditLog(ctx, store.AuditQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range audit {
		if e.Action == "record numbers went back" {
			n++
		}
	}
	if n != 1 {
		t.Errorf("said %d times, want once", n)
	}
	a.start() // its exporter is restarted
	w.run(30 * time.Second)
	d.must()
	if p, err := s.Pipeline(ctx); err != nil || p.Ledger.Missing != 0 {
		t.Errorf("ledger %+v %v", p.Ledger, err)
	}
}
