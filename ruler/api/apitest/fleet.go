package apitest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// Hostile are names that a server could claim to do harm on a page: markup, an
// event handler, direction marks that turn text around, a very long word.
var Hostile = []string{
	`<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>`,
	"evil\u202egpj.exe\u2066\u0000\u001b[31m",
	strings.Repeat("W", 100_000),
}

// ID returns the id of the n-th server of the fixed fleet.
func ID(n int) record.ID {
	return record.ID{0x5e, 0x17, 14: byte(n >> 8), 15: byte(n)}
}

// Demo returns the fixed fleet as it stands at a time: a real Linux server, 16
// simulated Windows servers at two sites of which one has a failed drive, one a
// warning, one is silent, one was stopped, one was cloned and one is not heard
// yet, and three servers with hostile names.
func Demo(now time.Time) *Fleet {
	f := &Fleet{PipelineState: pipeline(now)}
	f.add(store.Server{ID: ID(1), Name: "vault", Site: "office", Rack: "", Role: "backup", Owner: "it@example.org", State: store.StateUp, OSName: "Debian GNU/Linux 12", OSType: "linux", OSVersion: "12", OSBuild: "6.1.0-28-amd64"}, now)
	for n := 2; n <= 17; n++ {
		site, rack := "north", fmt.Sprintf("n%02d", 1+n%3)
		if n > 10 {
			site, rack = "south", fmt.Sprintf("s%02d", 1+n%2)
		}
		f.add(store.Server{
			ID: ID(n), Name: fmt.Sprintf("sim-%s-%02d", site, n), Site: site, Rack: rack, Role: []string{"file", "sql", "hyperv"}[n%3], Owner: "demo",
			Simulated: true, State: store.StateUp, OSName: "Windows Server 2022 Standard", OSType: "windows", OSVersion: "10.0.20348", OSBuild: "20348.2340",
		}, now)
	}
	for i, name := range Hostile {
		f.add(store.Server{
			ID: ID(40 + i), Name: name, Site: "lab", Rack: name, Role: name, Owner: name, State: store.StateUp, OSName: name, OSType: "windows",
			ReportedName: name,
		}, now)
	}
	f.Book = []store.RegisterEntry{
		{Name: "sim-north-05", Serial: "CZ200005", Owner: "demo", Warranty: now.Add(90 * 24 * time.Hour).Truncate(24 * time.Hour), Contract: "HPE 4711", Created: now, Changed: now, By: "local", Version: 1},
		{Name: "spare-1", Site: "north", Note: "ordered", Created: now, Changed: now, By: "local", Version: 1},
	}
	f.at(ID(5)).LabelsFrom = "site=enrolment rack=enrolment role=pattern owner=register"
	f.failedDrive(ID(5), now)
	f.warning(ID(7), now)
	f.silence(ID(12), now)
	f.at(ID(9)).State, f.at(ID(9)).StateReason, f.at(ID(9)).StateSince = store.StateStopped, "shutdown", now.Add(-50*time.Minute)
	f.at(ID(15)).State, f.at(ID(15)).LastSeen, f.at(ID(15)).Devices = store.StateWaiting, time.Time{}, nil
	f.at(ID(16)).Clones = true
	twin := *f.at(ID(16))
	twin.ID, twin.CloneOf, twin.Name = ID(36), ID(16).String(), twin.Name+" (line 2)"
	f.at(ID(16)).Lines, twin.Lines = []store.Server{parted(&twin)}, []store.Server{parted(f.at(ID(16)))}
	f.List = append(f.List, twin)
	f.hostile(ID(40), now)
	for i := range f.ChangeLog { // newest first, numbered as a store would
		f.ChangeLog[i].ID = int64(len(f.ChangeLog) - i)
	}
	return f
}

func (f *Fleet) at(id record.ID) *store.ServerDetail {
	for i := range f.List {
		if f.List[i].ID == id {
			return &f.List[i]
		}
	}
	panic("no server " + id.String()) // a mistake in this file
}

