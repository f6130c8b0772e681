package simulate_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"nocturne/deploy/nocturne/simulate"
	"nocturne/internal/record"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// A year of a fleet, to see how large the store becomes. What leaves no row when
// nothing changed (TestWhatDidNotChangeLeavesNoRow) comes seldom here: heartbeats
// every hour, RAID twice a day, the other snapshots once. What leaves rows comes
// as often as on servers that are cared for:
//
//	updates    second Tuesday: three wait for five days, then a restart, another build and four programs and drivers of another version; Defender's
//	           definitions wait for a day each week; the last 40 installed are listed
//	programs   60 and 100 drivers; the browser is another version each week
//	events     one or two a month that a rule tells of: disk, service, system restarted without shutdown
//	drives     3 % a year predict their failure, fail, are replaced and rebuilt
//	hardware   a memory module is replaced on one server in twenty a year
//	silence    each server once a year, for eight hours
//	people     ten entries of the audit log a day
type year struct {
	*week
	days int
}

const (
	yearPeriod = 20 * time.Second // by which a tick moves the clock at most
	yearRAID   = 12 * time.Hour
)

func newYear(t testing.TB, servers int) *year {
	y := &year{week: &week{t: t, period: yearPeriod}}
	// Of the rules about silence only one judges, by the heartbeats of here.
	y.rules = func(list []*rule.Rule) []*rule.Rule {
		list = slices.DeleteFunc(list, func(r *rule.Rule) bool { return r.Kind == "absent" && r.ID != "server-silent" })
		after := "150m"
		list, err := rule.Overrides{"server-silent": {After: &after}}.Apply(list)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	y.change = y.inventory
	y.begin(servers, simulate.Settings{Heartbeat: time.Hour, RAID: yearRAID, Hardware: 24 * time.Hour, Events: 1. / (24 * 60), Silence: 8 * time.Hour})
	return y
}

// chance draws from a server and a day, the same in every run.
func (y *year) chance(s *weekServer, what string, of int) bool {
	h := fnv.New32a()
	fmt.Fprint(h, s.id, y.days, what)
	return int(h.Sum32()%uint32(of)) == 0
}

// patchDay tells how many days after the last second Tuesday a day is, about.
func patchDay(day int) (month, after int) { return day / 30, day % 30 }

// inventory says what the made-up machines do not: updates and software as real
// servers list them.
func (y *year) inventory(s *weekServer, o *simulate.Output) {
	if o.Record.Snapshot == nil {
		return
	}
	month, after := patchDay(y.days)
	if after < 5 {
		month--
	}
	snap := &record.Snapshot{}
	add := func(typ, place string, pairs ...string) {
		d := record.Device{Type: typ, Place: place}
		for i := 0; i+1 < len(pairs); i += 2 {
			d.Fields = append(d.Fields, record.Attr{Key: pairs[i], Value: record.String(pairs[i+1])})
		}
		snap.Devices = append(snap.Devices, d)
	}
	switch o.Category {
	case record.Software:
		snap.Sections = []record.Section{{Type: record.DeviceProgram}, {Type: record.DeviceDriver}}
		for i := range 60 {
			version := fmt.Sprintf("%d.%d.%d", 3+i%17, i%7, 100+i*13)
			if i < 3 {
				version += fmt.Sprintf(".%d", month)
			}
			if i == 3 {
				version = fmt.Sprintf("142.0.%d.80", 3595+y.days/7)
			}
			add(record.DeviceProgram, fmt.Sprintf("Program %c%02d of a vendor (x64)", 'A'+i%26, i), "version", version, record.FieldVendor, fmt.Sprintf("Vendor %d Corporation", i%12))
		}
		add(record.DeviceProgram, "Licence of this server", "version", s.id.String()) // no two servers have the same programs
		for i := range 100 {
			version := fmt.Sprintf("10.0.%d.%d", 20348, i)
			if i == 0 {
				version = fmt.Sprintf("10.0.20348.%d", 1000+month)
			}
			add(record.DeviceDriver, fmt.Sprintf("Driver of device %02d", i), "version", version, "signer", "Microsoft Windows")
		}
	case record.Updates:
		snap.Sections = []record.Section{{Type: record.DeviceUpdateStatus}, {Type: record.DeviceUpdatePending}, {Type: record.DeviceUpdateInstalled}}
		state := "up_to_date"
		if after < 5 {
			state = "pending"
			for i := range 3 {
				kb := fmt.Sprintf("KB50%05d", 40000+(month+1)*10+i)
				add(record.DeviceUpdatePending, kb, "title", "2026 Cumulative Update for Microsoft server operating system version 21H2 for x64-based Systems ("+kb+")", "kb", kb, "category", "Security Updates", "security", "true")
			}
		}
		if y.days%7 == 3 {
			state = "pending"
			add(record.DeviceUpdatePending, "KB2267602", "title", fmt.Sprintf("Security Intelligence Update for Microsoft Defender Antivirus - KB2267602 (Version 1.421.%d.0)", y.days), "kb", "KB2267602", "category", "Definition Updates")
		}
		for i := range 40 {
			n := 3*(month+1) - 1 - i // the newest first
			kb := fmt.Sprintf("KB50%05d", 40000+10*(n/3)+n%3)
			add(record.DeviceUpdateInstalled, fmt.Sprintf("m%d/%s", n/3, kb), "title", "2026 Cumulative Update for Microsoft server operating system ("+kb+")", "kb", kb, "result", "succeeded")
		}
		add(record.DeviceUpdateStatus, "", record.FieldState, state, "source", "WSUS", "service", "manual", "automatic", "download", "reboot_required", "false", "service_id", s.id.String())
	case record.Hardware:
		if !y.renewed(s) {
			return
		}
		for i := range o.Record.Snapshot.Devices {
			if d := &o.Record.Snapshot.Devices[i]; d.Type == record.DeviceMemory {
				d.Occupant = "NEW" + d.Occupant[3:]
				return
			}
		}
		return
	default:
		return
	}
	o.Record.Snapshot = snap
}

// renewed tells whether a server's memory module has been replaced.
func (y *year) renewed(s *weekServer) bool { return s.id[0]%20 == 0 && y.days > int(s.id[1]) }

var yearEvents = []struct {
	provider string
	id       int64
	text     string
}{
	{"disk", 153, `The IO operation at logical block address 0x12d5a8 for Disk 1 (PDO name: \Device\0000003e) was retried.`},
	{"Service Control Manager", 7031, "The Print Spooler service terminated unexpectedly. It has done this 1 time(s). The following corrective action will be taken in 60000 milliseconds: Restart the service."},
	{"Ntfs", 55, "A corruption was discovered in the file system structure on volume D:."},
}

// day lets a day pass; real is whether servers are cared for, or just run.
func (y *year) day(events bool) {
	_, after := patchDay(y.days)
	y.run(24*time.Hour, func(passed time.Duration) {
		if passed%time.Hour != 0 || !events {
			return
		}
		hour := int(passed / time.Hour)
		for _, s := range y.servers {
			if int(s.id[2])%24 != hour {
				continue
			}
			begin := func(kind string) {
				if _, err := s.machine.Begin(kind, kind+strconv.Itoa(y.days), y.now); err != nil {
					y.t.Log(err) // one at a time
				}
			}
			switch {
			case after == 5:
				begin(simulate.KindPatchday)
			case y.chance(s, "drive", 365*100/3):
				begin(simulate.KindDrive)
			case y.chance(s, "silence", 365):
				begin(simulate.KindSilence)
			}
			if y.chance(s, "event", 20) {
				e := yearEvents[int(s.id[3]+byte(y.days))%len(yearEvents)]
				y.say(s, []simulate.Output{{Category: record.EventLog, Record: record.Record{Time: y.now, Observed: y.now, Severity: record.Error, Name: record.NameWindowsEvent, Body: e.text, Attrs: []record.Attr{
					{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String(e.provider)}, {Key: record.AttrEventID, Value: record.Int(e.id)},
					{Key: record.AttrLevel, Value: record.String("error")}, {Key: record.AttrRecordID, Value: record.Int(int64(y.days))}, {Key: record.AttrData + "param1", Value: record.String("Print Spooler")}}}}})
			}
		}
	})
	y.settle()
	y.days++
	if !events {
		return
	}
	for i := range 10 {
		if err := y.store.Audit(y.t.Context(), store.AuditEntry{At: y.now, Actor: "alice", Via: "token", Action: "notification.comment", Subject: fmt.Sprint("notification ", i), Detail: []byte(`{"text":"disk is ordered, comes tomorrow"}`)}); err != nil {
			y.t.Fatal(err)
		}
	}
	// As the ruler does it for what the feed and retention keep.
	if _, err := y.store.Prune(y.t.Context(), store.Before(y.now.Add(-2*365*24*time.Hour))); err != nil {
		y.t.Fatal(err)
	}
}

// table is what one holds, its indexes included.
type table struct {
	name  string
	rows  int64
	bytes int64
}

// tables lists the largest first.
func (y *year) tables() []table {
	y.t.Helper()
	db, err := sql.Open("sqlite", "file:"+y.path+"?_pragma=query_only(1)&_pragma=busy_timeout(10000)")
	if err != nil {
		y.t.Fatal(err)
	}
	defer func() { y.must(db.Close()) }()
	rows, err := db.QueryContext(context.Background(), `SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_master m ON m.name = s.name WHERE s.aggregate = 1 GROUP BY 1 ORDER BY 2 DESC`)
	y.must(err)
	var out []table
	for rows.Next() {
		var v table
		y.must(rows.Scan(&v.name, &v.bytes))
		out = append(out, v)
	}
	y.must(errors.Join(rows.Err(), rows.Close()))
	for i := range out {
		y.must(db.QueryRowContext(context.Background(), "SELECT count(*) FROM "+out[i].name).Scan(&out[i].rows))
	}
	return out
}

func (y *year) must(err error) {
	y.t.Helper()
	if err != nil {
		y.t.Fatal(err)
	}
}

// Heartbeats, snapshots in which only temperatures and counters differ, and
// events that no rule tells of leave no row, however many they are: a fleet that
// just runs does not make the store grow.
func TestWhatDidNotChangeLeavesNoRow(t *testing.T) {
	y := &year{week: &week{t: t, period: yearPeriod}}
	y.change = y.inventory
	y.begin(4, simulate.Settings{RAID: 10 * time.Minute, Hardware: time.Hour, Events: 0.5})
	hours := 2
	if testing.Short() {
		hours = 1
	}
	facts := func() map[string]int64 {
		n := map[string]int64{}
		for _, v := range y.tables() {
			// What is said of the stream anew with each commit, and folded.
			if v.name != "state_delta" && v.name != "state_base" {
				n[v.name] = v.rows
			}
		}
		return n
	}
	y.run(time.Hour, nil)
	y.settle()
	before, records := facts(), y.records
	y.run(time.Duration(hours)*time.Hour, nil)
	y.settle()
	for name, n := range facts() {
		if n != before[name] {
			t.Errorf("%s: %d rows, %d before", name, n, before[name])
		}
	}
	if before["history"] == 0 || y.records-records < 200*hours {
		t.Errorf("%d records, %v: nothing was tried", y.records-records, before)
	}
	t.Logf("%d records, no row", y.records-records)
}

// TestAFewDaysOfAFleet is the short form of BenchmarkYear: nothing of a day is refused.
func TestAFewDaysOfAFleet(t *testing.T) {
	y := newYear(t, 6)
	y.day(true)
	var rows, bytes int64
	for _, v := range y.tables() {
		rows += v.rows
		bytes += v.bytes
	}
	if y.store.Bytes() == 0 || rows < 500 || bytes < 100_000 {
		t.Errorf("%d rows, %d bytes", rows, bytes)
	}
}

// BenchmarkYear says how large the store of 650 servers becomes in a year.
// NOCTURNE_YEAR_SERVERS and NOCTURNE_YEAR_DAYS make it shorter.
func BenchmarkYear(b *testing.B) {
	servers, days := number(b, "NOCTURNE_YEAR_SERVERS", 650), number(b, "NOCTURNE_YEAR_DAYS", 365)
	for b.Loop() {
		y := newYear(b, servers)
		start := time.Now()
		first := int64(0)
		for range days {
			y.day(true)
			if y.days == 1 {
				first = y.store.Bytes()
			}
		}
		b.Logf("%d servers, %d days, %d records in %s", servers, days, y.records, time.Since(start).Round(time.Second))
		var sum int64
		for _, v := range y.tables() {
			sum += v.bytes
			if v.bytes >= 1<<16 {
				b.Logf("%-20s %9d rows %8.1f MB", v.name, v.rows, float64(v.bytes)/1e6)
			}
		}
		total := y.store.Bytes()
		b.ReportMetric(float64(sum)/1e6, "MB")
		b.ReportMetric(float64(total-sum)/1e6, "MB-log-and-free")
		b.ReportMetric(float64(total-first)/float64(servers)/float64(days)*365/1e3, "kB/server-year")
		start = time.Now()
		n, err := y.store.Prune(b.Context(), store.Before(y.now.Add(-time.Duration(days)*12*time.Hour)))
		y.must(err)
		b.Logf("retention of half of the time took away %d rows in %s", n, time.Since(start).Round(time.Millisecond))
		b.ReportMetric(float64(n), "rows-pruned")
		b.ReportMetric(time.Since(start).Seconds(), "s-pruning")
	}
}

func number(t testing.TB, name string, n int) int {
	if v := os.Getenv(name); v != "" {
		var err error
		if n, err = strconv.Atoi(v); err != nil || n < 1 {
			t.Fatalf("%s=%s: want a number", name, v)
		}
	}
	return n
}
