package amqp

import (
	"testing"
	"time"

	rabbitmq "github.com/rabbitmq/amqp091-go"

	"nocturne/internal/rabbittest"
	"nocturne/internal/record"
)

// BenchmarkIngest measures how fast a queue that has filled up is emptied into
// the stream: signed frames of 100 records, one server, one category.
func BenchmarkIngest(b *testing.B) {
	br := newBridge(b, rabbittest.Start(b))
	in, stop := br.start("bench", nil)
	s := br.enrol("db7")
	name := in.topology.Queue(record.EventLog)
	eventually(b, "up", func() bool { return value(b, in.Metrics.queues[inputFrames]) == 10 })
	stop()
	const frames = 20000
	br.on(func(ch *rabbitmq.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		var last *rabbitmq.DeferredConfirmation
		for range frames {
			var err error
			if last, err = ch.PublishWithDeferredConfirm("", name, true, false, rabbitmq.Publishing{DeliveryMode: rabbitmq.Persistent, Body: s.signed(b, record.EventLog, 100)}); err != nil {
				return err
			}
		}
		last.Wait()
		return nil
	})
	b.ResetTimer()
	start := time.Now()
	in, stop = br.start("bench", nil)
	eventually(b, "all", func() bool { return in.Metrics.Frames.Totals().Out >= frames*100 })
	b.ReportMetric(frames/time.Since(start).Seconds(), "frames/s")
	b.ReportMetric(frames*100/time.Since(start).Seconds(), "records/s")
	b.ReportMetric(0, "ns/op")
	stop()
}
