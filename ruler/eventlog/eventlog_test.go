package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
	"nocturne/eventbridge/sink/sinktest"
	"nocturne/eventbridge/sink/victorialogs"
	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/rule"
)

// logs is a real store that an eventbridge's sink writes to.
type logs struct {
	t      testing.TB
	server *sinktest.Server
	sink   *victorialogs.Sink
	client *Client
	rows   []sink.Row
	seq    map[record.ID]uint64
}

func openLogs(t testing.TB, flags ...string) *logs {
	s := sinktest.StartLogs(t, flags...)
	return &logs{t: t, server: s, sink: victorialogs.New(victorialogs.Config{URL: s.URL}), client: New(Config{URL: s.URL, Timeout: time.Minute}, nil), seq: map[record.ID]uint64{}}
}

func serverID(n byte) record.ID { return record.ID{n, 15: n} }

// event adds a row to write; its id is returned.
func (l *logs) event(server byte, at time.Time, provider string, id int64, message string, more ...record.Attr) string {
	sid := serverID(server)
	l.seq[sid]++
	seq := l.seq[sid]
	h := &record.Header{Kind: record.FrameData, Subject: sid, Producer: record.ExporterProducer(sid), Category: record.EventLog,
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 77}}, First: seq, Last: seq, Count: 1, Sent: at.UnixNano()}
	attrs := append([]record.Attr{{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String(provider)},
		{Key: record.AttrEventID, Value: record.Int(id)}, {Key: record.AttrLevel, Value: record.String("warning")}}, more...)
	rec := &record.Record{Time: at, Observed: at, Severity: record.Warn, Name: record.NameWindowsEvent, Body: message, Attrs: attrs}
	l.rows = append(l.rows, sink.Row{Partition: stream.Partition(sid), Entry: uint64(len(l.rows) + 1), Received: at, Header: h, Seq: seq, Record: rec,
		Server: series.Server{Name: fmt.Sprint("srv", server), Site: "north"}})
	return record.RecordID(h, seq)
}

// write stores what was added, twice if need be, and waits until it is seen.
func (l *logs) write(times int) {
	l.t.Helper()
	for range times {
		if err := l.sink.Write(l.t.Context(), sink.Batch{Rows: l.rows}); err != nil {
			l.t.Fatal(err)
		}
	}
	l.rows = nil
	l.flush()
}

func (l *logs) flush() {
	l.t.Helper()
	res, err := http.Get(l.server.URL + "/internal/force_flush")
	if err != nil {
		l.t.Fatal(err)
	}
	_ = res.Body.Close()
	l.client.checked = time.Time{}
}

func sum(counts []int64) (n int64) {
	for _, v := range counts {
		n += v
	}
	return n
}

func ids(rows []*Row) []string {
	out := []string{}
	for _, r := range rows {
		out = append(out, r.RecordID)
	}
	return out
}

// all reads a whole list page by page.
func (l *logs) all(t *testing.T, f Filter, limit int) []*Row {
	t.Helper()
	var out []*Row
	var at *Cursor
	for range 10_000 {
		p, err := l.client.List(t.Context(), f, at, limit)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.Rows) > limit {
			t.Fatalf("%d rows on a page of %d", len(p.Rows), limit)
		}
		out = append(out, p.Rows...)
		if at = p.Next; at == nil {
			return out
		}
	}
	t.Fatal("the list does not end")
	return nil
}

