package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// What the list shows of a server's devices follows them.
func modelAndUpdates(t *testing.T, f *fixture) {
	device := func(c record.Category, typ, place, state, fields string) store.DeviceWrite {
		return store.DeviceWrite{Server: id(1), Device: store.Device{Category: c, Type: typ, Place: place, State: state, Fields: []byte(fields), First: at(1), Changed: at(1)}}
	}
	f.commit(store.PartitionCommit{Partition: 1, Servers: []store.ServerWrite{
		{ID: id(1), Partition: 1, Labels: &store.ServerLabels{Name: "db7"}, Facts: &store.ServerFacts{OSName: "Debian 12", OSType: "linux", OSVersion: "12", ExporterVersion: "1"}},
		{ID: id(2), Partition: 1, Labels: &store.ServerLabels{Name: "db8", Site: "fra"}, Facts: &store.ServerFacts{OSName: "Windows", OSType: "windows", OSVersion: "10", ExporterVersion: "2"}},
		{ID: id(3), Partition: 1, Labels: &store.ServerLabels{Name: "db9"}, State: &store.StateWrite{State: store.StateDecommissioned}}}})
	server := func() store.Server { return must[store.ServerDetail](t)(f.Server(ctx, id(1))).Server }
	if s := server(); s.Updates != nil || s.Model != "" || s.Reboot {
		t.Errorf("nothing said: %+v", s)
	}
	one, two := device(record.Updates, record.DeviceUpdatePending, "KB1", "", `{"title":"A","security":true}`), device(record.Updates, record.DeviceUpdatePending, "KB2", "", `{"security":"false"}`)
	f.commit(store.PartitionCommit{Partition: 1, Devices: []store.DeviceWrite{
		device(record.Hardware, record.DeviceSystem, "", "", `{"model":"DL380"}`), device(record.Updates, record.DeviceUpdateStatus, "", "pending", `{"reboot_required":true}`), one, two}})
	if s := server(); s.Updates == nil || *s.Updates != 2 || s.UpdatesSecurity != 1 || s.Model != "DL380" || !s.Reboot {
		t.Errorf("two wait: %+v", s)
	}
	if u := must[[]store.PendingUpdate](t)(f.PendingUpdates(ctx, 10)); len(u) != 2 || u[0] != (store.PendingUpdate{Place: "KB1", Title: "A", Security: true, Servers: 1}) {
		t.Errorf("waiting %+v", u)
	}
	yes, no := true, false
	find := func(q store.ServerQuery) string {
		out := ""
		for _, s := range must[store.ServerPage](t)(f.Servers(ctx, q)).Servers {
			out += s.Name[2:]
		}
		return out
	}
	os := []store.OSVersion{{Type: "windows", Name: "Windows", Version: "10"}, {Type: "linux", Name: "Debian 12", Version: "12"}}
	for _, c := range []struct {
		name string
		q    store.ServerQuery
		want string
	}{
		{"updates", store.ServerQuery{Updates: &yes}, "7"}, {"no updates", store.ServerQuery{Updates: &no}, ""}, {"restart", store.ServerQuery{Reboot: &yes}, "7"}, {"model", store.ServerQuery{Model: "DL380"}, "7"},
		{"os", store.ServerQuery{OS: "Windows"}, "8"}, {"kind of os", store.ServerQuery{OSType: "linux"}, "7"}, {"exporter", store.ServerQuery{Exporter: "2"}, "8"},
		{"cases", store.ServerQuery{Cases: []store.ServerCase{{States: []store.ServerState{store.StateDecommissioned}}, {States: []store.ServerState{store.StateWaiting}, Worst: []string{"critical"}}}}, "9"},
		{"no case", store.ServerQuery{Cases: []store.ServerCase{}}, ""}, {"nothing open", store.ServerQuery{Cases: []store.ServerCase{{States: []store.ServerState{store.StateWaiting}, Worst: []string{""}}}}, "78"},
		{"by support", store.ServerQuery{Sort: store.BySupport, Support: os}, "87"}, {"by support reversed", store.ServerQuery{Sort: store.BySupport, Reverse: true, Support: os[:1]}, "87"},
		{"ended", store.ServerQuery{Ended: os[1:]}, "7"}, {"none ended", store.ServerQuery{Ended: []store.OSVersion{}}, ""},
		{"by model", store.ServerQuery{Sort: store.ByModel}, "78"}, {"by updates", store.ServerQuery{Sort: store.ByUpdates}, "78"}, {"by exporter reversed", store.ServerQuery{Sort: store.ByExporter, Reverse: true}, "87"},
	} {
		if got := find(c.q); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if v := must[[]store.OSVersion](t)(f.OSVersions(ctx)); len(v) != 2 || v[0].Servers != 1 {
		t.Errorf("systems %+v", v)
	}
	if c := must[map[string][]store.Count](t)(f.ServerFacets(ctx)); len(c) != 11 || !slices.Equal(c[store.FacetStanding], []store.Count{{Value: "waiting ", N: 2}}) ||
		!slices.Equal(c[store.FacetUpdates], []store.Count{{Value: "", N: 1}, {Value: "true", N: 1}}) || !slices.Equal(c[store.FacetReboot], []store.Count{{Value: "false", N: 1}, {Value: "true", N: 1}}) || !slices.Equal(c[store.FacetModel], []store.Count{{Value: "", N: 1}, {Value: "DL380", N: 1}}) {
		t.Errorf("facets %+v", c)
	}
	one.Removed, two.Removed = at(2), at(2)
	f.commit(store.PartitionCommit{Partition: 1, Devices: []store.DeviceWrite{one, two, device(record.Updates, record.DeviceUpdateStatus, "", "unknown", `{}`)}})
	if s := server(); s.Updates != nil || s.UpdatesSecurity != 0 || s.Reboot || s.Model != "DL380" {
		t.Errorf("not known any more: %+v", s)
	}
}

func devicesAcrossServers(t *testing.T, f *fixture) {
	c := store.PartitionCommit{Partition: 1}
	for n := byte(1); n <= 3; n++ {
		state := store.StateUp
		if n == 3 {
			state = store.StateDecommissioned
		}
		c.Servers = append(c.Servers, store.ServerWrite{ID: id(n), Partition: 1, Labels: &store.ServerLabels{Name: "s" + string('0'+n), Site: "fra"}, State: &store.StateWrite{State: state}})
		for _, place := range []string{"s1", "s2"} {
			c.Devices = append(c.Devices, store.DeviceWrite{Server: id(n), Device: store.Device{Category: record.RAID, Type: "physical_drive", Place: place, Occupant: "Z" + place, State: "Onln", Fields: []byte(`{"model":"ST4","firmware":"F1"}`), First: at(1), Changed: at(1)}})
		}
		c.Devices = append(c.Devices, store.DeviceWrite{Server: id(n), Device: store.Device{Category: record.Software, Type: "program", Place: "vim"}},
			store.DeviceWrite{Server: id(n), Device: store.Device{Category: record.RAID, Type: "controller", Place: "c0", Removed: at(2)}})
	}
	f.commit(c)
	problems := []store.DeviceProblem{{Server: id(2), Device: "physical_drive s2", Rank: 5}, {Server: id(1), Device: "physical_drive s1", Rank: 3}, {Server: id(2), Device: "physical_drive s2", Rank: 4}}
	for _, c := range []struct {
		name  string
		q     store.DeviceQuery
		want  string
		total int
	}{
		{"the worst first", store.DeviceQuery{Problems: problems, Limit: 3}, "s2:s2 s1:s1 s2:s1 ", 4},
		{"all", store.DeviceQuery{Offset: 3}, "s2:s2 ", 4},
		{"only with this rank", store.DeviceQuery{Problems: problems, Ranks: []int{5}}, "s2:s2 ", 1},
		{"nothing open", store.DeviceQuery{Problems: problems, Ranks: []int{0}}, "s2:s1 s1:s2 ", 2},
		{"past what has a problem", store.DeviceQuery{Problems: problems, Offset: 3}, "s1:s2 ", 4},
		{"the second page of the rest", store.DeviceQuery{Problems: problems, Ranks: []int{0}, Offset: 1}, "s1:s2 ", 2},
		{"past the end", store.DeviceQuery{Type: "physical_drive", Problems: problems, Offset: 50_000}, "", 4},
		{"type, model, firmware, state", store.DeviceQuery{Type: "physical_drive", Model: "ST4", Firmware: "F1", State: "Onln", Limit: 1}, "s1:s1 ", 4},
		{"another firmware", store.DeviceQuery{Firmware: "F2"}, "", 0},
		{"software when it is named", store.DeviceQuery{Type: "program"}, "s1:vim s2:vim ", 2},
		{"and by category", store.DeviceQuery{Category: record.Software, Server: id(2)}, "s2:vim ", 1},
		{"serial", store.DeviceQuery{Text: "zS1"}, "s1:s1 s2:s1 ", 2},
		{"site", store.DeviceQuery{Site: "muc"}, "", 0},
	} {
		p := must[store.DevicePage](t)(f.Devices(ctx, c.q))
		got := ""
		for _, d := range p.Devices {
			got += d.Name + ":" + d.Place + " "
		}
		if got != c.want || p.Total != c.total {
			t.Errorf("%s: got %q of %d, want %q of %d", c.name, got, p.Total, c.want, c.total)
		}
	}
	counts := must[map[string][]store.Count](t)(f.DeviceFacets(ctx, store.DeviceQuery{Type: "physical_drive", Problems: problems}))
	if !slices.Equal(counts[store.FacetModel], []store.Count{{Value: "ST4", N: 4}}) || len(counts) != 5 || !slices.Equal(counts[store.FacetRank], []store.Count{{Value: "0", N: 2}, {Value: "3", N: 1}, {Value: "5", N: 1}}) {
		t.Errorf("facets %+v", counts)
	}
	// Counts follow what becomes of a device.
	change := func(place, state, fields string, removed time.Duration) {
		d := store.Device{Category: record.RAID, Type: "physical_drive", Place: place, State: state, Fields: []byte(fields), First: at(1), Changed: at(3)}
		if removed > 0 {
			d.Removed = at(removed)
		}
		f.commit(store.PartitionCommit{Partition: 1, Devices: []store.DeviceWrite{{Server: id(1), Device: d}}})
	}
	for _, c := range []struct {
		what          string
		place, state  string
		fields        string
		removed       time.Duration
		models, total string
	}{
		{"another state", "s1", "Failed", `{"model":"ST4"}`, 0, "ST4 4", "4"}, {"another model", "s1", "Failed", `{"model":"ST6"}`, 0, "ST4 3, ST6 1", "4"},
		{"a number for a model", "s1", "Failed", `{"model":870}`, 0, "ST4 3, 870 1", "4"}, {"no model", "s1", "Failed", `{"firmware":"F2"}`, 0, "ST4 3,  1", "4"}, {"a model again", "s1", "Failed", `{"model":"ST6"}`, 0, "ST4 3, ST6 1", "4"},
		{"gone", "s1", "Failed", `{"model":"ST6"}`, 5, "ST4 3", "3"}, {"still gone", "s1", "Failed", `{"model":"ST4"}`, 6, "ST4 3", "3"}, {"back", "s1", "Onln", `{"model":"ST4"}`, 0, "ST4 4", "4"},
	} {
		change(c.place, c.state, c.fields, c.removed)
		q := store.DeviceQuery{Type: "physical_drive"}
		var models []string
		for _, v := range must[map[string][]store.Count](t)(f.DeviceFacets(ctx, q))[store.FacetModel] {
			models = append(models, fmt.Sprint(v.Value, " ", v.N))
		}
		if p := must[store.DevicePage](t)(f.Devices(ctx, q)); strings.Join(models, ", ") != c.models || fmt.Sprint(p.Total) != c.total || fmt.Sprint(len(p.Devices)) != c.total {
			t.Errorf("%s: %q, %d of %d; want %q, %s", c.what, models, len(p.Devices), p.Total, c.models, c.total)
		}
	}
	f.commit(store.PartitionCommit{Partition: 1, Devices: []store.DeviceWrite{{Server: id(1), Device: store.Device{Category: record.RAID, Type: "physical_drive", Place: "s1"}, Delete: true}}})
	if p := must[store.DevicePage](t)(f.Devices(ctx, store.DeviceQuery{Type: "physical_drive"})); p.Total != 3 {
		t.Errorf("forgotten: %d", p.Total)
	}
}
