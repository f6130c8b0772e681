package api

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/engine"
	"nocturne/ruler/store"
)

// serverPast answers what a server was at a time: labels, facts, state, devices
// and the notifications that were open.
func (s *server) serverPast(r *request, then time.Time) (any, error) {
	id := r.id("id")
	d, err := s.reader.Server(r.ctx, id)
	if err != nil {
		return nil, err
	}
	past, err := s.reader.ServerAt(r.ctx, id, then)
	if err != nil {
		return nil, err
	}
	if past.Labels == nil && past.Facts == nil && past.State == nil && len(past.Snapshots) == 0 {
		hint := "nothing is kept of it"
		if !past.Known.IsZero() {
			hint = "it is known since " + past.Known.UTC().Format(time.RFC3339)
		}
		return nil, &problem{status: http.StatusNotFound, msg: "this server was not known at " + then.UTC().Format(time.RFC3339), hint: hint}
	}
	was := rowAt(d.Server, past)
	open, err := s.reader.Notifications(r.ctx, store.NotificationQuery{Server: id, OpenAt: then, Limit: 1000})
	if err != nil {
		return nil, err
	}
	for _, n := range open.Notifications {
		if n.Muted != "" && n.FoldedInto == "" {
			continue
		}
		was.Open++
		if store.SeverityRank(n.Severity) > store.SeverityRank(was.Worst) {
			was.Worst = n.Severity
		}
	}
	out := ServerDetail{
		Server: s.serverOf(was), Facts: factsOf(was), Devices: []Device{}, Observed: []Observed{}, Lines: []Server{},
		Notifications: mapSlice(open.Notifications, notificationOf), Labels: labelsOf(&was), Register: []RegisterEntry{}, AsOf: at(then), KnownSince: at(past.Known),
	}
	for i := range past.Snapshots {
		h := &past.Snapshots[i]
		snap, err := s.snapshotAt(r, h)
		if err != nil {
			return nil, err
		}
		out.Observed = append(out.Observed, Observed{Category: h.Category.String(), Hash: h.Hash.String(), ChangedAt: at(h.At)})
		for j := range snap.Devices {
			out.Devices = append(out.Devices, deviceAt(h, &snap.Devices[j]))
		}
	}
	slices.SortStableFunc(out.Notifications, func(a, b Notification) int { return rank(b.Severity) - rank(a.Severity) })
	judgeDevices(out.Devices, out.Notifications, nil)
	slices.SortStableFunc(out.Devices, compareDevices)
	return out, nil
}

// rowAt is a server's row with what it said then.
func rowAt(now store.Server, p store.ServerPast) store.Server {
	was := store.Server{ID: now.ID, CloneOf: now.CloneOf, Clones: now.Clones, Enrolled: now.Enrolled, MachineID: now.MachineID, SMBIOSUUID: now.SMBIOSUUID, State: store.StateWaiting}
	if l := p.Labels; l != nil {
		was.Name, was.Site, was.Rack, was.Role, was.Owner, was.LabelsFrom, was.Simulated = l.Name, l.Site, l.Rack, l.Role, l.Owner, l.From, l.Simulated
	} else {
		was.Simulated = now.Simulated // decided at enrolment, for ever
	}
	if f := p.Facts; f != nil {
		was.OSName, was.OSType, was.OSVersion, was.OSBuild = f.OSName, f.OSType, f.OSVersion, f.OSBuild
		was.ExporterVersion, was.ReportedName, was.BootTime = f.ExporterVersion, f.ReportedName, f.BootTime
	}
	if st := p.State; st != nil {
		was.State, was.StateReason, was.StateSince = st.State, st.Reason, st.Since
	}
	return was
}

func (s *server) snapshotAt(r *request, h *store.HistoryEntry) (*record.Snapshot, error) {
	b, err := s.reader.Snapshot(r.ctx, h.Hash)
	if err != nil {
		if errors.Is(err, store.ErrNotFound) { // else it would read as "no such server"
			err = fmt.Errorf("%s snapshot %s is listed and not kept", h.Category, h.Hash)
		}
		return nil, err
	}
	return engine.Unpack(b)
}

func deviceAt(h *store.HistoryEntry, d *record.Device) Device {
	return deviceOf(store.Device{Category: h.Category, Type: d.Type, Place: d.Place, Occupant: d.Occupant, State: d.Field(record.FieldState).Text(), Fields: record.AppendJSONAttrs(nil, d.Fields)})
}

