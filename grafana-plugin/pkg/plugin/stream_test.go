package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grafana/grafana-plugin-sdk-go/backend"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nocturne/fleet/pkg/ruler"
)

// listener is Grafana's end of a stream.
type listener struct {
	frames chan []json.RawMessage // the columns of a frame
	rows   [][4]string            // of the last frame
	fail   atomic.Bool
}

func (l *listener) Send(p *backend.StreamPacket) error {
	if l.fail.Load() {
		return errors.New("nobody listens")
	}
	var f struct {
		Data struct{ Values []json.RawMessage }
	}
	if err := json.Unmarshal(p.Data, &f); err != nil {
		return err
	}
	l.frames <- f.Data.Values
	return nil
}

// next is the next row: event, id, data.
func (l *listener) next(t *testing.T) (kind, id, data string) {
	t.Helper()
	for len(l.rows) == 0 {
		select {
		case columns := <-l.frames:
			var kinds, ids, texts []string
			for i, into := range []*[]string{&kinds, &ids, &texts} {
				if err := json.Unmarshal(columns[i+1], into); err != nil {
					t.Fatal(err)
				}
			}
			for i := range kinds {
				l.rows = append(l.rows, [4]string{kinds[i], ids[i], texts[i]})
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing comes")
		}
	}
	row := l.rows[0]
	l.rows = l.rows[1:]
	return row[0], row[1], row[2]
}

func (l *listener) want(t *testing.T, kind, id string) {
	t.Helper()
	if k, i, d := l.next(t); k != kind || i != id {
		t.Fatalf("%s %s %s, want %s %s", k, i, d, kind, id)
	}
}

// run starts a stream; stop ends it and says how it ended.
func run(t *testing.T, a *App) (l *listener, done <-chan error, stop context.CancelFunc) {
	t.Helper()
	l = &listener{frames: make(chan []json.RawMessage, 1000)}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	end := make(chan error, 1)
	go func() {
		end <- a.RunStream(ctx, &backend.RunStreamRequest{PluginContext: as("alice", "Viewer"), Path: changes}, backend.NewStreamSender(l))
	}()
	return l, end, cancel
}

func eventStream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.(http.Flusher).Flush()
}

func tell(w io.Writer, id int, kind, data string) {
	fmt.Fprintf(w, "id: %d\nevent: %s\ndata: %s\n\n", id, kind, data)
	w.(http.Flusher).Flush()
}

// The ruler ends its stream, goes away, comes back: nothing is missed, nobody has to ask anew.
func TestStreamResumes(t *testing.T) {
	s := newStandIn(t)
	a := s.app(t)
	var times atomic.Int32
	s.says(func(w http.ResponseWriter, r *http.Request) {
		switch times.Add(1) {
		case 1:
			eventStream(w)
			tell(w, 41, "hello", "{}")
			tell(w, 42, "notification", `{"notification":{"id":"\u202e<b>"}}`)
			fmt.Fprint(w, "id: 43\nevent: server\ndata: {") // the connection ends in the middle
		case 2:
			answer(w, 503, `{"error":"too many are watching","hint":"try again later"}`)
		case 3:
			eventStream(w)
			tell(w, 43, "server", `{"server":{}}`)
			<-r.Context().Done()
		}
	})
	l, done, stop := run(t, a)
	l.want(t, "hello", "41")
	if kind, id, data := l.next(t); kind != "notification" || id != "42" || data != `{"notification":{"id":"\u202e<b>"}}` {
		t.Errorf("%s %s %s", kind, id, data)
	}
	l.want(t, "away", "")
	l.want(t, "back", "")
	l.want(t, "server", "43")
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	for i, r := range s.taken() {
		want := "/api/v1/stream"
		if i > 0 {
			want += "?after=42"
		}
		if r.uri != want || r.header.Get(ruler.HeaderUser) != "" || r.header.Get("Authorization") != "Bearer "+secret {
			t.Errorf("%d: asked for %s with %v, want %s", i, r.uri, r.header, want)
		}
	}
	if n := testutil.ToFloat64(a.metrics.streams); n != 0 {
		t.Errorf("%v streams", n)
	}
}

