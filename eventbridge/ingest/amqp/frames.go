package amqp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	rabbitmq "github.com/rabbitmq/amqp091-go"

	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/registry"
	"nocturne/internal/record"
)

// takeFrames stores the frames of a batch, buries what is none, and acknowledges both.
func (in *Ingest) takeFrames(ctx context.Context, s *session, batch []rabbitmq.Delivery) error {
	now := in.Now().UnixNano()
	var good []subjectFrame
	var bad []grave
	var waiting, doomed uint64
	for i := range batch {
		h, reason, err := in.judge(ctx, batch[i].Body)
		in.Metrics.Frames.In(uint64(h.Count))
		if reason == "" && err == nil {
			waiting += uint64(h.Count)
			good = append(good, subjectFrame{ingest.Frame{Bytes: batch[i].Body, Received: now, Skew: ingest.Skew(now, h.Sent), Records: uint64(h.Count)}, h.Subject})
			in.Registry.Seen(h.Subject, in.Now())
			continue
		}
		if reason == "" && err != nil {
			in.Metrics.Frames.Drop(dropReturned, waiting+doomed+uint64(h.Count))
			return err
		}
		bad = append(bad, grave{&batch[i], reason, err.Error(), uint64(h.Count)})
		doomed += uint64(h.Count)
	}
	if err := in.store(ctx, good); err != nil {
		in.Metrics.Frames.Drop(dropReturned, waiting+doomed)
		return err
	}
	err := acknowledge(batch, bad)
	in.Metrics.Frames.Out(waiting)
	if err == nil {
		err = in.buryAll(ctx, s, bad, func(g *grave) {
			in.Metrics.Frames.Drop(g.reason, g.records)
			doomed -= g.records
		})
	}
	if err != nil {
		in.Metrics.Frames.Drop(dropReturned, doomed)
	}
	return err
}

// judge checks a frame and who speaks in it. A reason other than "" says why it
// will never be taken; an error without a reason: not now.
func (in *Ingest) judge(ctx context.Context, body []byte) (h record.Header, reason string, err error) {
	if h, err = record.CheckFrame(body); err != nil {
		return h, record.RejectOf(err).String(), err
	}
	if h.KeyID == "" {
		return h, record.RejectMAC.String(), errors.New("the frame is not signed; over AMQP it must be")
	}
	who, key, err := in.signer(ctx, h.KeyID)
	if errors.Is(err, registry.ErrBusy) {
		return h, "", err
	}
	if err != nil {
		return h, deadCredential, fmt.Errorf("key %s: %w", h.KeyID, err)
	}
	if err := record.VerifyMAC(body, key); err != nil {
		return h, record.RejectMAC.String(), err
	}
	if !who.MaySend(&h) {
		return h, deadIdentity, fmt.Errorf("the key speaks for server %s and its exporter only", who.Server.ID)
	}
	return h, "", nil
}

// signer asks the register until it answers: a frame is not buried because the
// register is away.
func (in *Ingest) signer(ctx context.Context, keyID string) (registry.Principal, []byte, error) {
	for {
		who, key, err := in.Registry.Signer(ctx, keyID)
		if ctx.Err() != nil || !errors.Is(err, registry.ErrBusy) {
			return who, key, err
		}
		sleep(ctx, streamWait)
	}
}

// Headers of dead letters.
const (
	headerReason = "nocturne-reason"
	headerError  = "nocturne-error"
	headerQueue  = "nocturne-queue" // where it came from
)

// maxWhy bounds headerError: an error may repeat what it met, and a broker cuts
// off whoever sends headers of more than 128 KiB.
const maxWhy = 1 << 10

// buryTime is how long the broker may take to confirm a dead letter.
const buryTime = 30 * time.Second

// grave is a message that will never be taken.
type grave struct {
	message     *rabbitmq.Delivery
	reason, why string
	records     uint64
}

// acknowledge tells the broker that a batch is settled, but for those that are to
// be buried yet: when that fails nobody else comes again.
func acknowledge(batch []rabbitmq.Delivery, bad []grave) error {
	if len(bad) == 0 {
		return ack(&batch[len(batch)-1], true)
	}
	for i := range batch {
		if len(bad) > 0 && bad[0].message == &batch[i] { // they are in the batch's order
			bad = bad[1:]
			continue
		}
		if err := ack(&batch[i], false); err != nil {
			return err
		}
	}
	return nil
}

// ack acknowledges a message, or also all before it.
func ack(d *rabbitmq.Delivery, before bool) error {
	if err := d.Ack(before); err != nil {
		return fmt.Errorf("acknowledge: %w", err)
	}
	return nil
}

// buryAll buries messages, acknowledges each, and calls done with it. It comes
// behind the store: a batch that the stream does not take comes again, and none is
// to be buried twice.
func (in *Ingest) buryAll(ctx context.Context, s *session, bad []grave, done func(*grave)) error {
	for i := range bad {
		g := &bad[i]
		if err := in.bury(ctx, s, g.message, g.reason, g.why); err != nil {
			return err
		}
		if err := ack(g.message, false); err != nil {
			return err
		}
		done(g)
	}
	return nil
}

// bury puts a message into the queue of dead letters and waits for the
// broker's confirm, so that it is in one queue or the other.
func (in *Ingest) bury(ctx context.Context, s *session, d *rabbitmq.Delivery, reason, why string) error {
	why = strings.ToValidUTF8(why[:min(len(why), maxWhy)], "")
	ctx, cancel := context.WithTimeout(ctx, buryTime)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.conn.EndWith(ctx)
	defer done()
	confirm, err := s.dead.PublishWithDeferredConfirmWithContext(ctx, "", in.topology.Dead(), true, false, rabbitmq.Publishing{
		Headers:     rabbitmq.Table{headerReason: reason, headerError: why, headerQueue: d.RoutingKey},
		ContentType: d.ContentType, DeliveryMode: rabbitmq.Persistent, MessageId: d.MessageId, Timestamp: d.Timestamp, Body: d.Body,
	})
	if err != nil {
		return fmt.Errorf("bury a message: %w", err)
	}
	ok, err := confirm.WaitContext(ctx)
	select {
	case r := <-s.lost: // handed over before its confirm
		err = fmt.Errorf("there is no such queue: %s", r.ReplyText)
	default:
	}
	if err == nil && !ok {
		err = errors.New("the broker does not take it")
	}
	if err != nil {
		return fmt.Errorf("bury a message in queue %s: %w", in.topology.Dead(), err)
	}
	in.Metrics.dead[reason].Inc()
	in.Log.Debug("message is none that can be taken, put with the dead letters", "queue", d.RoutingKey, "reason", reason, "err", why)
	return nil
}
