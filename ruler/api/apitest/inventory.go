package apitest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/engine"
	"nocturne/ruler/store"
)

// openAt tells whether a notification was open at a time; zero = no matter.
func openAt(n *store.Notification, at time.Time) bool {
	return at.IsZero() || !n.Opened.After(at) && (n.State == store.Firing || n.Resolved.After(at))
}

// about tells whether a change is about a serial number; "" = no matter.
func about(c *store.Change, serial string) bool {
	return serial == "" || c.Occupant == serial || c.Kind != "field" && (c.Before == serial || c.After == serial)
}

// ServerAt implements store.Inventory. The fleet's labels and facts have always
// been what they are.
func (f *Fleet) ServerAt(_ context.Context, id record.ID, at time.Time) (store.ServerPast, error) {
	for _, d := range f.List {
		if d.ID != id {
			continue
		}
		p := store.ServerPast{At: at, Known: d.Enrolled, Snapshots: []store.HistoryEntry{}}
		if at.Before(d.Enrolled) {
			return p, f.Err
		}
		p.Labels = &store.ServerLabels{Name: d.Name, Site: d.Site, Rack: d.Rack, Role: d.Role, Owner: d.Owner, From: d.LabelsFrom, Simulated: d.Simulated}
		p.Facts = &store.ServerFacts{OSName: d.OSName, OSType: d.OSType, OSVersion: d.OSVersion, OSBuild: d.OSBuild, ExporterVersion: d.ExporterVersion, ReportedName: d.ReportedName, BootTime: d.BootTime}
		if !at.Before(d.StateSince) {
			p.State = &store.StateWrite{State: d.State, Reason: d.StateReason, Since: d.StateSince}
		}
		for _, c := range record.Categories() {
			for _, h := range f.Entries { // newest first
				if h.Server == id && h.Category == c && !h.At.After(at) {
					p.Snapshots = append(p.Snapshots, h)
					break
				}
			}
		}
		return p, f.Err
	}
	return store.ServerPast{}, cmp.Or(f.Err, fmt.Errorf("server %s: %w", id, store.ErrNotFound))
}

// Snapshot implements store.Inventory.
func (f *Fleet) Snapshot(_ context.Context, h store.Hash) ([]byte, error) {
	if b, ok := f.Contents[h]; ok {
		return b, f.Err
	}
	return nil, cmp.Or(f.Err, fmt.Errorf("snapshot %s: %w", h, store.ErrNotFound))
}

// Occupants implements store.Inventory. Who sits in a place sat there since it
// changed last; who left is in Gone.
func (f *Fleet) Occupants(_ context.Context, q store.OccupantQuery) (store.OccupantPage, error) {
	var page store.OccupantPage
	take := func(o store.Occupant) {
		text := strings.ToLower(o.Serial + "\n" + o.Model)
		if o.Serial != "" && (q.Serial == "" || q.Serial == o.Serial) && (q.Type == "" || q.Type == o.Type) && (q.Server.IsZero() || q.Server == o.Server) && strings.Contains(text, strings.ToLower(q.Text)) {
			page.Occupants = append(page.Occupants, o)
		}
	}
	for _, o := range f.Gone {
		take(o)
	}
	for _, d := range f.List {
		for _, v := range d.Devices {
			o := store.Occupant{Serial: v.Occupant, Server: d.ID, Name: d.Name, Category: v.Category, Type: v.Type, Place: v.Place, Since: v.Changed, Until: v.Removed, LastSeen: d.LastSeen, Simulated: d.Simulated}
			if strings.Contains(string(v.Fields), `"model":"`) {
				_, rest, _ := strings.Cut(string(v.Fields), `"model":"`)
				o.Model, _, _ = strings.Cut(rest, `"`)
			}
			take(o)
		}
	}
	slices.SortStableFunc(page.Occupants, func(a, b store.Occupant) int {
		return cmp.Or(b.Since.Compare(a.Since), strings.Compare(a.Serial, b.Serial), strings.Compare(a.Type, b.Type), strings.Compare(a.Place, b.Place))
	})
	page.Total = len(page.Occupants)
	page.Occupants = cut(page.Occupants, q.Offset, q.Limit)
	return page, f.Err
}

