package simulate_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"nocturne/alerts"
	"nocturne/deploy/nocturne/simulate"
	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/engine"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// week is a fleet in virtual time: the simulator's machines, a bridge that
// gathers what they say, and the whole engine with the default rules.
type week struct {
	t       testing.TB
	log     *streamtest.Log
	now     time.Time
	servers []*weekServer
	frames  [stream.Partitions][]stream.EntryFrame
	since   uint64 // frames since the last tick
	records int
	store   *sqlite.Store
	failed  chan error // of the engine
	path    string     // of the store
	period  time.Duration
	rules   func([]*rule.Rule) []*rule.Rule     // nil = as they are
	change  func(*weekServer, *simulate.Output) // nil = as the machine said it
}

type weekServer struct {
	id      record.ID
	machine *simulate.Machine
	epoch   record.Epoch
	starts  uint64
	seq     map[record.Category]uint64
}

// tickEvery is the longest period that the ruler believes a bridge.
const tickEvery = 10 * time.Second

func newWeek(t testing.TB, servers int) *week {
	w := &week{t: t, period: tickEvery}
	w.begin(servers, simulate.Settings{RAID: 50 * time.Minute, Hardware: 12 * time.Hour, Events: 0.1})
	return w
}

func (w *week) begin(servers int, set simulate.Settings) {
	w.now = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	w.log = streamtest.New(w.now)
	w.judge()
	for _, spec := range simulate.Fleet(1, servers) {
		s := &weekServer{machine: simulate.NewMachine(spec, set, 1, nil)}
		sum := sha256.Sum256([]byte(spec.Name))
		copy(s.id[:], sum[:])
		w.servers = append(w.servers, s)
		h := record.Header{Producer: "bridge/b1/registry", Subject: s.id, Category: record.Agent, Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 1}}, First: 1, Sent: w.now.UnixNano()}
		w.frame(h, []record.Record{{Time: w.now, Observed: w.now, Name: record.NameEnrolled, Attrs: []record.Attr{
			{Key: record.AttrServer, Value: record.String(spec.Name)}, {Key: record.AttrSite, Value: record.String(spec.Site)}, {Key: record.AttrRack, Value: record.String(spec.Rack)},
			{Key: record.AttrRole, Value: record.String(spec.Role)}, {Key: record.AttrOwner, Value: record.String(spec.Owner)}, {Key: record.AttrSimulated, Value: record.Bool(true)}}}})
		w.say(s, s.machine.Start(w.now))
	}
}

// frame hands records to the bridge.
func (w *week) frame(h record.Header, recs []record.Record) {
	w.t.Helper()
	f, err := record.EncodeData(h, recs)
	if err != nil {
		w.t.Fatal(err)
	}
	p := stream.Partition(h.Subject)
	w.frames[p] = append(w.frames[p], stream.EntryFrame{Received: w.now.UnixNano(), Frame: f})
	w.since++
	w.records += len(recs)
}

// say numbers what a machine said, as an exporter does.
func (w *week) say(s *weekServer, outs []simulate.Output) {
	for len(outs) > 0 {
		c, n := outs[0].Category, 1
		if outs[0].Epoch {
			s.starts++
			last := s.seq[record.Heartbeat]
			s.epoch = record.Epoch{EpochRef: record.EpochRef{Start: outs[0].Record.Observed.UnixNano(), Random: s.starts}, Prev: s.epoch.EpochRef, PrevLast: last}
			s.seq = map[record.Category]uint64{}
		}
		for n < len(outs) && outs[n].Category == c && !outs[n].Epoch {
			n++
		}
		recs := make([]record.Record, n)
		for i := range recs {
			if w.change != nil {
				w.change(s, &outs[i])
			}
			recs[i] = outs[i].Record
		}
		w.frame(record.Header{Producer: record.ExporterProducer(s.id), Subject: s.id, Category: c, Epoch: s.epoch, First: s.seq[c] + 1, Sent: w.now.UnixNano()}, recs)
		s.seq[c] += uint64(n)
		outs = outs[n:]
	}
}

// run lets time pass; each is called before every tick.
func (w *week) run(d time.Duration, each func(passed time.Duration)) {
	w.t.Helper()
	for passed := time.Duration(0); passed < d; passed += w.period {
		w.now = w.now.Add(w.period)
		if each != nil {
			each(passed)
		}
		for _, s := range w.servers {
			if !s.machine.Next().After(w.now) {
				outs, _ := s.machine.Step(w.now)
				w.say(s, outs)
			}
		}
		accepted := w.since
		w.since = 0
		for p := range stream.Partitions {
			if len(w.frames[p]) > 0 {
				w.append(p, stream.Entry{Kind: stream.EntryFrames, Bridge: "b1", Frames: w.frames[p]})
				w.frames[p] = nil
			}
			w.append(p, stream.Entry{Kind: stream.EntryTick, Bridge: "b1", Tick: stream.Tick{Wall: w.now.UnixNano(), Period: tickEvery, Accepted: accepted, ProbeOK: true}})
		}
	}
}