// serverDiff compares what a server was at two times.
func (s *server) serverDiff(r *request) (any, error) {
	id, from, to := r.id("id"), r.time("from"), r.time("to")
	if from.IsZero() {
		return nil, badRequest("say from=2026-11-21T07:00:00Z, and to= for another time than now", "parameter from is missing")
	}
	if to.IsZero() {
		to = s.now()
	}
	if to.Before(from) {
		return nil, badRequest("the earlier time is from, the later one is to", "from lies after to")
	}
	a, err := s.reader.ServerAt(r.ctx, id, from)
	if err != nil {
		return nil, err
	}
	b, err := s.reader.ServerAt(r.ctx, id, to)
	if err != nil {
		return nil, err
	}
	d, err := s.reader.Server(r.ctx, id)
	if err != nil {
		return nil, err
	}
	out := ServerDiff{ServerID: id.String(), Server: cmp.Or(clip(d.Name, maxName), clip(d.ReportedName, maxName)), From: at(from), To: at(to), KnownSince: at(b.Known), Labels: labelDiff(a.Labels, b.Labels), Facts: factDiff(a.Facts, b.Facts), Categories: []CategoryDiff{}}
	out.Same = len(out.Labels) == 0 && len(out.Facts) == 0
	for _, c := range record.Categories() {
		before, after := entryOf(a.Snapshots, c), entryOf(b.Snapshots, c)
		if after == nil {
			continue // nothing is forgotten, so it was not known before either
		}
		v, err := s.categoryDiff(r, &d.Server, before, after)
		if err != nil {
			return nil, err
		}
		out.Same = out.Same && v.FromHash == v.ToHash
		out.Categories = append(out.Categories, v)
	}
	return out, nil
}

func entryOf(list []store.HistoryEntry, c record.Category) *store.HistoryEntry {
	if i := slices.IndexFunc(list, func(h store.HistoryEntry) bool { return h.Category == c }); i >= 0 {
		return &list[i]
	}
	return nil
}

func (s *server) categoryDiff(r *request, srv *store.Server, before, after *store.HistoryEntry) (CategoryDiff, error) {
	out := CategoryDiff{Category: after.Category.String(), ToHash: after.Hash.String(), ToAt: at(after.At), Changes: []Change{}}
	if before == nil {
		out.Note = "not observed by the earlier time: the first snapshot changes nothing"
		return out, nil
	}
	out.FromHash, out.FromAt = before.Hash.String(), at(before.At)
	if before.Hash == after.Hash {
		return out, nil
	}
	x, err := s.snapshotAt(r, before)
	if err != nil {
		return out, err
	}
	y, err := s.snapshotAt(r, after)
	if err != nil {
		return out, err
	}
	for _, c := range diff.Significant(diff.Diff(x, y)) {
		row := engine.ChangeRow(&c)
		row.Server, row.Name, row.Simulated, row.Category, row.Hash = srv.ID, cmp.Or(srv.Name, srv.ReportedName), srv.Simulated, after.Category, after.Hash
		out.Changes = append(out.Changes, changeOf(row))
	}
	return out, nil
}

func labelDiff(a, b *store.ServerLabels) []FieldDiff {
	if a == nil || b == nil {
		return []FieldDiff{}
	}
	return fieldDiffs([][3]string{{"name", a.Name, b.Name}, {"site", a.Site, b.Site}, {"rack", a.Rack, b.Rack}, {"role", a.Role, b.Role}, {"owner", a.Owner, b.Owner}})
}

func factDiff(a, b *store.ServerFacts) []FieldDiff {
	if a == nil || b == nil {
		return []FieldDiff{}
	}
	boot := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	return fieldDiffs([][3]string{{"os_name", a.OSName, b.OSName}, {"os_version", a.OSVersion, b.OSVersion}, {"os_build", a.OSBuild, b.OSBuild},
		{"exporter_version", a.ExporterVersion, b.ExporterVersion}, {"reported_name", a.ReportedName, b.ReportedName}, {"boot_time", boot(a.BootTime), boot(b.BootTime)}})
}

// fieldDiffs keeps what differs of (name, before, after).
func fieldDiffs(values [][3]string) []FieldDiff {
	out := []FieldDiff{}
	for _, v := range values {
		if v[1] != v[2] {
			out = append(out, FieldDiff{Name: v[0], Before: clip(v[1], maxText), After: clip(v[2], maxText)})
		}
	}
	return out
}
