package series

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"nocturne/internal/record"
)

var (
	at   = time.Date(2026, 11, 21, 3, 0, 0, 250e6, time.UTC)
	id   = record.ID{0xab, 15: 1}
	db7  = Server{Name: "db7", Site: "north", Rack: "r12", Role: "db", OS: "Windows Server 2022 Standard"}
	base = `{server="db7",server_id="ab000000000000000000000000000001"`
)

func header(c record.Category) *record.Header {
	h := &record.Header{Subject: id, Producer: record.ExporterProducer(id), Category: c, First: 1, Count: 1}
	if c == record.Agent {
		h.Producer = "bridge/b1/registry"
	}
	return h
}

// text renders samples one per line as the exposition format does.
func text(samples []Sample) string {
	var b strings.Builder
	for _, s := range samples {
		ls := make([]string, len(s.Labels))
		for i, l := range s.Labels {
			ls[i] = fmt.Sprintf("%s=%q", l.Name, l.Value)
		}
		v := fmt.Sprintf("%v", s.Value)
		if IsStale(s.Value) {
			v = "stale"
		}
		fmt.Fprintf(&b, "%s{%s} %s @%d\n", s.Name, strings.Join(ls, ","), v, s.Millis-at.UnixMilli())
	}
	return b.String()
}

func drive(place, serial, state string, more ...record.Attr) record.Device {
	return record.Device{
		Type: record.DevicePhysicalDrive, Place: place, Occupant: serial,
		Fields: append([]record.Attr{{Key: record.FieldState, Value: record.String(state)}}, more...),
	}
}

func snapshot(devs ...record.Device) record.Record {
	return record.Record{Observed: at, Name: record.NameSnapshot, Snapshot: &record.Snapshot{
		Sections: []record.Section{{Type: record.DevicePhysicalDrive, Scope: "c0"}}, Devices: devs,
	}}
}