func (f *Fleet) add(s store.Server, now time.Time) {
	n := int(s.ID[15])
	s.StateSince = now.Add(-time.Duration(n) * 20 * time.Hour)
	s.BootTime, s.Enrolled = now.Add(-time.Duration(n)*19*time.Hour), now.Add(-time.Duration(n+3)*24*time.Hour)
	s.LastSeen, s.Interval, s.Skew = now.Add(-time.Duration(n)*time.Second), 10*time.Second, time.Duration(n)*time.Millisecond
	s.ExporterVersion, s.MachineID = "0.2.0", fmt.Sprintf("7d0c2f3e-%04d", n)
	if s.ReportedName == "" {
		s.ReportedName = strings.ToUpper(s.Name)
	}
	d := store.ServerDetail{Server: s, Devices: devices(n, s.OSType, now)}
	for _, c := range []record.Category{record.RAID, record.Hardware} {
		h, since := f.snapshot(&d, c), now.Add(-time.Duration(23+c)*time.Hour)
		d.Observed = append(d.Observed, store.Observed{Category: c, At: since, Hash: h})
		f.Entries = append(f.Entries, store.HistoryEntry{Server: s.ID, Category: c, At: since, Hash: h, RecordID: recordID(s.ID, c, 3)})
	}
	f.List = append(f.List, d)
}

func recordID(id record.ID, c record.Category, seq int) string {
	return fmt.Sprintf("%s-00000000000000aa-%d-%d", id, c, seq)
}

func devices(n int, osType string, now time.Time) []store.Device {
	first := now.Add(-400 * time.Hour)
	dev := func(c record.Category, typ, place, serial, state string, fields map[string]any) store.Device {
		raw, err := json.Marshal(fields)
		if err != nil {
			panic(err) // maps of plain values
		}
		return store.Device{Category: c, Type: typ, Place: place, Occupant: serial, State: state, Fields: raw, First: first, Changed: first}
	}
	out := []store.Device{
		dev(record.Hardware, record.DeviceSystem, "system", fmt.Sprintf("CZ2%05d", n), "", map[string]any{"vendor": "HPE", "model": "ProLiant DL380 Gen10"}),
		dev(record.Hardware, record.DeviceBIOS, "bios", "", "", map[string]any{"vendor": "HPE", "firmware": "U30 v2.90", "released": "2023-08-17"}),
		dev(record.Hardware, record.DeviceCPU, "CPU 1", "", "", map[string]any{"model": "Intel(R) Xeon(R) Gold 6230 CPU @ 2.10GHz", "cores": 20}),
		dev(record.Hardware, record.DeviceMemory, "DIMM_A1", fmt.Sprintf("3F%06d", n), "", map[string]any{"size_bytes": int64(32 << 30), "vendor": "Samsung", "model": "M393A4K40DB3-CWE"}),
		dev(record.Hardware, record.DeviceMemory, "DIMM_B1", fmt.Sprintf("3G%06d", n), "", map[string]any{"size_bytes": int64(32 << 30), "vendor": "Samsung", "model": "M393A4K40DB3-CWE"}),
		dev(record.Hardware, record.DeviceNIC, "eth0", "", "up", map[string]any{"mac": fmt.Sprintf("3c:ec:ef:00:00:%02x", n), "speed_mbps": 10000}),
	}
	for i := range 45 {
		out = append(out, dev(record.Software, "program", fmt.Sprintf("package-%02d", i), "", "", map[string]any{"version": fmt.Sprintf("1.%d", i)}))
	}
	if n%2 == 0 {
		out = append(out, dev(record.Updates, record.DeviceUpdateStatus, "", "", "up_to_date", map[string]any{"state": "up_to_date", "source": "wua", "reboot_required": false}))
	} else if n < 10 {
		out = append(out, dev(record.Updates, record.DeviceUpdateStatus, "", "", "reboot_required", map[string]any{"state": "reboot_required", "source": "wua", "reboot_required": true}),
			dev(record.Updates, record.DeviceUpdatePending, "KB5070001", "", "", map[string]any{"title": "2026-11 Cumulative Update (KB5070001)", "kb": "KB5070001", "security": true, "severity": "Critical"}),
			dev(record.Updates, record.DeviceUpdatePending, fmt.Sprintf("KB50700%02d", 10+n), "", "", map[string]any{"title": "Driver"}))
	}
	if osType == "linux" {
		return append(out, dev(record.RAID, "md_array", "md0", "", "clean", map[string]any{"level": "raid1"}))
	}
	out = append(out,
		dev(record.RAID, record.DeviceController, "c0", fmt.Sprintf("SV%08d", 700+n), "Optimal", map[string]any{"model": "AVAGO MegaRAID SAS 9361-8i", "firmware": "24.21.0-0148", "temperature_celsius": 61}),
		dev(record.RAID, record.DeviceBattery, "c0/cv", "22541", "Optimal", map[string]any{"model": "CVPM02", "temperature_celsius": 28}),
		dev(record.RAID, record.DeviceVirtualDrive, "c0/v0", "", "Optl", map[string]any{"raid": "RAID6", "size_bytes": int64(21_829_000_000_000), "name": "DATA"}))
	for slot := range 12 {
		out = append(out, dev(record.RAID, record.DevicePhysicalDrive, fmt.Sprintf("c0/e252/s%d", slot), fmt.Sprintf("ZA1%02d%02dK", n, slot), "Onln", map[string]any{
			"model": "ST4000NM0035-1V4107", "firmware": "TN05", "size_bytes": int64(4_000_787_030_016), "media_errors": 0, "temperature_celsius": 30 + slot%4, "interface": "SATA",
		}))
	}
	return out
}

