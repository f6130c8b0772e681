package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
	"nocturne/eventbridge/sink/sinktest"
	"nocturne/eventbridge/sink/victorialogs"
	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/api/apitest"
	"nocturne/ruler/eventlog"
)

var loggedEvent = apitest.ID(5).String() + "-1z-2-9"

// fakeLogs is a log store that has one event, whatever it is asked for.
func fakeLogs(t testing.TB) *eventlog.Client {
	row, err := json.Marshal(map[string]string{"_time": now.Add(-time.Hour).Format(time.RFC3339Nano), "_msg": "bad block", "server_id": apitest.ID(5).String(), "server": "db7", "category": "eventlog",
		"name": record.NameWindowsEvent, "severity": "error", "record_id": loggedEvent, "provider": "disk", "event_id": "7", "channel": "System", "level": "error", "event.data.param1": `\Device\Harddisk1\DR1`})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := string(row)
		if strings.Contains(r.FormValue("query"), "| stats") {
			answer = fmt.Sprintf(`{"at":%q}`, now.AddDate(0, -6, 0).Format(time.RFC3339Nano))
		}
		_, _ = w.Write([]byte(answer + "\n"))
	}))
	t.Cleanup(s.Close)
	return eventlog.New(eventlog.Config{URL: s.URL, Timeout: 5 * time.Second}, nil)
}

// The answers of a real store.
func TestEvents(t *testing.T) {
	logs := sinktest.StartLogs(t)
	began := time.Now().UTC().Truncate(time.Second).Add(-time.Hour)
	var rows []sink.Row
	var last string
	for i := range 5 {
		id := apitest.ID(5)
		h := &record.Header{Subject: id, Producer: record.ExporterProducer(id), Category: record.EventLog, Epoch: record.Epoch{EpochRef: record.EpochRef{Random: 71}}}
		rec := &record.Record{Time: began.Add(time.Duration(i) * time.Minute), Name: record.NameWindowsEvent, Body: "bad block", Attrs: []record.Attr{
			{Key: record.AttrProvider, Value: record.String("disk")}, {Key: record.AttrEventID, Value: record.Int(int64(7 + i%2))}, {Key: "event.data.param1", Value: record.String("<b>")}}}
		rows = append(rows, sink.Row{Partition: stream.Partition(id), Entry: 1, Received: rec.Time, Header: h, Seq: uint64(i), Record: rec, Server: series.Server{Name: "db7", Site: "fra"}})
		last = record.RecordID(h, uint64(i))
	}
	if err := victorialogs.New(victorialogs.Config{URL: logs.URL}).Write(t.Context(), sink.Batch{Rows: rows}); err != nil {
		t.Fatal(err)
	}
	res, err := http.Get(logs.URL + "/internal/force_flush")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	b := newBench(t, func(c *Config) {
		c.Events = eventlog.New(eventlog.Config{URL: logs.URL, Timeout: 5 * time.Second}, nil)
	})
	ask := func(path string) (list LogEventList) {
		t.Helper()
		w := b.call("GET", Prefix+path, "", nil)
		if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
		return list
	}
	var seen []string
	for path := "/events?limit=2&site=fra&search=bad"; path != ""; {
		list := ask(path)
		for _, e := range list.Items {
			seen = append(seen, e.At.Format("04")+fmt.Sprint(*e.EventID))
		}
		if !list.Complete || !list.Since.Equal(began) {
			t.Errorf("%+v", list)
		}
		if path = ""; list.NextBefore != nil {
			path = "/events?limit=2&site=fra&search=bad&before=" + list.NextBefore.Format(time.RFC3339Nano) + "&before_id=" + list.NextBeforeID
		}
	}
	m := began.Minute()
	if want := fmt.Sprintf("%02d7 %02d8 %02d7 %02d8 %02d7", (m+4)%60, (m+3)%60, (m+2)%60, (m+1)%60, m); strings.Join(seen, " ") != want {
		t.Errorf("%q, want %q", seen, want)
	}
	if list := ask("/events?event_id=8-9&since=" + began.AddDate(-1, 0, 0).Format(time.RFC3339)); len(list.Items) != 2 || list.Complete || !list.Since.Equal(began) {
		t.Errorf("before what is kept: %+v", list)
	}
	if list := ask("/events?category=heartbeat"); len(list.Items) != 0 {
		t.Errorf("another category: %+v", list)
	}
	w := b.call("GET", Prefix+"/events/"+last, "", nil)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"value":"\u003cb\u003e"`) {
		t.Errorf("one event: %d %s", w.Code, w.Body)
	}
	for path, code := range map[string]int{"/events/none": 404, "/events?event_id=x": 400, "/events?event_id=9-1": 400, "/events?before_id=x": 400, "/events?level=loud": 400} {
		if w := b.call("GET", Prefix+path, "", nil); w.Code != code || !strings.Contains(w.Body.String(), `"hint":"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	logs.Kill()
	if w := b.call("GET", Prefix+"/events", "", nil); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "logs.url") {
		t.Errorf("no store: %d %s", w.Code, w.Body)
	}
	b = newBench(t, func(c *Config) { c.Events = nil })
	if w := b.call("GET", Prefix+"/events", "", nil); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "logs.url") {
		t.Errorf("not configured: %d %s", w.Code, w.Body)
	}
}
