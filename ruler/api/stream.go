package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// The stream: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)
// about rows that commits changed. An event's id is the feed's number, so that
// a browser that comes back is told what it missed.

func (s *server) streamRoutes() []route {
	return []route{{
		method: "GET", path: "/stream", name: "stream",
		summary: "Server-sent events: notifications and servers whenever they change",
		params: []param{{name: "after", kind: kindText, max: 20, doc: "id of the last event that you had; the header Last-Event-ID says the same"},
			{name: "events", kind: kindList, enum: []string{store.FeedNotification, store.FeedServer}, doc: "default: both"}},
		result: StreamEvent{}, stream: true,
	}}
}

// StreamEvent is what the data of an event holds; one of the two is set.
type StreamEvent struct {
	Notification *Notification `json:"notification"`
	Server       *Server       `json:"server"`
}

const (
	maxStreams     = 200
	streamBuffer   = 256 // events that a slow client may be behind
	streamBatch    = 500
	streamPause    = 200 * time.Millisecond // changes that come faster are told together
	streamPoll     = 5 * time.Second        // what another process committed
	streamAlive    = 15 * time.Second
	streamDeadline = 10 * time.Second // of one write
)

// hub reads the feed once for all clients, while there are any.
type hub struct {
	s       *server
	mu      sync.Mutex
	clients map[*client]struct{}
	last    int64 // number up to which clients were told
	stop    context.CancelFunc
}

// client is one connection. events is closed when it is dropped.
type client struct {
	events chan message
	wants  map[string]bool // nil = everything
}

type message struct {
	seq  int64
	kind string
	data []byte
}

var errStreams = &problem{status: http.StatusServiceUnavailable, msg: "too many are watching", hint: "try again later; until then ask for the lists"}

// join adds a client and says from which number on it is told.
func (h *hub) join(ctx context.Context, c *client) (int64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients) >= maxStreams {
		return 0, errStreams
	}
	if len(h.clients) == 0 {
		f, err := h.s.cfg.Feed.Feed(ctx, 0, 1)
		if err != nil {
			return 0, err
		}
		h.last = f.Newest
		run, cancel := context.WithCancel(context.Background())
		h.stop = cancel
		go h.run(run)
	}
	h.clients[c] = struct{}{}
	h.s.metrics.streams.Set(float64(len(h.clients)))
	return h.last, nil
}

// leave removes a client; the last one ends the reading.
func (h *hub) leave(c *client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.clients[c]; ok {
		h.remove(c)
	}
}

func (h *hub) remove(c *client) {
	delete(h.clients, c)
	close(c.events)
	h.s.metrics.streams.Set(float64(len(h.clients)))
	if len(h.clients) == 0 {
		h.stop()
	}
}

func (h *hub) run(ctx context.Context) {
	for {
		news := h.s.cfg.Feed.Committed()
		h.mu.Lock()
		last := h.last
		h.mu.Unlock()
		list, next, err := h.s.messages(ctx, last)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			h.s.log.Warn("read changes for the stream", "err", err)
		case next != last:
			h.tell(ctx, list, next)
		}
		wait := streamPoll
		if len(list) >= streamBatch {
			continue // there is more
		}
		select {
		case <-ctx.Done():
			return
		case <-news:
			wait = streamPause
		case <-time.After(wait):
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// tell hands events to every client. Who is too far behind is dropped: he
// comes back and asks for what he missed.
func (h *hub) tell(ctx context.Context, list []message, next int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ctx.Err() != nil {
		return // another one reads by now
	}
	h.last = next
	for c := range h.clients {
		for _, m := range list {
			if c.wants != nil && !c.wants[m.kind] && m.kind != "reset" {
				continue
			}
			select {
			case c.events <- m:
				continue
			default:
			}
			h.s.metrics.dropped.Inc()
			h.remove(c)
			break
		}
	}
}

// messages reads what changed after a number, and says up to which number.
func (s *server) messages(ctx context.Context, after int64) ([]message, int64, error) {
	f, err := s.cfg.Feed.Feed(ctx, after, streamBatch)
	if err != nil {
		return nil, after, err
	}
	if f.Gone {
		return []message{{seq: f.Newest, kind: "reset", data: []byte("{}")}}, f.Newest, nil
	}
	next := f.Newest
	if len(f.Events) == streamBatch {
		next = f.Events[streamBatch-1].Seq
	}
	rows, err := s.rows(ctx, f.Events)
	if err != nil {
		return nil, after, err
	}
	var out []message
	for _, e := range f.Events {
		v, ok := rows[e.Kind+e.ID]
		if !ok {
			continue // pruned meanwhile
		}
		data, err := json.Marshal(v)
		if err != nil {
			return nil, after, fmt.Errorf("encode event: %w", err)
		}
		out = append(out, message{seq: e.Seq, kind: e.Kind, data: data})
	}
	return out, next, nil
}

// rows reads what events are about, as the lists show it.
func (s *server) rows(ctx context.Context, events []store.FeedEvent) (map[string]StreamEvent, error) {
	var notifications []string
	var servers []record.ID
	for _, e := range events {
		id, err := record.ParseID(e.ID)
		switch {
		case e.Kind == store.FeedNotification:
			notifications = append(notifications, e.ID)
		case e.Kind == store.FeedServer && err == nil:
			servers = append(servers, id)
		}
	}
	out := map[string]StreamEvent{}
	if len(notifications) > 0 {
		page, err := s.reader.Notifications(ctx, store.NotificationQuery{IDs: notifications, Limit: streamBatch})
		if err != nil {
			return nil, err
		}
		quiet, err := s.quiet(ctx)
		if err != nil {
			return nil, err
		}
		for i := range page.Notifications {
			n := notificationOf(page.Notifications[i])
			quiet.tell(&page.Notifications[i], &n)
			out[store.FeedNotification+n.ID] = StreamEvent{Notification: &n}
		}
	}
	if len(servers) > 0 {
		page, err := s.reader.Servers(ctx, store.ServerQuery{IDs: servers, State: store.ServerStates(), Limit: streamBatch})
		if err != nil {
			return nil, err
		}
		for _, v := range page.Servers {
			shown := s.serverOf(v)
			out[store.FeedServer+shown.ID] = StreamEvent{Server: &shown}
		}
	}
	return out, nil
}

// follow is the handler of a stream. It ends with the connection, with the
// ruler, when the client is too slow, and when he may not look any more.
func (s *server) follow(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.now()
		setHeaders(w.Header())
		code, err := s.open(w, r, rt)
		if err != nil {
			var body []byte
			code, body = s.explain(w.Header(), rt, err)
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(code)
			_, _ = w.Write(body) // the caller hung up: nobody is left to tell
		}
		s.metrics.observe(rt.name, code, s.now().Sub(start))
	})
}