func TestAppend(t *testing.T) {
	cases := []struct {
		name string
		cat  record.Category
		srv  Server
		rec  record.Record
		skew time.Duration
		want string
	}{
		{
			name: "heartbeat", cat: record.Heartbeat, srv: db7,
			rec: record.Record{Observed: at, Name: record.NameHeartbeat, Attrs: []record.Attr{
				{Key: record.AttrBootTime, Value: record.Int(at.Add(-time.Hour).UnixNano())},
				{Key: record.AttrInterval, Value: record.Int(10000)},
				{Key: record.AttrExporterVersion, Value: record.String("1.0.0")},
				{Key: record.AttrSpoolRecords, Value: record.Int(3)},
			}},
			want: `nocturne_heartbeat_timestamp_seconds` + base + `} 1.79523000025e+09 @0
nocturne_server_clock_skew_seconds` + base + `} 0 @0
nocturne_server_info{os="Windows Server 2022 Standard",rack="r12",role="db",server="db7",server_id="ab000000000000000000000000000001",site="north"} 1 @0
nocturne_server_boot_time_seconds` + base + `} 1.79522640025e+09 @0
nocturne_heartbeat_interval_seconds` + base + `} 10 @0
nocturne_exporter_info` + base + `,version="1.0.0"} 1 @0
nocturne_exporter_spool_records` + base + `} 3 @0
`,
		},
		{
			name: "a server the registry never named keeps its id as name, not what it says of itself", cat: record.Heartbeat,
			rec: record.Record{Observed: at, Name: record.NameGoodbye, Attrs: []record.Attr{{Key: record.AttrName, Value: record.String("dc1")}}},
			want: `nocturne_goodbye_timestamp_seconds{server="ab000000000000000000000000000001",server_id="ab000000000000000000000000000001"} 1.79523000025e+09 @0
`,
		},
		{
			name: "a clock a year fast is moved by the measured skew", cat: record.Heartbeat, srv: db7, skew: -365 * 24 * time.Hour,
			rec: record.Record{Observed: at.Add(365 * 24 * time.Hour), Name: record.NameGoodbye},
			want: `nocturne_goodbye_timestamp_seconds` + base + `} 1.79523000025e+09 @0
`,
		},
		{
			name: "a clock a minute off stays: the time depends on the record alone", cat: record.Heartbeat, srv: db7, skew: time.Minute,
			rec: record.Record{Observed: at, Name: record.NameGoodbye},
			want: `nocturne_goodbye_timestamp_seconds` + base + `} 1.79523000025e+09 @0
`,
		},
		{
			name: "drive: the serial stands in _info only", cat: record.RAID, srv: db7,
			rec: snapshot(drive("c0/e252/s4", "Z1X2", "Onln",
				record.Attr{Key: "media_errors", Value: record.Int(7)},
				record.Attr{Key: "other_errors", Value: record.String("N/A")},
				record.Attr{Key: "smart_alert", Value: record.Bool(true)},
				record.Attr{Key: "temperature_celsius", Value: record.Double(31)},
				record.Attr{Key: record.FieldModel, Value: record.String("ST4000 ")})),
			want: `nocturne_snapshot_timestamp_seconds{category="raid",server="db7",server_id="ab000000000000000000000000000001"} 1.79523000025e+09 @0
nocturne_snapshot_devices{category="raid",server="db7",server_id="ab000000000000000000000000000001"} 1 @0
nocturne_raid_physical_drive_info{model="ST4000",place="c0/e252/s4",serial="Z1X2",server="db7",server_id="ab000000000000000000000000000001"} 1 @0
nocturne_raid_physical_drive_state{place="c0/e252/s4",server="db7",server_id="ab000000000000000000000000000001",state="Onln"} 1 @0
nocturne_raid_physical_drive_media_errors{place="c0/e252/s4",server="db7",server_id="ab000000000000000000000000000001"} 7 @0
nocturne_raid_physical_drive_smart_alert{place="c0/e252/s4",server="db7",server_id="ab000000000000000000000000000001"} 1 @0
nocturne_raid_physical_drive_temperature_celsius{place="c0/e252/s4",server="db7",server_id="ab000000000000000000000000000001"} 31 @0
`,
		},
		{
			name: "a number that is none makes no sample", cat: record.RAID, srv: db7,
			rec: snapshot(record.Device{Type: record.DevicePhysicalDrive, Place: "c0/s1", Fields: []record.Attr{
				{Key: "temperature_celsius", Value: record.Double(math.Inf(1))},
				{Key: "media_errors", Value: record.Double(math.NaN())},
			}}),
			want: `nocturne_snapshot_timestamp_seconds{category="raid",server="db7",server_id="ab000000000000000000000000000001"} 1.79523000025e+09 @0
nocturne_snapshot_devices{category="raid",server="db7",server_id="ab000000000000000000000000000001"} 1 @0
nocturne_raid_physical_drive_info{place="c0/s1",server="db7",server_id="ab000000000000000000000000000001"} 1 @0
`,
		},
		{
			name: "memory modules share a family and carry their type", cat: record.Hardware, srv: db7,
			rec: record.Record{Observed: at, Name: record.NameSnapshot, Snapshot: &record.Snapshot{Devices: []record.Device{{
				Type: record.DeviceMemory, Place: "DIMM_A1", Occupant: "S1",
				Fields: []record.Attr{{Key: record.FieldSize, Value: record.Int(16 << 30)}},
			}}}},
			want: `nocturne_snapshot_timestamp_seconds{category="hardware",server="db7",server_id="ab000000000000000000000000000001"} 1.79523000025e+09 @0
nocturne_snapshot_devices{category="hardware",server="db7",server_id="ab000000000000000000000000000001"} 1 @0
nocturne_hardware_device_info{place="DIMM_A1",serial="S1",server="db7",server_id="ab000000000000000000000000000001",type="memory"} 1 @0
nocturne_hardware_device_size_bytes{place="DIMM_A1",server="db7",server_id="ab000000000000000000000000000001",type="memory"} 1.7179869184e+10 @0
`,
		},
		{
			name: "events become no series", cat: record.EventLog, srv: db7,
			rec: record.Record{Observed: at, Name: record.NameWindowsEvent},
		},
		{
			name: "the registry's record gives the info series at once", cat: record.Agent, srv: db7,
			rec: record.Record{Observed: at, Name: record.NameEnrolled},
			want: `nocturne_server_info{os="Windows Server 2022 Standard",rack="r12",role="db",server="db7",server_id="ab000000000000000000000000000001",site="north"} 1 @0
`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, cut := Append(nil, c.srv, header(c.cat), &c.rec, c.skew)
			if text(got) != c.want || cut != 0 {
				t.Errorf("cut %d, got\n%swant\n%s", cut, text(got), c.want)
			}
			again, _ := Append(nil, c.srv, header(c.cat), &c.rec, c.skew)
			if text(again) != text(got) {
				t.Error("the same record gave other samples the second time")
			}
		})
	}
}

