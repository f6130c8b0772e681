package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func serverAsItWas(t *testing.T, f *fixture) {
	if _, err := f.ServerAt(ctx, id(1), at(0)); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("unknown server: got %v, want ErrNotFound", err)
	}
	labels := func(site string) *store.ServerLabels { return &store.ServerLabels{Name: "db7", Site: site} }
	snap := func(h byte, d time.Duration) (store.SnapshotWrite, store.HistoryEntry) {
		return store.SnapshotWrite{Server: id(1), Category: record.RAID, At: at(d), Hash: store.Hash{h}, Bytes: []byte{h}},
			store.HistoryEntry{Server: id(1), Category: record.RAID, At: at(d), Hash: store.Hash{h}}
	}
	write := func(d time.Duration, w store.ServerWrite, h byte) {
		w.ID, w.Partition = id(1), 1
		c := store.PartitionCommit{Partition: 1, StreamTime: at(d), Servers: []store.ServerWrite{w}}
		if h != 0 {
			s, e := snap(h, d)
			c.Snapshots, c.History = []store.SnapshotWrite{s}, []store.HistoryEntry{e}
		}
		f.commit(c)
	}
	write(10*time.Minute, store.ServerWrite{Labels: labels("fra"), State: &store.StateWrite{State: store.StateWaiting, Since: at(10 * time.Minute)}}, 0)
	write(20*time.Minute, store.ServerWrite{Facts: &store.ServerFacts{OSName: "Debian 12", BootTime: at(-time.Hour)}}, 1)
	write(30*time.Minute, store.ServerWrite{Labels: labels("muc"), State: &store.StateWrite{State: store.StateUp, Reason: "heard", Since: at(30 * time.Minute)}}, 2)
	write(40*time.Minute, store.ServerWrite{Labels: labels("muc")}, 1)
	f.reopen()
	f.claim(1)
	for _, c := range []struct {
		at         time.Duration
		site, os   string
		state      store.ServerState
		hash       byte
		nothingYet bool
	}{
		{at: 9 * time.Minute, nothingYet: true},
		{at: 10 * time.Minute, site: "fra", state: store.StateWaiting},
		{at: 29 * time.Minute, site: "fra", os: "Debian 12", state: store.StateWaiting, hash: 1},
		{at: 30 * time.Minute, site: "muc", os: "Debian 12", state: store.StateUp, hash: 2},
		{at: 90 * time.Minute, site: "muc", os: "Debian 12", state: store.StateUp, hash: 1},
	} {
		p := must[store.ServerPast](t)(f.ServerAt(ctx, id(1), at(c.at)))
		if !p.Known.Equal(at(10 * time.Minute)) {
			t.Errorf("%s: known since %v", c.at, p.Known)
		}
		if c.nothingYet {
			if p.Labels != nil || p.Facts != nil || p.State != nil || len(p.Snapshots) != 0 {
				t.Errorf("%s: known before it was: %+v", c.at, p)
			}
			continue
		}
		if p.Labels == nil || p.Labels.Site != c.site || p.Labels.Name != "db7" || p.State == nil || p.State.State != c.state {
			t.Errorf("%s: labels %+v, state %+v", c.at, p.Labels, p.State)
		}
		if (p.Facts != nil) != (c.os != "") || p.Facts != nil && (p.Facts.OSName != c.os || !p.Facts.BootTime.Equal(at(-time.Hour))) {
			t.Errorf("%s: facts %+v", c.at, p.Facts)
		}
		if (len(p.Snapshots) == 1) != (c.hash != 0) || c.hash != 0 && p.Snapshots[0].Hash != (store.Hash{c.hash}) {
			t.Errorf("%s: snapshots %+v", c.at, p.Snapshots)
		}
	}
}

