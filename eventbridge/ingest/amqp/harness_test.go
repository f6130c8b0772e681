package amqp

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	rabbitmq "github.com/rabbitmq/amqp091-go"

	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/ingest/compat"
	"nocturne/eventbridge/registry"
	"nocturne/internal/rabbit"
	"nocturne/internal/rabbittest"
	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
)

// bridge is what stands behind an Ingest: a real stream and a real register.
type bridge struct {
	t        testing.TB
	broker   *rabbittest.Broker
	log      stream.Log
	conn     *stream.Conn
	kv       jetstream.KeyValue
	registry *registry.Registry
	gatherer *ingest.Gatherer
	edge     *ingest.Metrics
	token    string
}

func newBridge(t testing.TB, broker *rabbittest.Broker) *bridge {
	t.Helper()
	_, conn := streamtest.Server(t)
	b := &bridge{t: t, broker: broker, log: conn, conn: conn, edge: ingest.NewMetrics()}
	quiet := slog.New(slog.DiscardHandler)
	b.gatherer = ingest.NewGatherer(ingest.GathererConfig{Bridge: "b1", QueueBytes: 16 << 20, QueueWait: 10 * time.Second, AppendTimeout: 30 * time.Second, TickPeriod: time.Hour},
		conn, func() bool { return true }, b.edge, quiet)
	b.run(b.gatherer.Run)
	kv, err := conn.JetStream().CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: registry.Bucket, History: 1})
	if err != nil {
		t.Fatal(err)
	}
	b.kv = kv
	b.registry = b.openRegistry("b1")
	if b.token, _, err = b.registry.CreateToken(t.Context(), registry.TokenRequest{Uses: 1000}); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bridge) openRegistry(id string) *registry.Registry {
	b.t.Helper()
	r, err := registry.Open(b.t.Context(), registry.Options{Config: registry.DefaultConfig(), BridgeID: id, KV: b.kv, Append: b.gatherer, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// run runs something until the test ends, or until what it returns is called.
func (b *bridge) run(fn func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.t.Context()))
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(stop)
	return stop
}

// ingest makes an Ingest.
func (b *bridge) ingest(exchange string, change func(*Config)) *Ingest {
	b.t.Helper()
	cfg := DefaultConfig()
	e := b.broker.Endpoint()
	cfg.URL, cfg.CredentialFile, cfg.Exchange = e.URL, e.CredentialFile, exchange
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		b.t.Fatal(err)
	}
	return New(Options{Config: cfg, BridgeID: "b1", Registry: b.registry, Gatherer: b.gatherer, Metrics: NewMetrics(), Log: slog.New(slog.NewTextHandler(b.t.Output(), nil))})
}

// start starts an Ingest.
func (b *bridge) start(exchange string, change func(*Config)) (in *Ingest, stop func()) {
	b.t.Helper()
	in = b.ingest(exchange, change)
	return in, b.run(in.Run)
}

// server is an enrolled server that speaks over the broker.
type server struct {
	id    record.ID
	keyID string
	key   []byte
	seq   map[record.Category]uint64
}

func (b *bridge) enrol(name string) *server {
	b.t.Helper()
	a, err := b.registry.Enrol(b.t.Context(), "192.0.2.1:1", registry.EnrolRequest{Token: b.token, Name: name})
	if err != nil {
		b.t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(a.Credential[strings.LastIndexByte(a.Credential, '.')+1:]))
	return &server{id: a.ServerID, keyID: record.KeyID(a.ServerID, sum[:]), key: sum[:], seq: map[record.Category]uint64{}}
}

// frame makes a frame of n records, not signed.
func (s *server) frame(t testing.TB, c record.Category, n int) []byte {
	t.Helper()
	recs := make([]record.Record, n)
	for i := range recs {
		recs[i] = record.Record{Time: time.Now(), Name: record.NameWindowsEvent, Body: "an event"}
	}
	b, err := record.EncodeData(record.Header{Producer: record.ExporterProducer(s.id), Subject: s.id, Category: c,
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 2}}, First: s.seq[c] + 1, Sent: time.Now().UnixNano()}, recs)
	if err != nil {
		t.Fatal(err)
	}
	s.seq[c] += uint64(n)
	return b
}

