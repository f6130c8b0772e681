package apitest

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// fits tells whether a server has what a query asks for beside labels and state.
func fits(s *store.Server, q *store.ServerQuery) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	if q.Cases != nil && !slices.ContainsFunc(q.Cases, func(c store.ServerCase) bool {
		return slices.Contains(c.States, s.State) && (c.Worst == nil || slices.Contains(c.Worst, s.Worst))
	}) {
		return false
	}
	os := func(o store.OSVersion) bool {
		return o.Type == s.OSType && o.Name == s.OSName && o.Version == s.OSVersion
	}
	return is(q.OSType, s.OSType) && is(q.OS, s.OSName) && is(q.Model, s.Model) && is(q.Exporter, s.ExporterVersion) &&
		(q.Updates == nil || s.Updates != nil && *q.Updates == (*s.Updates > 0)) && (q.Reboot == nil || *q.Reboot == s.Reboot) &&
		(q.Ended == nil || slices.ContainsFunc(q.Ended, os))
}

// supportOrder compares the ends of support; what has none comes last, reversed too.
func supportOrder(a, b *store.Server, q *store.ServerQuery) int {
	place := func(s *store.Server) int {
		return slices.IndexFunc(q.Support, func(o store.OSVersion) bool {
			return o.Type == s.OSType && o.Name == s.OSName && o.Version == s.OSVersion
		})
	}
	x, y := place(a), place(b)
	c := last(x < 0, y < 0)
	if c == 0 {
		return x - y
	}
	if q.Reverse { // the caller turns it around
		return -c
	}
	return c
}

// parted fills in what a store takes from a server's devices.
func parted(d *store.ServerDetail) store.Server {
	s := d.Server
	waiting := 0
	for _, v := range d.Devices {
		if !v.Removed.IsZero() {
			continue
		}
		switch {
		case v.Type == record.DeviceSystem:
			s.Model = fieldOf(&v, record.FieldModel)
		case v.Type == record.DeviceUpdateStatus:
			s.Reboot = fieldOf(&v, "reboot_required") == "true"
			if v.State != "unknown" {
				s.Updates = &waiting
			}
		case v.Type == record.DeviceUpdatePending:
			waiting++
			if fieldOf(&v, "security") == "true" {
				s.UpdatesSecurity++
			}
		}
	}
	return s
}

func fieldOf(d *store.Device, name string) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(d.Fields, &fields) != nil {
		return ""
	}
	var text string
	if json.Unmarshal(fields[name], &text) != nil {
		return string(fields[name])
	}
	return text
}

