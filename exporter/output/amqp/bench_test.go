package amqp

import (
	"slices"
	"strings"
	"testing"

	"nocturne/exporter/output/outputtest"
	"nocturne/exporter/spool"
	"nocturne/internal/rabbittest"
)

// BenchmarkSend measures what one output gets through a real broker: batches of
// 64 frames of 100 records, each batch confirmed before the next. Nobody reads
// the queue.
func BenchmarkSend(b *testing.B) {
	broker := rabbittest.Start(b)
	o := New(Options{Config: DefaultConfig(), Endpoint: broker.Endpoint(), KeyID: keyID, Key: key[:]})
	if _, err := o.Hello(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	bodies := slices.Repeat([]string{strings.Repeat("an event of the night ", 18)}, 100)
	frames := make([]spool.Frame, 64)
	for i := range frames {
		frames[i] = outputtest.Data(uint64(1+100*i), bodies...)
	}
	for b.Loop() {
		a, err := o.Send(b.Context(), frames)
		if err != nil || len(a.Verdicts) != len(frames) {
			b.Fatal(len(a.Verdicts), err)
		}
	}
	b.ReportMetric(float64(b.N*len(frames))/b.Elapsed().Seconds(), "frames/s")
	b.ReportMetric(float64(b.N*len(frames)*100)/b.Elapsed().Seconds(), "records/s")
	if err := o.Close(); err != nil {
		b.Fatal(err)
	}
}
