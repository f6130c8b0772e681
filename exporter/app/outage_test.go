package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// The clock jumps by hours, forward and back, while the exporter runs and
// between its runs: sequences go on, nothing is lost or repeated, and epochs
// never begin earlier than the one before.
func TestTheClockJumps(t *testing.T) {
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	o.Config.Metrics.Push = false
	o.Config.Spool.SegmentBytes = 64 << 10
	var offset atomic.Int64
	o.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
	for _, hours := range [][2]time.Duration{{0, 1}, {1, -1}, {-3, -3}, {-3, 24}, {0, 0}} {
		offset.Store(int64(hours[0] * time.Hour))
		sources := []*counting{{name: "beats", category: record.Heartbeat}, {name: "events", category: record.EventLog}}
		o.Sources = []source.Source{sources[0], sources[1]}
		a, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sources {
			s.positions = a.spool
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx) }()
		for _, h := range hours {
			offset.Store(int64(h * time.Hour))
			b.mu.Lock()
			had := len(b.records)
			b.mu.Unlock()
			b.await(t, "records", func() bool { return len(b.records) > had+300 })
		}
		stop()
		if err := errors.Join(<-ended, a.Close()); err != nil {
			t.Fatal(err)
		}
	}
	checkCounts(t, b, 0)
	var last record.EpochRef
	epochs := 0
	for _, r := range b.records {
		if r.epoch != last {
			if epochs++; r.epoch.Start <= last.Start {
				t.Errorf("epoch %s follows %s", r.epoch, last)
			}
			last = r.epoch
		}
	}
	if epochs != 5 {
		t.Errorf("%d epochs in 5 runs", epochs)
	}
}

// limitedSource emits "name/0" to "name/n-1" in batches.
type limitedSource struct {
	name     string
	category record.Category
	n        int
	done     chan struct{} // closed when all are in the spool
}

func (l *limitedSource) Name() string              { return l.name }
func (l *limitedSource) Category() record.Category { return l.category }

func (l *limitedSource) Run(ctx context.Context, emit source.Emit) error {
	const batch = 50
	for i := 0; i < l.n; i += batch {
		var recs []record.Record
		for j := i; j < min(i+batch, l.n); j++ {
			recs = append(recs, record.Record{Name: record.NameJournal, Body: fmt.Sprintf("%s/%d %s", l.name, j, strings.Repeat("x", 100))})
		}
		if err := emit(ctx, recs, []byte(strconv.Itoa(i))); err != nil {
			return err
		}
	}
	close(l.done)
	<-ctx.Done()
	return nil
}

// The bridge is away for so long that the spool overflows: what arrives and
// what is declared lost make up exactly what was seen, per category, and
// nothing is missing without a word.
func TestTheBridgeIsAwayTooLong(t *testing.T) {
	const events, beats = 30_000, 4_000
	b, url := newBridge(t)
	b.down = true
	o := options(t)
	enrolled(t, o.Config.Data, url)
	o.Config.Metrics.Push = false
	o.Config.Spool.SegmentBytes, o.Config.Spool.MaxBytes = 64<<10, 512<<10
	sources := []*limitedSource{
		{"beats", record.Heartbeat, beats, make(chan struct{})}, {"events", record.EventLog, events, make(chan struct{})},
	}
	o.Sources = []source.Source{sources[0], sources[1]}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	for _, s := range sources {
		<-s.done
	}
	b.mu.Lock()
	b.down = false
	b.mu.Unlock()
	last := fmt.Sprintf("events/%d ", events-1)
	b.await(t, "the last event", func() bool {
		return len(b.records) > 0 && strings.HasPrefix(b.records[len(b.records)-1].body, last)
	})
	awaitMetrics(t, a, `exporter_spool_records_waiting{output="bridge"} 0`)
	page := scrape(t, a)
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Fatal(err)
	}
	tot := b.ledger.Totals()
	if tot.Missing != 0 || tot.Declared == 0 || len(b.strange) > 0 {
		t.Fatalf("%+v, %v", tot, b.strange)
	}
	if got, want := tot.Received+tot.Declared, uint64(events+beats+1); got != want { // and the goodbye
		t.Errorf("%d received and %d declared lost make %d, want %d", tot.Received, tot.Declared, got, want)
	}
	if want := fmt.Sprintf(`exporter_spool_records_dropped_total{output="bridge",reason="overflow"} %d`, tot.Declared); !strings.Contains(page, want) {
		t.Errorf("the exporter does not say %s", want)
	}
	t.Logf("%d received, %d declared lost", tot.Received, tot.Declared)
}