func (f *Fleet) failedDrive(id record.ID, now time.Time) {
	s := f.at(id)
	t0 := now.Add(-7 * time.Minute)
	for i := range s.Devices {
		switch s.Devices[i].Place {
		case "c0/e252/s4":
			s.Devices[i].State, s.Devices[i].Changed = "Failed", t0
		case "c0/v0":
			s.Devices[i].State, s.Devices[i].Changed = "Dgrd", t0.Add(2*time.Second)
		}
	}
	rec := recordID(id, record.RAID, 41)
	f.ChangeLog = append(f.ChangeLog,
		store.Change{Server: id, Name: s.Name, Category: record.RAID, At: t0, Stream: t0, Kind: "field", Type: record.DeviceVirtualDrive, Place: "c0/v0", Field: "state", Before: "Optl", After: "Dgrd", RecordID: rec},
		store.Change{Server: id, Name: s.Name, Category: record.RAID, At: t0, Stream: t0, Kind: "field", Type: record.DevicePhysicalDrive, Place: "c0/e252/s4", Field: "state", Before: "Onln", After: "Failed", Occupant: "ZA10504K", RecordID: rec},
		store.Change{Server: id, Name: s.Name, Category: record.RAID, At: now.Add(-30 * time.Hour), Stream: now.Add(-30 * time.Hour), Kind: "replaced", Type: record.DevicePhysicalDrive, Place: "c0/e252/s7", Before: "ZA10404X", After: "ZA10507K", RecordID: recordID(id, record.RAID, 12)},
		store.Change{Server: id, Name: s.Name, Category: record.RAID, At: now.Add(-31 * time.Hour), Stream: now.Add(-31 * time.Hour), Kind: "moved", Type: record.DevicePhysicalDrive, From: "c0/e252/s8", Place: "c0/e252/s9", After: "ZA10509K", RecordID: recordID(id, record.RAID, 11)},
		store.Change{Server: id, Name: s.Name, Category: record.Hardware, At: now.Add(-90 * time.Hour), Stream: now.Add(-90 * time.Hour), Kind: "added", Type: record.DeviceMemory, Place: "DIMM_B1", After: "3G000005", Muted: "planned: more-memory (ada, 64 GB more for the new database) until 2026-11-20 04:00 UTC: added (serial 3G000005)", Plan: store.Plan{ID: "more-memory", Who: "ada", Why: "64 GB more for the new database"}, RecordID: recordID(id, record.Hardware, 2)},
		store.Change{Server: id, Name: s.Name, Category: record.Hardware, At: now.Add(-91 * time.Hour), Stream: now.Add(-91 * time.Hour), Kind: "removed", Type: record.DeviceMemory, Place: "DIMM_C1", Before: "3H000005", RecordID: recordID(id, record.Hardware, 2)})
	h := f.snapshot(s, record.RAID)
	for i := range s.Observed {
		if s.Observed[i].Category == record.RAID {
			s.Observed[i].Hash, s.Observed[i].At = h, t0
		}
	}
	f.Entries = append([]store.HistoryEntry{{Server: id, Category: record.RAID, At: t0, Hash: h, RecordID: rec, Changes: 2}}, f.Entries...)
	drive := f.problem("a1b2c3d4e5f60718", s.Server, "physical_drive c0/e252/s4", "drive_failed", "critical", "Drive failed in slot c0/e252/s4", t0)
	drive.Reason = "state went from Onln to Failed"
	drive.Parts = []store.Part{
		{RuleID: "raid-virtual-drive-degraded", Rule: "Virtual drive degraded", Device: "virtual_drive c0/v0", State: store.Firing, Severity: "warning", Reason: "state is Dgrd", Since: t0.Add(2 * time.Second), Changed: t0.Add(2 * time.Second)},
		{RuleID: "raid-drive-failed", Rule: "Drive failed", Device: drive.Device, State: store.Firing, Severity: "critical", Reason: drive.Reason, Since: t0, Changed: t0, Cause: true},
	}
	drive.Evidence = []store.Evidence{{
		At: t0, Event: t0.Add(-time.Second), Effect: "firing", RuleID: "raid-drive-failed", Reason: drive.Reason, RecordID: rec, Category: record.RAID,
		Name: record.NameSnapshot, Body: "physical drive c0/e252/s4 Failed", Attrs: json.RawMessage(`{"controller":"c0","media_errors":17,"predicted":true,"serial":"ZA10504K"}`),
		Raw: "EID:Slt DID State DG     Size Intf Med SED PI SeSz Model\n252:4    12 Failed 0 3.637 TB SATA HDD N   N  512B ST4000NM0035-1V4107", Before: "Onln", After: "Failed",
	}}
	drive.Deliveries = []store.Delivery{
		{Target: "http://127.0.0.1:9093", State: store.Firing, Version: 1, First: t0.Add(time.Second), At: now.Add(-20 * time.Second), Attempts: 8},
		{Target: "http://am-2.example.org:9093", State: store.Firing, Version: 1, First: t0.Add(time.Second), At: now.Add(-20 * time.Second), Attempts: 8, Error: "connection refused"},
		{Target: "http://127.0.0.1:9093", State: store.NotificationState(notify.EscalatedState(1)), Version: 2, First: t0.Add(4 * time.Second), At: t0.Add(4 * time.Second), Attempts: 1},
	}
	// It opened as a warning and got worse.
	worse := maps.Clone(drive.Labels)
	drive.Labels["alertname"], drive.Labels["rule_id"], drive.Labels["severity"] = "RaidDrivePredicted", "raid-drive-predicted", "warning"
	worse["alertname"], worse["rule_id"] = "RaidDriveFailed", "raid-drive-failed"
	saved, err := json.Marshal(notify.Notification{ID: drive.ID, Escalations: []notify.Escalation{{At: t0.Add(3 * time.Second), Severity: "critical", Labels: worse}}})
	if err != nil {
		panic(err) // plain strings and times
	}
	drive.Saved = saved
	f.Problems = append(f.Problems, drive)
}

