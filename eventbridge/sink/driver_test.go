package sink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"nocturne/eventbridge/sink"
	"nocturne/eventbridge/sink/sinktest"
	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
)

// producer sends records of some servers into a stream and knows every id.
type producer struct {
	t    testing.TB
	log  *streamtest.Log
	next map[record.ID]uint64
	sent map[string]bool
	kept [][]byte // every frame, to be sent again
}

func newProducer(t testing.TB) *producer {
	return &producer{t: t, log: streamtest.New(time.Now()), next: map[record.ID]uint64{}, sent: map[string]bool{}}
}

func server(n int) record.ID { return record.ID{byte(n), byte(n >> 8), 15: 9} }

func (p *producer) frame(id record.ID, n int) []byte {
	first := p.next[id] + 1
	p.next[id] += uint64(n)
	now := time.Now()
	h := record.Header{
		Kind: record.FrameData, Producer: record.ExporterProducer(id), Subject: id, Category: record.EventLog,
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 77}}, First: first, Last: first + uint64(n) - 1, Sent: now.UnixNano(),
	}
	recs := make([]record.Record, n)
	for i := range recs {
		recs[i] = record.Record{Time: now, Observed: now, Severity: record.Info, Name: record.NameWindowsEvent, Body: fmt.Sprint("event ", first+uint64(i))}
		p.sent[record.RecordID(&h, first+uint64(i))] = true
	}
	b, err := record.EncodeData(h, recs)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *producer) send(id record.ID, n int) {
	f := p.frame(id, n)
	p.kept = append(p.kept, f)
	p.append(id, f)
}

func (p *producer) append(id record.ID, frames ...[]byte) {
	e := stream.Entry{Kind: stream.EntryFrames, Bridge: "b1"}
	for _, f := range frames {
		e.Frames = append(e.Frames, stream.EntryFrame{Received: time.Now().UnixNano(), Frame: f})
	}
	b, err := stream.AppendEntry(nil, &e)
	if err != nil {
		p.t.Fatal(err)
	}
	p.raw(stream.Partition(id), b)
}

// rewind sends frames again after the log was lost: in other entries, some at
// once and some late.
func (r *rig) rewind() {
	tick, err := stream.AppendEntry(nil, &stream.Entry{Kind: stream.EntryTick, Bridge: "b1"})
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range stream.Partitions {
		r.raw(i, tick)
	}
	n := len(r.kept)
	for i := range n {
		if i == n/2 {
			r.settle(3 * time.Minute)
		}
		k := (i + n/2) % n // the newest first: they waited least
		f := r.kept[k]
		if err := record.Stamp(f, time.Now().UnixNano()); err != nil {
			r.t.Fatal(err)
		}
		r.append(server(k%5), f)
	}
}

func (p *producer) raw(partition int, b []byte) {
	p.log.SetTime(time.Now())
	if _, err := p.log.Append(context.Background(), partition, b); err != nil {
		p.t.Fatal(err)
	}
}

// rig is a driver on an in-memory sink, store and stream, in virtual time.
type rig struct {
	*producer
	mem    *sinktest.Memory
	saved  *sinktest.Saved
	driver *sink.Driver
	rows   int // of a batch; 0 = the default
	linger time.Duration
	reg    *prometheus.Registry
	stop   func() error
}

func newRig(t testing.TB) *rig {
	return &rig{producer: newProducer(t), mem: sinktest.NewMemory(), saved: &sinktest.Saved{}}
}

// start runs a new driver, as a new process would.
func (r *rig) start() {
	r.reg = prometheus.NewRegistry()
	r.driver = sink.New(sink.Config{Name: "memory", Holder: "b1", Stream: r.log, Sink: r.mem, Store: r.saved.NewStore(), Ledger: true, Reg: r.reg, MaxRows: r.rows, Linger: r.linger})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.driver.Run(ctx) }()
	r.stop = func() error { cancel(); return <-done }
}

// settle gives the driver a while of virtual time.
func (r *rig) settle(d time.Duration) {
	time.Sleep(d) // virtual: inside a synctest bubble
	synctest.Wait()
}

