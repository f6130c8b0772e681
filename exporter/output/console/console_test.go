package console

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/output"
	"nocturne/exporter/output/outputtest"
	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

type screen struct {
	bytes.Buffer
	broken int
}

func (s *screen) Write(b []byte) (int, error) {
	if s.broken > 0 {
		s.broken--
		return 0, errors.New("the terminal is gone")
	}
	return s.Buffer.Write(b)
}

func (s *screen) Break(n int) { s.broken = n }

func (s *screen) Bodies() []string {
	var out []string
	for line := range strings.Lines(s.String()) {
		var l struct{ Body, Frame string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Frame == "" {
			out = append(out, l.Body)
		}
	}
	return out
}

func TestContract(t *testing.T) {
	outputtest.Run(t, func(*testing.T) (output.Output, outputtest.Receiver) {
		s := &screen{}
		return New(s), s
	})
}

func TestLines(t *testing.T) {
	f := outputtest.Data(3)
	f.Header.Count = 1
	at := time.Date(2026, 11, 21, 3, 4, 5, 6, time.UTC)
	f.Raw = record.AppendRecords(nil, []record.Record{{
		Time: at, Observed: at.Add(time.Second), Severity: record.Error, Name: record.NameSnapshot, Body: "a \"quoted\"\nline \x00\u2028",
		Attrs:    []record.Attr{{Key: "n", Value: record.Int(7)}},
		Snapshot: &record.Snapshot{Sections: []record.Section{{Type: "disk"}}, Devices: []record.Device{{Type: "disk", Place: "c0/s1", Occupant: "Z1", Fields: []record.Attr{{Key: "state", Value: record.String("Onln")}}}}},
	}})
	var b bytes.Buffer
	gap := outputtest.Gap(4, 9)
	if _, err := New(&b).Send(t.Context(), []spool.Frame{f, gap}); err != nil {
		t.Fatal(err)
	}
	want := `{"time":"2026-11-21T03:04:05.000000006Z","observed":"2026-11-21T03:04:06.000000006Z","record_id":"aa010000000000000000000000000000-7-2-3",` +
		`"server_id":"aa010000000000000000000000000000","category":"eventlog","name":"nocturne.snapshot","severity":"error","body":"a \"quoted\"\nline \u0000\u2028",` +
		`"attrs":{"n":7},"sections":[{"type":"disk","scope":""}],"devices":[{"type":"disk","place":"c0/s1","occupant":"Z1","fields":{"state":"Onln"}}]}` + "\n" +
		`{"frame":"gap","server_id":"aa010000000000000000000000000000","category":"eventlog","epoch":"18d75b84ac4a0000-0000000000000007","first":4,"last":9,"reason":"overflow"}` + "\n"
	got := b.String()
	for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	w := strings.Replace(want, "18d75b84ac4a0000-0000000000000007", outputtest.Epoch.String(), 1)
	if got != w {
		t.Errorf("got\n%swant\n%s", got, w)
	}
}
