package apitest

import (
	"fmt"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// Large is a fleet of n servers in 20 sites, for what must work and be fast with many. The first parts of them have
// their parts; on each fiftieth of those a drive has failed.
func Large(n, parts int, now time.Time) *Fleet {
	f := &Fleet{PipelineState: pipeline(now)}
	systems := [...]struct{ kind, name, version string }{
		{"windows", "Windows Server 2022 Standard", "10.0.20348"}, {"windows", "Windows Server 2019 Standard", "10.0.17763"},
		{"windows", "Windows Server 2012 R2 Standard", "6.3.9600"}, {"linux", "Debian GNU/Linux 12", "12"},
	}
	roles := [...]string{"file", "sql", "hyper-v", "web", "terminal"}
	for i := range n {
		s := systems[i%7%len(systems)]
		d := store.ServerDetail{Server: store.Server{
			ID: record.ID{14: byte(i >> 8), 15: byte(i), 0: 1}, Name: fmt.Sprintf("srv-%05d", i), Site: fmt.Sprintf("site-%02d", i%20), Rack: fmt.Sprintf("r%03d", i%400),
			Role: roles[i%len(roles)], Owner: fmt.Sprintf("team-%d", i%9), State: store.StateUp, OSName: s.name, OSType: s.kind, OSVersion: s.version, ExporterVersion: fmt.Sprintf("0.%d.0", 2+i%3),
			LastSeen: now.Add(-time.Duration(i) * time.Millisecond), Enrolled: now.Add(-90 * 24 * time.Hour), BootTime: now.Add(-time.Duration(i%60) * 24 * time.Hour),
		}}
		if i < parts {
			d.Devices = Devices(i, now)
		}
		if i%50 == 0 && i < parts {
			f.Problems = append(f.Problems, store.NotificationDetail{Notification: store.Notification{
				ID: fmt.Sprintf("%016x", i), Server: d.ID, Device: record.DevicePhysicalDrive + " c0/e252/s4", Class: "drive_failed", State: store.Firing, Severity: "critical", Title: "Drive failed", Opened: now, Changed: now,
			}})
		}
		f.List = append(f.List, d)
		if i%3 == 0 {
			f.Book = append(f.Book, store.RegisterEntry{Name: d.Name, Owner: d.Owner, Warranty: now.Add(time.Duration(i%900-200) * 24 * time.Hour).Truncate(24 * time.Hour), Contract: fmt.Sprintf("C-%04d", i%50), Created: now, Changed: now, By: "local"})
		}
	}
	return f
}

// Lived is a large fleet with a past: ten configurations and changes of each server, and one server in a hundred is
// decommissioned.
func Lived(n int, now time.Time) *Fleet {
	f := Large(n, n, now)
	hash := f.snapshot(&f.List[0], record.RAID) // all had the same, so that a store of them is made quickly
	for i := range f.List {
		d := &f.List[i]
		if i%100 == 99 {
			d.State = store.StateDecommissioned
		}
		for k := range 10 {
			at, id := now.Add(-time.Duration(i%1440+1440*k)*time.Minute), fmt.Sprint(i, "-", k)
			f.Entries = append(f.Entries, store.HistoryEntry{Server: d.ID, Category: record.RAID, At: at, Hash: hash, RecordID: id, Changes: 1})
			f.ChangeLog = append(f.ChangeLog, store.Change{
				Server: d.ID, Name: d.Name, Category: record.RAID, At: at, Stream: at, Kind: "field", Type: record.DevicePhysicalDrive, Place: fmt.Sprintf("c0/e252/s%d", k),
				Field: record.FieldState, Before: "Onln", After: "Failed", RecordID: id, Hash: hash,
			})
		}
	}
	slices.SortStableFunc(f.ChangeLog, func(a, b store.Change) int { return b.Stream.Compare(a.Stream) })
	return f
}
