package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func serverPartsMerge(t *testing.T, f *fixture) {
	labels := store.ServerLabels{Name: "db7", Site: "fra", Rack: "r12", Role: "db", Owner: "dba", Simulated: true, Enrolled: at(0)}
	facts := store.ServerFacts{OSName: "Windows Server 2022", OSType: "windows", OSVersion: "10.0.20348", OSBuild: "20348.2340", ExporterVersion: "1.2",
		ReportedName: "DB7", MachineID: "m", SMBIOSUUID: "u", BootTime: at(-time.Hour), Interval: 2 * time.Minute}
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1, Labels: &labels}}})
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1, Facts: &facts, Seen: &store.SeenWrite{At: at(5), Skew: -time.Second}}}})
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1, State: &store.StateWrite{State: store.StateUp, Reason: "heartbeat", Since: at(6)}}}})
	address := "192.0.2.7"
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1, Address: &address}, {ID: id(2), Partition: 2, Address: &address, State: &store.StateWrite{State: store.StateUp}}}})
	labels.Enrolled, labels.Site = time.Time{}, "muc"
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1, Labels: &labels}}})
	want := store.Server{ID: id(1), Name: "db7", Site: "muc", Rack: "r12", Role: "db", Owner: "dba", Simulated: true,
		State: store.StateUp, StateReason: "heartbeat", StateSince: at(6), OSName: facts.OSName, OSType: facts.OSType, OSVersion: facts.OSVersion, OSBuild: facts.OSBuild,
		BootTime: facts.BootTime, ExporterVersion: "1.2", ReportedName: "DB7", MachineID: "m", SMBIOSUUID: "u",
		Address: address, Enrolled: at(0), LastSeen: at(5), Interval: 2 * time.Minute, Skew: -time.Second}
	if got := must[store.ServerDetail](t)(f.Server(ctx, id(1))); got.Server != want {
		t.Errorf("got  %+v\nwant %+v", got.Server, want)
	}
	f.reopen()
	if c := f.claim(1); len(c.Servers) != 1 || c.Servers[0] != want {
		t.Errorf("claimed %+v", c.Servers)
	}
	if c := f.claim(3); len(c.Servers) != 0 {
		t.Errorf("another partition claimed %+v", c.Servers)
	}
	groups := must[[]store.GroupSize](t)(f.Groups(ctx))
	if !slices.Contains(groups, store.GroupSize{Site: "muc", Rack: "r12", Subnet: "192.0.2.0/24", Simulated: true, Servers: 1}) || len(groups) != 2 {
		t.Errorf("groups %+v", groups)
	}
	if n := must[int](t)(f.Sharing(ctx, address)); n != 2 {
		t.Errorf("%d servers connect from %s", n, address)
	}
	if n := must[int](t)(f.Sharing(ctx, "")); n != 0 {
		t.Errorf("%d servers connect from nowhere", n)
	}
}

