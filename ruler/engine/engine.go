// Package engine feeds what is in the stream to the operators, in order, per
// partition, and commits what comes of it.
//
// A partition is one single-threaded pipeline: read an entry, decode its frames,
// ask the ledger which records are fresh, step them, gather verdicts, changes
// and facts, and hand all of it to the committer as one transaction that begins
// by moving the position. While that is on its way the next batch is applied.
// Nothing but the stream's append times is a clock, so a replay gives what the
// first run gave, and a crash between any two steps repeats work and loses none.
//
// One committer merges the partitions that are ready. The fleet operator judges
// what no partition can see alone, fed by facts in their commits.
//
// Engine.Run may be called once. To test: go test ./ruler/engine.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"nocturne/internal/stream"
	"nocturne/ruler/notify"
	"nocturne/ruler/probe"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// Config is what an Engine is built from.
type Config struct {
	Log   stream.Log
	Store store.Store
	Rules []*rule.Rule
	// Generation and Gone belong to Rules; see the type Generation.
	Generation uint64
	Gone       map[string]string
	// Owner names this process among rulers of one store.
	Owner string
	// Changed is told of notifications that were just committed and that people
	// are to be told of; nil = nobody. It must not block.
	Changed func(...notify.Notification)
	// Probe asks the machine at an address whether it answers, in a few seconds;
	// nil = nobody does. Silences wait for it before people are told.
	Probe func(ctx context.Context, address string) probe.Answer
	// Restored is when a backup was put in the place of the store: of what
	// happened before, people were told then. Zero = never.
	Restored time.Time
	// Now is the wall clock, for metrics and for noticing that the stream itself
	// stands still; nil = time.Now.
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Engine runs all partitions.
type Engine struct {
	cfg       Config
	mu        sync.Mutex
	rules     ruleset
	reloaded  chan struct{} // closed and replaced when the rules change
	metrics   *metrics
	badRows   sync.Map // texts of errors that the log has
	failures  failures
	committer *committer
	fleetWake chan struct{}
	awaited   atomic.Int64 // stream time of the first fact that waits for partitions, Unix nanoseconds; 0 = none does
	pace      pace
	servers   atomic.Int64 // of all partitions, as last counted; -1 = not known
	status    [stream.Partitions]status
	health    [stream.Partitions + 1]health // the last is the fleet operator's
}

// status is what others may know of a running partition.
type status struct {
	stream  atomic.Int64 // append time of the last entry applied, Unix nanoseconds
	facts   atomic.Int64 // append time up to which the store has all that the fleet operator judges by
	arrived atomic.Int64 // wall clock when it was
	claimed atomic.Int64 // wall clock of the last claim
	frozen  atomic.Pointer[string]
}

// New checks the rules. It starts nothing.
func New(cfg Config) (*Engine, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Changed == nil {
		cfg.Changed = func(...notify.Notification) {}
	}
	e := &Engine{cfg: cfg, rules: newRuleset(Generation{cfg.Generation, cfg.Rules, cfg.Gone}), reloaded: make(chan struct{}), pace: usualPace, fleetWake: make(chan struct{}, 1)}
	if _, err := newPartition(0, e.rules, nil); err != nil {
		return nil, err
	}
	e.servers.Store(-1)
	e.metrics = newMetrics(e, cfg.Registerer)
	e.committer = newCommitter(cfg.Store, e.metrics)
	return e, nil
}

// Reload changes the rules. Every partition commits what it has applied, and
// goes on from there with the new ones: a generation takes effect at one entry.
// State of rules whose shape is the same stays. Rules that are new or have
// another shape judge what is known; what is then open for no rule any more is
// resolved, with the reason. Wrong rules change nothing.
func (e *Engine) Reload(g Generation) error {
	set := newRuleset(g)
	if _, err := newPartition(0, set, nil); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.rules = set
	close(e.reloaded)
	e.reloaded = make(chan struct{})
	return nil
}

// generation returns the rules of now, and what is closed when they change.
func (e *Engine) generation() (ruleset, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rules, e.reloaded
}

// Run owns all partitions until ctx ends or another owner takes one.
func (e *Engine) Run(ctx context.Context) error {
	e.count(ctx)
	g, ctx := errgroup.WithContext(ctx)
	// The committer ends last, so that what was applied can still be committed.
	commits, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	done := make(chan struct{})
	go func() { e.committer.run(commits); close(done) }()
	for n := range stream.Partitions {
		g.Go(func() error { return e.own(ctx, n) })
	}
	g.Go(func() error { return e.runFleet(ctx) })
	err := g.Wait()
	stop()
	<-done
	return err
}

// count learns how many servers there are; while it cannot, the last number
// holds. A store that knows no server has still to read of them.
func (e *Engine) count(ctx context.Context) {
	groups, err := e.cfg.Store.Groups(ctx)
	var known store.ServerPage
	if err == nil && len(groups) == 0 {
		known, err = e.cfg.Store.Servers(ctx, store.ServerQuery{State: store.ServerStates(), Limit: 1})
	}
	if err != nil {
		e.cfg.Logger.Warn("count servers", "err", err)
		return
	}
	n := 0
	for _, g := range groups {
		n += g.Servers
	}
	if len(groups) == 0 && known.Total == 0 {
		n = -1
	}
	e.servers.Store(int64(n))
}

const (
	claimWait  = time.Second
	lastCommit = 5 * time.Second // for what was applied when asked to stop
)

// own runs one partition, and claims it anew when its state cannot be trusted.
func (e *Engine) own(ctx context.Context, n int) error {
	for {
		r := &runner{engine: e, number: n, log: e.cfg.Logger.With("partition", n)}
		err := r.run(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrFenced):
			return fmt.Errorf("another ruler owns the partition: %w", err)
		case errors.Is(err, errReload):
			continue
		}
		e.metrics.restarts.Inc()
		e.health[n].fail(e.cfg.Now(), err)
		r.forgotten()
		r.log.Error("partition starts over", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(claimWait):
		}
	}
}

