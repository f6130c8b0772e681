// Package amqp sends frames to RabbitMQ: one signed frame a message, persistent,
// to the queue of its category. A frame counts as stored after the broker's
// confirm, which means that its queue has it on disk; a message that no queue
// takes, or that a full queue refuses, does not.
//
// The signature (HMAC-SHA256, key from the enrolment's credential) is what the
// eventbridge goes by: whoever may write to the broker cannot speak for another
// server. A broker's confirm names no place in the stream, so that a bridge
// that lost its volume cannot ask for anything again: rewind is not promised.
//
// One connection is kept, with heartbeats; after an error the driver's next
// session makes another one. Frames whose confirm did not come are sent again
// then, and the ledgers know those that came twice.
//
// An Output belongs to one driver. To test: go test ./exporter/output/amqp (a
// real RabbitMQ).
package amqp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	rabbitmq "github.com/rabbitmq/amqp091-go"

	"nocturne/exporter/output"
	"nocturne/exporter/spool"
	"nocturne/internal/rabbit"
	"nocturne/internal/record"
)

// Config is what an output of type amqp needs beside what all have.
type Config struct {
	// Exchange is also the first part of the queues' names.
	Exchange string `yaml:"exchange"`
	// Declare makes exchange and queues where they are missing. Without it they
	// must be there, and the user needs no right to configure.
	Declare bool `yaml:"declare"`
	// Heartbeat is how long a connection may be silent.
	Heartbeat time.Duration `yaml:"heartbeat"`
}

// DefaultConfig suits a broker that the eventbridge's configuration names too.
func DefaultConfig() Config {
	return Config{Exchange: rabbit.DefaultExchange, Declare: true, Heartbeat: 10 * time.Second}
}

// Validate says what to write instead.
func (c Config) Validate() error {
	if c.Heartbeat < time.Second || c.Heartbeat > 5*time.Minute {
		return fmt.Errorf("heartbeat %s: write a time from 1s to 5m", c.Heartbeat)
	}
	return rabbit.Topology{Exchange: c.Exchange}.Validate()
}

// Options are what New needs.
type Options struct {
	Config   Config
	Endpoint rabbit.Endpoint
	KeyID    string // record.KeyID of Key
	Key      []byte
	Now      func() time.Time // nil = time.Now
}

// Output is an output.Output to RabbitMQ.
type Output struct {
	o        Options
	topology rabbit.Topology

	conn       *rabbit.Conn // nil = none
	ch         *rabbitmq.Channel
	returns    chan rabbitmq.Return // messages that no queue takes
	closed     chan *rabbitmq.Error // why the channel ended; size 1
	sent       uint64               // names messages of this connection
	declare    bool                 // at the next connection
	redeclared bool                 // because a message found no queue; false after one did
}

// maxBatch is more than a driver sends at once: the client hands returned
// messages over before the confirm of each, and must not wait for us.
const maxBatch = 1024

// New returns an output that connects at its first Hello.
func New(o Options) *Output {
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Endpoint.Heartbeat = o.Config.Heartbeat
	return &Output{o: o, topology: rabbit.Topology{Exchange: o.Config.Exchange}, declare: o.Config.Declare}
}

// Hello implements output.Output: it makes sure of connection and topology.
// There is nothing to rewind.
func (o *Output) Hello(ctx context.Context, _ []byte) (output.Greeting, error) {
	if err := o.connect(ctx); err != nil {
		return output.Greeting{}, o.failed(err)
	}
	return output.Greeting{}, nil
}

// connect makes connection and channel unless they are there.
func (o *Output) connect(ctx context.Context) error {
	if o.conn != nil && !o.conn.IsClosed() && !o.ch.IsClosed() {
		return nil
	}
	o.drop()
	conn, err := rabbit.Dial(ctx, o.o.Endpoint)
	if err != nil {
		return err
	}
	o.conn = conn
	done := conn.EndWith(ctx)
	defer done()
	if o.ch, err = conn.Channel(); err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	if o.declare {
		// Once: a fleet that comes back together must not ask a broker for ten
		// queues each, and one queue without a leader must not hold up others.
		err := o.topology.Declare(o.ch)
		o.declare = rabbit.NeedsPerson(err)
		if err != nil {
			return err
		}
	}
	if err := o.ch.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirms: %w", err)
	}
	o.returns = o.ch.NotifyReturn(make(chan rabbitmq.Return, maxBatch))
	o.closed = o.ch.NotifyClose(make(chan *rabbitmq.Error, 1))
	return nil
}

