package victorialogs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
	"nocturne/internal/record"
)

var received = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

func row(rec *record.Record) *sink.Row {
	id := record.ID{7, 15: 1}
	h := &record.Header{Subject: id, Producer: record.ExporterProducer(id), Category: record.EventLog, First: 1, Last: 1, Epoch: record.Epoch{EpochRef: record.EpochRef{Random: 5}}}
	return &sink.Row{Partition: 3, Entry: 40, Received: received, Header: h, Seq: 1, Record: rec, Server: series.Server{Name: "db7"}}
}

// columns reads a line and fails on a column that is there twice.
func columns(t *testing.T, line []byte) map[string]string {
	t.Helper()
	if bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' {
		t.Fatalf("not one line: %q", line)
	}
	d := json.NewDecoder(bytes.NewReader(line))
	out := map[string]string{}
	if tok, err := d.Token(); err != nil || tok != json.Delim('{') {
		t.Fatalf("%v %v in %.200q", tok, err, line)
	}
	for d.More() {
		k, err := d.Token()
		if err != nil {
			t.Fatalf("%v in %.200q", err, line)
		}
		v, err := d.Token()
		if err != nil {
			t.Fatalf("%v in %.200q", err, line)
		}
		key, val := k.(string), fmt.Sprint(v)
		if _, twice := out[key]; twice {
			t.Errorf("column %q is there twice", key)
		}
		out[key] = val
	}
	return out
}

func TestRowTime(t *testing.T) {
	f := func(why string, rec record.Record, skew time.Duration, want time.Time, wantMoved bool) {
		t.Helper()
		r := row(&rec)
		r.Skew = skew
		if got, moved := rowTime(r, 30*24*time.Hour); !got.Equal(want) || moved != wantMoved {
			t.Errorf("%s: %s, moved %v; want %s, %v", why, got, moved, want, wantMoved)
		}
	}
	at := received.Add(-time.Minute)
	year := at.AddDate(-1, 0, 0)
	f("an event's own time", record.Record{Time: at, Observed: received}, time.Second, at, false)
	f("without one, when it was read", record.Record{Observed: at}, 0, at, false)
	f("a clock a year slow is corrected", record.Record{Time: year}, at.Sub(year), at, true)
	f("a clock a year fast is corrected", record.Record{Time: at.AddDate(1, 0, 0)}, at.Sub(at.AddDate(1, 0, 0)), at, true)
	f("an old event of a right clock gets the receive time", record.Record{Time: year}, 0, received, true)
	f("so does one from the future", record.Record{Time: at.AddDate(1, 0, 0)}, 0, received, true)
	f("and one without any time", record.Record{}, 0, received, true)
}

func TestRowKeepsItsOwnColumns(t *testing.T) {
	rec := record.Record{Time: received, Name: record.NameWindowsEvent, Body: "text", Attrs: []record.Attr{
		{Key: "server_id", Value: record.String("claimed")}, {Key: "_time", Value: record.String("2001-01-01T00:00:00Z")},
		{Key: "record_id", Value: record.Map([]record.Attr{{Key: "x", Value: record.String("y")}})},
		{Key: "a.b", Value: record.String("1")}, {Key: "a", Value: record.Map([]record.Attr{{Key: "b", Value: record.String("2")}})},
		{Key: "event", Value: record.Map([]record.Attr{{Key: "channel", Value: record.String("forged")}})},
		{Key: record.AttrChannel, Value: record.String("System")}, {Key: "list", Value: record.List([]record.Value{record.Int(1), record.Int(2)})},
		{Key: "nothing", Value: record.Value{}},
	}}
	line, short := appendRow(nil, row(&rec), 1<<20, time.Hour)
	got := columns(t, line)
	want := map[string]string{
		"_time": "2026-11-21T03:00:00Z", "_msg": "text", "server_id": "07000000000000000000000000000001", "server": "db7", "category": "eventlog", "name": "windows.event",
		"severity": "unset", "record_id": row(&rec).ID(), "entry": "40", "partition": "3", "attr.server_id": "claimed", "attr._time": "2001-01-01T00:00:00Z", "record_id.x": "y",
		"a.b": "1", "attr.a.b": "2", "attr.event.channel": "forged", "channel": "System", "list": "[1,2]",
	}
	if short || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// FuzzRow: whatever a server sends becomes one line of JSON within the limits,
// with the columns that say who, when and where written by us alone.
func FuzzRow(f *testing.F) {
	f.Add("text", "key", "value", int64(0), uint16(3), 4096)
	f.Add("\x00\xff\u2028", "_stream", "\n", int64(1)<<62, uint16(900), 300)
	f.Add("", "event.channel", "", int64(-1), uint16(0), 1)
	f.Fuzz(func(t *testing.T, body, key, value string, at int64, n uint16, limit int) {
		rec := record.Record{Time: time.Unix(0, at), Name: key, Body: body}
		key = key[:min(len(key), record.MaxKey)]
		var inner []record.Attr
		seen := map[string]bool{}
		for i := range int(n % 2000) {
			inner = append(inner, record.Attr{Key: fmt.Sprint(key, i), Value: record.String(value)})
		}
		for _, k := range []string{key, key + "." + key, "m"} {
			if !seen[k] {
				seen[k] = true
				rec.Attrs = append(rec.Attrs, record.Attr{Key: k, Value: record.String(value)})
			}
		}
		if key != "m" {
			rec.Attrs[len(rec.Attrs)-1].Value = record.Map(inner)
		}
		r := row(&rec)
		limit = 16_000 + limit&0xffff
		line, _ := appendRow([]byte("before\n"), r, limit, time.Hour)
		line = line[len("before\n"):]
		if len(line) > limit {
			t.Errorf("line of %d bytes, limit %d", len(line), limit)
		}
		got := columns(t, line)
		if len(got) > maxFields+4 {
			t.Errorf("%d columns", len(got))
		}
		if got["server_id"] != r.Header.Subject.String() || got["record_id"] != r.ID() || got["entry"] != "40" || got["partition"] != "3" || got["server"] != "db7" || strings.Contains(got["_stream"], "x") {
			t.Errorf("columns %v", got)
		}
		if v, err := time.Parse(time.RFC3339Nano, got["_time"]); err != nil || v.After(received.Add(2*time.Hour)) || v.Before(received.Add(-2*time.Hour)) {
			t.Errorf("_time %q", got["_time"])
		}
	})
}
