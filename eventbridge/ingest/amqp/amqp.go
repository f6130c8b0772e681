// Package amqp takes frames from RabbitMQ: one queue per category, each message
// acknowledged only when the stream has its frame on disk, so that the broker
// keeps what a bridge could not store.
//
// A frame is judged as over HTTP (record.CheckFrame), and must be signed: its
// HMAC, made with the key of a credential that is in force, says which server
// it speaks for. The broker's own users prove nothing. What will never be taken
// goes to the queue of dead letters with its reason, is counted, and holds
// nobody up. Redelivery is nothing special: the ledgers know a frame that they
// have seen.
//
// The messages of the old agent (package compat) are not signed. They can only
// make records about servers of their own in the register, which are marked as
// identified by the broker, and are refused once a server of that name is
// enrolled.
//
// A broker that is down is looked for again and again; everything else of the
// bridge goes on. To test: go test ./eventbridge/ingest/amqp (a real RabbitMQ).
package amqp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	rabbitmq "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/registry"
	"nocturne/internal/rabbit"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// Gatherer puts frames into the stream; *ingest.Gatherer is one.
type Gatherer interface {
	Submit(ctx context.Context, partition int, frames []ingest.Frame) ([]ingest.Outcome, error)
	Accepted(frames uint64)
}

// Options are what New needs.
type Options struct {
	Config   Config
	BridgeID string
	Registry *registry.Registry
	Gatherer Gatherer
	Metrics  *Metrics
	Log      *slog.Logger
	Now      func() time.Time // nil: time.Now
}

// Ingest reads from one broker.
type Ingest struct {
	Options
	topology rabbit.Topology
	standIn  *ingest.StandIn
}

// New returns an Ingest; Run starts it.
func New(o Options) *Ingest {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Ingest{Options: o, topology: o.Config.topology(), standIn: ingest.NewStandIn(o.BridgeID, "amqp", o.Now())}
}

// Waits after a failure, of the broker and of the stream.
const (
	dialTime   = 30 * time.Second
	minWait    = 500 * time.Millisecond
	maxWait    = 30 * time.Second
	streamWait = time.Second
)

// Run reads until ctx ends.
func (in *Ingest) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	var frames []queue
	for _, c := range record.Categories() {
		declare := func(_ *rabbit.Conn, ch *rabbitmq.Channel) error { return in.topology.DeclareQueue(ch, c) }
		frames = append(frames, queue{name: in.topology.Queue(c), declare: declare, take: in.takeFrames})
	}
	wg.Go(func() { in.keep(ctx, inputFrames, frames) })
	if len(in.Config.Compat.Queues) > 0 {
		var old []queue
		for name, kind := range in.Config.Compat.Queues {
			old = append(old, queue{name: name, declare: declareOld(name), take: in.takeCompat(kind)})
		}
		wg.Go(func() { in.keep(ctx, inputCompat, old) })
	}
	wg.Wait()
	return nil
}

// queue is one that is read, and what is done with its messages. take returns
// when all are settled and acknowledged; on an error the broker sends again those
// that are not.
type queue struct {
	name    string
	declare func(*rabbit.Conn, *rabbitmq.Channel) error
	take    func(ctx context.Context, s *session, batch []rabbitmq.Delivery) error
}

// keep holds a session with the broker, again and again.
func (in *Ingest) keep(ctx context.Context, input string, queues []queue) {
	log := in.Log.With("input", input)
	wait := time.Duration(0)
	for ctx.Err() == nil {
		began := time.Now()
		err := in.session(ctx, input, queues)
		if ctx.Err() != nil {
			in.Metrics.up[input].Set(0)
			return
		}
		in.Metrics.gone(input, in.Now(), err)
		in.Metrics.failures[input].Inc()
		if time.Since(began) > maxWait {
			wait = 0
		}
		switch first := wait == 0; {
		case rabbit.NeedsPerson(err):
			log.Error("broker refuses; its messages wait there", "err", err)
		case first:
			log.Warn("broker is not there; its messages wait there", "err", err)
		default:
			log.Debug("broker is still not there", "err", err)
		}
		wait = min(max(2*wait, minWait), maxWait)
		sleep(ctx, wait/2+rand.N(wait/2+1))
	}
}

