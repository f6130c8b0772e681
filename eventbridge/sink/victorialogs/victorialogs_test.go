package victorialogs_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"nocturne/eventbridge/sink"
	"nocturne/eventbridge/sink/sinktest"
	"nocturne/eventbridge/sink/victorialogs"
	"nocturne/internal/record"
)

// query returns the rows that a LogsQL query finds.
func query(ctx context.Context, base, q string) ([]map[string]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/select/logsql/query?query="+url.QueryEscape(q), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("query: %s", resp.Status)
	}
	var out []map[string]string
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var row map[string]string
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, lines.Err()
}

func stored(ctx context.Context, base string) (map[string]int, error) {
	rows, err := query(ctx, base, "* | fields record_id")
	out := map[string]int{}
	for _, r := range rows {
		out[r["record_id"]]++
	}
	return out, err
}

func TestSink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		vl := sinktest.StartLogs(t)
		return sinktest.Subject{
			Sink: victorialogs.New(victorialogs.Config{URL: vl.URL}), Kill: vl.Kill, Start: vl.Start,
			Key:    func(r *sink.Row) string { return r.ID() },
			Stored: func(ctx context.Context) (map[string]int, error) { return stored(ctx, vl.URL) },
		}
	})
}

// TestRow writes one event and finds it by every column of the contract.
func TestRow(t *testing.T) {
	vl := sinktest.StartLogs(t)
	s := victorialogs.New(victorialogs.Config{URL: vl.URL})
	now := time.Now().Truncate(time.Millisecond)
	rows := sinktest.NewRows(9, 3, 40, now)
	h := *rows[0].Header
	h.Category = record.EventLog
	ancient := time.Date(2016, 8, 1, 0, 0, 0, 123456700, time.UTC)
	event := record.Record{
		Time: now, Observed: now, Severity: record.Error, Name: record.NameWindowsEvent, Body: "The device, \\Device\\Harddisk1\\DR1, has a bad block.",
		Attrs: []record.Attr{
			{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String("disk")},
			{Key: record.AttrEventID, Value: record.Int(7)}, {Key: record.AttrLevel, Value: record.String("error")},
			{Key: record.AttrData + "DeviceName", Value: record.String(`\Device\Harddisk1\DR1`)},
			{Key: "server_id", Value: record.String("claimed")},
			{Key: record.AttrRaw, Value: record.String("12345")},
		},
	}
	rows[0].Header, rows[0].Record = &h, &event
	old := event
	old.Time = ancient
	rows[1].Header, rows[1].Record = &h, &old
	if err := s.Write(t.Context(), sink.Batch{Rows: rows}); err != nil {
		t.Fatal(err)
	}
	id := h.Subject.String()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var found []map[string]string
	err := sinktest.Poll(ctx, func() (err error) {
		found, err = query(ctx, vl.URL, `{server_id="`+id+`",category="eventlog"} channel:=System provider:=disk event_id:=7 | sort by (entry)`)
		if err == nil && len(found) != 2 {
			err = fmt.Errorf("found %d rows", len(found))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"_time": now.UTC().Format(time.RFC3339Nano), "_msg": event.Body, "server_id": id, "server": "srv9", "site": "north", "category": "eventlog",
		"name": "windows.event", "severity": "error", "channel": "System", "provider": "disk", "event_id": "7", "level": "error",
		"record_id": rows[0].ID(), "entry": "40", "partition": fmt.Sprint(rows[0].Partition),
		"event.data.DeviceName": `\Device\Harddisk1\DR1`, "attr.server_id": "claimed", "raw_bytes": "5", "truncated": "",
	}
	for k, v := range want {
		if found[0][k] != v {
			t.Errorf("%s = %q, want %q", k, found[0][k], v)
		}
	}
	if got := found[1]; got["event_time"] != ancient.Format(time.RFC3339Nano) || got["_time"] != rows[1].Received.UTC().Format(time.RFC3339Nano) {
		t.Errorf("an event of 2016 got _time %s and event_time %s", got["_time"], got["event_time"])
	}
}

// TestLimitsOfTheServer: with VictoriaLogs' own defaults, a row that it would
// drop, for its length or its age, is cut or moved, and its neighbours stay.
func TestLimitsOfTheServer(t *testing.T) {
	vl := sinktest.StartLogs(t, "-retentionPeriod=30d", "-insert.maxLineSizeBytes=64KiB")
	s := victorialogs.New(victorialogs.Config{URL: vl.URL})
	if _, err := s.Instance(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows := sinktest.NewRows(8, 20, 1, time.Now().Truncate(time.Millisecond))
	rows[3].Record.Body = strings.Repeat("long ", 20000)
	rows[9].Record.Time = time.Now().AddDate(0, 0, -40)
	rows[11].Record.Time = time.Now().AddDate(0, 0, -20)
	if err := s.Write(t.Context(), sink.Batch{Rows: rows}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := sinktest.Poll(ctx, func() error {
		have, err := stored(ctx, vl.URL)
		if err == nil && len(have) != len(rows) {
			err = fmt.Errorf("%d of %d rows", len(have), len(rows))
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	// What one question sees the next one may not see yet.
	if err := sinktest.Poll(ctx, func() error {
		moved, err := query(ctx, vl.URL, "event_time:*")
		if err == nil && (len(moved) != 1 || moved[0]["record_id"] != rows[9].ID()) {
			err = fmt.Errorf("moved in time: %v", moved)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func BenchmarkWrite(b *testing.B) {
	vl := sinktest.StartLogs(b)
	s := victorialogs.New(victorialogs.Config{URL: vl.URL})
	now := time.Now().Add(-time.Hour)
	const n = 2000
	rows := sinktest.NewRows(1, n, 1, now)
	for i := range rows {
		rows[i].Record.Body = "The driver detected a controller error on \\Device\\RaidPort0."
		rows[i].Record.Attrs = []record.Attr{
			{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String("disk")},
			{Key: record.AttrEventID, Value: record.Int(11)}, {Key: record.AttrRecordID, Value: record.Int(int64(i))},
			{Key: record.AttrData + "param1", Value: record.String(`\Device\RaidPort0`)}, {Key: record.AttrComputer, Value: record.String("SRV1")},
		}
	}
	total := 0
	cpu := vl.CPUSeconds()
	for b.Loop() {
		for i := range rows {
			rows[i].Seq += n
			rows[i].Record.Time = rows[i].Record.Time.Add(20 * time.Second)
			rows[i].Received = rows[i].Record.Time
		}
		if err := s.Write(b.Context(), sink.Batch{Rows: rows}); err != nil {
			b.Fatal(err)
		}
		total += n
	}
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "rows/s")
	if used := vl.CPUSeconds() - cpu; used > 0 {
		b.ReportMetric(float64(total)/used, "rows/server-CPU-s")
	}
}

// BenchmarkRepeat writes rows that are there already: what a replay costs.
func BenchmarkRepeat(b *testing.B) {
	for _, again := range []sink.Again{sink.SameEntry, sink.AnyEntry} {
		b.Run(map[sink.Again]string{sink.SameEntry: "entry", sink.AnyEntry: "id"}[again], func(b *testing.B) {
			vl := sinktest.StartLogs(b)
			s := victorialogs.New(victorialogs.Config{URL: vl.URL})
			rows := sinktest.NewRows(1, 5000, 1, time.Now().Add(-time.Hour))
			if err := s.Write(b.Context(), sink.Batch{Rows: rows}); err != nil {
				b.Fatal(err)
			}
			for i := range rows {
				rows[i].Again = again
			}
			for b.Loop() {
				if err := s.Write(b.Context(), sink.Batch{Rows: rows}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(rows))/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