func (f *Fleet) problem(id string, s store.Server, device, class, severity, title string, opened time.Time) store.NotificationDetail {
	labels := map[string]string{"alertname": title, "rule_id": class, "server_id": s.ID.String(), "server": s.Name, "device": device, "severity": severity, "site": s.Site, "notification_id": id}
	if s.Simulated {
		labels["simulated"] = "true"
	}
	return store.NotificationDetail{Notification: store.Notification{
		ID: id, Server: s.ID, Name: s.Name, Device: device, Class: class, State: store.Firing, Severity: severity, RuleID: class, Title: title,
		Opened: opened, Changed: opened, Simulated: s.Simulated, Labels: labels, Annotations: map[string]string{"summary": title + " on " + s.Name, "runbook": cmp.Or(map[string]string{"silence": "server#silent", "drive_predicted": "raid#drive-going-to-fail"}[class], "raid#drive-failed")},
	}}
}

func (f *Fleet) warning(id record.ID, now time.Time) {
	s := f.at(id)
	n := f.problem("b2c3d4e5f6071829", s.Server, "physical_drive c0/e252/s2", "drive_predicted", "warning", "Drive will fail soon in slot c0/e252/s2", now.Add(-3*time.Hour))
	n.Reason = "predictive failure count is 4"
	f.Problems = append(f.Problems, n)
	old := f.problem("c3d4e5f607182930", s.Server, "", "disk_events", "warning", "Disk events", now.Add(-26*time.Hour))
	old.State, old.Reason, old.Resolved, old.Changed = store.Resolved, "no such event for 24 h", now.Add(-2*time.Hour), now.Add(-2*time.Hour)
	f.Problems = append(f.Problems, old)
}