// A connection that is dead without saying so is made anew.
func TestStreamGoesQuiet(t *testing.T) {
	s := newStandIn(t)
	a := s.app(t)
	a.quiet = 2 * time.Second // the machine may be busy
	var times atomic.Int32
	s.says(func(w http.ResponseWriter, r *http.Request) {
		eventStream(w)
		if times.Add(1) > 1 {
			tell(w, 8, "server", "{}")
			<-r.Context().Done()
			return
		}
		tell(w, 7, "hello", "{}")
		<-r.Context().Done()
	})
	l, _, stop := run(t, a)
	l.want(t, "hello", "7")
	l.want(t, "server", "8")
	stop()
	if seen := s.taken(); len(seen) < 2 || seen[1].uri != "/api/v1/stream?after=7" {
		t.Errorf("asked for %v", seen)
	}
}

func TestStreamEndsWithItsSettings(t *testing.T) {
	s := newStandIn(t)
	a := s.app(t)
	s.says(func(w http.ResponseWriter, r *http.Request) {
		eventStream(w)
		tell(w, 1, "hello", "{}")
		<-r.Context().Done()
	})
	l, done, _ := run(t, a)
	l.want(t, "hello", "1")
	a.Dispose()
	if err := <-done; !errors.Is(err, errReplaced) {
		t.Errorf("ended with %v", err)
	}
}

func TestStreamEndsWithItsListeners(t *testing.T) {
	s := newStandIn(t)
	a := s.app(t)
	more := make(chan struct{})
	s.says(func(w http.ResponseWriter, r *http.Request) {
		eventStream(w)
		tell(w, 1, "hello", "{}")
		<-more
		for i := range 1000 {
			tell(w, i, "server", "{}")
		}
		<-r.Context().Done()
	})
	l, done, _ := run(t, a)
	l.want(t, "hello", "1")
	l.fail.Store(true)
	close(more)
	if err := <-done; err == nil || err.Error() != "nobody listens" {
		t.Errorf("ended with %v", err)
	}
}

func TestWhoMayListen(t *testing.T) {
	s := newStandIn(t)
	a := s.app(t)
	for _, tt := range []struct {
		app    *App
		path   string
		who    backend.PluginContext
		status backend.SubscribeStreamStatus
	}{
		{a, "changes", as("alice", "Viewer"), backend.SubscribeStreamStatusOK},
		{a, "changes", as("", "Viewer"), backend.SubscribeStreamStatusOK},
		{a, "changes", as("alice", "None"), backend.SubscribeStreamStatusPermissionDenied},
		{a, "changes", backend.PluginContext{}, backend.SubscribeStreamStatusPermissionDenied},
		{a, "changes/x", as("alice", "Admin"), backend.SubscribeStreamStatusNotFound},
		{a, "", as("alice", "Admin"), backend.SubscribeStreamStatusNotFound},
		{appFor(t, nil, ""), "changes", as("alice", "Admin"), backend.SubscribeStreamStatusNotFound},
	} {
		r, err := tt.app.SubscribeStream(t.Context(), &backend.SubscribeStreamRequest{PluginContext: tt.who, Path: tt.path})
		if err != nil || r.Status != tt.status {
			t.Errorf("%q %+v: %+v, %v", tt.path, tt.who.User, r, err)
		}
	}
	r, err := a.PublishStream(t.Context(), &backend.PublishStreamRequest{PluginContext: as("root", "Admin"), Path: "changes", Data: []byte("{}")})
	if err != nil || r.Status != backend.PublishStreamStatusPermissionDenied {
		t.Errorf("%+v, %v", r, err)
	}
	if len(s.taken()) != 0 {
		t.Error("the ruler was asked")
	}
	if err := a.RunStream(t.Context(), &backend.RunStreamRequest{Path: "other"}, nil); err == nil {
		t.Error("ran another path")
	}
	if err := appFor(t, nil, "").RunStream(t.Context(), &backend.RunStreamRequest{Path: changes}, nil); err == nil {
		t.Error("ran without a ruler")
	}
}

// The frame is what the pages rely on.
func TestFrame(t *testing.T) {
	f := frameOf([]ruler.Event{{Kind: "hello", ID: "1", Data: "{}"}, {Kind: "away", Data: `{"error":"x"}`}}, time.Date(2026, 11, 28, 3, 4, 5, 0, time.UTC))
	got, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("testdata/frame.json")
	if err != nil || strings.TrimSpace(string(want)) != string(got) {
		t.Errorf("%v, got\n%s", err, got)
	}
}