func TestAppendIsBounded(t *testing.T) {
	var devs []record.Device
	for i := range 5000 {
		devs = append(devs, drive(fmt.Sprintf("c0/e1/s%d", i), "", "Onln"))
	}
	rec := snapshot(append(devs, drive("c0/e1/s0", "", "Failed"))...)
	got, cut := Append(nil, db7, header(record.RAID), &rec, 0)
	// 2 of the snapshot, 2 per drive, 1 place named twice
	if len(got) != MaxSamples || cut != 2+2*5000-MaxSamples+1 {
		t.Errorf("got %d samples, cut %d", len(got), cut)
	}
	long := snapshot(drive("c0/"+strings.Repeat("ö", 300), "", "Onln"))
	got, _ = Append(nil, db7, header(record.RAID), &long, 0)
	if v := label(got[2].Labels, "place"); len(v) > MaxLabelValue || strings.ToValidUTF8(v, "?") != v {
		t.Errorf("place of %d bytes, valid UTF-8 %v", len(v), strings.ToValidUTF8(v, "?") == v)
	}
}

func TestAHundredSeriesPerServer(t *testing.T) {
	var devs []record.Device
	for i := range 12 {
		devs = append(devs, drive(fmt.Sprintf("c0/e252/s%d", i), fmt.Sprint("S", i), "Onln",
			record.Attr{Key: "media_errors", Value: record.Int(0)}, record.Attr{Key: "temperature_celsius", Value: record.Int(30)}))
	}
	rec := snapshot(devs...)
	got, _ := Append(nil, db7, header(record.RAID), &rec, 0)
	if len(got) > 80 {
		t.Errorf("12 drives make %d series; a server should stay near 100 with its pushed metrics", len(got))
	}
}

// step runs one record through a state and returns samples and ends.
func step(s *State, c record.Category, r record.Record) string {
	h := header(c)
	srv := s.Learn(h, &r)
	samples, _ := Append(nil, srv, h, &r, 0)
	return text(s.Ends(nil, h, &r, samples))
}

func later(r record.Record, d time.Duration) record.Record {
	r.Observed = r.Observed.Add(d)
	return r
}