// A drive leaves one server and comes to another; the one that replaces it says
// nothing of itself for a while, and keeps its number.
func serialsAcrossServers(t *testing.T, f *fixture) {
	drive := func(server byte, place, serial string, d time.Duration) store.DeviceWrite {
		return store.DeviceWrite{Server: id(server), Device: store.Device{Category: record.RAID, Type: "physical_drive", Place: place, Occupant: serial, Fields: []byte(`{"model":"ST4000"}`), First: at(d), Changed: at(d)}}
	}
	gone := drive(2, "s1", "Z1", 5)
	gone.Removed = at(5)
	for _, w := range []store.DeviceWrite{drive(1, "s4", "Z1", 1), drive(1, "s4", "Z1", 2), drive(1, "s4", "Z2", 3), drive(2, "s1", "Z1", 4), gone, drive(2, "s2", "Z1", 6), drive(1, "s5", "", 7)} {
		f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: w.Server, Partition: 1, Labels: &store.ServerLabels{Name: "srv" + string('0'+w.Server[15])}, Seen: &store.SeenWrite{At: at(60)}}}, Devices: []store.DeviceWrite{w}})
	}
	f.reopen()
	p := must[store.OccupantPage](t)(f.Occupants(ctx, store.OccupantQuery{Serial: "Z1"}))
	if p.Total != 3 || len(p.Occupants) != 3 {
		t.Fatalf("Z1 sat at %+v", p)
	}
	for i, want := range []struct {
		server       byte
		place        string
		since, until time.Duration
	}{{2, "s2", 6, 0}, {2, "s1", 4, 5}, {1, "s4", 1, 3}} {
		got := p.Occupants[i]
		if got.Server != id(want.server) || got.Name != "srv"+string('0'+want.server) || got.Place != want.place || !got.Since.Equal(at(want.since)) || got.Model != "ST4000" || got.Category != record.RAID {
			t.Errorf("stay %d is %+v, want %+v", i, got, want)
		}
		if want.until == 0 && (!got.Until.IsZero() || !got.LastSeen.Equal(at(60))) || want.until != 0 && !got.Until.Equal(at(want.until)) {
			t.Errorf("stay %d ends %v, last seen %v", i, got.Until, got.LastSeen)
		}
	}
	stays := map[string]int{}
	if err := f.Stays(ctx, []string{"Z1", "Z2", "Z3"}, func(v *store.Occupant) error {
		stays[fmt.Sprint(v.Serial, v.Place, v.Model, v.Category, v.Type, v.Server == id(1), v.Since.Equal(at(4)), v.Until.Equal(at(5)), v.Until.IsZero())]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(stays) != 4 || stays[fmt.Sprint("Z1", "s1", "ST4000", record.RAID, "physical_drive", false, true, true, false)] != 1 {
		t.Errorf("stays %v", stays)
	}
	if err := f.Stays(ctx, []string{"Z1"}, func(*store.Occupant) error { return context.Canceled }); !errors.Is(err, context.Canceled) {
		t.Errorf("an error of who listens: %v", err)
	}
	for n, q := range map[int]store.OccupantQuery{4: {}, 1: {Text: "z2"}, 2: {Server: id(2)}, 0: {Type: "memory"}} {
		if p := must[store.OccupantPage](t)(f.Occupants(ctx, q)); p.Total != n {
			t.Errorf("%+v: %d, want %d", q, p.Total, n)
		}
	}
	f.commit(store.PartitionCommit{Partition: 1, StreamTime: at(9), Devices: []store.DeviceWrite{{Server: id(2), Device: store.Device{Category: record.RAID, Type: "physical_drive", Place: "s2"}, Delete: true}}})
	if p := must[store.OccupantPage](t)(f.Occupants(ctx, store.OccupantQuery{Serial: "Z1", Limit: 1})); !p.Occupants[0].Until.Equal(at(9)) {
		t.Errorf("after the device was forgotten: %+v", p.Occupants[0])
	}
}

func changesOfASerial(t *testing.T, f *fixture) {
	change := func(kind, field, before, after, occupant string) store.Change {
		return store.Change{Server: id(1), Category: record.RAID, Stream: at(1), Kind: kind, Type: "physical_drive", Place: "s4", Field: field, Before: before, After: after, Occupant: occupant}
	}
	f.commit(store.PartitionCommit{Partition: 1, Changes: []store.Change{change("added", "", "", "Z1", "Z1"), change("field", "state", "Onln", "Failed", "Z1"),
		change("replaced", "", "Z1", "Z2", "Z2"), change("field", "name", "x", "Z1", "Z9"), change("field", "state", "Rbld", "Onln", "Z2")}})
	p := must[store.ChangePage](t)(f.Changes(ctx, store.ChangeQuery{Serial: "Z1"}))
	if len(p.Changes) != 3 || p.Changes[0].Kind != "replaced" || p.Changes[1].Occupant != "Z1" {
		t.Errorf("changes of Z1: %+v", p.Changes)
	}
	if p := must[store.ChangePage](t)(f.Changes(ctx, store.ChangeQuery{Field: "state"})); len(p.Changes) != 2 {
		t.Errorf("changes of a field: %+v", p.Changes)
	}
}

// A serial number is looked up when it comes or goes, and only where another
// server knows it.
func travelledParts(t *testing.T, f *fixture) {
	put := func(server byte, c record.Category, place, serial string, d time.Duration, gone bool) {
		w := store.DeviceWrite{Server: id(server), Device: store.Device{Category: c, Type: "disk", Place: place, Occupant: serial, First: at(d), Changed: at(d)}}
		if gone {
			w.Removed = at(d)
		}
		f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{{ID: id(server), Partition: 1, Labels: &store.ServerLabels{Name: "srv" + string('0'+server)}}}, Devices: []store.DeviceWrite{w}})
	}
	put(1, record.RAID, "s1", "Z1", 1, false)
	put(1, record.RAID, "s2", "ONLY", 1, false)
	put(2, record.RAID, "s7", "Z1", 3, false)
	put(2, record.SMART, "s7", "ONLY", 3, false)
	put(1, record.RAID, "s1", "Z1", 5, true)
	f.reopen()
	for _, c := range []struct {
		server   byte
		category record.Category
		at       time.Duration
		known    time.Duration
		want     string
	}{
		{1, record.RAID, 1, 1, "srv1 1-"}, {1, record.RAID, 1, 9, "srv2 3-, srv1 1-5"}, {2, record.RAID, 3, 3, "srv2 3-, srv1 1-"}, {2, record.RAID, 3, 4, "srv2 3-, srv1 1-"},
		{1, record.RAID, 5, 5, "srv2 3-, srv1 1-5"}, {1, record.RAID, 3, 9, ""}, {2, record.SMART, 3, 9, ""}, {1, record.SMART, 5, 9, ""},
	} {
		got := must[[]store.Occupant](t)(f.Travelled(ctx, id(c.server), c.category, at(c.at), at(c.known)))
		if stays := staysOf(got); stays != c.want {
			t.Errorf("server %d, %s, %d, known at %d: %q, want %q", c.server, c.category, c.at, c.known, stays, c.want)
		}
		for _, o := range got {
			if o.Serial != "Z1" || o.Type != "disk" || o.Category != record.RAID || o.Server == id(1) && o.Place != "s1" {
				t.Errorf("%+v", o)
			}
		}
	}
	for i := range store.MaxStays + 5 {
		put(3, record.RAID, "s1", "Z1", time.Duration(10+2*i), false)
		put(3, record.RAID, "s1", "Z1", time.Duration(11+2*i), true)
	}
	if got := must[[]store.Occupant](t)(f.Travelled(ctx, id(1), record.RAID, at(5), at(1000))); len(got) != store.MaxStays || got[0].Server != id(3) {
		t.Errorf("%d places of one serial number, the first %+v", len(got), got[0])
	}
	// Several that come at once each have their own, the number with many too.
	for i, serial := range []string{"Z2", "Z1", "A1"} {
		place := "m" + string('0'+byte(i))
		put(3, record.RAID, place, serial, 500, false)
		put(3, record.RAID, place, serial, 600, true)
		put(4, record.RAID, place, serial, 700, false)
	}
	got := must[[]store.Occupant](t)(f.Travelled(ctx, id(4), record.RAID, at(700), at(1000)))
	var order []string
	for _, o := range got {
		if n := len(order); n == 0 || order[n-1] != o.Serial {
			order = append(order, o.Serial)
		}
	}
	if len(got) != store.MaxStays+4 || strings.Join(order, " ") != "A1 Z1 Z2" || staysOf(got[:2]) != "srv4 700-, srv3 500-600" {
		t.Errorf("of several: %d places of %q, the first %q", len(got), order, staysOf(got[:min(2, len(got))]))
	}
}

