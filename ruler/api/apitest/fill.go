package apitest

import (
	"context"
	"fmt"
	"slices"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// Fill writes a fleet into a real store, as an engine's commits would.
func Fill(ctx context.Context, s store.Store, f *Fleet) error {
	claim, err := s.Claim(ctx, 0, "apitest")
	if err != nil {
		return fmt.Errorf("claim: %w", err)
	}
	c := store.PartitionCommit{Epoch: claim.Epoch, From: claim.Position, To: store.Position{Incarnation: "01JD0", Entry: claim.Position.Entry + 1}}
	for _, d := range f.List {
		c.Servers = append(c.Servers, serverWrite(&d))
		for _, v := range d.Devices {
			c.Devices = append(c.Devices, store.DeviceWrite{Server: d.ID, Device: v})
		}
	}
	for _, h := range f.Entries {
		c.Snapshots = append(c.Snapshots, store.SnapshotWrite{Server: h.Server, Category: h.Category, At: h.At, Hash: h.Hash, Bytes: f.Contents[h.Hash]})
	}
	for _, d := range f.List { // after those of the past, so that these are the present ones
		for _, o := range d.Observed {
			c.Snapshots = append(c.Snapshots, store.SnapshotWrite{Server: d.ID, Category: o.Category, At: o.At, Hash: o.Hash, Bytes: f.Contents[o.Hash]})
		}
	}
	c.History = slices.Clone(f.Entries)
	slices.SortStableFunc(c.History, func(a, b store.HistoryEntry) int { return a.At.Compare(b.At) })
	c.Changes = slices.Clone(f.ChangeLog)
	slices.Reverse(c.Changes)
	for _, n := range f.Problems {
		c.Notifications = append(c.Notifications, n.Notification)
		for _, e := range n.Evidence {
			e.Notification = n.ID
			c.Evidence = append(c.Evidence, e)
		}
	}
	if err := s.Commit(ctx, []store.PartitionCommit{c}); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if err := s.PutRegister(ctx, anyVersion(f.Book)); err != nil {
		return fmt.Errorf("register: %w", err)
	}
	var deliveries []store.Delivery
	for _, n := range f.Problems {
		for _, d := range n.Deliveries {
			d.Notification = n.ID
			deliveries = append(deliveries, d)
		}
	}
	if err := s.RecordDeliveries(ctx, deliveries); err != nil {
		return fmt.Errorf("record deliveries: %w", err)
	}
	return nil
}

func serverWrite(d *store.ServerDetail) store.ServerWrite {
	w := store.ServerWrite{
		ID:     d.ID,
		Labels: &store.ServerLabels{Name: d.Name, Site: d.Site, Rack: d.Rack, Role: d.Role, Owner: d.Owner, From: d.LabelsFrom, Simulated: d.Simulated, Enrolled: d.Enrolled},
		Facts: &store.ServerFacts{
			OSName: d.OSName, OSType: d.OSType, OSVersion: d.OSVersion, OSBuild: d.OSBuild, ExporterVersion: d.ExporterVersion,
			ReportedName: d.ReportedName, MachineID: d.MachineID, SMBIOSUUID: d.SMBIOSUUID, BootTime: d.BootTime, Interval: d.Interval,
		},
		State: &store.StateWrite{State: d.State, Reason: d.StateReason, Since: d.StateSince},
		Seen:  &store.SeenWrite{At: d.LastSeen, Skew: d.Skew},
	}
	if d.Clones {
		of, err := record.ParseID(d.CloneOf)
		if err != nil {
			of = record.ID{} // the issued id's own line
		}
		w.Clones = &store.CloneWrite{Of: of, Clones: true}
	}
	return w
}

func anyVersion(book []store.RegisterEntry) []store.RegisterEntry {
	out := slices.Clone(book)
	for i := range out {
		out[i].Version = store.AnyVersion
	}
	return out
}