var hostile = []string{`disk" or *`, `a" | delete`, "`back`", `\`, `\"`, "new\nline", "(.*)", "$1", "*", `"`, "'", "{server_id=\"x\"}", "_time:5m", "a|b", "ünïcode", "\u2028", "-", "!", "in(*)", "%22", "a,b", "x) or (y", "1"}

func TestVictoriaLogs(t *testing.T) {
	l := openLogs(t)
	now := time.Now().UTC().Truncate(time.Millisecond)
	if p, err := l.client.List(t.Context(), Filter{}, nil, 10); err != nil || len(p.Rows) > 0 || p.Next != nil {
		t.Fatalf("an empty store: %+v %v", p, err)
	}
	var want []string // oldest first
	for i := range 40 {
		want = append(want, l.event(1, now.Add(-40*time.Hour+time.Duration(i)*time.Hour), "Disk", 7, "bad block 7"))
	}
	moment := now.Add(-30 * time.Minute)
	var together []string
	for range 25 { // at one time, more than a page
		together = append(together, l.event(1, moment, "disk", 51, "paging"))
	}
	slices.Sort(together)
	want = append(want, together...)
	byText := map[string]string{}
	for i, text := range hostile {
		byText[text] = l.event(2, now.Add(-time.Duration(i)*time.Minute), text, 1, "says "+text, record.Attr{Key: "event.data.x", Value: record.String(text)})
	}
	l.write(2)
	slices.Reverse(want)

	t.Run("pages, newest first, each once", func(t *testing.T) {
		for _, limit := range []int{3, 10, 1000} {
			if got := ids(l.all(t, Filter{Servers: []record.ID{serverID(1)}}, limit)); !slices.Equal(got, want) {
				t.Errorf("limit %d: %d rows\n%q\nwant %d\n%q", limit, len(got), got, len(want), want)
			}
		}
	})
	t.Run("filters", func(t *testing.T) {
		for name, c := range map[string]struct {
			f Filter
			n int
		}{
			"provider in any case": {Filter{Providers: []string{"DISK"}}, 65},
			"event id":             {Filter{Providers: []string{"disk"}, EventIDs: []IDRange{{51, 51}, {100, 200}}}, 25},
			"range":                {Filter{Providers: []string{"disk"}, EventIDs: []IDRange{{1, 10}}}, 40},
			"channel":              {Filter{Servers: []record.ID{serverID(1)}, Channels: []string{"system"}}, 65},
			"level":                {Filter{Levels: []string{"error"}}, 0},
			"site":                 {Filter{Site: "north", Providers: []string{"disk"}}, 65},
			"another site":         {Filter{Site: "nor"}, 0},
			"words":                {Filter{Search: "BLO bad"}, 40},
			"category":             {Filter{Categories: []record.Category{record.RAID}}, 0},
			"since":                {Filter{Servers: []record.ID{serverID(1)}, From: now.Add(-150 * time.Minute)}, 27},
			"before":               {Filter{Servers: []record.ID{serverID(1)}, To: now.Add(-150 * time.Minute)}, 38},
			"either":               {Filter{Any: []Filter{{Providers: []string{"disk"}, EventIDs: []IDRange{{51, 51}}}, {Providers: []string{"$1"}}}}, 26},
			"no snapshots":         {Filter{Providers: []string{"disk"}, NoSnapshots: true}, 65},
		} {
			if got := l.all(t, c.f, 100); len(got) != c.n {
				t.Errorf("%s: %d rows, want %d: %s", name, len(got), c.n, c.f.query())
			}
		}
	})
	t.Run("hostile texts find themselves and nothing else", func(t *testing.T) {
		for _, text := range hostile {
			if got := ids(l.all(t, Filter{Providers: []string{text}}, 100)); len(got) != 1 || got[0] != byText[text] {
				t.Errorf("provider %q: %q", text, got)
			}
			if len(l.all(t, Filter{Site: text}, 100)) != 0 || len(l.all(t, Filter{Channels: []string{text}}, 100)) != 0 || len(l.all(t, Filter{Levels: []string{text}}, 100)) != 0 {
				t.Errorf("%q is taken for another text", text)
			}
			for _, r := range l.all(t, Filter{Search: text, Servers: []record.ID{serverID(1)}}, 100) {
				if text != "1" && text != "*" && strings.TrimSpace(text) != "" && !strings.Contains(r.Message, text) {
					t.Errorf("search %q finds %q", text, r.Message)
				}
			}
			if _, err := l.client.Get(t.Context(), serverID(1).String()+"-"+text); !errors.Is(err, ErrNotFound) {
				t.Errorf("record id %q: %v", text, err)
			}
		}
	})
	t.Run("one record", func(t *testing.T) {
		text := hostile[0]
		r, err := l.client.Get(t.Context(), byText[text])
		if err != nil {
			t.Fatal(err)
		}
		if r.Provider != text || r.Message != "says "+text || r.Name != "srv2" || r.Site != "north" || r.EventID != "1" || r.Level != "warning" || r.Channel != "System" ||
			r.Category != record.EventLog || r.Server != serverID(2) || !r.At.Equal(now) || len(r.Attrs) != 1 || r.Attrs[0] != (Attr{"event.data.x", text}) {
			t.Errorf("%+v", r)
		}
		for _, id := range []string{"", "x", serverID(1).String(), serverID(1).String() + "-1-2-999999"} {
			if _, err := l.client.Get(t.Context(), id); !errors.Is(err, ErrNotFound) {
				t.Errorf("%q: %v", id, err)
			}
		}
	})
	t.Run("since when", func(t *testing.T) {
		if at, err := l.client.Since(t.Context()); err != nil || !at.Equal(now.Add(-40*time.Hour)) {
			t.Errorf("%s %v", at, err)
		}
	})
	t.Run("counts, each record once", func(t *testing.T) {
		rules, err := rule.Parse("x", []byte(`{id: pages, name: Pages, class: disk, severity: warning, summary: s, runbook: a#b, expires: 1h, match: {provider: disk, event_id: 51, device: {type: disk, attr: x}}}`))
		if err != nil {
			t.Fatal(err)
		}
		q := CountQuery{Filter: Filter{From: now.Add(-48 * time.Hour), To: now.Add(time.Minute)}, Step: time.Hour, Top: 2, Devices: ConcernDevices(rules)}
		total := int64(65 + len(hostile))
		for g, want := range map[Group]map[string]int64{
			ByNothing: {"others": total}, ByServer: {serverID(1).String(): 65, serverID(2).String(): total - 65, "others": 0}, ByLevel: {"warning": total, "others": 0}, ByCategory: {"eventlog": total, "others": 0},
			BySite: {"north": total, "others": 0}, ByDevice: {"disk": 25, "others": total - 25}, ByEventID: {"Disk 7": 40, "disk 51": 25, "others": total - 65},
			ByProvider: {"Disk": 40, "disk": 25, "others": total - 65},
		} {
			q.Group = g
			got, err := l.client.Count(t.Context(), q)
			if err != nil {
				t.Fatalf("by %s: %v", g, err)
			}
			sums := map[string]int64{"others": sum(got.Others)}
			for _, s := range got.Series {
				sums[strings.Join(s.Key, " ")] = s.Sum
			}
			if !maps.Equal(sums, want) || sum(got.Total) != total || len(got.Times) < 48 || len(got.Total) != len(got.Times) {
				t.Errorf("by %s: %v of %d, want %v of %d", g, sums, sum(got.Total), want, total)
			}
		}
		q.Group, q.Top = ByProvider, 40
		if got, err := l.client.Count(t.Context(), q); err != nil || len(got.Series) != len(hostile)+2 || sum(got.Others) != 0 {
			t.Errorf("hostile providers: %+v %v", got.Series, err)
		}
		q.Step = time.Millisecond
		if _, err := l.client.Count(t.Context(), q); !errors.Is(err, ErrTooMuch) {
			t.Errorf("too many steps: %v", err)
		}
	})
	t.Run("kinds", func(t *testing.T) {
		got, err := l.client.Kinds(t.Context(), Filter{Providers: []string{"disk"}})
		slices.SortFunc(got, func(a, b Kind) int { return strings.Compare(a.EventID, b.EventID) })
		want := []Kind{{"disk", "51", record.NameWindowsEvent, 25, 1, moment, moment}, {"Disk", "7", record.NameWindowsEvent, 40, 1, now.Add(-40 * time.Hour), now.Add(-time.Hour)}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v %v, want %+v", got, err, want)
		}
	})
	t.Run("rows of somebody else", func(t *testing.T) {
		for _, row := range []string{`{"_time":%q,"_msg":"no labels"}`, `{"_time":%q,"server_id":"mine","_msg":"x"}`} {
			body := strings.NewReader(fmt.Sprintf(row, now.Format(time.RFC3339Nano)))
			res, err := http.Post(l.server.URL+"/insert/jsonline?_stream_fields=server_id", "application/stream+json", body)
			if err != nil || res.StatusCode != http.StatusOK {
				t.Fatal(err, res)
			}
			_ = res.Body.Close()
		}
		l.flush()
		for _, limit := range []int{20, 100} {
			if got := l.all(t, Filter{}, limit); len(got) != 65+len(hostile) {
				t.Errorf("limit %d: %d rows", limit, len(got))
			}
		}
	})
	t.Run("the store is away", func(t *testing.T) {
		l.server.Kill()
		l.client.checked = time.Time{}
		if _, err := l.client.List(t.Context(), Filter{}, nil, 10); !errors.Is(err, ErrAway) || strings.Contains(err.Error(), l.server.URL) {
			t.Errorf("%v", err)
		}
	})
}

