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
	"nocturne/ruler/rulebook"
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
		answer, q := string(row), r.FormValue("query")
		switch {
		case strings.Contains(q, "stats by (_time"):
			answer = fmt.Sprintf(`{"_time":%q,"n":"3","g0":"2"}`, now.Truncate(time.Hour).Add(-time.Hour).Format(time.RFC3339Nano))
		case strings.Contains(q, "stats by (provider)"):
			answer = `{"provider":"disk","n":"3"}`
		case strings.Contains(q, "stats by (name"):
			answer = fmt.Sprintf(`{"name":"windows.event","provider":"disk","event_id":"7","n":"3","servers":"1","first":%[1]q,"last":%[1]q}`, now.Add(-time.Hour).Format(time.RFC3339Nano))
		case strings.Contains(q, "| stats"):
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
	real := eventlog.New(eventlog.Config{URL: logs.URL, Timeout: time.Minute}, nil)
	page, err := real.List(t.Context(), eventlog.Filter{}, nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("VictoriaLogs", func(t *testing.T) { askForEvents(t, real, began, last) })
	t.Run("memory", func(t *testing.T) { askForEvents(t, apitest.NewLog(page.Rows), began, last) })
	b := newBench(t, func(c *Config) { c.Events = real })
	logs.Kill()
	if w := b.call("GET", Prefix+"/events", "", nil); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "logs.url") {
		t.Errorf("no store: %d %s", w.Code, w.Body)
	}
	b = newBench(t, func(c *Config) { c.Events = nil })
	if w := b.call("GET", Prefix+"/events", "", nil); w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "logs.url") || !strings.Contains(w.Body.String(), `"code":"no_logs"`) {
		t.Errorf("not configured: %d %s", w.Code, w.Body)
	}
}

// askForEvents asks for five events of one server, the last of which has this id.
func askForEvents(t *testing.T, log EventLog, began time.Time, last string) {
	b := newBench(t, func(c *Config) { c.Events = log })
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
	get := func(path string, to any) {
		t.Helper()
		w := b.call("GET", Prefix+path, "", nil)
		if err := json.Unmarshal(w.Body.Bytes(), to); err != nil || w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	span := "since=" + began.Add(-time.Hour).Format(time.RFC3339) + "&before=" + began.Add(time.Hour).Format(time.RFC3339)
	for _, by := range eventlog.Groups() {
		var counts EventCounts
		get("/event-counts?by="+string(by)+"&"+span, &counts)
		var n int64
		for i := range counts.Times {
			n += counts.Others[i]
			for _, v := range counts.Series {
				n += v.Counts[i]
			}
		}
		if n != 5 || counts.Complete || !counts.Since.Equal(began) || counts.StepSeconds != 3600 {
			t.Errorf("by %s: %+v", by, counts)
		}
		if by == eventlog.ByServer && (counts.Series[0].Server == "" || counts.Series[0].ServerID != apitest.ID(5).String()) {
			t.Errorf("by server: %+v", counts.Series)
		}
	}
	var kinds EventKindList
	get("/event-kinds?since="+began.Add(30*time.Second).Format(time.RFC3339), &kinds)
	if kinds.Total != 1 || kinds.Items[0].EventID != "8" || kinds.Items[0].Count != 2 || kinds.Items[0].Servers != 1 || !kinds.Items[0].FirstSeen.Equal(began.Add(time.Minute)) || !kinds.Complete || !kinds.Since.Equal(began) {
		t.Errorf("kinds: %+v", kinds)
	}
	about := "{id: pages, name: Pages, class: disk, severity: warning, summary: s, runbook: a#b, expires: 1h, match: {provider: disk, event_id: 8, device: {type: disk, attr: event.data.param1}}}"
	if _, _, err := b.cfg.Rules.Create(t.Context(), rulebook.Editor{Actor: "ada"}, about); err != nil {
		t.Fatal(err)
	}
	var counts EventCounts
	get("/event-counts?by=device_type&"+span, &counts)
	if len(counts.Series) != 1 || counts.Series[0].DeviceType != "disk" || counts.Series[0].Sum != 2 {
		t.Errorf("by device type: %+v", counts)
	}
	if list := ask("/events?device_type=disk"); len(list.Items) != 2 {
		t.Errorf("about disks: %+v", list)
	}
	w := b.call("GET", Prefix+"/events/"+last, "", nil)
	if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"value":"\u003cb\u003e"`) {
		t.Errorf("one event: %d %s", w.Code, w.Body)
	}
	for path, code := range map[string]int{"/events/none": 404, "/events?event_id=x": 400, "/events?event_id=9-1": 400, "/events?before_id=x": 400, "/events?level=loud": 400, "/events?device_type=x": 400, "/event-counts?by=x": 400, "/event-counts?since=2020-01-01T00:00:00Z&before=2019-01-01T00:00:00Z": 400} {
		if w := b.call("GET", Prefix+path, "", nil); w.Code != code || !strings.Contains(w.Body.String(), `"hint":"`) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