// historyAfter is how old news may be and people are still told: a ruler that
// lost its store reads days of the stream again, and their problems are history.
const historyAfter = time.Hour

// standsStill is how long nothing has to come before what is old counts as all
// that there is.
const standsStill = 5 * time.Minute

// Behind tells whether what a partition finds now is history: it reads what is
// old, or has not said yet how far it is. A stream that stands still is no
// history.
func (e *Engine) Behind(partition int) bool {
	var at, moved int64
	switch {
	case partition == store.FleetPartition:
		at = e.through().UnixNano()
		for i := range e.status {
			moved = max(moved, e.status[i].moved())
		}
	case partition >= 0 && partition < len(e.status):
		at, moved = e.status[partition].stream.Load(), e.status[partition].moved()
	default:
		return false
	}
	return at <= 0 || at < e.old().UnixNano() && e.cfg.Now().UnixNano()-moved <= int64(standsStill)
}

// old is the moment before which what happened is history.
func (e *Engine) old() time.Time {
	at := e.cfg.Now().Add(-historyAfter)
	if e.cfg.Restored.After(at) {
		return e.cfg.Restored
	}
	return at
}

// moved is when an entry was applied last, or could have been.
func (s *status) moved() int64 { return max(s.arrived.Load(), s.claimed.Load()) }

// told hands committed notifications to whoever tells people. A partition does
// not know whether a silence is held or folded: the store does.
func (e *Engine) told(ctx context.Context, rows []store.Notification) {
	ctx = context.WithoutCancel(ctx) // it is committed, also where the ruler ends now
	rules, _ := e.generation()
	var out []notify.Notification
	for i := range rows {
		n := &rows[i]
		if n.Changed.Before(e.old()) {
			continue // what of it is still open at the end the sender's rounds tell
		}
		if rules.silence[n.RuleID] || rules.never[n.RuleID] {
			d, err := e.cfg.Store.Notification(ctx, n.ID)
			if err != nil { // the sender's next round finds it
				e.cfg.Logger.Warn("read notification", "notification", n.ID, "err", err)
				continue
			}
			n = &d.Notification
		}
		if n.Held || n.Muted != "" || n.FoldedInto != "" {
			continue
		}
		v, err := tellable(n)
		if err != nil {
			e.Unreadable(err)
		}
		out = append(out, v)
	}
	if len(out) > 0 {
		e.cfg.Changed(out...)
	}
}

// Unreadable counts a notification that could be read only in part, and says so
// once for each. An Outbox over the same store tells of what it finds.
func (e *Engine) Unreadable(err error) {
	e.metrics.unreadable.Inc()
	if _, told := e.badRows.LoadOrStore(err.Error(), true); !told {
		e.cfg.Logger.Error("a stored notification cannot be read: it is told from its columns", "err", err)
	}
}

func (e *Engine) wakeFleet() {
	select {
	case e.fleetWake <- struct{}{}:
	default:
	}
}