func TestStateEndsSeries(t *testing.T) {
	srv := `server="ab000000000000000000000000000001",server_id="ab000000000000000000000000000001"`
	s := NewState()
	f := func(why, want string, r record.Record) {
		t.Helper()
		if got := step(s, record.RAID, r); got != want {
			t.Errorf("%s: got\n%swant\n%s", why, got, want)
		}
	}
	f("nothing is open at first", "", snapshot(drive("c0/e1/s1", "A", "Onln"), drive("c0/e1/s2", "B", "Onln")))
	f("no change, no end", "", later(snapshot(drive("c0/e1/s1", "A", "Onln"), drive("c0/e1/s2", "B", "Onln")), time.Second))
	f("another state ends the old one",
		`nocturne_raid_physical_drive_state{place="c0/e1/s1",`+srv+`,state="Onln"} stale @2000
`, later(snapshot(drive("c0/e1/s1", "A", "Failed"), drive("c0/e1/s2", "B", "Onln")), 2*time.Second))
	f("a late record ends itself",
		`nocturne_raid_physical_drive_state{place="c0/e1/s1",`+srv+`,state="UGood"} stale @1501
`, later(snapshot(drive("c0/e1/s1", "A", "UGood"), drive("c0/e1/s2", "B", "Onln")), 1500*time.Millisecond))
	f("a drive that was looked for and is gone ends; another serial ends the old info",
		`nocturne_raid_physical_drive_info{place="c0/e1/s1",serial="A",`+srv+`} stale @3000
nocturne_raid_physical_drive_info{place="c0/e1/s2",serial="B",`+srv+`} stale @3000
nocturne_raid_physical_drive_state{place="c0/e1/s2",`+srv+`,state="Onln"} stale @3000
`, later(snapshot(drive("c0/e1/s1", "C", "Failed")), 3*time.Second))
	unseen := later(snapshot(), 4*time.Second)
	unseen.Snapshot.Sections = nil
	f("a section that was not observed ends nothing", "", unseen)
}