func (s *server) signed(t testing.TB, c record.Category, n int) []byte {
	t.Helper()
	b, err := record.Sign(s.frame(t, c, n), s.keyID, s.key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// on does something on a connection of its own.
func (b *bridge) on(fn func(*rabbitmq.Channel) error) {
	b.t.Helper()
	c, err := rabbit.Dial(b.t.Context(), b.broker.Endpoint())
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	ch, err := c.Channel()
	if err == nil {
		err = fn(ch)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// publish puts bodies into a queue, all confirmed.
func (b *bridge) publish(queue string, bodies ...[]byte) {
	b.t.Helper()
	b.on(func(ch *rabbitmq.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		for _, body := range bodies {
			d, err := ch.PublishWithDeferredConfirm("", queue, true, false, rabbitmq.Publishing{DeliveryMode: rabbitmq.Persistent, Body: body})
			if err != nil {
				return err
			}
			if !d.Wait() {
				b.t.Error("the broker does not confirm")
			}
		}
		return nil
	})
}

// dead empties the queue of dead letters and returns their reasons.
func (b *bridge) dead(t rabbit.Topology) (reasons []string) {
	b.t.Helper()
	b.on(func(ch *rabbitmq.Channel) error {
		for {
			d, ok, err := ch.Get(t.Dead(), true)
			if err != nil || !ok {
				return err
			}
			reason, _ := d.Headers[headerReason].(string)
			reasons = append(reasons, reason)
		}
	})
	return reasons
}

// frames returns what the stream holds about a server.
func (b *bridge) frames(id record.ID) (out []record.Frame) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 10*time.Second)
	defer cancel()
	part := stream.Partition(id)
	head, err := b.log.Head(ctx, part)
	if err != nil {
		b.t.Fatal(err)
	}
	if head.Entry == 0 {
		return nil
	}
	enough := errors.New("read up to the head")
	err = b.log.Read(ctx, part, stream.Position{}, func(m stream.Message) error {
		e, err := stream.DecodeEntry(m.Data)
		if err != nil {
			return err
		}
		for i := range e.Frames {
			f, err := record.DecodeFrame(e.Frames[i].Frame)
			if err != nil {
				return err
			}
			if f.Subject == id && f.Category != record.Agent {
				out = append(out, f)
			}
		}
		if m.Position.Entry >= head.Entry {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		b.t.Fatal(err)
	}
	return out
}

// ledger runs a ledger over what the stream holds about a server.
func (b *bridge) ledger(id record.ID) record.Totals {
	b.t.Helper()
	l := record.NewLedger()
	for _, f := range b.frames(id) {
		l.Observe(&f.Header)
	}
	return l.Totals()
}

// eventually waits until something holds.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.After(60 * time.Second)
	look := time.NewTicker(100 * time.Millisecond)
	defer look.Stop()
	for !ok() {
		select {
		case <-look.C:
		case <-limit:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

type compatKind = compat.Kind

func value(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var v dto.Metric
	if err := m.Write(&v); err != nil {
		t.Fatal(err)
	}
	return v.GetCounter().GetValue() + v.GetGauge().GetValue()
}

// depth is how many messages wait in a queue.
func (b *bridge) depth(name string) (n int) {
	b.on(func(ch *rabbitmq.Channel) error {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		n = q.Messages
		return err
	})
	return n
}

// publishWhenThere makes the queue as the old agent does, if need be.
func (b *bridge) publishWhenThere(queue string, body []byte) {
	b.on(func(ch *rabbitmq.Channel) error {
		_, err := ch.QueueDeclare(queue, true, false, false, false, nil)
		return err
	})
	b.publish(queue, body)
}