// Stays implements store.Inventory.
func (f *Fleet) Stays(ctx context.Context, serials []string, fn func(*store.Occupant) error) error {
	for _, serial := range serials {
		page, err := f.Occupants(ctx, store.OccupantQuery{Serial: serial, Limit: 1000})
		if err != nil {
			return err
		}
		for i := range page.Occupants {
			if err := fn(&page.Occupants[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// snapshot packs the devices of a category as an engine would have kept them.
func (f *Fleet) snapshot(d *store.ServerDetail, c record.Category) store.Hash {
	s := &record.Snapshot{}
	for _, v := range d.Devices {
		if v.Category != c || !v.Removed.IsZero() {
			continue
		}
		dev := record.Device{Type: v.Type, Place: v.Place, Occupant: v.Occupant}
		var fields map[string]any
		if err := json.Unmarshal(v.Fields, &fields); err != nil {
			panic(err) // made from a map in this package
		}
		if v.State != "" {
			fields[record.FieldState] = v.State
		}
		for key, value := range fields {
			a := record.Attr{Key: key, Value: record.String(fmt.Sprint(value))}
			if n, ok := value.(float64); ok {
				a.Value = record.Int(int64(n))
			}
			dev.Fields = append(dev.Fields, a)
		}
		s.Devices = append(s.Devices, dev)
		if !slices.ContainsFunc(s.Sections, func(sec record.Section) bool { return sec.Type == v.Type }) {
			s.Sections = append(s.Sections, record.Section{Type: v.Type})
		}
	}
	h, b := engine.Pack(diff.Stable(s))
	if f.Contents == nil {
		f.Contents = map[store.Hash][]byte{}
	}
	f.Contents[h] = b
	return h
}

// Register implements store.Register; without names beside server names it
// means the servers of its names.
func (f *Fleet) Register(_ context.Context, q store.RegisterQuery) (store.RegisterPage, error) {
	page := store.RegisterPage{Entries: []store.RegisterEntry{}}
	for _, e := range f.Book {
		for _, d := range f.List {
			if strings.EqualFold(d.Name, e.Name) || strings.EqualFold(d.ReportedName, e.Name) {
				e.Server = store.Server{ID: d.ID, Name: d.Name, ReportedName: d.ReportedName, Site: d.Site, Rack: d.Rack, Role: d.Role, Owner: d.Owner, State: d.State, LastSeen: d.LastSeen}
				break
			}
		}
		text := strings.ToLower(strings.Join([]string{e.Name, e.Serial, e.Site, e.Owner, e.Contract, e.Note}, "\n"))
		if strings.Contains(text, strings.ToLower(q.Text)) && (q.Names == nil || slices.ContainsFunc(q.Names, func(n string) bool { return strings.EqualFold(n, e.Name) })) &&
			(q.Servers == nil || slices.Contains(q.Servers, e.Server.ID)) && (q.Missing == nil || *q.Missing == e.Server.LastSeen.IsZero()) &&
			(q.WarrantyBefore.IsZero() || !e.Warranty.IsZero() && e.Warranty.Before(q.WarrantyBefore)) {
			page.Entries = append(page.Entries, e)
		}
	}
	page.Total = len(page.Entries)
	page.Entries = cut(page.Entries, q.Offset, q.Limit)
	return page, f.Err
}

// PutRegister implements store.RegisterWriter, for tests that change it.
func (f *Fleet) PutRegister(_ context.Context, entries []store.RegisterEntry) error {
	for _, e := range entries {
		i := slices.IndexFunc(f.Book, func(v store.RegisterEntry) bool { return strings.EqualFold(v.Name, e.Name) })
		var version int64
		if i >= 0 {
			version, e.Created = f.Book[i].Version, f.Book[i].Created
		}
		if e.Version != store.AnyVersion && e.Version != version {
			return fmt.Errorf("%s is at version %d: %w", e.Name, version, store.ErrStale)
		}
		e.Version = version + 1
		if e.Created.IsZero() {
			e.Created = e.Changed
		}
		if i < 0 {
			f.Book = append(f.Book, e)
			continue
		}
		f.Book[i] = e
	}
	slices.SortFunc(f.Book, func(a, b store.RegisterEntry) int {
		return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return f.Err
}

// DeleteRegister implements store.RegisterWriter.
func (f *Fleet) DeleteRegister(_ context.Context, name string) error {
	n := len(f.Book)
	f.Book = slices.DeleteFunc(f.Book, func(e store.RegisterEntry) bool { return strings.EqualFold(e.Name, name) })
	if len(f.Book) == n {
		return store.ErrNotFound
	}
	return f.Err
}