// open answers until it is over; an error comes before the first byte.
func (s *server) open(w http.ResponseWriter, r *http.Request, rt route) (int, error) {
	if _, err := s.guard(r, rt); err != nil {
		return 0, err
	}
	req, err := rt.parse(w, r)
	if err != nil {
		return 0, err
	}
	if s.cfg.Feed == nil {
		return 0, &problem{status: http.StatusServiceUnavailable, msg: "this ruler has no stream", hint: "ask for the lists"}
	}
	after, resumes, err := lastEvent(r, req)
	if err != nil {
		return 0, err
	}
	c := &client{events: make(chan message, streamBuffer)}
	for _, kind := range req.list("events") {
		if c.wants == nil {
			c.wants = map[string]bool{}
		}
		c.wants[kind] = true
	}
	last, err := s.hub.join(r.Context(), c)
	if err != nil {
		return 0, err
	}
	defer s.hub.leave(c)
	o := &outlet{w: w, rc: http.NewResponseController(w)}
	o.begin()
	if !resumes {
		o.send(message{seq: last, kind: "hello", data: []byte("{}")})
	} else if err := s.replay(r.Context(), o, c, after, last); err != nil {
		s.log.Warn("replay changes for the stream", "err", err)
		return http.StatusOK, nil // the browser comes back
	}
	s.pump(r, rt, c, o)
	return http.StatusOK, nil
}

// lastEvent is the number of the last event that the client had.
func lastEvent(r *http.Request, req *request) (int64, bool, error) {
	text := r.Header.Get("Last-Event-ID")
	if text == "" {
		text = req.text("after")
	}
	if text == "" {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, false, badRequest("the id of an event", "after: %.80q does not fit", text)
	}
	return n, true, nil
}

// replay sends what the client missed.
func (s *server) replay(ctx context.Context, o *outlet, c *client, after, last int64) error {
	for after != last && o.err == nil {
		list, next, err := s.messages(ctx, after)
		if err != nil {
			return err
		}
		for _, m := range list {
			if c.wants == nil || c.wants[m.kind] || m.kind == "reset" {
				o.send(m)
			}
		}
		if next >= last || next == after || len(list) > 0 && list[0].kind == "reset" {
			break
		}
		after = next
	}
	return nil
}

// pump sends what comes until it is over.
func (s *server) pump(r *http.Request, rt route, c *client, o *outlet) {
	alive := time.NewTicker(streamAlive)
	defer alive.Stop()
	for o.err == nil {
		select {
		case <-r.Context().Done():
			return
		case <-s.cfg.Stop:
			return
		case m, ok := <-c.events:
			if !ok {
				return // too slow
			}
			o.send(m)
		case <-alive.C:
			if _, err := s.guard(r, rt); err != nil {
				return // his token was revoked
			}
			o.write(": alive\n\n")
		}
	}
}

// outlet writes events, each within its own time: the server's time for an
// answer is none for a stream.
type outlet struct {
	w      http.ResponseWriter
	rc     *http.ResponseController
	within time.Duration // of one write; 0 = streamDeadline
	err    error
}

func (o *outlet) begin() {
	h := o.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // nginx
	// The time to read the request must not end the connection.
	if err := o.rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		o.err = err
	}
	o.w.WriteHeader(http.StatusOK)
}

func (o *outlet) send(m message) {
	o.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", m.seq, m.kind, m.data))
}

func (o *outlet) write(text string) {
	if o.err != nil {
		return
	}
	if err := o.rc.SetWriteDeadline(time.Now().Add(cmp.Or(o.within, streamDeadline))); err != nil && !errors.Is(err, http.ErrNotSupported) {
		o.err = err
		return
	}
	if _, o.err = o.w.Write([]byte(text)); o.err == nil {
		o.err = o.rc.Flush()
	}
	// HTTP/2 ends the stream at its deadline, though nothing is being written.
	_ = o.rc.SetWriteDeadline(time.Time{})
}