func (w *week) append(p int, e stream.Entry) {
	w.t.Helper()
	b, err := stream.AppendEntry(nil, &e)
	if err != nil {
		w.t.Fatal(err)
	}
	w.log.SetTime(w.now)
	if _, err := w.log.Append(w.t.Context(), p, b); err != nil {
		w.t.Fatal(err)
	}
}

// judge lets the engine run beside the fleet.
func (w *week) judge() {
	w.t.Helper()
	rules, err := rule.ParseFS(alerts.Files(), "records")
	if err != nil {
		w.t.Fatal(err)
	}
	if w.rules != nil {
		rules = w.rules(rules)
	}
	w.path = filepath.Join(w.t.TempDir(), "ruler.db")
	w.store, err = sqlite.Open(w.t.Context(), sqlite.Config{Path: w.path, Partitions: stream.Partitions, Hash: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	e, err := engine.New(engine.Config{Log: w.log, Store: w.store, Rules: rules, Owner: "test"})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.failed = make(chan error, 1)
	go func() { w.failed <- e.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-w.failed, w.store.Close()); err != nil {
			w.t.Error(err)
		}
	})
}

// settle waits until the engine has read everything, and forgets it.
func (w *week) settle() {
	w.t.Helper()
	for !w.read(w.store) {
		select {
		case err := <-w.failed:
			w.failed <- nil
			w.t.Fatalf("the engine ended: %v", err)
		case <-w.store.Committed():
		case <-time.After(time.Second):
		}
	}
	for p := range stream.Partitions {
		head, err := w.log.Head(w.t.Context(), p)
		if err != nil {
			w.t.Fatal(err)
		}
		w.log.Trim(p, head.Entry)
	}
}

// read tells whether every partition is at the end, and the fleet operator too.
func (w *week) read(s store.Store) bool {
	p, err := s.Pipeline(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, v := range p.Partitions {
		head, err := w.log.Head(w.t.Context(), v.Partition)
		if err != nil {
			w.t.Fatal(err)
		}
		if store.Position(head) != v.Position {
			return false
		}
	}
	facts, err := s.Facts(w.t.Context(), 0, 1)
	if err != nil {
		w.t.Fatal(err)
	}
	return len(p.Partitions) == stream.Partitions && len(facts) == 0
}

// told lists what people would have been told of.
func (w *week) told(s store.Store) []string {
	w.t.Helper()
	no := false
	page, err := s.Notifications(w.t.Context(), store.NotificationQuery{Muted: &no, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, n := range page.Notifications {
		out = append(out, fmt.Sprintf("%s %s %s %s: %s", n.Opened.Format("02 15:04"), n.Name, n.RuleID, n.Severity, n.Reason))
	}
	return out
}

// The noise budget: a healthy fleet of 100 servers sends nothing in a week. The
// week takes a minute or more of processor time, so every run plays its first
// day, and `make chaos` all of it (NOCTURNE_NOISE_DAYS=7).
func TestAHealthyFleetSendsNothing(t *testing.T) {
	servers, days := 100, 1
	if testing.Short() {
		servers = 20
	}
	if v := os.Getenv("NOCTURNE_NOISE_DAYS"); v != "" {
		var err error
		if days, err = strconv.Atoi(v); err != nil || days < 1 {
			t.Fatalf("NOCTURNE_NOISE_DAYS=%s: want a number of days", v)
		}
	}
	w := newWeek(t, servers)
	for range 4 * days {
		w.run(6*time.Hour, nil)
		w.settle()
	}
	s := w.store
	if told := w.told(s); len(told) > 0 {
		t.Errorf("%d messages of %d healthy servers in %d days, the first: %q", len(told), servers, days, told[:min(len(told), 10)])
	}
	o, err := s.Overview(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.ByState[store.StateUp] != servers {
		t.Errorf("%v up, want all %d: the engine did not see the week", o.ByState, servers)
	}
	p, err := s.Pipeline(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p.Partitions {
		if v.Losses != (store.StreamLosses{}) || v.Ledger.Missing != 0 {
			t.Errorf("partition %d lost %+v, and misses %d records", v.Partition, v.Losses, v.Ledger.Missing)
		}
	}
	t.Logf("%d servers, %d days, %d records", servers, days, w.records)
}

// Twenty servers that are patched and rebooted one night are no message.
func TestPatchNightIsNoMessage(t *testing.T) {
	w := newWeek(t, 20)
	patched := 0
	w.run(6*time.Hour, func(passed time.Duration) {
		if passed < 2*time.Hour || patched == len(w.servers) || int(passed/time.Minute)%3 != 0 || passed%time.Minute != 0 {
			return
		}
		if _, err := w.servers[patched].machine.Begin(simulate.KindPatchday, fmt.Sprint("patch-", patched), w.now); err != nil {
			t.Fatal(err)
		}
		patched++
	})
	w.settle()
	s := w.store
	if told := w.told(s); len(told) > 0 {
		t.Errorf("%d messages: %q", len(told), told)
	}
	page, err := s.Servers(t.Context(), store.ServerQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range page.Servers {
		if !v.BootTime.After(w.now.Add(-5 * time.Hour)) {
			t.Errorf("%s was not rebooted: %s", v.Name, v.BootTime)
		}
	}
}