func serverList(t *testing.T, f *fixture) {
	var c store.PartitionCommit
	c.Partition = 1
	states := []store.ServerState{store.StateUp, store.StateSilent, store.StateDecommissioned}
	for i := range byte(12) {
		c.Servers = append(c.Servers, store.ServerWrite{ID: id(i), Partition: 1,
			Labels: &store.ServerLabels{Name: fmt.Sprintf("srv%02d", i), Site: []string{"fra", "muc"}[i%2], Rack: fmt.Sprintf("r%d", i/4), Role: "web_1%", Simulated: i < 3},
			State:  &store.StateWrite{State: states[i%3], Since: at(0)}})
	}
	c.Notifications = []store.Notification{
		{ID: "a", Server: id(4), State: store.Firing, Severity: "warning"}, {ID: "b", Server: id(6), State: store.Firing, Severity: "critical"},
		{ID: "c", Server: id(6), State: store.Firing, Severity: "info"}, {ID: "d", Server: id(7), State: store.Resolved, Severity: "critical"}}
	f.commit(c)
	yes, no := true, false
	all := []store.ServerState{store.StateUp, store.StateSilent, store.StateDecommissioned}
	for _, c := range []struct {
		name  string
		q     store.ServerQuery
		want  string
		total int
	}{
		{"the worst first, decommissioned left out", store.ServerQuery{Limit: 4}, "06 04 01 07", 8},
		{"worst reversed", store.ServerQuery{Sort: store.ByWorst, Reverse: true, Limit: 3, Offset: 6}, "04 06", 8},
		{"by name", store.ServerQuery{Sort: store.ByName, Limit: 3, Offset: 3}, "04 06 07", 8},
		{"by name reversed", store.ServerQuery{Sort: store.ByName, Reverse: true, Limit: 2}, "10 09", 8},
		{"by site", store.ServerQuery{Sort: store.BySite, Limit: 5}, "00 04 06 10 01", 8},
		{"by state", store.ServerQuery{Sort: store.ByState, Limit: 1}, "01", 8},
		{"site and rack", store.ServerQuery{Site: "muc", Rack: "r0"}, "01 03", 2},
		{"state", store.ServerQuery{State: []store.ServerState{store.StateSilent}}, "04 01 07 10", 4},
		{"all states", store.ServerQuery{State: all, Sort: store.ByName}, "00 01 02 03 04 05 06 07 08 09 10 11", 12},
		{"severity", store.ServerQuery{Severity: "warning"}, "04", 1},
		{"simulated", store.ServerQuery{Simulated: &yes}, "01 00", 2},
		{"real", store.ServerQuery{Simulated: &no, Limit: 1}, "06", 6},
		{"text", store.ServerQuery{Text: "RV1"}, "10", 1},
		{"text: percent is a letter", store.ServerQuery{Text: "1%", Limit: 1}, "06", 8},
		{"text: underscore is a letter", store.ServerQuery{Text: "s_v"}, "", 0},
		{"text: id", store.ServerQuery{Text: id(9).String()}, "09", 1},
		{"past the end", store.ServerQuery{Offset: 50}, "", 8},
		{"nothing", store.ServerQuery{Site: "ber"}, "", 0},
	} {
		p := must[store.ServerPage](t)(f.Servers(ctx, c.q))
		got := ""
		for i, s := range p.Servers {
			if i > 0 {
				got += " "
			}
			got += s.Name[3:]
		}
		if got != c.want || p.Total != c.total {
			t.Errorf("%s: got %q of %d, want %q of %d", c.name, got, p.Total, c.want, c.total)
		}
	}
	p := must[store.ServerPage](t)(f.Servers(ctx, store.ServerQuery{Limit: 1}))
	if s := p.Servers[0]; s.Open != 2 || s.Worst != "critical" {
		t.Errorf("sums %d %q, want 2 critical", s.Open, s.Worst)
	}
}

func serverDetail(t *testing.T, f *fixture) {
	if _, err := f.Server(ctx, id(1)); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("unknown server: got %v, want ErrNotFound", err)
	}
	drive := store.Device{Category: record.RAID, Type: record.DevicePhysicalDrive, Place: "c0/e252/s4", Occupant: "S1", State: "Onln", Fields: []byte(`{"model":"X"}`), First: at(1), Changed: at(1)}
	gone := drive
	gone.Place, gone.Removed = "c0/e252/s5", at(2)
	third := drive
	third.Place = "c0/e252/s6"
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1}},
		Devices: []store.DeviceWrite{{Server: id(1), Device: drive}, {Server: id(1), Device: gone}, {Server: id(1), Device: third}, {Server: id(2), Device: drive}}})
	drive.State, drive.Changed = "Failed", at(3)
	later := drive
	later.First = at(3) // the first sight stays
	f.commit(store.PartitionCommit{Partition: 1, Devices: []store.DeviceWrite{{Server: id(1), Device: later}, {Server: id(1), Device: third, Delete: true}}})
	d := must[store.ServerDetail](t)(f.Server(ctx, id(1)))
	if len(d.Devices) != 2 {
		t.Fatalf("devices %+v, want 2", d.Devices)
	}
	got := d.Devices[0]
	if got.State != "Failed" || !got.First.Equal(at(1)) || !got.Changed.Equal(at(3)) || string(got.Fields) != `{"model":"X"}` || got.Occupant != "S1" || got.Category != record.RAID {
		t.Errorf("drive %+v", got)
	}
	if !d.Devices[1].Removed.Equal(at(2)) {
		t.Errorf("removed %v, want %v", d.Devices[1].Removed, at(2))
	}
}

func clonesAreLinesApart(t *testing.T, f *fixture) {
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{
		{ID: id(1), Partition: 1, Clones: &store.CloneWrite{Clones: true}},
		{ID: id(2), Partition: 1, Clones: &store.CloneWrite{Of: id(1), Clones: true}},
		{ID: id(3), Partition: 1}}})
	for self, other := range map[byte]byte{1: 2, 2: 1} {
		d := must[store.ServerDetail](t)(f.Server(ctx, id(self)))
		if len(d.Lines) != 1 || d.Lines[0].ID != id(other) || !d.Clones {
			t.Errorf("lines of %d: %+v", self, d.Lines)
		}
	}
	if d := must[store.ServerDetail](t)(f.Server(ctx, id(2))); d.CloneOf != id(1).String() {
		t.Errorf("clone of %q", d.CloneOf)
	}
	yes := true
	if p := must[store.ServerPage](t)(f.Servers(ctx, store.ServerQuery{Clones: &yes})); p.Total != 2 {
		t.Errorf("%d clones, want 2", p.Total)
	}
}

