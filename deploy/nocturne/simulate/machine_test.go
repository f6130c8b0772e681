package simulate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"nocturne/exporter/source/raid"
	"nocturne/internal/record"
)

var began = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

var fast = Settings{Heartbeat: 10 * time.Second, RAID: 15 * time.Second}

// story runs a machine for a while in steps and returns what it made, as text.
func story1(t *testing.T, seed uint64, index int, length, stride time.Duration, incidents map[time.Duration]string) []string {
	t.Helper()
	m := NewMachine(Fleet(seed, index+1)[index], fast, seed, nil)
	var out []string
	take := func(outs []Output) {
		for _, o := range outs {
			out = append(out, fmt.Sprintf("%s %v %s %x", o.Record.Observed.Sub(began), o.Epoch, o.Category, record.AppendRecords(nil, []record.Record{o.Record})))
		}
	}
	take(m.Start(began))
	for at := time.Duration(0); at <= length; at += stride {
		if kind := incidents[at]; kind != "" {
			if _, err := m.Begin(kind, "i1", began.Add(at)); err != nil {
				t.Fatal(err)
			}
		}
		outs, _ := m.Step(began.Add(at))
		take(outs)
	}
	return out
}

func TestOneSeedOneStory(t *testing.T) {
	incidents := map[time.Duration]string{
		5 * time.Minute: KindDrive, 15 * time.Minute: KindReboot, 25 * time.Minute: KindSilence, 40 * time.Minute: KindPatchday,
	}
	a := story1(t, 7, 3, time.Hour, time.Second, incidents)
	if b := story1(t, 7, 3, time.Hour, time.Second, incidents); !slices.Equal(a, b) {
		t.Error("the same seed gave another story")
	}
	if b := story1(t, 7, 3, time.Hour, 20*time.Second, incidents); !slices.Equal(a, b) {
		t.Error("how often a machine is stepped changes its story")
	}
	if b := story1(t, 8, 3, time.Hour, time.Second, incidents); slices.Equal(a, b) {
		t.Error("another seed gave the same story")
	}
	if b := story1(t, 7, 4, time.Hour, time.Second, incidents); slices.Equal(a, b) {
		t.Error("another server has the same story")
	}
	if len(a) < 600 {
		t.Errorf("only %d records in an hour", len(a))
	}
}

func TestFleet(t *testing.T) {
	names, small := map[string]bool{}, Fleet(1, 20)
	for i, s := range Fleet(1, 200) {
		if names[s.Name] || !strings.HasPrefix(s.Name, "sim-") {
			t.Errorf("server %d is called %q", i, s.Name)
		}
		names[s.Name] = true
		if i < 20 && s != small[i] {
			t.Errorf("server %d of 200 is not server %d of 20", i, i)
		}
		m := NewMachine(s, fast, 1, nil)
		docs := storcli(&s, m.st.Drives, began)
		snap, problems, err := raid.Parse(docs...)
		if err != nil || len(problems) > 0 {
			t.Fatalf("%s: %v %v", s.Name, err, problems)
		}
		serials := 0
		for _, d := range snap.Devices {
			if d.Type == record.DevicePhysicalDrive && strings.HasPrefix(d.Occupant, "SIM") {
				serials++
			}
		}
		for _, typ := range []string{record.DeviceController, record.DevicePhysicalDrive, record.DeviceVirtualDrive, record.DeviceEnclosure, record.DeviceBattery} {
			if !slices.ContainsFunc(snap.Sections, func(sec record.Section) bool { return sec.Type == typ }) {
				t.Errorf("%s: no section %s", s.Name, typ)
			}
			if !slices.ContainsFunc(snap.Devices, func(d record.Device) bool { return d.Type == typ }) {
				t.Errorf("%s: no %s", s.Name, typ)
			}
		}
		if serials != s.Drives {
			t.Errorf("%s: %d serials of %d drives", s.Name, serials, s.Drives)
		}
	}
}

// states returns when the RAID snapshots said something new of a drive and the
// virtual drive.
func states(outs []Output, place string) (out []string) {
	last := ""
	for _, o := range outs {
		if o.Category != record.RAID {
			continue
		}
		var pd, vd, serial string
		var predicted int64
		for i := range o.Record.Snapshot.Devices {
			switch d := &o.Record.Snapshot.Devices[i]; {
			case d.Type == record.DevicePhysicalDrive && d.Place == place:
				pd, serial = d.Field(record.FieldState).Str(), d.Occupant
				predicted, _ = d.Field("predictive_failures").Int()
			case d.Type == record.DeviceVirtualDrive:
				vd = d.Field(record.FieldState).Str()
			}
		}
		now := fmt.Sprintf("%s %s predicted=%d", pd, vd, predicted)
		if serial != "" && last != now+serial {
			out = append(out, fmt.Sprintf("%s %s", o.Record.Observed.Sub(began).Round(time.Second), now))
			last = now + serial
		}
	}
	return out
}