// check wants every record sent to be stored once, and the sums to hold.
func (r *rig) check() {
	r.t.Helper()
	have := r.mem.Rows()
	missing, extra := 0, 0
	for id := range r.sent {
		switch n := have[id]; {
		case n == 0:
			missing++
		case n > 1:
			extra++
		}
	}
	if missing > 0 || extra > 0 || len(have) != len(r.sent) {
		r.t.Errorf("of %d records %d are missing, %d are there more than once; %d rows in all", len(r.sent), missing, extra, len(have))
	}
	r.sums()
}

// sums checks in = out + dropped + waiting, in the status and in the metrics.
func (r *rig) sums() {
	r.t.Helper()
	s := r.driver.Status()
	sum := s.Out + s.Waiting
	for _, n := range s.Dropped {
		sum += n
	}
	if s.In != sum {
		r.t.Errorf("in %d, but out %d + dropped %v + waiting %d = %d", s.In, s.Out, s.Dropped, s.Waiting, sum)
	}
	in, rest := gather(r.t, r.reg, "eventbridge_sink_in_records_total"), 0.0
	for _, n := range []string{"out_records_total", "dropped_records_total", "waiting_records"} {
		rest += gather(r.t, r.reg, "eventbridge_sink_"+n)
	}
	if in != rest || in != float64(s.In) {
		r.t.Errorf("metrics: in %v, out + dropped + waiting %v; status in %d", in, rest, s.In)
	}
}

func gather(t testing.TB, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if f.GetType() == dto.MetricType_COUNTER {
				sum += m.GetCounter().GetValue()
			} else {
				sum += m.GetGauge().GetValue()
			}
		}
		return sum
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func bubble(t *testing.T, f func(r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		f(r)
		if r.stop != nil {
			if err := r.stop(); err != nil {
				t.Errorf("run: %v", err)
			}
		}
	})
}

func TestEveryRecordOnce(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		for i := range 300 {
			r.send(server(i%40), 1+i%7)
		}
		r.settle(time.Second)
		r.check()
		if n := r.mem.Writes(); n > 20 {
			t.Errorf("%d writes for what arrived at once; rows are not gathered", n)
		}
	})
}

func TestOrderWithinAServer(t *testing.T) {
	bubble(t, func(r *rig) {
		for range 200 {
			r.send(server(1), 3)
		}
		r.start()
		r.settle(time.Second)
		r.check()
		for i, id := range r.mem.Arrived() {
			if want := fmt.Sprintf("%s-25-2-%d", server(1), i+1); id != want {
				t.Fatalf("row %d is %s, want %s", i, id, want)
			}
		}
	})
}

func TestProducerRepeats(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		for range 20 {
			r.send(server(1), 5)
		}
		for _, f := range r.kept[5:15] {
			r.append(server(1), f)
		}
		r.settle(time.Second)
		r.check()
		if got := r.driver.Status().Dropped[sink.DropDuplicate]; got != 50 {
			t.Errorf("%d duplicates counted, want 50", got)
		}
		if l := r.driver.Status().Ledger; l.Received != 100 || l.Duplicate != 50 || l.Missing != 0 {
			t.Errorf("ledger %+v", l)
		}
	})
}

func TestPoison(t *testing.T) {
	bubble(t, func(r *rig) {
		r.send(server(1), 100)
		r.send(server(2), 100)
		var bad []string
		for id := range r.sent {
			if len(bad) < 3 {
				bad = append(bad, id)
			}
		}
		r.mem.Refuse(bad...)
		r.start()
		r.settle(time.Second)
		for _, id := range bad {
			delete(r.sent, id)
		}
		r.check()
		if p := r.saved.Poisoned(); len(p) != 3 || p[0].Reason == "" || p[0].RecordID == "" {
			t.Errorf("set aside: %+v", p)
		}
		if p := r.driver.Status().Poison; len(p) != 3 || p[0].Text == "" {
			t.Errorf("status shows %+v", p)
		}
		if n := r.driver.Status().Dropped[sink.DropRefused]; n != 3 {
			t.Errorf("%d refused counted, want 3", n)
		}
		r.send(server(1), 10)
		r.settle(time.Second)
		r.check()
	})
}

func TestMalformedEntriesAndFrames(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.send(server(1), 5)
		r.raw(stream.Partition(server(1)), []byte("not an entry"))
		bent := bytes.Clone(r.kept[0])
		bent[len(bent)-1] ^= 1
		r.append(server(1), bent, []byte("NF but not a frame"))
		r.send(server(1), 5)
		r.settle(time.Second)
		r.check()
		// 1 entry, 5 records of the bent frame, 1 for the frame without a header
		if n := r.driver.Status().Dropped[sink.DropMalformed]; n != 7 {
			t.Errorf("%d malformed counted, want 7", n)
		}
	})
}

