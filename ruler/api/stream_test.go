package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/api/apitest"
	"nocturne/ruler/store"
)

// watcher reads a stream of events.
type watcher struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Scanner
	stop context.CancelFunc
}

type heard struct {
	id, event string
	data      StreamEvent
}

func watch(t *testing.T, url string, header ...string) *watcher {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+Prefix+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return &watcher{t: t, resp: resp, in: bufio.NewScanner(resp.Body), stop: func() { cancel(); resp.Body.Close() }}
}

// next reads one event; ok is false at the end.
func (w *watcher) next() (h heard, ok bool) {
	w.t.Helper()
	for w.in.Scan() {
		name, value, _ := strings.Cut(w.in.Text(), ": ")
		switch name {
		case "id":
			h.id = value
		case "event":
			h.event = value
		case "data":
			if err := json.Unmarshal([]byte(value), &h.data); err != nil {
				w.t.Fatal(err)
			}
		case "":
			if h.event != "" {
				return h, true
			}
		}
	}
	return h, false
}

// streaming serves the API with the limits of a server that is short of time:
// a stream has to outlive them.
func streaming(t *testing.T, stop chan struct{}) (*bench, store.Store, string) {
	b, s := stored(t, func(c *Config) { c.Stop, c.Now = stop, time.Now })
	server := httptest.NewUnstartedServer(b.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 2*time.Second, 2*time.Second
	server.Start()
	t.Cleanup(server.Close)
	return b, s, server.URL
}

func comment(t *testing.T, s store.Store, id, text string) {
	t.Helper()
	if _, err := s.Do(t.Context(), store.Deed{Notification: id, Kind: store.Comment, Text: text, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

func TestStream(t *testing.T) {
	stop := make(chan struct{})
	_, s, url := streaming(t, stop)
	w := watch(t, url)
	defer w.stop()
	if ct := w.resp.Header.Get("Content-Type"); w.resp.StatusCode != 200 || !strings.HasPrefix(ct, "text/event-stream") {
		t.Fatalf("answered %d %s", w.resp.StatusCode, ct)
	}
	hello, _ := w.next()
	if hello.event != "hello" || hello.id == "" {
		t.Fatalf("%+v", hello)
	}
	<-time.After(2500 * time.Millisecond) // longer than the server's limits: they must not end it
	comment(t, s, problemID, "one")
	one, _ := w.next()
	if one.event != "notification" || one.data.Notification == nil || one.data.Notification.ID != problemID || one.data.Notification.Work.Comments != 1 {
		t.Errorf("%+v", one)
	}
	w.stop()

	// Away for a while: what was missed comes first, each row once.
	comment(t, s, problemID, "two")
	comment(t, s, problemID, "three")
	again := watch(t, url, "Last-Event-ID", one.id)
	defer again.stop()
	missed, _ := again.next()
	if missed.event != "notification" || missed.data.Notification.Work.Comments != 3 {
		t.Errorf("%+v", missed)
	}
	comment(t, s, problemID, "four")
	if four, _ := again.next(); four.event != "notification" || four.data.Notification.Work.Comments != 4 {
		t.Errorf("%+v", four)
	}
	other := watch(t, url, "Last-Event-ID", "123456789")
	defer other.stop()
	if reset, _ := other.next(); reset.event != "reset" || reset.id == "" {
		t.Errorf("a number of another store: %+v", reset)
	}
	close(stop)
	if h, ok := again.next(); ok {
		t.Errorf("the ruler stopped, and there came %+v", h)
	}
}

func TestStreamTellsOfServers(t *testing.T) {
	b, s, url := streaming(t, nil)
	w := watch(t, url)
	defer w.stop()
	w.next()
	if err := apitest.Fill(context.Background(), s, &apitest.Fleet{List: []store.ServerDetail{{Server: store.Server{ID: apitest.ID(200), Name: "new1", State: store.StateUp}}}}); err != nil {
		t.Fatal(err)
	}
	if h, _ := w.next(); h.event != "server" || h.data.Server == nil || h.data.Server.Name != "new1" || h.data.Server.State != "up" {
		t.Errorf("%+v", h)
	}
	for target, code := range map[string]int{"/stream?after=x": 400, "/stream?events=disk": 400, "/stream?limit=1": 400} {
		if w := b.call("GET", Prefix+target, "", nil); w.Code != code || !strings.Contains(w.Header().Get("Content-Type"), "json") {
			t.Errorf("%s answered %d %s", target, w.Code, w.Header())
		}
	}
	if w := b.call("GET", Prefix+"/stream", "", with()); w.Code != 401 {
		t.Errorf("somebody from elsewhere: %d", w.Code)
	}
}

// Slow clients are dropped, and only so many are served.
func TestStreamIsBounded(t *testing.T) {
	b, _ := stored(t, nil)
	s := &server{cfg: b.cfg, log: nil, metrics: newMetrics(nil, nil)}
	h := &hub{s: s, clients: map[*client]struct{}{}, stop: func() {}}
	slow, fast := &client{events: make(chan message, 1)}, &client{events: make(chan message, 10)}
	h.clients[slow], h.clients[fast] = struct{}{}, struct{}{}
	h.tell(t.Context(), []message{{seq: 1}, {seq: 2}, {seq: 3}}, 3)
	if _, ok := h.clients[slow]; ok || len(h.clients) != 1 || len(fast.events) != 3 {
		t.Errorf("%d clients, %d events", len(h.clients), len(fast.events))
	}
	if <-slow.events; len(slow.events) != 0 {
		t.Error("a dropped client has events")
	}
	if _, ok := <-slow.events; ok {
		t.Error("a dropped client is not told that it is over")
	}
	for i := range maxStreams {
		h.clients[&client{wants: map[string]bool{fmt.Sprint(i): true}}] = struct{}{}
	}
	if _, err := h.join(t.Context(), &client{}); err == nil {
		t.Error("one too many was let in")
	}
}