func (f *Fleet) silence(id record.ID, now time.Time) {
	s := f.at(id)
	since := now.Add(-12 * time.Minute)
	s.State, s.StateReason, s.StateSince, s.LastSeen = store.StateSilent, "no heartbeat for 30 s", since, since.Add(-30*time.Second)
	n := f.problem("d4e5f60718293041", s.Server, "", store.ClassSilent, "critical", "Server is silent", since)
	n.Reason = "no heartbeat for 30 s"
	rack := f.problem("e5f6071829304152", s.Server, "", "rack_silent", "critical", "Rack s01 is silent", since.Add(time.Second))
	rack.Reason, rack.Members = "2 of 2 servers of rack s01 stopped speaking within 10 s", []store.Notification{n.Notification}
	rack.State, rack.Resolved = store.Resolved, since.Add(time.Minute)
	f.Problems = append(f.Problems, n, rack)
}

// hostile gives a server a problem whose every text means harm.
func (f *Fleet) hostile(id record.ID, now time.Time) {
	s := f.at(id)
	bad := Hostile[0]
	n := f.problem("f607182930415263", s.Server, "disk "+bad, "disk_events", "warning", bad, now.Add(-time.Hour))
	n.Reason = strings.Join(Hostile, " ")
	n.Evidence = []store.Evidence{{At: now.Add(-time.Hour), Effect: "firing", Reason: bad, RecordID: recordID(id, record.EventLog, 9), Category: record.EventLog, Name: record.NameWindowsEvent,
		Body: Hostile[1] + bad, Attrs: json.RawMessage(`{"<b>k</b>":"<svg onload=window.pwned=1>"}`), Raw: strings.Join(Hostile, "\n"), Cut: true}}
	f.Problems = append(f.Problems, n)
	s.Devices = append(s.Devices, store.Device{Category: record.RAID, Type: bad, Place: "c0/" + bad, Occupant: Hostile[1], State: bad, Fields: json.RawMessage(`{"model":"<script>window.pwned=1</script>"}`), First: now, Changed: now, Removed: now})
	f.ChangeLog = append([]store.Change{{ID: 50, Server: id, Name: s.Name, Category: record.RAID, At: now.Add(-time.Hour), Stream: now, Kind: "field", Type: bad, Place: bad, Field: bad, Before: Hostile[1], After: Hostile[2]}}, f.ChangeLog...)
}

func pipeline(now time.Time) store.Pipeline {
	p := store.Pipeline{Bytes: 48 << 20}
	for i := range 16 {
		l := store.LedgerTotals{Received: int64(7000 + 311*i), Duplicate: int64(i % 3), Sequences: 6}
		p.Ledger = p.Ledger.Add(l)
		p.Partitions = append(p.Partitions, store.PartitionStatus{
			Partition: i, Position: store.Position{Incarnation: "01JD0", Entry: uint64(2000 + i)}, Epoch: 1, Owner: "ruler-1",
			StreamTime: now.Add(-time.Second), Clock: now.Add(-time.Second), Committed: now, Ledger: l,
		})
	}
	return p
}