func TestStateLearns(t *testing.T) {
	s := NewState()
	s.Learn(header(record.Agent), &record.Record{Name: record.NameEnrolled, Attrs: []record.Attr{
		{Key: record.AttrServer, Value: record.String("db7")}, {Key: record.AttrSite, Value: record.String("north")},
		{Key: record.AttrRack, Value: record.String("r12")}, {Key: record.AttrRole, Value: record.String("db")},
		{Key: record.AttrSimulated, Value: record.Bool(true)},
	}})
	got := s.Learn(header(record.Heartbeat), &record.Record{Name: record.NameHeartbeat, Attrs: []record.Attr{
		{Key: record.AttrOSName, Value: record.String("Windows Server 2022 Standard")},
		{Key: record.AttrSite, Value: record.String("claimed")}, {Key: record.AttrServer, Value: record.String("claimed")},
	}})
	want := db7
	want.Simulated = true
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestOnlyTheRegistryNamesServers(t *testing.T) {
	claim := record.Record{Observed: at, Name: record.NameLabels, Attrs: []record.Attr{{Key: record.AttrServer, Value: record.String("dc1")}}}
	for _, producer := range []string{record.ExporterProducer(id), "bridge/b1/otlp", "exporter/bridge/x/registry"} {
		h := header(record.Agent)
		h.Producer = producer
		s := NewState()
		if got := s.Learn(h, &claim); got != (Server{}) {
			t.Errorf("%s was believed: %+v", producer, got)
		}
		if got, _ := Append(nil, db7, h, &claim, 0); len(got) != 0 {
			t.Errorf("%s made samples:\n%s", producer, text(got))
		}
		gone := record.Record{Observed: at, Name: record.NameDecommissioned}
		if Gone(h, &gone) {
			t.Errorf("%s can decommission", producer)
		}
	}
}

func TestStateIsBounded(t *testing.T) {
	s := NewState()
	for i := range 3 * MaxOpen {
		r := later(snapshot(drive(fmt.Sprintf("c%d/e1/s1", i), "", "Onln")), time.Duration(i)*time.Second)
		r.Snapshot.Sections = nil
		step(s, record.RAID, r)
	}
	if n := len(s.servers[id].open); n > MaxOpen {
		t.Errorf("%d open series of one server", n)
	}
}

func TestDecommissionedEndsEverything(t *testing.T) {
	s := NewState()
	step(s, record.RAID, snapshot(drive("c0/e1/s1", "A", "Onln")))
	gone := later(record.Record{Observed: at, Name: record.NameDecommissioned}, time.Minute)
	srv := `server="ab000000000000000000000000000001",server_id="ab000000000000000000000000000001"`
	want := `nocturne_raid_physical_drive_info{place="c0/e1/s1",serial="A",` + srv + `} stale @60000
nocturne_raid_physical_drive_state{place="c0/e1/s1",` + srv + `,state="Onln"} stale @60000
`
	if got := step(s, record.Agent, gone); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	s.Forget(id)
	if saved, err := s.Save(true); err != nil || len(saved) != 1 || saved[0].Data != nil {
		t.Errorf("saved %+v, %v", saved, err)
	}
}

func TestStateSavesWhatChanged(t *testing.T) {
	s := NewState()
	step(s, record.RAID, snapshot(drive("c0/e1/s1", "A", "Onln")))
	first, err := s.Save(true)
	if err != nil || len(first) != 1 {
		t.Fatalf("saved %d, %v", len(first), err)
	}
	step(s, record.RAID, later(snapshot(drive("c0/e1/s1", "A", "Onln")), time.Second))
	if again, _ := s.Save(true); len(again) != 0 {
		t.Errorf("saved %d servers that did not change", len(again))
	}
	restored := NewState()
	if err := restored.Load(first[0]); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(restored.servers, s.servers) {
		t.Errorf("restored %+v, want %+v", restored.servers[id], s.servers[id])
	}
	if step(restored, record.RAID, later(snapshot(drive("c0/e1/s1", "A", "Failed")), 2*time.Second)) == "" {
		t.Error("a restored state does not know what is open")
	}
}

// TestPromlint registers every family and lets Prometheus' own linter look.
func TestPromlint(t *testing.T) {
	reg := prometheus.NewRegistry()
	for _, f := range Families() {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: f.Name, Help: f.Help}, append([]string{"server", "server_id"}, f.Labels...))
		g.WithLabelValues(make([]string, len(f.Labels)+2)...).Set(1)
		if err := reg.Register(g); err != nil {
			t.Fatal(err)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestFamiliesAreComplete holds Families against what Append makes.
func TestFamiliesAreComplete(t *testing.T) {
	known := map[string]map[string]bool{}
	for _, f := range Families() {
		known[f.Name] = map[string]bool{"server": true, "server_id": true}
		for _, l := range f.Labels {
			known[f.Name][l] = true
		}
	}
	var devs []record.Device
	for _, d := range devices {
		dev := record.Device{Type: d.typ, Place: "p", Occupant: "s", Fields: []record.Attr{{Key: record.FieldState, Value: record.String("x")}}}
		for _, a := range d.info {
			if a.field != "" {
				dev.Fields = append(dev.Fields, record.Attr{Key: a.field, Value: record.String("v")})
			}
		}
		for _, v := range d.values {
			dev.Fields = append(dev.Fields, record.Attr{Key: v.field, Value: record.Int(1)})
		}
		devs = append(devs, dev)
	}
	rec := snapshot(devs...)
	got, _ := Append(nil, db7, header(record.RAID), &rec, 0)
	if len(got) < 30 {
		t.Errorf("only %d samples", len(got))
	}
	for _, s := range got {
		for _, l := range s.Labels {
			if !known[s.Name][l.Name] {
				t.Errorf("%s: label %s is not in Families", s.Name, l.Name)
			}
			if l.Name == "serial" && !strings.HasSuffix(s.Name, "_info") {
				t.Errorf("%s carries a serial", s.Name)
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	var devs []record.Device
	for i := range 12 {
		devs = append(devs, drive(fmt.Sprintf("c0/e252/s%d", i), fmt.Sprint("S", i), "Onln",
			record.Attr{Key: "media_errors", Value: record.Int(0)}, record.Attr{Key: "temperature_celsius", Value: record.Int(30)}))
	}
	rec, h := snapshot(devs...), header(record.RAID)
	s := NewState()
	var out []Sample
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		out, _ = Append(out[:0], db7, h, &rec, 0)
		out = s.Ends(out, h, &rec, out)
		n += len(out)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "samples/s")
}

// TestPageNamesEveryFamily keeps docs/sinks/victoriametrics.md complete.
func TestPageNamesEveryFamily(t *testing.T) {
	page, err := os.ReadFile("../../docs/sinks/victoriametrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Families() {
		if !strings.Contains(string(page), "`"+f.Name+"`") {
			t.Errorf("docs/sinks/victoriametrics.md does not name %s", f.Name)
		}
	}
}
