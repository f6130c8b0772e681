// Package rabbit is what exporter and eventbridge agree on over RabbitMQ: the
// names and kinds of exchange and queues, and how a connection is made.
//
// There is one durable direct exchange, one durable quorum queue per category
// with the category's name as its routing key, and one queue of dead letters.
// A message is one signed frame (package record), persistent. Quorum queues,
// because a confirm then means that a majority of the brokers has synced the
// message to disk, because classic queues are no longer replicated since
// RabbitMQ 4, and because a full quorum queue can refuse a message instead of
// dropping its oldest one: the exporter keeps what was refused.
//
// Everything but a Conn is safe for concurrent use. To test:
// go test ./internal/rabbit, with a real broker: go test ./exporter/output/amqp.
package rabbit

import (
	"errors"
	"fmt"
	"regexp"

	amqp "github.com/rabbitmq/amqp091-go"

	"nocturne/internal/record"
)

const (
	// DefaultExchange is the exchange's name, and the first part of its queues' names.
	DefaultExchange = "nocturne"
	// ContentType of a message with one frame.
	ContentType = "application/x-nocturne-frame"
)

// maxReturns is how often a message may come back to its queue before the
// broker takes it for poison. A bridge never hands one back while it lives, so
// this counts bridges that died holding it; RabbitMQ 4 would give up after 20.
const maxReturns = 1_000_000

// maxDead bounds the queue of dead letters in bytes; the oldest go first. A
// producer that sends nothing else must not fill the broker's disk.
const maxDead = 1 << 30

// Topology names exchange and queues.
type Topology struct{ Exchange string }

// Queue is where a category's frames wait.
func (t Topology) Queue(c record.Category) string { return t.Exchange + "." + c.String() }

// Dead is where what nobody could take ends up.
func (t Topology) Dead() string { return t.Exchange + ".dead" }

var exchangeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// Validate says what to write instead.
func (t Topology) Validate() error {
	if !exchangeName.MatchString(t.Exchange) {
		return fmt.Errorf("exchange %.80q: write a name of at most 64 of A-Z, a-z, 0-9, _, . and -", t.Exchange)
	}
	return nil
}

// queueArgs are the arguments of the queues; a broker refuses a declaration
// with others than it has.
func (t Topology) queueArgs() amqp.Table {
	return amqp.Table{
		"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-delivery-limit": int32(maxReturns),
		"x-dead-letter-exchange": "", "x-dead-letter-routing-key": t.Dead(), "x-dead-letter-strategy": "at-least-once",
	}
}

// Declare makes sure of exchange, queues and bindings; what is there already,
// and the same, stays. An error closes the channel.
func (t Topology) Declare(ch *amqp.Channel) error {
	if err := t.DeclareExchange(ch); err != nil {
		return err
	}
	for _, c := range record.Categories() {
		if err := t.DeclareQueue(ch, c); err != nil {
			return err
		}
	}
	return nil
}

// DeclareExchange makes sure of what all queues need: the exchange and the queue
// of dead letters.
func (t Topology) DeclareExchange(ch *amqp.Channel) error {
	if err := ch.ExchangeDeclare(t.Exchange, amqp.ExchangeDirect, true, false, false, false, nil); err != nil {
		return differs("exchange", t.Exchange, err)
	}
	if _, err := ch.QueueDeclare(t.Dead(), true, false, false, false, amqp.Table{"x-queue-type": "quorum", "x-max-length-bytes": int64(maxDead)}); err != nil {
		return differs("queue", t.Dead(), err)
	}
	return nil
}

// DeclareQueue makes sure of a category's queue. A broker does not answer while
// the queue has no leader.
func (t Topology) DeclareQueue(ch *amqp.Channel, c record.Category) error {
	q := t.Queue(c)
	if _, err := ch.QueueDeclare(q, true, false, false, false, t.queueArgs()); err != nil {
		return differs("queue", q, err)
	}
	if err := ch.QueueBind(q, c.String(), t.Exchange, false, nil); err != nil {
		return fmt.Errorf("bind queue %s to exchange %s: %w", q, t.Exchange, err)
	}
	return nil
}

// differs says what to do when the broker has something else under a name.
func differs(what, name string, err error) error {
	var e *amqp.Error
	if errors.As(err, &e) && e.Code == amqp.PreconditionFailed {
		return fmt.Errorf("the broker's %s %s is not as Nocturne declares it: delete it when it is empty, use another exchange name, or set declare: false to use it as it is: %w", what, name, err)
	}
	return fmt.Errorf("declare %s %s: %w", what, name, err)
}

// NeedsPerson tells whether trying again will not help: address, credential,
// rights or topology are wrong.
func NeedsPerson(err error) bool {
	if errors.Is(err, amqp.ErrCredentials) || errors.Is(err, amqp.ErrSASL) || errors.Is(err, amqp.ErrVhost) || errors.Is(err, errCredentialFile) {
		return true
	}
	var e *amqp.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case amqp.AccessRefused, amqp.NotFound, amqp.PreconditionFailed, amqp.NotAllowed, amqp.ResourceLocked:
		return true
	}
	return false
}