// staysOf writes stays as "name since-until".
func staysOf(list []store.Occupant) string {
	var out []string
	for _, o := range list {
		until := ""
		if !o.Until.IsZero() {
			until = fmt.Sprint(int64(o.Until.Sub(at(0))))
		}
		out = append(out, fmt.Sprintf("%s %d-%s", o.Name, int64(o.Since.Sub(at(0))), until))
	}
	return strings.Join(out, ", ")
}

// A part that moved between servers is in the history of both.
func movesOfBoth(t *testing.T, f *fixture) {
	label := func(server byte) store.ServerWrite {
		return store.ServerWrite{ID: id(server), Partition: 1, Labels: &store.ServerLabels{Name: "srv" + string('0'+server)}}
	}
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{label(1), label(2)}, Changes: []store.Change{
		{Server: id(2), FromServer: id(1), Category: record.RAID, Stream: at(1), Kind: "moved", Type: "disk", Place: "s7", From: "s1", Occupant: "Z1", After: "Z1", Muted: "planned: x", Plan: store.Plan{ID: "x", Who: "ada", Why: "boards"}},
		{Server: id(3), Category: record.RAID, Stream: at(1), Kind: "added", Type: "disk", Place: "s1"}}})
	f.reopen()
	for _, server := range []byte{1, 2} {
		p := must[store.ChangePage](t)(f.Changes(ctx, store.ChangeQuery{Server: id(server)}))
		if len(p.Changes) != 1 || p.Changes[0].FromServer != id(1) || p.Changes[0].FromName != "srv1" || p.Changes[0].Name != "srv2" || p.Changes[0].Muted != "planned: x" || p.Changes[0].Plan != (store.Plan{ID: "x", Who: "ada", Why: "boards"}) {
			t.Errorf("history of %d: %+v", server, p.Changes)
		}
	}
	for _, planned := range []bool{true, false} {
		p := must[store.ChangePage](t)(f.Changes(ctx, store.ChangeQuery{Planned: &planned}))
		if len(p.Changes) != 1 || (p.Changes[0].Muted != "") != planned {
			t.Errorf("planned %v: %+v", planned, p.Changes)
		}
	}
	if p := must[store.ChangePage](t)(f.Changes(ctx, store.ChangeQuery{Server: id(3)})); len(p.Changes) != 1 || !p.Changes[0].FromServer.IsZero() || p.Changes[0].FromName != "" {
		t.Errorf("history of another: %+v", p.Changes)
	}
	f.commit(store.PartitionCommit{Partition: 1, Facts: []store.Fact{{Partition: 1, Kind: store.FactParts, At: at(2), Server: id(2), Category: record.RAID, Seen: at(1), RecordID: "r1"}}})
	facts := must[[]store.Fact](t)(f.Facts(ctx, 0, 10))
	if len(facts) != 1 || facts[0].Category != record.RAID || !facts[0].Seen.Equal(at(1)) || facts[0].RecordID != "r1" {
		t.Errorf("facts %+v", facts)
	}
}