// Answers that no log store should give.
func TestBadAnswers(t *testing.T) {
	var mu sync.Mutex
	answer, code := "", 200
	set := func(c int, a string) {
		mu.Lock()
		defer mu.Unlock()
		code, answer = c, a
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody notices that the caller hung up
		mu.Lock()
		defer mu.Unlock()
		if code == 0 {
			<-r.Context().Done()
			return
		}
		if code == 1 { // it dies in the middle of a line
			_, _ = w.Write([]byte(answer))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(answer))
	}))
	defer s.Close()
	c := New(Config{URL: s.URL, Timeout: time.Minute}, nil)
	for _, v := range []struct {
		code   int
		answer string
		want   error
	}{
		{200, "<html>", ErrAnswer},
		{200, `{"_time":"yesterday"}`, ErrAnswer},
		{200, `{"_time":5}`, ErrAnswer},
		{200, "null", ErrAnswer},
		{200, "{}\n" + strings.Repeat("x", maxLine+1), ErrAnswer},
		{200, strings.Repeat("x", maxLine+1), ErrTooMuch},
		{400, "cannot parse query", ErrAnswer},
		{503, "the request couldn't be executed in 30 seconds", ErrSlow},
		{503, "too many concurrent requests", ErrAway},
		{500, "", ErrAway},
		{302, "", ErrAnswer},
		{1, `{"_time":"2026-11-21T0`, ErrAway},
	} {
		set(v.code, v.answer)
		if _, err := c.Get(t.Context(), serverID(1).String()+"-1-2-3"); !errors.Is(err, v.want) {
			t.Errorf("%d %.40q: %v, want %v", v.code, v.answer, err, v.want)
		}
	}
	f := Filter{Providers: []string{strings.Repeat("x", maxQuery)}}
	if err := c.query(t.Context(), f.query(), nil); !errors.Is(err, ErrTooMuch) {
		t.Errorf("a query that is too long: %v", err)
	}
	set(0, "")
	c.timeout = time.Millisecond
	if _, err := c.Get(t.Context(), serverID(1).String()+"-1-2-3"); !errors.Is(err, ErrSlow) {
		t.Errorf("no answer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ctx, serverID(1).String()+"-1-2-3"); !errors.Is(err, context.Canceled) {
		t.Errorf("the caller hung up: %v", err)
	}
}

// A machine that takes no connection is away, however long one would wait; one that
// takes it and says nothing is slow.
func TestAwayIsNotSlow(t *testing.T) {
	full, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := New(Config{URL: "http://" + full.Addr().String(), Timeout: time.Minute}, nil).Since(ctx); !errors.Is(err, ErrSlow) {
		t.Errorf("no answer: %v", err)
	}
	c := New(Config{URL: "http://logs.invalid:9428", Timeout: time.Minute}, nil)
	// As the system does it where nobody takes the connection.
	c.client.Transport.(*http.Transport).DialContext = func(_ context.Context, network, _ string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: network, Err: os.ErrDeadlineExceeded}
	}
	if _, err := c.Since(t.Context()); !errors.Is(err, ErrAway) {
		t.Errorf("no connection: %v", err)
	}
	// Also where the one who asks had no more patience than that.
	dead, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if err := ended(dead, &url.Error{Op: "Post", URL: "x", Err: &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}}); !errors.Is(err, ErrAway) {
		t.Errorf("no connection in the time of who asks: %v", err)
	}
}
