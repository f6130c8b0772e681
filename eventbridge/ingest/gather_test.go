package ingest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
)

// gate is a log whose appends wait for the test.
type gate struct {
	stream.Log
	began   chan stream.Entry
	release chan error // one value per append; nil lets it pass
}

func newGate(l stream.Log) *gate {
	return &gate{Log: l, began: make(chan stream.Entry), release: make(chan error)}
}

func (g *gate) Append(ctx context.Context, p int, b []byte) (stream.Position, error) {
	e, err := stream.DecodeEntry(b)
	if err != nil {
		return stream.Position{}, err
	}
	e.Frames = append([]stream.EntryFrame(nil), e.Frames...)
	g.began <- e
	if err := <-g.release; err != nil {
		return stream.Position{}, err
	}
	return g.Log.Append(ctx, p, b)
}

// pass lets the next append begin and end, and returns what it was.
func (g *gate) pass(err error) stream.Entry {
	e := <-g.began
	g.release <- err
	return e
}

func gatherer(t *testing.T, l stream.Log, cfg GathererConfig) (*Gatherer, *Metrics) {
	t.Helper()
	m := NewMetrics()
	cfg.Bridge = "b1"
	if cfg.QueueBytes == 0 {
		cfg.QueueBytes = 16 << 20
	}
	if cfg.QueueWait == 0 {
		cfg.QueueWait = time.Second
	}
	if cfg.TickPeriod == 0 {
		cfg.TickPeriod = time.Hour
	}
	cfg.AppendTimeout = 10 * time.Second
	g := NewGatherer(cfg, l, func() bool { return true }, m, slog.New(slog.DiscardHandler))
	return g, m
}

func some(n, size int) []Frame {
	out := make([]Frame, n)
	for i := range out {
		out[i] = Frame{Bytes: make([]byte, size), Records: 10, Received: int64(i)}
	}
	return out
}

type submitted struct {
	out []Outcome
	err error
}

// submit hands frames over and returns at once.
func submit(t *testing.T, g *Gatherer, frames []Frame) chan submitted {
	t.Helper()
	done := make(chan submitted, 1)
	go func() {
		out, err := g.Submit(t.Context(), 0, frames)
		done <- submitted{out, err}
	}()
	return done
}

// waiting waits until so many records are in the append stage, and so many bytes
// in its queues: a record counts before it is queued.
func waiting(t *testing.T, m *Metrics, n int64, bytes float64) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for m.Append.Totals().Waiting != n || value(t, m.queued) != bytes {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("append stage %+v, %v bytes queued: want %d waiting, %v bytes", m.Append.Totals(), value(t, m.queued), n, bytes)
		}
	}
}

// What arrives while an append is in flight becomes one entry, and at every
// moment in = out + dropped + waiting.
func TestGathers(t *testing.T) {
	l := newGate(streamtest.New(time.Unix(1, 0)))
	g, m := gatherer(t, l, GathererConfig{})
	run(t, g.Run)
	first := submit(t, g, some(1, 100))
	<-l.began
	var rest []chan submitted
	for range 50 {
		rest = append(rest, submit(t, g, some(2, 100)))
	}
	waiting(t, m, 10+50*2*10, 101*100)
	if n := m.Append.Totals(); n.In != 1010 || n.Out != 0 || !n.Balanced() {
		t.Errorf("while the first append is in flight: %+v", n)
	}
	l.release <- nil
	if s := <-first; s.err != nil || !s.out[0].Stored || s.out[0].Position.Entry != 1 {
		t.Errorf("first: %+v", s)
	}
	if e := l.pass(nil); len(e.Frames) != 100 {
		t.Errorf("the second entry has %d frames, want all 100", len(e.Frames))
	}
	for _, c := range rest {
		if s := <-c; s.err != nil || !s.out[0].Stored || s.out[1].Position.Entry != 2 {
			t.Errorf("gathered: %+v", s)
		}
	}
	if n := m.Append.Totals(); n.In != 1010 || n.Out != 1010 || n.Waiting != 0 || !n.Balanced() {
		t.Errorf("in the end: %+v", n)
	}
}

// A failed append fails the rest of its request, so that order holds, and
// nobody else's.
func TestFailedAppend(t *testing.T) {
	l := newGate(streamtest.New(time.Unix(1, 0)))
	g, m := gatherer(t, l, GathererConfig{})
	run(t, g.Run)
	long := submit(t, g, some(5, 300<<10)) // three entries: 2, 2 and 1 frames
	l.pass(nil)
	<-l.began
	other := submit(t, g, some(1, 100))
	waiting(t, m, 30+10, 5*300<<10+100)
	l.release <- errors.New("disk full")
	if e := l.pass(nil); len(e.Frames) != 1 || len(e.Frames[0].Frame) != 100 {
		t.Errorf("after the failure: %d frames of %d bytes", len(e.Frames), len(e.Frames[0].Frame))
	}
	s := <-long
	if s.err == nil {
		t.Error("no error")
	}
	for i, want := range []bool{true, true, false, false, false} {
		if s.out[i].Stored != want {
			t.Errorf("frame %d: %+v", i, s.out[i])
		}
	}
	if s := <-other; s.err != nil || !s.out[0].Stored {
		t.Errorf("another request: %+v", s)
	}
	if n := m.Append.Totals(); n.In != 60 || n.Out != 30 || n.Dropped[dropBusy] != 30 || !n.Balanced() {
		t.Errorf("stage %+v", n)
	}
}

