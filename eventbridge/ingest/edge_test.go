package ingest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
)

// edge is a handler on a real listener over a real JetStream.
type edge struct {
	t        testing.TB
	url      string
	metrics  *Metrics
	registry *registry.Registry
	gatherer *Gatherer
	handler  *Handler
	log      stream.Log
	client   *http.Client
	now      time.Time
}

type edgeOptions struct {
	cfg  func(*Config)
	log  func(stream.Log) stream.Log // wraps the stream
	tick time.Duration               // 0 = never
}

func newEdge(t testing.TB, o edgeOptions) *edge {
	t.Helper()
	_, conn := streamtest.Server(t)
	e := &edge{t: t, metrics: NewMetrics(), log: conn, now: time.Unix(1_800_000_000, 0)}
	if o.log != nil {
		e.log = o.log(conn)
	}
	cfg := DefaultConfig()
	cfg.QueueWait, cfg.AppendTimeout = time.Second, 5*time.Second
	if o.cfg != nil {
		o.cfg(&cfg)
	}
	if o.tick == 0 {
		o.tick = time.Hour
	}
	quiet := slog.New(slog.DiscardHandler)
	e.gatherer = NewGatherer(GathererConfig{Bridge: "b1", QueueBytes: cfg.QueueBytes, QueueWait: cfg.QueueWait, AppendTimeout: cfg.AppendTimeout, TickPeriod: o.tick},
		e.log, func() bool { return true }, e.metrics, quiet)
	run(t, e.gatherer.Run)
	kv, err := conn.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: registry.Bucket, History: 1})
	if err != nil {
		t.Fatal(err)
	}
	e.registry, err = registry.Open(t.Context(), registry.Options{Config: registry.DefaultConfig(), BridgeID: "b1", KV: kv, Append: e.gatherer, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	e.handler = New(Options{Config: cfg, BridgeID: "b1", Registry: e.registry, Gatherer: e.gatherer, Stream: e.log, Metrics: e.metrics, Log: quiet, Now: func() time.Time { return e.now }})
	srv := httptest.NewUnstartedServer(e.handler)
	srv.Config = e.handler.Server(e.handler)
	srv.Start()
	t.Cleanup(srv.Close)
	e.url, e.client = srv.URL, srv.Client()
	return e
}

// run runs something until the test ends and then waits for it.
func run(t testing.TB, fn func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// server is an enrolled server that speaks.
type server struct {
	e          *edge
	id         record.ID
	credential string
	epoch      record.Epoch
	seq        map[record.Category]uint64
}

func (e *edge) enrol(name string) *server {
	e.t.Helper()
	text, _, err := e.registry.CreateToken(e.t.Context(), registry.TokenRequest{Labels: registry.Labels{Site: "hq"}})
	if err != nil {
		e.t.Fatal(err)
	}
	a, err := e.registry.Enrol(e.t.Context(), "192.0.2.1:1", registry.EnrolRequest{Token: text, Name: name})
	if err != nil {
		e.t.Fatal(err)
	}
	return &server{e: e, id: a.ServerID, credential: a.Credential, epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 7}}, seq: map[record.Category]uint64{}}
}

// header is of the server's next n records.
func (s *server) header(c record.Category, n int) record.Header {
	h := record.Header{Producer: record.ExporterProducer(s.id), Subject: s.id, Category: c, Epoch: s.epoch, First: s.seq[c] + 1, Sent: s.e.now.UnixNano()}
	s.seq[c] += uint64(n)
	return h
}

// frame makes the server's next frame of n records with bodies of some size.
func (s *server) frame(c record.Category, n, size int) []byte {
	s.e.t.Helper()
	recs := make([]record.Record, n)
	for i := range recs {
		recs[i] = record.Record{Time: s.e.now, Observed: s.e.now, Severity: record.Info, Name: record.NameJournal, Body: noise(size, uint64(i)+s.seq[c])}
	}
	b, err := record.EncodeData(s.header(c, n), recs)
	if err != nil {
		s.e.t.Fatal(err)
	}
	return b
}

// noise is text that packs badly, the same for the same seed.
func noise(n int, seed uint64) string {
	b := make([]byte, n)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = 'A' + byte(seed>>59)
	}
	return string(b)
}

// request is one HTTP request; zero fields get what is right.
type request struct {
	method, path, contentType, encoding, auth string
	body                                      []byte
	reader                                    io.Reader // instead of body: sent in chunks
}

func (e *edge) do(q request) (status int, header http.Header, body []byte) {
	e.t.Helper()
	if q.method == "" {
		q.method = http.MethodPost
	}
	if q.path == "" {
		q.path = endpointFrames
	}
	if q.reader == nil {
		q.reader = bytes.NewReader(q.body)
	}
	req, err := http.NewRequestWithContext(e.t.Context(), q.method, e.url+q.path, q.reader)
	if err != nil {
		e.t.Fatal(err)
	}
	if q.contentType == "" {
		q.contentType = FramesType
	}
	req.Header.Set("Content-Type", q.contentType)
	if q.encoding != "" {
		req.Header.Set("Content-Encoding", q.encoding)
	}
	if q.auth != "" {
		req.Header.Set("Authorization", q.auth)
	}
	resp, err := e.client.Do(req)
	if err != nil {
		e.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, body
}

func (s *server) bearer() string { return "Bearer " + s.credential }

// send sends frames and wants 200.
func (s *server) send(frames ...[]byte) []Result {
	s.e.t.Helper()
	status, _, body := s.e.do(request{auth: s.bearer(), body: bytes.Join(frames, nil)})
	if status != http.StatusOK {
		s.e.t.Fatalf("frames: %d %s", status, body)
	}
	return decode[FramesAnswer](s.e.t, body).Results
}

func decode[T any](t testing.TB, body []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return v
}

// entries returns everything that a partition holds.
func (e *edge) entries(p int) []stream.Entry {
	e.t.Helper()
	head, err := e.log.Head(e.t.Context(), p)
	if err != nil {
		e.t.Fatal(err)
	}
	var out []stream.Entry
	if head.Entry == 0 {
		return nil
	}
	enough := errors.New("enough")
	err = e.log.Read(e.t.Context(), p, stream.Position{}, func(m stream.Message) error {
		entry, err := stream.DecodeEntry(m.Data)
		if err != nil {
			return err
		}
		out = append(out, entry)
		if m.Position.Entry >= head.Entry {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		e.t.Fatal(err)
	}
	return out
}

// frames returns the frames about a server, as they lie in the stream.
func (e *edge) frames(id record.ID) []stream.EntryFrame {
	e.t.Helper()
	var out []stream.EntryFrame
	for _, entry := range e.entries(stream.Partition(id)) {
		for _, f := range entry.Frames {
			h, _, err := record.DecodeHeader(f.Frame)
			if err != nil {
				e.t.Fatal(err)
			}
			if h.Subject == id && h.Category != record.Agent {
				out = append(out, f)
			}
		}
	}
	return out
}

// balanced checks in = out + dropped + waiting at every stage, with nothing
// waiting.
func (e *edge) balanced() {
	e.t.Helper()
	for _, s := range []*Stage{e.metrics.Ingest, e.metrics.OTLP, e.metrics.Append} {
		if n := s.Totals(); !n.Balanced() || n.Waiting != 0 {
			e.t.Errorf("stage %s: %+v", s.Name(), n)
		}
	}
}

// value reads a counter or a gauge.
func value(t testing.TB, c prometheus.Metric) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}