func snapshotsByContent(t *testing.T, f *fixture) {
	h1, h2 := store.Hash{1}, store.Hash{2}
	snap := func(h store.Hash, d time.Duration) store.SnapshotWrite {
		return store.SnapshotWrite{Server: id(1), Category: record.RAID, At: at(d), Hash: h, Bytes: []byte{h[0]}}
	}
	entry := func(h store.Hash, d time.Duration, n int) store.HistoryEntry {
		return store.HistoryEntry{Server: id(1), Category: record.RAID, At: at(d), Hash: h, RecordID: "r", Changes: n}
	}
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1}},
		Snapshots: []store.SnapshotWrite{snap(h1, 1)}, History: []store.HistoryEntry{entry(h1, 1, 0)}})
	f.commit(store.PartitionCommit{Partition: 1, Snapshots: []store.SnapshotWrite{snap(h2, 2)}, History: []store.HistoryEntry{entry(h2, 2, 1)}})
	f.commit(store.PartitionCommit{Partition: 1, Snapshots: []store.SnapshotWrite{snap(h1, 3)}, History: []store.HistoryEntry{entry(h1, 3, 1)}})
	if b := must[[]byte](t)(f.Snapshot(ctx, h2)); !slices.Equal(b, []byte{2}) {
		t.Errorf("bytes %v", b)
	}
	if _, err := f.Snapshot(ctx, store.Hash{9}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown hash: got %v, want ErrNotFound", err)
	}
	h := must[[]store.HistoryEntry](t)(f.History(ctx, store.HistoryQuery{Server: id(1)}))
	if len(h) != 3 || h[0] != entry(h1, 3, 1) || h[1].Hash != h2 || h[2].Changes != 0 {
		t.Errorf("history %+v", h)
	}
	if h := must[[]store.HistoryEntry](t)(f.History(ctx, store.HistoryQuery{Server: id(1), Before: at(3), Limit: 1})); len(h) != 1 || h[0].Hash != h2 {
		t.Errorf("history before: %+v", h)
	}
	if h := must[[]store.HistoryEntry](t)(f.History(ctx, store.HistoryQuery{Server: id(1), Category: record.Hardware})); len(h) != 0 {
		t.Errorf("history of another category: %+v", h)
	}
	if c := f.claim(1); len(c.Current) != 1 || c.Current[0] != (store.CurrentSnapshot{Server: id(1), Category: record.RAID, Hash: h1}) {
		t.Errorf("current %+v", c.Current)
	}
	if d := must[store.ServerDetail](t)(f.Server(ctx, id(1))); len(d.Observed) != 1 || d.Observed[0].Hash != h1 || !d.Observed[0].At.Equal(at(3)) {
		t.Errorf("observed %+v", d.Observed)
	}
}

func changesPage(t *testing.T, f *fixture) {
	c := store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(1), Partition: 1, Labels: &store.ServerLabels{Name: "db7", Simulated: true}}}}
	for i := range 5 {
		c.Changes = append(c.Changes, store.Change{Server: id(byte(1 + i%2)), Category: record.RAID, At: at(time.Duration(i)), Stream: at(time.Duration(10 + i)), Kind: "replaced",
			Type: "physical_drive", Place: "c0/e252/s4", Before: "A", After: "B", RecordID: "r", Hash: store.Hash{1}})
	}
	c.Changes[4].Kind, c.Changes[4].Field, c.Changes[4].From = "field", "state", "x"
	f.commit(c)
	p := must[store.ChangePage](t)(f.Changes(ctx, store.ChangeQuery{Server: id(1), Limit: 2}))
	if len(p.Changes) != 2 || p.Next == 0 {
		t.Fatalf("page %+v", p)
	}
	want := c.Changes[4]
	want.ID, want.Name, want.Simulated = p.Changes[0].ID, "db7", true
	if p.Changes[0] != want {
		t.Errorf("got  %+v\nwant %+v", p.Changes[0], want)
	}
	if p = must[store.ChangePage](t)(f.Changes(ctx, store.ChangeQuery{Server: id(1), Limit: 2, BeforeID: p.Next})); len(p.Changes) != 1 || p.Next != 0 || !p.Changes[0].At.Equal(at(0)) {
		t.Errorf("last page %+v", p)
	}
	for n, q := range map[int]store.ChangeQuery{5: {}, 1: {Kind: "field"}, 2: {Since: at(13)}, 3: {Before: at(13)}, 0: {Category: record.SMART}} {
		if p := must[store.ChangePage](t)(f.Changes(ctx, q)); len(p.Changes) != n {
			t.Errorf("%+v: %d changes, want %d", q, len(p.Changes), n)
		}
	}
}