func TestQueueIsBounded(t *testing.T) {
	l := newGate(streamtest.New(time.Unix(1, 0)))
	g, m := gatherer(t, l, GathererConfig{QueueBytes: 1000, QueueWait: 200 * time.Millisecond})
	run(t, g.Run)
	first := submit(t, g, some(1, 900))
	<-l.began
	if _, err := g.Submit(t.Context(), 0, some(1, 200)); err == nil {
		t.Error("a full queue took more")
	}
	if n := m.Append.Totals(); n.Dropped[dropBusy] != 10 || n.Waiting != 10 || !n.Balanced() {
		t.Errorf("stage %+v", n)
	}
	l.release <- nil
	<-first
	second := submit(t, g, some(1, 200))
	l.pass(nil)
	if s := <-second; s.err != nil {
		t.Errorf("after the queue was emptied: %v", s.err)
	}
}

// A request may be larger than the queue: it goes when the queue is empty.
func TestRequestLargerThanTheQueue(t *testing.T) {
	l := newGate(streamtest.New(time.Unix(1, 0)))
	g, m := gatherer(t, l, GathererConfig{QueueBytes: 1000, QueueWait: 20 * time.Second})
	run(t, g.Run)
	large := submit(t, g, some(3, 500))
	go l.pass(nil)
	if s := <-large; s.err != nil || len(s.out) != 3 || !s.out[2].Stored {
		t.Fatalf("answer %+v", s)
	}
	again := submit(t, g, some(1, 1000))
	l.pass(nil)
	if s := <-again; s.err != nil {
		t.Errorf("afterwards: %v", s.err)
	}
	if n := m.Append.Totals(); n.Waiting != 0 || !n.Balanced() {
		t.Errorf("stage %+v", n)
	}
}

