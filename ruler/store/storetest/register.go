package storetest

import (
	"errors"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

func registerOfServers(t *testing.T, f *fixture) {
	day := time.Date(2028, 3, 31, 0, 0, 0, 0, time.UTC)
	server := func(n byte, name, site string, seen time.Duration) store.ServerWrite {
		return store.ServerWrite{ID: id(n), Partition: 1, Labels: &store.ServerLabels{Name: name, Site: site, Owner: "ops", From: "site=enrolment owner=pattern"}, Facts: &store.ServerFacts{ReportedName: "host" + string('0'+n)},
			State: &store.StateWrite{State: store.StateUp}, Seen: &store.SeenWrite{At: at(seen)}}
	}
	waiting := server(3, "db9", "", 0)
	waiting.Seen = nil
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{server(1, "DB7", "fra", 1), server(2, "db8", "fra", 2), waiting},
		Devices: []store.DeviceWrite{{Server: id(2), Device: store.Device{Category: record.Hardware, Type: record.DeviceSystem, Occupant: "CZ2", First: at(1), Changed: at(1)}}}})
	if d := must[store.ServerDetail](t)(f.Server(ctx, id(1))); d.LabelsFrom != "site=enrolment owner=pattern" {
		t.Errorf("labels from %q", d.LabelsFrom)
	}
	put := func(e store.RegisterEntry) error { return f.PutRegister(ctx, []store.RegisterEntry{e}) }
	full := store.RegisterEntry{Name: "db7", Serial: "CZ1", Site: "muc", Rack: "r1", Role: "db", Owner: "ops", Warranty: day, Contract: "c", Note: "n", Changed: at(1), By: "kim"}
	for _, e := range []store.RegisterEntry{full, {Name: "renamed", Serial: "CZ2", Owner: "ops", Changed: at(1)}, {Name: "Host3", Changed: at(1)}, {Name: "never", Changed: at(1)}} {
		if err := put(e); err != nil {
			t.Fatal(err)
		}
	}
	list := func(q store.RegisterQuery) string {
		t.Helper()
		out := ""
		for _, e := range must[store.RegisterPage](t)(f.Register(ctx, q)).Entries {
			out += e.Name + ":" + e.Server.Name + " "
		}
		return out
	}
	yes, no := true, false
	for _, c := range []struct {
		name string
		q    store.RegisterQuery
		want string
	}{
		{"by name, reported name, serial", store.RegisterQuery{}, "db7:DB7 Host3:db9 never: renamed:db8 "},
		{"never heard", store.RegisterQuery{Missing: &yes}, "Host3:db9 never: "}, {"heard", store.RegisterQuery{Missing: &no}, "db7:DB7 renamed:db8 "},
		{"other labels than the server", store.RegisterQuery{Drift: true}, "db7:DB7 "}, {"warranty", store.RegisterQuery{WarrantyBefore: day.Add(1)}, "db7:DB7 "}, {"warranty holds", store.RegisterQuery{WarrantyBefore: day}, ""},
		{"text", store.RegisterQuery{Text: "cz"}, "db7:DB7 renamed:db8 "}, {"names", store.RegisterQuery{Names: []string{"DB7", "x"}}, "db7:DB7 "}, {"server", store.RegisterQuery{Servers: []record.ID{id(2)}}, "renamed:db8 "},
		{"servers", store.RegisterQuery{Servers: []record.ID{id(1), id(2)}}, "db7:DB7 renamed:db8 "}, {"one of several", store.RegisterQuery{Servers: []record.ID{id(2), id(9)}}, "renamed:db8 "},
		{"of no server", store.RegisterQuery{Servers: []record.ID{}}, ""},
		{"page", store.RegisterQuery{Limit: 1, Offset: 1}, "Host3:db9 "},
	} {
		if got := list(c.q); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	got := must[store.RegisterPage](t)(f.Register(ctx, store.RegisterQuery{Names: []string{"db7"}})).Entries[0]
	want := full
	want.Created, want.Version, want.Server = at(1), 1, got.Server
	if got != want || got.Server.ID != id(1) || !got.Server.LastSeen.Equal(at(1)) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := put(full); !errors.Is(err, store.ErrStale) {
		t.Errorf("a new entry over an old one: %v", err)
	}
	full.Version, full.Site, full.Changed = 1, "fra", at(2)
	if err := f.PutRegister(ctx, []store.RegisterEntry{{Name: "other", Changed: at(2)}, {Name: "db7", Version: 9}}); !errors.Is(err, store.ErrStale) {
		t.Errorf("one stale entry of two: %v", err)
	}
	if err := put(full); err != nil {
		t.Fatal(err)
	}
	f.reopen()
	if got := list(store.RegisterQuery{Drift: true}); got != "db7:DB7 " { // the rack
		t.Errorf("drift %q", got)
	}
	if p := must[store.RegisterPage](t)(f.Register(ctx, store.RegisterQuery{Names: []string{"db7", "other"}})); p.Total != 1 || p.Entries[0].Version != 2 || !p.Entries[0].Created.Equal(at(1)) {
		t.Errorf("after a change: %+v", p)
	}
	if err := f.DeleteRegister(ctx, "NEVER"); err != nil {
		t.Error(err)
	}
	if err := f.DeleteRegister(ctx, "never"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("deleted twice: %v", err)
	}
}