// OSVersions implements store.Fleet.
func (f *Fleet) OSVersions(context.Context) ([]store.OSVersion, error) {
	out := []store.OSVersion{}
	for _, d := range f.List {
		if d.State == store.StateDecommissioned {
			continue
		}
		o := store.OSVersion{Type: d.OSType, Name: d.OSName, Version: d.OSVersion}
		i := slices.IndexFunc(out, func(v store.OSVersion) bool { v.Servers = 0; return v == o })
		if i < 0 {
			i = len(out)
			out = append(out, o)
		}
		out[i].Servers++
	}
	slices.SortFunc(out, func(a, b store.OSVersion) int {
		return cmp.Or(b.Servers-a.Servers, strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	return out, f.Err
}

// counter counts values.
type counter map[string]int

func (c counter) list() []store.Count {
	out := []store.Count{}
	for v, n := range c {
		out = append(out, store.Count{Value: v, N: n})
	}
	slices.SortFunc(out, func(a, b store.Count) int { return cmp.Or(b.N-a.N, strings.Compare(a.Value, b.Value)) })
	return out[:min(len(out), store.FacetLimit)]
}

// ServerFacets implements store.Fleet.
func (f *Fleet) ServerFacets(context.Context) (map[string][]store.Count, error) {
	by := map[string]counter{}
	for i := range f.List {
		s := parted(&f.List[i])
		if s.State == store.StateDecommissioned {
			continue
		}
		s = f.summed(s)
		for name, v := range map[string]string{store.FacetRack: s.Rack, store.FacetStanding: string(s.State) + " " + s.Worst, store.FacetUpdates: pending(s.Updates), store.FacetReboot: strconv.FormatBool(s.Reboot), store.FacetReal: strconv.FormatBool(s.Simulated),
			store.FacetSite: s.Site, store.FacetOS: s.OSName, store.FacetModel: s.Model, store.FacetExporter: s.ExporterVersion, store.FacetRole: s.Role, store.FacetOwner: s.Owner} {
			if by[name] == nil {
				by[name] = counter{}
			}
			by[name][v]++
		}
	}
	out := map[string][]store.Count{}
	for name, c := range by {
		out[name] = c.list()
	}
	return out, f.Err
}

// pending says whether updates wait; nothing where it is not known.
func pending(n *int) string {
	if n == nil {
		return ""
	}
	return strconv.FormatBool(*n > 0)
}

func (f *Fleet) devices(q store.DeviceQuery) ([]store.DeviceRow, map[string]int) {
	ranks := map[string]int{}
	for _, p := range q.Problems {
		key := p.Server.String() + p.Device
		ranks[key] = max(ranks[key], p.Rank)
	}
	is := func(want, got string) bool { return want == "" || want == got }
	many := []record.Category{record.Updates, record.Software}
	listed := slices.Contains(many, q.Category) || strings.HasPrefix(q.Type, "update_") || q.Type == record.DeviceProgram || q.Type == record.DeviceDriver
	var out []store.DeviceRow
	for _, d := range f.List {
		for _, v := range d.Devices {
			model := fieldOf(&v, record.FieldModel)
			text := strings.ToLower(v.Occupant + "\n" + v.Place + "\n" + model + "\n" + d.Name)
			if !v.Removed.IsZero() || d.State == store.StateDecommissioned || q.Category != 0 && q.Category != v.Category || !listed && slices.Contains(many, v.Category) ||
				!is(q.Type, v.Type) || !is(q.Model, model) || !is(q.Firmware, fieldOf(&v, record.FieldFirmware)) || !is(q.State, v.State) || !is(q.Site, d.Site) ||
				!q.Server.IsZero() && q.Server != d.ID || !strings.Contains(text, strings.ToLower(q.Text)) ||
				q.Ranks != nil && !slices.Contains(q.Ranks, ranks[d.ID.String()+v.Type+" "+v.Place]) {
				continue
			}
			out = append(out, store.DeviceRow{Device: v, Server: d.ID, Name: d.Name, Site: d.Site, Simulated: d.Simulated})
		}
	}
	return out, ranks
}

// Devices implements store.Fleet.
func (f *Fleet) Devices(_ context.Context, q store.DeviceQuery) (store.DevicePage, error) {
	list, ranks := f.devices(q)
	rank := func(d *store.DeviceRow) int { return ranks[d.Server.String()+d.Type+" "+d.Place] }
	slices.SortStableFunc(list, func(a, b store.DeviceRow) int {
		return cmp.Or(rank(&b)-rank(&a), strings.Compare(a.Type, b.Type), strings.Compare(fieldOf(&a.Device, record.FieldModel), fieldOf(&b.Device, record.FieldModel)),
			strings.Compare(fieldOf(&a.Device, record.FieldFirmware), fieldOf(&b.Device, record.FieldFirmware)), strings.Compare(a.State, b.State), strings.Compare(a.Occupant, b.Occupant),
			strings.Compare(a.Server.String(), b.Server.String()), int(a.Category)-int(b.Category), strings.Compare(a.Place, b.Place))
	})
	return store.DevicePage{Devices: cut(list, q.Offset, q.Limit), Total: len(list)}, f.Err
}

// DeviceFacets implements store.Fleet.
func (f *Fleet) DeviceFacets(_ context.Context, q store.DeviceQuery) (map[string][]store.Count, error) {
	list, ranks := f.devices(q)
	by := map[string]counter{store.FacetType: {}, store.FacetModel: {}, store.FacetFirmware: {}, store.FacetState: {}, store.FacetRank: {}}
	for i := range list {
		v := &list[i]
		by[store.FacetType][v.Type]++
		by[store.FacetModel][fieldOf(&v.Device, record.FieldModel)]++
		by[store.FacetFirmware][fieldOf(&v.Device, record.FieldFirmware)]++
		by[store.FacetState][v.State]++
		by[store.FacetRank][strconv.Itoa(ranks[v.Server.String()+v.Type+" "+v.Place])]++
	}
	out := map[string][]store.Count{}
	for name, c := range by {
		out[name] = c.list()
	}
	return out, f.Err
}

// PendingUpdates implements store.Fleet.
func (f *Fleet) PendingUpdates(_ context.Context, limit int) ([]store.PendingUpdate, error) {
	out := []store.PendingUpdate{}
	for _, d := range f.List {
		for _, v := range d.Devices {
			if v.Type != record.DeviceUpdatePending || d.State == store.StateDecommissioned {
				continue
			}
			i := slices.IndexFunc(out, func(u store.PendingUpdate) bool { return u.Place == v.Place })
			if i < 0 {
				i = len(out)
				out = append(out, store.PendingUpdate{Place: v.Place, Title: fieldOf(&v, "title"), Severity: fieldOf(&v, "severity"), Security: fieldOf(&v, "security") == "true"})
			}
			out[i].Servers++
		}
	}
	slices.SortFunc(out, func(a, b store.PendingUpdate) int {
		return cmp.Or(b.Servers-a.Servers, strings.Compare(a.Place, b.Place))
	})
	return cut(out, 0, limit), f.Err
}

// Devices are those of the n-th server of a large fleet: what hangs on it, and
// no software.
func Devices(n int, now time.Time) []store.Device {
	out := devices(n, "windows", now)
	return slices.DeleteFunc(out, func(d store.Device) bool { return d.Category == record.Software })
}