// A bridge that stops stores what it has taken and takes no more.
func TestStopDrains(t *testing.T) {
	mem := streamtest.New(time.Unix(1, 0))
	l := newGate(mem)
	g, m := gatherer(t, l, GathererConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	first := submit(t, g, some(1, 100))
	<-l.began
	second := submit(t, g, some(3, 100))
	waiting(t, m, 40, 4*100)
	cancel()
	l.release <- nil
	l.pass(nil)
	if s := <-first; s.err != nil {
		t.Error(s.err)
	}
	if s := <-second; s.err != nil || !s.out[2].Stored {
		t.Errorf("queued when it stopped: %+v", s)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := g.Submit(t.Context(), 0, some(1, 100)); !errors.Is(err, errStopping) {
		t.Errorf("after the stop: %v", err)
	}
	if head, _ := mem.Head(t.Context(), 0); head.Entry != 2 {
		t.Errorf("head %d", head.Entry)
	}
}

// Ticks reach every partition, tell what was stored since the last one that
// was stored itself, and whether the probe succeeded.
func TestTicks(t *testing.T) {
	mem := streamtest.New(time.Unix(1, 0))
	g, m := gatherer(t, mem, GathererConfig{TickPeriod: 5 * time.Millisecond})
	g.Accepted(7)
	run(t, g.Run)
	for p := range stream.Partitions {
		var accepted uint64
		n := 0
		enough := errors.New("enough")
		err := mem.Read(t.Context(), p, stream.Position{}, func(msg stream.Message) error {
			e, err := stream.DecodeEntry(msg.Data)
			if err != nil {
				return err
			}
			if e.Kind != stream.EntryTick || e.Bridge != "b1" || e.Tick.Period != 5*time.Millisecond || !e.Tick.ProbeOK || e.Tick.Wall == 0 {
				t.Errorf("partition %d: %+v", p, e)
			}
			accepted += e.Tick.Accepted
			if n++; n == 3 {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || accepted != 7 {
			t.Errorf("partition %d: %v, ticks tell of %d frames, want 7", p, err, accepted)
		}
	}
	if n := m.Append.Totals(); n.In != 0 {
		t.Errorf("ticks were counted as records: %+v", n)
	}
}

func TestTickThatFailedIsMadeUpFor(t *testing.T) {
	mem := streamtest.New(time.Unix(1, 0))
	l := newGate(mem)
	g, _ := gatherer(t, l, GathererConfig{})
	p := g.parts[0]
	tick := func(fail error) stream.Tick {
		done := make(chan struct{})
		go func() { defer close(done); g.tick(t.Context(), p) }()
		e := l.pass(fail)
		<-done
		return e.Tick
	}
	g.Accepted(3)
	if n := tick(errors.New("no stream")).Accepted; n != 3 {
		t.Errorf("first tick tells of %d", n)
	}
	_, since := g.Failing()
	if since.IsZero() {
		t.Error("the partition does not count as failing")
	}
	tick(errors.New("no stream"))
	if _, again := g.Failing(); !again.Equal(since) {
		t.Errorf("failing since %s, then since %s", since, again)
	}
	g.Accepted(2)
	if n := tick(nil).Accepted; n != 5 {
		t.Errorf("after the failure: %d, want 5", n)
	}
	if n := tick(nil).Accepted; n != 0 {
		t.Errorf("and then: %d, want 0", n)
	}
	if p, since := g.Failing(); !since.IsZero() {
		t.Errorf("partition %d still counts as failing", p)
	}
}

// A stream that does not store is answered with 503 and a time to come back.
func TestBusy(t *testing.T) {
	var l *gate
	e := newEdge(t, edgeOptions{log: func(inner stream.Log) stream.Log { l = newGate(inner); return l }})
	var s *server
	enrolled := make(chan struct{})
	go func() { defer close(enrolled); s = e.enrol("db7") }()
	l.pass(nil)
	<-enrolled
	type reply struct {
		status int
		header http.Header
		body   []byte
	}
	send := func(body []byte) chan reply {
		c := make(chan reply, 1)
		go func() {
			status, header, b := e.do(request{auth: s.bearer(), body: body})
			c <- reply{status, header, b}
		}()
		return c
	}
	one := send(s.frame(record.Heartbeat, 1, 10))
	l.pass(errors.New("disk full"))
	r := <-one
	if v := decode[map[string]string](t, r.body); r.status != 503 || r.header.Get("Retry-After") == "" || v["reason"] != reasonBusy || v["hint"] == "" {
		t.Errorf("busy: %d %v %s", r.status, r.header, r.body)
	}
	// Some stored, some not: each frame gets its own status.
	var body []byte
	for range 4 {
		body = append(body, s.frame(record.EventLog, 1, 400<<10)...)
	}
	some := send(body)
	first := l.pass(nil)
	l.pass(errors.New("disk full"))
	r = <-some
	results := decode[FramesAnswer](t, r.body).Results
	if r.status != 200 || len(results) != 4 {
		t.Fatalf("partly stored: %d %s", r.status, r.body)
	}
	for i := range results {
		want := StatusBusy
		if i < len(first.Frames) {
			want = StatusStored
		}
		if results[i].Status != want {
			t.Errorf("frame %d: %+v, want %s", i, results[i], want)
		}
	}
	e.balanced()
	if n := e.gatherer.accepted.Load(); n != uint64(len(first.Frames)) {
		t.Errorf("%d frames count as accepted, %d are stored", n, len(first.Frames))
	}
}

func TestProbe(t *testing.T) {
	m := NewMetrics()
	bridge := "b1"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, Health{Status: "ok", Bridge: bridge})
	}))
	p := NewProber("b1", []string{srv.URL}, nil, time.Minute, m, slog.New(slog.DiscardHandler))
	if p.OK() {
		t.Error("good before the first probe")
	}
	p.Probe(t.Context())
	if !p.OK() || p.LastError() != "" {
		t.Errorf("own listener: %s", p.LastError())
	}
	bridge = "b2" // somebody else took the port
	p.Probe(t.Context())
	if p.OK() || p.LastError() == "" {
		t.Error("another bridge's listener passes")
	}
	bridge = "b1"
	p.Probe(t.Context())
	srv.Close()
	if p.Probe(t.Context()); p.OK() {
		t.Error("a closed listener passes")
	}
	// With TLS: only a certificate of our own CA.
	secure := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, Health{Status: "ok", Bridge: "b1"})
	}))
	defer secure.Close()
	strange := NewProber("b1", []string{secure.URL}, nil, time.Minute, m, slog.New(slog.DiscardHandler))
	if strange.Probe(t.Context()); strange.OK() {
		t.Error("a strange certificate passes")
	}
	trusting := NewProber("b1", []string{secure.URL}, secure.Client().Transport.(*http.Transport).TLSClientConfig, time.Minute, m, slog.New(slog.DiscardHandler))
	if trusting.Probe(t.Context()); !trusting.OK() {
		t.Errorf("own certificate: %s", trusting.LastError())
	}
	old := NewProber("b1", []string{secure.URL}, secure.Client().Transport.(*http.Transport).TLSClientConfig, time.Nanosecond, m, slog.New(slog.DiscardHandler))
	if old.Probe(t.Context()); old.OK() {
		t.Error("a probe of long ago counts")
	}
}