func TestDriveIncident(t *testing.T) {
	for index := range 12 {
		m := NewMachine(Fleet(1, 12)[index], fast, 1, nil)
		outs := m.Start(began)
		i, err := m.Begin(KindDrive, "i1", began.Add(20*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		before := m.State().Drives[i.Slot].Serial
		var turns []string
		for s := 0; s <= 300; s++ {
			o, ts := m.Step(began.Add(time.Duration(s) * time.Second))
			outs = append(outs, o...)
			for _, turn := range ts {
				turns = append(turns, turn.Step)
			}
		}
		degraded := "Dgrd"
		if m.spec.Level == "RAID6" {
			degraded = "Pdgd"
		}
		want := []string{
			"0s Onln Optl predicted=0", "20s Onln Optl predicted=1", "35s Failed " + degraded + " predicted=1",
			"1m10s Rbld " + degraded + " predicted=0", "2m15s Onln Optl predicted=0",
		}
		if got := states(outs, fmt.Sprintf("c0/e252/s%d", i.Slot)); !slices.Equal(got, want) {
			t.Errorf("%s (%s): %q, want %q", m.spec.Name, m.spec.Level, got, want)
		}
		if after := m.State().Drives[i.Slot].Serial; after == before || after == "" {
			t.Errorf("serial %q before and %q after", before, after)
		}
		if w := []string{"predicted", "failed", "replaced", "rebuilding", "rebuilding", "optimal"}; !slices.Equal(turns, w) {
			t.Errorf("turns %v", turns)
		}
		// Cleared within 3 minutes, at the pace of the demo.
		if e := i.expects(&m.spec); len(e) != 2 || e[0].Device != fmt.Sprintf("physical_drive c0/e252/s%d", i.Slot) {
			t.Errorf("expects %v", e)
		}
	}
}

// TestFailureStays holds that a drive which failed for good waits for its replacement, and for nothing else.
func TestFailureStays(t *testing.T) {
	m := NewMachine(Fleet(1, 1)[0], fast, 1, nil)
	outs := m.Start(began)
	now := began
	run := func(d time.Duration) {
		for range int(d / time.Second) {
			now = now.Add(time.Second)
			o, _ := m.Step(now)
			outs = append(outs, o...)
		}
	}
	if _, err := m.Begin(KindReplace, "i1", now); !errors.Is(err, errBad) {
		t.Errorf("replaced although nothing had failed: %v", err)
	}
	i, err := m.Begin(KindFailure, "i2", now)
	if err != nil {
		t.Fatal(err)
	}
	run(time.Minute)
	before := m.State().Drives[i.Slot]
	if before.State != "Failed" || m.State().Incident != nil {
		t.Fatalf("%+v, %+v", before, m.State().Incident)
	}
	for _, kind := range []string{KindDrive, KindFailure} {
		if _, err := m.Begin(kind, "i3", now); !errors.Is(err, errBusy) {
			t.Errorf("%s of a second drive: %v", kind, err)
		}
	}
	st := m.State()
	m = NewMachine(m.spec, fast, 1, &st) // a simulator that was started again
	m.Start(now)
	run(time.Minute)
	if got, err := m.Begin(KindReplace, "i4", now); err != nil || got.Slot != i.Slot || got.expects(&m.spec) != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	run(5 * time.Minute)
	after := m.State().Drives[i.Slot]
	if after.State != "Onln" || after.Serial == before.Serial || after.Serial == "" {
		t.Errorf("%+v after %+v", after, before)
	}
	var got []string
	for _, state := range states(outs, fmt.Sprintf("c0/e252/s%d", i.Slot)) {
		got = append(got, strings.Fields(state)[1])
	}
	if want := []string{"Onln", "Onln", "Failed", "Rbld", "Onln"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestRebootSaysGoodbyeAndBeginsAnEpoch(t *testing.T) {
	for _, kind := range []string{KindReboot, KindPatchday} {
		m := NewMachine(Fleet(1, 1)[0], fast, 1, nil)
		outs := m.Start(began)
		boot, build := m.st.Boot, m.st.Revision
		if _, err := m.Begin(kind, "i", began.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Begin(KindDrive, "i", began.Add(time.Minute)); err == nil {
			t.Error("a second incident at the same time")
		}
		for s := range 300 {
			o, _ := m.Step(began.Add(time.Duration(s) * time.Second))
			outs = append(outs, o...)
		}
		bye := slices.IndexFunc(outs, func(o Output) bool { return o.Record.Name == record.NameGoodbye })
		if bye < 0 || bye+1 == len(outs) {
			t.Fatalf("%s: no goodbye", kind)
		}
		next := outs[bye+1]
		if !next.Epoch || next.Record.Name != record.NameHeartbeat {
			t.Errorf("%s: after the goodbye comes %s, epoch %v", kind, next.Record.Name, next.Epoch)
		}
		if d := next.Record.Observed.Sub(outs[bye].Record.Observed); d < 20*time.Second {
			t.Errorf("%s: off for %s only", kind, d)
		}
		if !m.st.Boot.After(boot) || (kind == KindPatchday) != (m.st.Revision > build) {
			t.Errorf("%s: boot %s, build %d", kind, m.st.Boot, m.st.Revision)
		}
	}
}

func TestStateGoesOnAfterARestart(t *testing.T) {
	m := NewMachine(Fleet(1, 1)[0], fast, 1, nil)
	m.Start(began)
	i, err := m.Begin(KindDrive, "i", began)
	if err != nil {
		t.Fatal(err)
	}
	m.Step(began.Add(20 * time.Second)) // failed
	st := m.State()
	m.Step(began.Add(5 * time.Minute)) // must not touch the copy
	if st.Drives[i.Slot].State != "Failed" {
		t.Fatalf("the copy of the state says %q", st.Drives[i.Slot].State)
	}
	next := NewMachine(m.spec, fast, 1, &st)
	outs := next.Start(began.Add(30 * time.Second))
	if outs[0].Record.Name != record.NameHeartbeat || !outs[0].Epoch {
		t.Error("no heartbeat first")
	}
	next.Step(began.Add(5 * time.Minute))
	if d := next.State().Drives[i.Slot]; d.State != "Onln" || next.State().Incident != nil {
		t.Errorf("the incident did not go on: %+v", d)
	}
}

// TestNoiseAlertsNobody holds the catalogue against the rules that ship.
func TestNoiseAlertsNobody(t *testing.T) {
	files, err := filepath.Glob("../../../alerts/records/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no rules found: %v", err)
	}
	bad := map[string]bool{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Rules []struct {
				Match map[string]any `yaml:"match"`
				Count struct {
					Event map[string]any `yaml:"event"`
				} `yaml:"count"`
			} `yaml:"rules"`
		}
		if err := yaml.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		for _, r := range doc.Rules {
			for _, events := range []map[string]any{r.Match, r.Count.Event} {
				for _, p := range list(events["provider"]) {
					for _, id := range list(events["event_id"]) {
						bad[strings.ToLower(p+" "+id)] = true
					}
				}
			}
		}
	}
	if len(bad) < 10 {
		t.Fatalf("only %d events are matched by rules: the file's form changed", len(bad))
	}
	for _, k := range catalogue {
		if bad[strings.ToLower(fmt.Sprint(k.provider, " ", k.id))] {
			t.Errorf("%s %d alerts", k.provider, k.id)
		}
		if k.text == "" || k.weight == 0 || len(k.names) != len(k.values) {
			t.Errorf("%s %d is incomplete", k.provider, k.id)
		}
	}
}

func list(v any) (out []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			out = append(out, fmt.Sprint(e))
		}
	case nil:
	default:
		out = append(out, fmt.Sprint(v))
	}
	return out
}

func TestCountersRise(t *testing.T) {
	s := Fleet(1, 30)
	for i := range s {
		last := map[string]float64{}
		for m := range 24 * 12 {
			for _, ts := range samples(&s[i], began.Add(time.Duration(m)*5*time.Minute), began) {
				key := fmt.Sprint(ts.Labels)
				if strings.Contains(key, "_total") && ts.Samples[0].Value < last[key] {
					t.Fatalf("%s: %s fell", s[i].Name, key)
				}
				last[key] = ts.Samples[0].Value
			}
		}
	}
}

// Every server tells of updates, programs and sensors; patch day takes in what
// waits.
func TestInventory(t *testing.T) {
	for index := range 20 {
		m := NewMachine(Fleet(7, 20)[index], fast, 7, nil)
		waits := func(outs []Output) string {
			t.Helper()
			found := map[record.Category]bool{}
			state := ""
			for _, o := range outs {
				found[o.Category] = found[o.Category] || o.Record.Snapshot != nil && len(o.Record.Snapshot.Devices) > 0
				if o.Category == record.Updates {
					for _, d := range o.Record.Snapshot.Devices {
						if d.Type == record.DeviceUpdateStatus {
							state = d.Field(record.FieldState).Str()
						}
					}
				}
			}
			for _, c := range []record.Category{record.Hardware, record.RAID, record.Updates, record.Software, record.Sensors} {
				if !found[c] {
					t.Errorf("server %d says nothing of %s", index, c)
				}
			}
			return state
		}
		before := waits(m.Start(began))
		if before != "pending" && before != "up_to_date" {
			t.Errorf("server %d is %q", index, before)
		}
		if _, err := m.Begin(KindPatchday, "i1", began.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		var all []Output
		for at := time.Minute; at <= time.Hour; at += time.Second {
			outs, _ := m.Step(began.Add(at))
			all = append(all, outs...)
		}
		if after := waits(all); before == "pending" && after != "up_to_date" {
			t.Errorf("server %d is %q after its patch day", index, after)
		}
	}
}