func TestStoreKilled(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		for i := range 600 {
			r.send(server(i%10), 2)
			r.settle(500 * time.Millisecond)
			switch {
			case i%20 == 0:
				r.mem.Flush() // durable up to 10 s late
			case i%97 == 50:
				r.mem.Kill()
				r.settle(time.Duration(i%7) * time.Second)
				r.mem.Start()
			}
		}
		r.settle(30 * time.Second)
		r.check()
		if n := gather(t, r.reg, "eventbridge_sink_store_restarts_total"); n != 6 {
			t.Errorf("%v restarts seen, want 6", n)
		}
		if l := r.driver.Status().Ledger; l.Received != uint64(len(r.sent)) || l.Duplicate != 0 || l.Missing != 0 {
			t.Errorf("ledger %+v after %d records", l, len(r.sent))
		}
	})
}

func TestUnknownOutcome(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		n := 0
		r.mem.FailWith(func(sink.Batch) error { // stored, but the answer is lost
			if n++; n%3 != 0 {
				return errors.New("connection reset")
			}
			return nil
		})
		for i := range 300 {
			r.send(server(i%5), 3)
			r.settle(time.Second)
			r.mem.Flush()
		}
		r.settle(time.Minute)
		r.check()
	})
}

func TestStoreDownForHours(t *testing.T) {
	bubble(t, func(r *rig) {
		r.mem.Kill()
		r.start()
		for i := range 500 {
			r.send(server(i%50), 2)
			r.settle(20 * time.Second)
		}
		r.mem.Start()
		r.settle(time.Minute)
		r.check()
	})
}

func TestDriverKilledAtRandom(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(r *rig) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				r.start()
				for range 400 {
					r.send(server(rnd.IntN(30)), 1+rnd.IntN(5))
					r.settle(time.Duration(rnd.IntN(900)) * time.Millisecond)
					switch rnd.IntN(40) {
					case 0:
						if err := r.stop(); err != nil {
							t.Fatal(err)
						}
						r.settle(time.Duration(rnd.IntN(20)) * time.Second)
						r.start()
					case 1:
						r.mem.Kill()
						r.mem.Start()
					case 2, 3, 4, 5, 6, 7:
						r.mem.Flush()
					}
				}
				r.settle(time.Minute)
				r.check()
			})
		})
	}
}

// Batches that are full to the row, or hold one row, or come late, and starts in
// between: every record is there once.
func TestBatchesOfEverySize(t *testing.T) {
	seeds := uint64(6)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		bubble(t, func(r *rig) {
			rnd := rand.New(rand.NewPCG(seed, 8))
			for range 8 {
				r.rows, r.linger = 1+rnd.IntN(12), time.Duration(1+rnd.IntN(3))*time.Nanosecond<<(8*rnd.IntN(4))
				r.start()
				for range 30 {
					n := 1 + rnd.IntN(2*r.rows)
					switch rnd.IntN(3) {
					case 0:
						n = r.rows // exactly one batch
					case 1:
						n = r.rows + 1
					}
					r.send(server(rnd.IntN(5)), n)
					if rnd.IntN(3) == 0 {
						r.settle(time.Duration(rnd.IntN(int(2 * r.linger))))
					}
				}
				if rnd.IntN(2) == 0 {
					r.settle(time.Duration(rnd.IntN(int(2 * time.Minute))))
				}
				if err := r.stop(); err != nil {
					t.Fatal(err)
				}
			}
			r.start()
			r.settle(3 * time.Minute)
			r.check()
		})
	}
}

func TestSavedPositionTrails(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		began := time.Now()
		for r.saved.Saves() == 0 {
			r.mem.Flush()
			r.send(server(1), 1)
			r.settle(time.Second)
		}
		if d := time.Since(began); d < time.Minute {
			t.Errorf("saved %s after the first record was acknowledged", d)
		}
		p := stream.Partition(server(1))
		s := r.driver.Status()
		if behind := s.Positions[p].Entry - s.Saved[p].Entry; behind < 55 {
			t.Errorf("the saved position is only %d entries behind, one was sent per second", behind)
		}
		// Nothing moves while the store does not answer.
		r.mem.Kill()
		saves := r.saved.Saves()
		r.settle(10 * time.Minute)
		if r.saved.Saves() != saves {
			t.Error("saved a position while the store could not be asked")
		}
		r.mem.Start()
		r.settle(time.Minute)
		r.check()
	})
}

