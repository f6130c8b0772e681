package sink_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"nocturne/eventbridge/sink"
	"nocturne/eventbridge/sink/sinktest"
)

// null takes everything at once.
type null struct{ rows, samples int }

func (n *null) Write(_ context.Context, b sink.Batch) error {
	n.rows += len(b.Rows)
	for i := range b.Rows {
		n.samples += len(b.Rows[i].Samples)
	}
	return nil
}

func (n *null) Instance(context.Context) (string, error) { return "one", nil }

// BenchmarkDriver measures what a record costs between stream and sink:
// reading, unpacking, ledger, labels, samples.
func BenchmarkDriver(b *testing.B) {
	for _, per := range []int{1, 20, 200} {
		b.Run(fmt.Sprint(per, " a frame"), func(b *testing.B) {
			const total = 100000
			p := newProducer(b)
			for i := range total / per {
				f := p.frame(server(i%650), per)
				p.append(server(i%650), f)
			}
			for b.Loop() {
				sunk := &null{}
				d := sink.New(sink.Config{Name: "null", Holder: "b", Stream: p.log, Sink: sunk, Store: (&sinktest.Saved{}).NewStore(), Ledger: true, Linger: time.Millisecond})
				ctx, cancel := context.WithCancel(b.Context())
				done := make(chan error, 1)
				go func() { done <- d.Run(ctx) }()
				if err := sinktest.Poll(ctx, func() error {
					if n := d.Status().Out; n < total {
						return fmt.Errorf("%d of %d", n, total)
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
				cancel()
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(total*b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}