// Send implements output.Output.
func (o *Output) Send(ctx context.Context, frames []spool.Frame) (output.Answer, error) {
	if err := ctx.Err(); err != nil {
		return output.Answer{}, err
	}
	if err := o.connect(ctx); err != nil {
		return output.Answer{}, o.failed(err)
	}
	if o.conn.Blocked() {
		return output.Answer{}, &output.Failure{Kind: output.Busy, Err: errors.New("the broker takes no messages: its memory or disk is short")}
	}
	frames = frames[:min(len(frames), maxBatch)]
	done := o.conn.EndWith(ctx)
	defer done()
	waiting := make([]*message, 0, len(frames))
	for i := range frames {
		m, err := o.publish(ctx, &frames[i])
		var r *record.RejectError
		if errors.As(err, &r) {
			if i == 0 { // cannot be said at all: skip it
				return output.Answer{Verdicts: []spool.Verdict{spool.Refused}, Reasons: []string{err.Error()}}, nil
			}
			break // it is the first one of the next batch
		}
		if err != nil {
			break // the confirms that came before are worth something
		}
		waiting = append(waiting, m)
	}
	return o.answers(ctx, waiting)
}

// message is a published frame that waits for its confirm.
type message struct {
	id       string
	category record.Category
	confirm  *rabbitmq.DeferredConfirmation
}

func (o *Output) publish(ctx context.Context, f *spool.Frame) (*message, error) {
	now := o.o.Now()
	body, err := f.Encode()
	if err == nil {
		err = record.Stamp(body, now.UnixNano())
	}
	if err == nil {
		body, err = record.Sign(body, o.o.KeyID, o.o.Key)
	}
	if err != nil {
		return nil, err
	}
	o.sent++
	m := &message{id: strconv.FormatUint(o.sent, 10), category: f.Header.Category}
	m.confirm, err = o.ch.PublishWithDeferredConfirmWithContext(ctx, o.topology.Exchange, f.Header.Category.String(), true, false, rabbitmq.Publishing{
		ContentType: rabbit.ContentType, DeliveryMode: rabbitmq.Persistent, MessageId: m.id, Timestamp: now, Body: body,
	})
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return m, nil
}

// answers waits for the confirms and makes verdicts of them, up to the first
// frame that was not stored.
func (o *Output) answers(ctx context.Context, waiting []*message) (output.Answer, error) {
	var a output.Answer
	acked := make([]bool, len(waiting))
	for i, m := range waiting {
		var err error
		if acked[i], err = m.confirm.WaitContext(ctx); err != nil {
			break
		}
	}
	returned := o.returned()
	for i, m := range waiting {
		why, unroutable := returned[m.id]
		if acked[i] && !unroutable {
			o.redeclared = false
			a.Verdicts = append(a.Verdicts, spool.Stored)
			continue
		}
		if len(a.Verdicts) > 0 {
			return a, nil // the rest comes again, and tells then
		}
		switch {
		case unroutable:
			if o.o.Config.Declare && !o.redeclared {
				o.declare, o.redeclared = true, true
				return a, o.failed(fmt.Errorf("exchange %s lost its queue for category %s: declaring it again", o.topology.Exchange, m.category))
			}
			return a, &output.Failure{Kind: output.Denied, Err: fmt.Errorf("exchange %s has no queue for category %s (%s): bind %s to it, or set declare: true",
				o.topology.Exchange, m.category, why, o.topology.Queue(m.category))}
		case ctx.Err() == nil && !o.conn.IsClosed() && !o.ch.IsClosed():
			return a, &output.Failure{Kind: output.Busy, Err: fmt.Errorf("queue %s refused the frame: it is full", o.topology.Queue(m.category))}
		}
	}
	if len(a.Verdicts) == 0 {
		return a, o.failed(o.ended(ctx))
	}
	return a, nil
}

// returned collects the messages that came back, which the client had handed
// over before it told their confirms.
func (o *Output) returned() map[string]string {
	var out map[string]string
	for {
		select {
		case r, ok := <-o.returns:
			if !ok {
				return out
			}
			if out == nil {
				out = map[string]string{}
			}
			out[r.MessageId] = r.ReplyText
		default:
			return out
		}
	}
}

// ended says why there is no answer.
func (o *Output) ended(ctx context.Context) error {
	if ctx.Err() != nil { // which closed the connection, too
		return fmt.Errorf("no confirm from the broker: %w", ctx.Err())
	}
	select {
	case err := <-o.closed:
		if err != nil {
			o.declare = o.o.Config.Declare && err.Code == rabbitmq.NotFound
			return fmt.Errorf("the broker ended the channel: %w", err)
		}
	default:
	}
	return errors.New("the connection ended before the broker confirmed")
}

// failed lets go of the connection and says how to go on.
func (o *Output) failed(err error) error {
	o.drop()
	kind := output.Unreachable
	if rabbit.NeedsPerson(err) {
		kind = output.Denied
	}
	return &output.Failure{Kind: kind, Err: err}
}

func (o *Output) drop() {
	if o.conn == nil {
		return
	}
	_ = o.conn.Close() // it is of no use any more
	o.conn, o.ch = nil, nil
}

// Close implements output.Output.
func (o *Output) Close() error {
	if o.conn == nil {
		return nil
	}
	err := o.conn.Close()
	o.conn, o.ch = nil, nil
	return err
}