// session is one connection to the broker.
type session struct {
	input string
	conn  *rabbit.Conn
	mu    sync.Mutex // of dead
	dead  *rabbitmq.Channel
	lost  chan rabbitmq.Return // dead letters that no queue takes; size 1
}

// session reads the queues until the connection or ctx ends.
func (in *Ingest) session(ctx context.Context, input string, queues []queue) error {
	dialing, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := rabbit.Dial(dialing, in.Config.Endpoint())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // it has ended, or is of no use
	s := &session{input: input, conn: conn}
	done := conn.EndWith(dialing)
	if err := in.prepare(s); err != nil {
		return err
	}
	if !done() {
		return context.Cause(dialing)
	}
	in.Metrics.sessions[input].Inc()
	in.Metrics.there(input)
	in.Log.Info("broker is there", "input", input, "queues", len(queues))
	g, gctx := errgroup.WithContext(ctx)
	stop := context.AfterFunc(gctx, func() { _ = conn.Close() }) // whoever waits for the broker's answer gets an error
	defer stop()
	for _, q := range queues {
		g.Go(func() error { return in.hold(gctx, s, q) })
	}
	return g.Wait()
}

// queueError is trouble with one queue; the connection is well.
type queueError struct{ error }

func (e queueError) Unwrap() error { return e.error }

// hold reads one queue, again and again: one that is missing, or not as it
// should be, holds up no other.
func (in *Ingest) hold(ctx context.Context, s *session, q queue) error {
	log := in.Log.With("input", s.input, "queue", q.name)
	for wait := minWait; ; wait = min(2*wait, maxWait) {
		began := time.Now()
		err := in.serve(ctx, s, q)
		if ctx.Err() != nil || s.conn.IsClosed() || !errors.As(err, new(queueError)) {
			return err
		}
		if time.Since(began) > maxWait {
			wait = minWait
		}
		in.Metrics.queueFailures[s.input].Inc()
		if in.Metrics.queueGone(s.input, q.name, in.Now(), err) {
			log.Error("queue cannot be read; its messages wait there", "err", err)
		}
		sleep(ctx, wait/2+rand.N(wait/2+1))
	}
}

// prepare opens the channel of dead letters.
func (in *Ingest) prepare(s *session) error {
	var err error
	if s.dead, err = s.conn.Channel(); err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if in.Config.Declare {
		if err := in.topology.DeclareExchange(s.dead); err != nil {
			return err
		}
	}
	s.lost = s.dead.NotifyReturn(make(chan rabbitmq.Return, 1))
	return s.dead.Confirm(false)
}

// reader is a queue that is being read.
type reader struct {
	queue
	deliveries <-chan rabbitmq.Delivery
	closed     chan *rabbitmq.Error // why the channel ended; size 1
}

// serve reads one queue. It has a channel of its own: a broker may not answer
// about a queue that has no leader, while the others work.
func (in *Ingest) serve(ctx context.Context, s *session, q queue) error {
	ch, err := s.conn.Channel()
	if err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	defer func() { _ = ch.Close() }() // it has ended, or is of no use
	if in.Config.Declare {
		if err := q.declare(s.conn, ch); err != nil {
			return queueError{err}
		}
	}
	if err := ch.Qos(in.Config.Prefetch, 0, false); err != nil {
		return queueError{fmt.Errorf("set prefetch: %w", err)}
	}
	r := reader{queue: q, closed: ch.NotifyClose(make(chan *rabbitmq.Error, 1))}
	if r.deliveries, err = ch.Consume(q.name, "", false, false, false, false, nil); err != nil {
		return queueError{fmt.Errorf("read queue %s: %w", q.name, err)}
	}
	in.Metrics.queues[s.input].Inc()
	defer in.Metrics.queues[s.input].Dec()
	in.Metrics.queueThere(s.input, q.name)
	return in.read(ctx, s, &r)
}

