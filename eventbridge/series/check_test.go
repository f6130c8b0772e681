package series

import (
	"testing"
	"time"

	"nocturne/internal/record"
)

// checked is one run of a check, with what no plugin should do.
func checked(name, state string, values ...record.Value) record.Record {
	return record.Record{Observed: at, Name: record.NameSnapshot, Attrs: []record.Attr{
		{Key: record.AttrCheckName, Value: record.String(name)},
		{Key: record.AttrCheckDuration, Value: record.Double(0.25)},
		{Key: record.AttrCheckValues, Value: record.List(values)},
	}, Snapshot: &record.Snapshot{
		Sections: []record.Section{{Type: record.DeviceCheck, Scope: name}, {Type: "certificate", Scope: name}},
		Devices: []record.Device{
			{Type: record.DeviceCheck, Place: name, Fields: []record.Attr{{Key: record.FieldState, Value: record.String(state)}}},
			{Type: "certificate", Place: name + "/web1", Fields: []record.Attr{{Key: record.FieldState, Value: record.String("valid")}}},
		},
	}}
}

func measured(name, unit string, v record.Value) record.Value {
	return record.Map([]record.Attr{{Key: "name", Value: record.String(name)}, {Key: "value", Value: v}, {Key: "unit", Value: record.String(unit)}})
}

func TestCheck(t *testing.T) {
	r := checked("certs", "ok", measured("soonest", "d", record.Double(9)), measured("soonest", "d", record.Double(10)), measured("x", "", record.Value{}), record.String("no map"))
	samples, cut := Append(nil, db7, header(record.Check), &r, 0)
	want := `nocturne_snapshot_timestamp_seconds{category="check",server="db7",server_id="ab000000000000000000000000000001"} 1.79523000025e+09 @0
nocturne_check_state{place="certs",server="db7",server_id="ab000000000000000000000000000001",state="ok"} 1 @0
nocturne_check_duration_seconds{place="certs",server="db7",server_id="ab000000000000000000000000000001"} 0.25 @0
nocturne_check_value{name="soonest",place="certs",server="db7",server_id="ab000000000000000000000000000001",unit="d"} 9 @0
`
	if got := text(samples); got != want || cut != 1 {
		t.Errorf("cut %d, got\n%swant\n%s", cut, got, want)
	}
	// In a frame of another category nothing of it is a check's.
	if samples, _ := Append(nil, db7, header(record.RAID), &r, 0); len(samples) != 3 {
		t.Errorf("got\n%s", text(samples))
	}
}

// TestStateOfChecksEnds: one check's snapshot ends nothing of another; the
// roster ends those of a check that is configured no more.
func TestStateOfChecksEnds(t *testing.T) {
	s := NewState()
	step(s, record.Check, checked("a", "ok"))
	if got := step(s, record.Check, later(checked("b", "ok"), time.Second)); got != "" {
		t.Errorf("the check b ends %s", got)
	}
	got := step(s, record.Check, later(checked("a", "critical"), 2*time.Second))
	if got == "" {
		t.Error("the old state of a goes on")
	}
	roster := record.Record{Observed: at.Add(3 * time.Second), Name: record.NameSnapshot, Snapshot: &record.Snapshot{
		Sections: []record.Section{{Type: record.DeviceCheck, Scope: "a"}, {Type: "certificate", Scope: "a"}}}}
	if got := step(s, record.Check, roster); got == "" {
		t.Error("the state of a goes on, and a is gone")
	}
	if n := len(s.servers[id].open); n != 1 {
		t.Errorf("%d series are open, want that of b", n)
	}
}