func TestFellOutOfTheStream(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		for range 100 {
			r.send(server(1), 1)
			r.settle(time.Second)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			r.send(server(1), 1)
		}
		r.log.Trim(stream.Partition(server(1)), 151)
		r.start()
		r.settle(time.Second)
		if n := gather(t, r.reg, "eventbridge_sink_lost_entries_total"); n < 50 {
			t.Errorf("%v entries counted as lost, want at least 50", n)
		}
		if l := r.driver.Status().Ledger; l.Missing < 50 {
			t.Errorf("ledger %+v does not miss what was lost", l)
		}
		if n := len(r.mem.Rows()); n != 150 {
			t.Errorf("%d rows, want 150", n)
		}
		r.sums()
	})
}

func TestVolumeLost(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		for i := range 100 {
			r.send(server(i%5), 2)
			r.settle(time.Second)
		}
		r.mem.Flush()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.log.Lose()
		*r.saved = sinktest.Saved{} // the bucket was on the same volume
		r.start()
		r.rewind()
		r.settle(10 * time.Second)
		r.check()
	})
}

func TestVolumeLostWhileRunning(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		for i := range 100 {
			r.send(server(i%5), 2)
			r.settle(time.Second)
		}
		r.log.Lose()
		r.rewind()
		r.settle(10 * time.Second)
		r.check()
	})
}

func TestLease(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.send(server(1), 5)
		r.settle(time.Second)
		// A second bridge stands by.
		reg := prometheus.NewRegistry()
		second := sink.New(sink.Config{Name: "memory", Holder: "b2", Stream: r.log, Sink: r.mem, Store: r.saved.NewStore(), Ledger: true, Reg: reg})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- second.Run(ctx) }()
		r.settle(time.Minute)
		if n := gather(t, reg, "eventbridge_sink_leader"); n != 0 {
			t.Error("two bridges drive one sink")
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.send(server(1), 5)
		r.settle(time.Minute)
		if n := gather(t, reg, "eventbridge_sink_leader"); n != 1 {
			t.Error("nobody took over")
		}
		r.check()
		// The first one comes back and takes nothing.
		r.start()
		r.settle(time.Minute)
		if n := gather(t, r.reg, "eventbridge_sink_leader"); n != 0 {
			t.Error("the first bridge took the lease from the second")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.settle(time.Minute)
		r.check()
	})
}

func TestLeaseStolen(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.send(server(1), 5)
		r.settle(time.Second)
		r.saved.Steal("b2")
		r.settle(2 * time.Minute)
		if n := gather(t, r.reg, "eventbridge_sink_leader"); n != 0 {
			t.Error("still drives the sink after its lease was stolen")
		}
		r.saved.Release()
		r.send(server(1), 5)
		r.settle(time.Minute)
		r.check()
	})
}

// A bridge that gets its lease back does not know what the other one wrote in
// between: none of it is written twice.
func TestLeaseComesBack(t *testing.T) {
	bubble(t, func(r *rig) {
		r.start()
		r.send(server(1), 5)
		r.settle(3 * time.Minute)
		r.saved.Steal("b2") // as if the first had not renewed it in time
		second := sink.New(sink.Config{Name: "memory", Holder: "b2", Stream: r.log, Sink: r.mem, Store: r.saved.NewStore(), Ledger: true})
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- second.Run(ctx) }()
		r.settle(time.Minute)
		r.send(server(1), 5)
		r.settle(10 * time.Second) // written, and the position still trails
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		r.saved.Release()
		r.settle(time.Minute)
		if n := gather(t, r.reg, "eventbridge_sink_leader"); n != 1 {
			t.Error("nobody took over")
		}
		r.check()
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.mem.FailWith(func(sink.Batch) error { return fmt.Errorf("disk full for ever: %w", sink.ErrStop) })
		r.start()
		r.send(server(1), 1)
		time.Sleep(time.Second) // virtual
		if err := r.stop(); !errors.Is(err, sink.ErrStop) {
			t.Errorf("run returned %v, want ErrStop", err)
		}
	})
}