// declareOld makes sure of a queue of the old agent, as that declares it; one
// that is there is taken as it is. Asking closes the channel if it is not, so
// that is done on another one.
func declareOld(name string) func(*rabbit.Conn, *rabbitmq.Channel) error {
	return func(conn *rabbit.Conn, ch *rabbitmq.Channel) error {
		ask, err := conn.Channel()
		if err != nil {
			return fmt.Errorf("open channel: %w", err)
		}
		_, err = ask.QueueDeclarePassive(name, true, false, false, false, nil)
		if err == nil {
			return ask.Close()
		}
		if e := (*rabbitmq.Error)(nil); errors.As(err, &e) && e.Code == rabbitmq.NotFound {
			_, err = ch.QueueDeclare(name, true, false, false, false, nil)
		}
		if err != nil {
			return fmt.Errorf("make sure of queue %s: %w", name, err)
		}
		return nil
	}
}

// maxBatchBytes bounds what is handed to the stream at once; a message that is
// larger goes alone.
const maxBatchBytes = 1 << 20

// read takes what has arrived, in batches, each when the one before is settled.
func (in *Ingest) read(ctx context.Context, s *session, r *reader) error {
	var next *rabbitmq.Delivery
	for {
		if next == nil {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case d, ok := <-r.deliveries:
				if !ok {
					return queueError{r.ended()}
				}
				next = &d
			}
		}
		var batch []rabbitmq.Delivery
		batch, next = gather(*next, r.deliveries, in.Config.Prefetch)
		in.count(s.input, batch)
		if err := r.take(ctx, s, batch); err != nil {
			return fmt.Errorf("queue %s: %w", r.name, err)
		}
	}
}

// gather adds what waits already; next is the delivery that did not fit.
func gather(first rabbitmq.Delivery, deliveries <-chan rabbitmq.Delivery, most int) (batch []rabbitmq.Delivery, next *rabbitmq.Delivery) {
	batch = append(batch, first)
	size := len(first.Body)
	for len(batch) < most {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return batch, nil
			}
			if size += len(d.Body); size > maxBatchBytes {
				return batch, &d
			}
			batch = append(batch, d)
		default:
			return batch, nil
		}
	}
	return batch, nil
}

func (in *Ingest) count(input string, batch []rabbitmq.Delivery) {
	in.Metrics.messages[input].Add(float64(len(batch)))
	for i := range batch {
		in.Metrics.bytes.Add(float64(len(batch[i].Body)))
		if batch[i].Redelivered {
			in.Metrics.redelivered[input].Inc()
		}
	}
}

// ended says why a queue cannot be read any more.
func (r *reader) ended() error {
	select {
	case err := <-r.closed: // told before the deliveries end
		if err != nil {
			return fmt.Errorf("read queue %s: %w", r.name, err)
		}
	default:
	}
	return fmt.Errorf("read queue %s: the broker cancelled it (deleted?), or the connection ended", r.name)
}

// store puts frames into the stream and returns when all are there, however
// long that takes; only the end of ctx makes it give up.
func (in *Ingest) store(ctx context.Context, frames []subjectFrame) error {
	var parts [stream.Partitions][]ingest.Frame
	for i := range frames {
		p := stream.Partition(frames[i].subject)
		parts[p] = append(parts[p], frames[i].Frame)
	}
	g, ctx := errgroup.WithContext(ctx)
	for p, list := range parts {
		if len(list) > 0 {
			g.Go(func() error { return in.submit(ctx, p, list) })
		}
	}
	return g.Wait()
}

func (in *Ingest) submit(ctx context.Context, partition int, frames []ingest.Frame) error {
	for {
		out, err := in.Gatherer.Submit(ctx, partition, frames)
		n := 0
		for n < len(out) && out[n].Stored {
			n++
		}
		in.Gatherer.Accepted(uint64(n))
		if frames = frames[n:]; err == nil && len(frames) == 0 {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("store %d frames: %w", len(frames), context.Cause(ctx))
		}
		sleep(ctx, streamWait) // the gatherer has said why
	}
}

// subjectFrame is a frame and whom it is about.
type subjectFrame struct {
	ingest.Frame
	subject record.ID
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
