package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"nocturne/internal/stream"
	"nocturne/ruler/notify"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// watched tells a test of every commit.
type watched struct {
	store.Store
	changed chan struct{}
}

func (w *watched) Commit(ctx context.Context, c []store.PartitionCommit) error {
	err := w.Store.Commit(ctx, c)
	select {
	case w.changed <- struct{}{}:
	default:
	}
	return err
}

func (w *watched) Claim(ctx context.Context, partition int, owner string) (store.Claim, error) {
	c, err := w.Store.Claim(ctx, partition, owner)
	select {
	case w.changed <- struct{}{}:
	default:
	}
	return c, err
}

// until waits for a condition that commits bring about.
func (w *watched) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	end := time.NewTimer(time.Minute)
	defer end.Stop()
	for !ok() {
		select {
		case <-w.changed:
		case <-end.C:
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

// atHead tells whether all of the log is committed.
func atHead(t *testing.T, s store.Store, log stream.Log) bool {
	p, err := s.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for n := range stream.Partitions {
		head, err := log.Head(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		if n >= len(p.Partitions) || p.Partitions[n].Position != store.Position(head) {
			return false
		}
	}
	return true
}

// wall is a clock that runs from a virtual time on.
func wall(at time.Time) func() time.Time {
	began := time.Now()
	return func() time.Time { return at.Add(time.Since(began)) }
}

type running struct {
	engine *Engine
	stop   context.CancelFunc
	done   chan error
}

func start(t *testing.T, cfg Config) *running {
	t.Helper()
	if cfg.Rules == nil {
		cfg.Rules = testRules(t)
	}
	if cfg.Owner == "" {
		cfg.Owner = "test"
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	e.pace.idle = 50 * time.Millisecond
	run, stop := context.WithCancel(ctx)
	r := &running{engine: e, stop: stop, done: make(chan error, 1)}
	go func() { r.done <- e.Run(run) }()
	t.Cleanup(func() { stop() })
	return r
}

func (r *running) end(t *testing.T) {
	t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		t.Fatalf("run: %v", err)
	}
}

// The engine with all its goroutines gives what the step-by-step driver gives,
// stopped and started in the middle.
func TestEngineEqualsDriver(t *testing.T) {
	w := busyNight(t)
	want := reference(t, w)
	inner := openStore(t)
	s := &watched{inner, make(chan struct{}, 1)}
	var mu sync.Mutex
	told := map[string][]notify.State{}
	cfg := Config{Log: w.log, Store: s, Now: wall(w.now), Registerer: prometheus.NewRegistry(), Changed: func(ns ...notify.Notification) {
		mu.Lock()
		defer mu.Unlock()
		for _, n := range ns {
			told[n.Class+" "+n.Device+n.Name] = append(told[n.Class+" "+n.Device+n.Name], n.State)
		}
	}}
	r := start(t, cfg)
	s.until(t, "something committed", func() bool { p, _ := inner.Pipeline(ctx); return len(p.Partitions) > 3 })
	r.end(t)
	cfg.Registerer = prometheus.NewRegistry()
	r = start(t, cfg)
	s.until(t, "all committed and no fact left", func() bool {
		facts, err := inner.Facts(ctx, 0, 1)
		return err == nil && len(facts) == 0 && atHead(t, inner, w.log)
	})
	r.end(t)
	if got := dump(t, inner); got != want {
		t.Fatalf("differs:\n%s", difference(want, got))
	}
	mu.Lock()
	defer mu.Unlock()
	if l := told["drive physical_drive c0/e252/s1srv01"]; len(l) == 0 {
		t.Errorf("nobody was told of the drive: %v", told)
	}
	if l := told["silence srv05"]; len(l) > 0 {
		t.Errorf("srv05 was folded and told: %v", l)
	}
	if l := told["silence-group rack r1 at fra"]; len(l) == 0 || l[len(l)-1] != notify.Resolved {
		t.Errorf("rack told %v", l)
	}
}

// value reads a counter or a gauge.
func value(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var v dto.Metric
	if err := m.Write(&v); err != nil {
		t.Fatal(err)
	}
	return v.GetCounter().GetValue() + v.GetGauge().GetValue()
}

// In = out + dropped + waiting, over failed commits too.
func TestCountsBalance(t *testing.T) {
	w := busyNight(t)
	inner := openStore(t)
	n := 0
	s := &watched{&crashing{Store: inner, fail: func() (bool, bool) { n++; return n == 3, n == 5 }}, make(chan struct{}, 1)}
	r := start(t, Config{Log: w.log, Store: s})
	s.until(t, "all committed", func() bool { return atHead(t, inner, w.log) })
	r.end(t)
	m := r.engine.metrics
	in, out, waiting := value(t, m.recordsIn), value(t, m.recordsOut), value(t, m.waiting)
	dropped := 0.0
	for _, reason := range []string{dropDuplicate, dropRejected, dropRetired, dropPanic, dropForgotten} {
		dropped += value(t, m.dropped.WithLabelValues(reason))
	}
	if in == 0 || in != out+dropped+waiting || waiting != 0 {
		t.Errorf("in %v, out %v, dropped %v, waiting %v", in, out, dropped, waiting)
	}
	p, err := inner.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n < 6 {
		t.Errorf("%d commits: the store did not fail", n)
	}
	sum := float64(p.Ledger.Received + p.Ledger.Duplicate)
	if forgotten := value(t, m.dropped.WithLabelValues(dropForgotten)); in < sum || in > sum+forgotten {
		t.Errorf("in %v, ledger %v, read again %v", in, sum, forgotten)
	}
}

// A second owner fences the first: that one stops and writes nothing more.
func TestSecondOwnerFences(t *testing.T) {
	w := newWorld(t)
	w.add(1, "db1", "fra", "r1")
	w.run(20 * time.Second)
	inner := openStore(t)
	s := &watched{inner, make(chan struct{}, 1)}
	first := start(t, Config{Log: w.log, Store: s, Owner: "first"})
	s.until(t, "the first has committed", func() bool { return atHead(t, inner, w.log) })
	second := start(t, Config{Log: w.log, Store: s, Owner: "second"})
	s.until(t, "the second owns all", func() bool {
		p, err := inner.Pipeline(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range p.Partitions {
			if v.Owner != "second" {
				return false
			}
		}
		return true
	})
	w.run(30 * time.Second)
	if err := <-first.done; !errors.Is(err, store.ErrFenced) {
		t.Fatalf("the first ended with %v, want ErrFenced", err)
	}
	s.until(t, "the second goes on", func() bool { return atHead(t, inner, w.log) })
	second.end(t)
	if want, got := reference(t, w), dump(t, inner); want != got {
		t.Errorf("differs:\n%s", difference(want, got))
	}
}

// The stream's volume was lost: the ruler goes on with the new one, says so,
// and what exporters send again is a duplicate.
func TestVolumeLost(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.run(30 * time.Second)
	frame := a.beat()
	inner := openStore(t)
	s := &watched{inner, make(chan struct{}, 1)}
	r := start(t, Config{Log: w.log, Store: s})
	s.until(t, "all committed", func() bool { return atHead(t, inner, w.log) })
	w.log.Lose()
	a.deliver(frame) // rewound
	w.run(20 * time.Second)
	s.until(t, "all of the new stream committed", func() bool { return atHead(t, inner, w.log) })
	r.end(t)
	p, err := inner.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	n := stream.Partition(a.id)
	if l := p.Partitions[n].Losses; l.VolumeLost != 1 {
		t.Errorf("losses %+v", l)
	}
	if p.Ledger.Duplicate != 1 || p.Ledger.Missing != 0 {
		t.Errorf("ledger %+v", p.Ledger)
	}
	audit, err := inner.AuditLog(ctx, store.AuditQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	said := 0
	for _, e := range audit {
		if e.Action == "stream volume lost" {
			said++
		}
	}
	if said != stream.Partitions {
		t.Errorf("said %d times, want once per partition", said)
	}
}

// Retention was faster than the ruler: the gap is counted, in entries.
func TestLogTruncated(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.run(30 * time.Second)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	d.crash()
	n := stream.Partition(a.id)
	head, err := w.log.Head(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	w.run(60 * time.Second)
	w.log.Trim(n, head.Entry+11)
	d.must()
	p, err := s.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if l := p.Partitions[n].Losses; l.LogTruncated != 10 {
		t.Errorf("losses %+v, want 10 entries", l)
	}
	if p.Partitions[n].Ledger.Missing == 0 {
		t.Error("the ledger misses nothing")
	}
}

// What was folded is told neither when it opens nor when it ends, also when
// each step is a commit of its own.
func TestFoldedAreNotTold(t *testing.T) {
	w := newWorld(t)
	for i := range 5 {
		w.add(i+1, fmt.Sprintf("srv%d", i), "fra", "r1")
	}
	alone := w.add(9, "alone", "muc", "r9")
	w.add(10, "other", "muc", "r8")
	w.add(11, "third", "muc", "r7")
	inner := openStore(t)
	s := &watched{inner, make(chan struct{}, 1)}
	var mu sync.Mutex
	var told []string
	r := start(t, Config{Log: w.log, Store: s, Now: wall(w.now), Changed: func(ns ...notify.Notification) {
		mu.Lock()
		defer mu.Unlock()
		for _, n := range ns {
			told = append(told, n.Name+n.Device+" "+string(n.State))
		}
	}})
	step := func(seconds int) {
		for range seconds / 5 {
			w.run(10 * time.Second)
			s.until(t, "all committed and no fact left", func() bool {
				facts, err := inner.Facts(ctx, 0, 1)
				return err == nil && len(facts) == 0 && atHead(t, inner, w.log)
			})
		}
	}
	step(30)
	alone.silent = true
	for _, v := range w.sims[:5] {
		v.silent = true
	}
	step(40)
	for _, v := range w.sims {
		v.silent = false
	}
	step(20)
	r.end(t)
	slices.Sort(told)
	told = slices.Compact(told)
	if want := []string{"alone firing", "alone resolved", "rack r1 at fra firing", "rack r1 at fra resolved"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// Days of the stream are read again: of what is long over nobody is told; of
// what is found at the end everybody is.
func TestHistoryIsNotTold(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.add(2, "db2", "fra", "r2")
	w.run(20 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Failed"}, [3]string{"c0/e252/s1", "S1", "Onln"})
	w.run(10 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Onln"}, [3]string{"c0/e252/s1", "S1", "Onln"})
	w.run(10 * time.Second)
	w.down = true
	w.run(5 * time.Hour)
	w.down = false
	for _, s := range w.sims {
		s.spool = nil
	}
	w.run(10 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Onln"}, [3]string{"c0/e252/s1", "S1", "Failed"})
	w.run(5 * time.Second)
	inner := openStore(t)
	s := &watched{inner, make(chan struct{}, 1)}
	var mu sync.Mutex
	var told []string
	r := start(t, Config{Log: w.log, Store: s, Now: wall(w.now), Changed: func(ns ...notify.Notification) {
		mu.Lock()
		defer mu.Unlock()
		for _, n := range ns {
			told = append(told, n.Device)
		}
	}})
	s.until(t, "the last one committed", func() bool { // nothing else is: the wall clock stands still
		n, err := inner.Notifications(ctx, store.NotificationQuery{State: store.Firing})
		return err == nil && n.Total == 1 && n.Notifications[0].Device == "physical_drive c0/e252/s1"
	})
	r.end(t)
	slices.Sort(told)
	if told = slices.Compact(told); !slices.Equal(told, []string{"physical_drive c0/e252/s1"}) {
		t.Errorf("told %q", told)
	}
	if n, err := inner.Notifications(ctx, store.NotificationQuery{}); err != nil || n.Total != 2 {
		t.Errorf("%d notifications kept, want both, %v", n.Total, err)
	}
}

// A store that fails for a while stops nothing for good.
func TestFailingStoreRecovers(t *testing.T) {
	w := newWorld(t)
	w.add(1, "db1", "fra", "r1")
	w.run(30 * time.Second)
	inner := openStore(t)
	n := 0
	s := &watched{&crashing{Store: inner, fail: func() (bool, bool) { n++; return n < 4, n == 4 }}, make(chan struct{}, 1)}
	r := start(t, Config{Log: w.log, Store: s})
	s.until(t, "all committed", func() bool { return atHead(t, inner, w.log) })
	r.end(t)
	if want, got := reference(t, w), dump(t, inner); want != got {
		t.Errorf("differs:\n%s", difference(want, got))
	}
}

// Frames that cannot be right are counted and cost nothing else.
func TestBadFrames(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	b := w.add(2, "db2", "fra", "r1")
	w.run(20 * time.Second)
	good := a.beat()
	bad := append([]byte(nil), good...)
	bad[len(bad)-1] ^= 1
	a.deliver(bad)
	a.deliver([]byte("nonsense"))
	if stream.Partition(a.id) == stream.Partition(b.id) {
		t.Fatal("the two servers share a partition")
	}
	w.append(stream.Partition(b.id), stream.Entry{Kind: stream.EntryFrames, Bridge: "b1", Frames: []stream.EntryFrame{{Frame: good}}})
	if _, err := w.log.Append(ctx, 0, []byte("no entry")); err != nil {
		t.Fatal(err)
	}
	w.run(10 * time.Second)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	p, err := s.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if p.Ledger.Rejected != 3 || p.Ledger.Missing != 0 {
		t.Errorf("ledger %+v", p.Ledger)
	}
	if v, err := s.Server(ctx, a.id); err != nil || v.State != store.StateUp || strings.Contains(v.Name, "nonsense") {
		t.Errorf("server %+v %v", v.Server, err)
	}
}

// New rules take effect at one entry per partition: what is open for a rule
// that is gone is resolved, with the reason; what stays, stays.
func TestReload(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	w.run(20 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Failed"})
	a.event("disk", 7)
	w.run(5 * time.Second)
	inner := openStore(t)
	s := &watched{inner, make(chan struct{}, 1)}
	r := start(t, Config{Log: w.log, Store: s})
	s.until(t, "all committed", func() bool { return atHead(t, inner, w.log) })
	before := told(t, inner)
	if len(before) != 2 {
		t.Fatalf("notifications %q", before)
	}
	var rules []*rule.Rule
	for _, v := range testRules(t) {
		if !strings.HasPrefix(v.ID, "raid-") {
			rules = append(rules, v)
		}
	}
	if err := r.engine.Reload(Generation{Rules: rules}); err != nil {
		t.Fatal(err)
	}
	s.until(t, "the drive's notification is over", func() bool {
		return strings.Contains(strings.Join(told(t, inner), "\n"), "s0 resolved")
	})
	if got := strings.Join(told(t, inner), "\n"); !strings.Contains(got, "disk firing") {
		t.Errorf("notifications %q", got)
	}
	r.end(t)
}