func silentAndOverview(t *testing.T, f *fixture) {
	state := func(n byte, site string, st store.ServerState, since time.Duration) store.ServerWrite {
		return store.ServerWrite{ID: id(n), Partition: 1, Labels: &store.ServerLabels{Name: fmt.Sprint("s", n), Site: site, Simulated: n == 1}, State: &store.StateWrite{State: st, Since: at(since)}}
	}
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{state(1, "fra", store.StateUp, 0), state(2, "fra", store.StateSilent, 9), state(3, "muc", store.StateSilent, 5), state(4, "fra", store.StateDecommissioned, 0), state(5, "fra", store.StateStopped, 0)},
		Notifications: []store.Notification{{ID: "n2", Server: id(2), Class: store.ClassSilent, State: store.Firing, Severity: "critical"}}})
	s := must[[]store.SilentServer](t)(f.Silent(ctx))
	if len(s) != 2 || s[0].ID != id(3) || s[1].ID != id(2) || s[0].Notification != "" || s[1].Notification != "n2" {
		t.Errorf("silent %+v", s)
	}
	o := must[store.Overview](t)(f.Overview(ctx))
	if o.Servers != 4 || o.Simulated != 1 || o.Open != 1 || o.ByState[store.StateSilent] != 2 || o.ByState[store.StateDecommissioned] != 1 || o.ByState[store.StateRevoked] != 0 || o.BySeverity["critical"] != 1 || o.BySeverity[""] != 3 {
		t.Errorf("overview %+v", o)
	}
	if want := []store.Group{{Name: "fra", Servers: 3, Silent: 1, Open: 1}, {Name: "muc", Servers: 1, Silent: 1}}; !slices.Equal(o.Sites, want) {
		t.Errorf("sites %+v, want %+v", o.Sites, want)
	}
	g := must[[]store.GroupSize](t)(f.Groups(ctx))
	sum := 0
	for _, v := range g {
		sum += v.Servers
	}
	if sum != 3 || len(g) != 3 {
		t.Errorf("groups %+v, want 3 servers that should be heard from in 3 groups", g)
	}
}

// How many servers there are of a site and rack is known as it was.
func groupsAsTheyWere(t *testing.T, f *fixture) {
	add := func(when time.Duration, n byte, site string, state store.ServerState) {
		t.Helper()
		w := store.ServerWrite{ID: id(n), Partition: 1, State: &store.StateWrite{State: state, Since: at(when)}}
		if site != "" {
			w.Labels = &store.ServerLabels{Name: fmt.Sprint("s", n), Site: site, Rack: "r1"}
		}
		f.commit(store.PartitionCommit{Partition: 1, StreamTime: at(when), Servers: []store.ServerWrite{w}})
	}
	add(0, 1, "fra", store.StateUp)
	add(10, 2, "fra", store.StateUp)
	add(20, 1, "", store.StateSilent)
	add(30, 2, "", store.StateStopped)
	add(40, 1, "muc", store.StateUp)
	// A server that came and went within one commit was there in between.
	f.commit(store.PartitionCommit{Partition: 1, StreamTime: at(90), Servers: []store.ServerWrite{{ID: id(3), Partition: 1, Labels: &store.ServerLabels{Name: "s3", Site: "fra", Rack: "r2"},
		Was: []store.StateWrite{{State: store.StateWaiting, Since: at(50)}, {State: store.StateUp, Since: at(60)}}, State: &store.StateWrite{State: store.StateStopped, Since: at(80)}}}})
	for when, want := range map[time.Duration]string{-1: "", 5: "fra r1 1", 10: "fra r1 2", 25: "fra r1 2", 35: "fra r1 1", 55: "muc r1 1", 70: "fra r2 1, muc r1 1", 99: "muc r1 1"} {
		var got []string
		for _, g := range must[[]store.GroupSize](t)(f.GroupsAt(ctx, at(when))) {
			got = append(got, fmt.Sprint(g.Site, " ", g.Rack, " ", g.Servers))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("at %d: %q, want %q", when, got, want)
		}
	}
}
