package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"nocturne/internal/stream"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/probe"
	"nocturne/ruler/store"
)

const (
	factsIncarnation = "facts"
	factsMost        = 100_000
	factsCommit      = 2_000 // worked off in one commit: partitions wait behind it
	fleetEvery       = time.Second
	countEvery       = 30 * time.Second
	streamQuiet      = 30 * time.Second // without an entry: ticks come every second
	problemLasts     = 30 * time.Second // before it is told
)

// fleetRunner is the shell of the fleet operator.
type fleetRunner struct {
	engine  *Engine
	fleet   *fleet
	epoch   uint64
	pos     store.Position
	problem string    // with judging servers
	since   time.Time // wall clock
	started time.Time
	base    int // bytes of the state's base, and of the deltas since
	deltas  int
	answers chan answered
	stuck   time.Time // wall clock since when facts wait and no partition gets on; zero = none waits
	reached time.Time // how far all partitions were then

	moves  *notify.Moves
	open   []notify.Notification // for the first of moves
	across time.Duration         // within which parts move, of all rules
	stale  <-chan struct{}       // closed when the rules are not the newest any more
}

func (e *Engine) runFleet(ctx context.Context) error {
	for {
		r := &fleetRunner{engine: e, started: e.cfg.Now()}
		err := r.run(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrFenced):
			return fmt.Errorf("another ruler owns the fleet operator: %w", err)
		}
		e.metrics.restarts.Inc()
		r.health().fail(e.cfg.Now(), err)
		e.cfg.Logger.Error("fleet operator starts over", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(claimWait):
		}
	}
}

func (r *fleetRunner) health() *health { return &r.engine.health[stream.Partitions] }

func (r *fleetRunner) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx) // also for those who ask machines
	defer cancel()
	if err := r.claim(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(fleetEvery)
	defer tick.Stop()
	counted := r.engine.cfg.Now()
	for ticked := false; ; {
		at := r.engine.through()
		if err := r.facts(ctx, at); err != nil {
			return err
		}
		if ticked { // time passes to where facts were taken to
			now := r.engine.cfg.Now()
			if now.Sub(counted) >= countEvery {
				counted = now
				r.engine.count(ctx)
			}
			if err := r.pass(ctx, now, at); err != nil {
				return err
			}
		}
		ticked = false
		select {
		case <-ctx.Done():
			return nil
		case <-r.engine.fleetWake:
		case a := <-r.answers:
			if err := r.answered(ctx, a); err != nil {
				return err
			}
		case <-tick.C:
			ticked = true
		}
	}
}

func (r *fleetRunner) claim(ctx context.Context) error {
	r.health().ask(r.engine.cfg.Now())
	c, err := r.engine.cfg.Store.Claim(ctx, store.FleetPartition, r.engine.cfg.Owner)
	if err != nil {
		return err
	}
	r.health().claim(r.engine.cfg.Now())
	r.epoch, r.pos, r.base = c.Epoch, c.Position, len(c.Base)
	for _, d := range c.Deltas {
		r.deltas += len(d)
	}
	if r.fleet, err = loadFleet(c.Base, c.Deltas); err != nil {
		return err
	}
	r.reopen(c.Notifications)
	r.fleet.asks = r.engine.cfg.Probe != nil
	r.answers = make(chan answered)
	var o outcome
	r.fleet.again(&o)
	if !r.fleet.asks { // it was switched off meanwhile
		for _, a := range o.asks {
			r.fleet.answer(a, probe.Not("the ruler was started anew without it"), r.engine.through(), &o)
		}
		o.asks = nil
	}
	if len(o.folds) > 0 {
		if err := r.commit(ctx, &o, nil, r.engine.through()); err != nil {
			return err
		}
	}
	r.ask(ctx, o.asks)
	return nil
}

// facts takes the facts that every partition has got past, in the order of the
// stream's time: one partition may be ahead of another, by a tick or by minutes
// after an outage, and what is said must not depend on which one is. Time passes
// to each of them before it is taken.
func (r *fleetRunner) facts(ctx context.Context, through time.Time) error {
	facts, err := r.engine.cfg.Store.Facts(ctx, 0, factsMost)
	if err != nil || len(facts) == 0 {
		r.stuck = time.Time{}
		r.engine.await(nil)
		return err
	}
	sortFacts(facts)
	now := r.engine.cfg.Now()
	if r.stuck.IsZero() || through.After(r.reached) {
		r.stuck, r.reached = now, through
	}
	ready := slices.IndexFunc(facts, func(f store.Fact) bool { return f.At.After(through) })
	if ready < 0 || now.Sub(r.stuck) > r.engine.pace.facts {
		ready = len(facts)
	}
	r.engine.await(facts[ready:])
	if ready == 0 {
		return nil
	}
	sizes := r.sizes(ctx)
	r.stuck = time.Time{}
	for some := range slices.Chunk(facts[:ready], factsCommit) {
		var o outcome
		var done []uint64
		r.renew(&o, some[0].At)
		for _, f := range some {
			r.fleet.tick(f.At, &o)
			if f.Kind == store.FactParts {
				if err := r.parts(ctx, &f, &o); err != nil {
					return err
				}
				r.fleet.Judged = max(r.fleet.Judged, f.At.UnixNano())
				done = append(done, f.Seq)
				continue
			}
			if err := r.fleet.apply(f, sizes, &o); err != nil {
				return err
			}
			done = append(done, f.Seq)
		}
		if err := r.commit(ctx, &o, done, some[len(some)-1].At); err != nil {
			return err
		}
		r.ask(ctx, o.asks)
	}
	return nil
}

// await has the fleet operator woken when all partitions may have got past the
// first of some facts.
func (e *Engine) await(facts []store.Fact) {
	if len(facts) == 0 {
		e.awaited.Store(0)
		return
	}
	e.awaited.Store(facts[0].At.UnixNano())
	if !facts[0].At.After(e.through()) { // meanwhile
		e.wakeFleet()
	}
}

// sortFacts puts facts in the order of the stream's time. Those of one partition
// keep their own, also where its time was set right in between: a server that is
// back must not fall silent after it.
func sortFacts(facts []store.Fact) {
	last := map[int]time.Time{}
	at := make(map[uint64]time.Time, len(facts))
	for i := range facts {
		f := &facts[i]
		if f.At.After(last[f.Partition]) {
			last[f.Partition] = f.At
		}
		at[f.Seq] = last[f.Partition]
	}
	slices.SortStableFunc(facts, func(a, b store.Fact) int {
		return cmp.Or(at[a.Seq].Compare(at[b.Seq]), cmp.Compare(a.Partition, b.Partition))
	})
}

// sizesEvery is for how long the sizes of groups hold, in stream time.
const sizesEvery = 10 * time.Second

// sizes asks how many servers each group had. It is as of the fact and no matter
// how far the partitions are, so that a ruler that was away judges as one that was
// there. They are asked once for several facts, and the moment depends on their
// times alone.
func (r *fleetRunner) sizes(ctx context.Context) func(at time.Time) (map[group]int, error) {
	var of time.Time
	var known map[group]int
	return func(at time.Time) (map[group]int, error) {
		if at = at.Truncate(sizesEvery); known != nil && at.Equal(of) {
			return known, nil
		}
		all, err := r.engine.cfg.Store.GroupsAt(ctx, at)
		if err != nil {
			return nil, err
		}
		of, known = at, groupSizes(all)
		return known, nil
	}
}

// pass lets time pass to a moment of the stream: folds end, and the bridges are
// looked at.
func (r *fleetRunner) pass(ctx context.Context, now, at time.Time) error {
	var o outcome
	r.fleet.tick(at, &o)
	r.renew(&o, at)
	o.say(r.moves.Tick(moveAt(at)))
	problem := r.engine.problem(now, r.started)
	if problem != r.problem {
		r.problem, r.since = problem, now
	}
	if problem == "" || now.Sub(r.since) >= problemLasts {
		r.fleet.bridges(problem, now.UTC(), &o)
	}
	if o.empty() {
		return nil
	}
	return r.commit(ctx, &o, nil, at)
}

func (r *fleetRunner) commit(ctx context.Context, o *outcome, done []uint64, at time.Time) error {
	whole := r.base == 0 || r.deltas > max(foldBytes, r.base)
	state, err := r.fleet.save(whole)
	if err != nil {
		return err
	}
	c := store.PartitionCommit{Partition: store.FleetPartition, Epoch: r.epoch, From: r.pos, To: store.Position{Incarnation: factsIncarnation, Entry: r.pos.Entry + 1},
		StreamTime: at, Committed: r.engine.cfg.Now(), Folds: o.folds, FactsDone: done,
		Changes: o.changes, Evidence: o.evidence, RuleCounts: o.counts}
	if whole {
		c.Base, r.base, r.deltas = state, len(state), 0
	} else {
		c.Delta, r.deltas = state, r.deltas+len(state)
	}
	for i := range o.notes {
		n := row(&o.notes[i], store.FleetPartition)
		n.Held = r.fleet.holds(n.ID)
		c.Notifications = append(c.Notifications, n)
	}
	for _, f := range o.folds {
		if f.Probe != "" {
			c.Evidence = append(c.Evidence, store.Evidence{Notification: f.Notification, At: at, Event: at, Effect: operator.Noted.String(), RuleID: ruleMass, Reason: "asked whether it answers: " + f.Probe})
		}
	}
	r.health().ask(r.engine.cfg.Now())
	select {
	case err = <-r.engine.committer.submit(ctx, &c):
	case <-ctx.Done():
		return ctx.Err()
	}
	r.health().commit(err)
	if err != nil {
		return err
	}
	r.pos = c.To
	r.engine.metrics.folded(o)
	r.engine.told(ctx, c.Notifications)
	return r.release(ctx, o.folds)
}

// release tells of silences that stand for themselves, as they are by now.
func (r *fleetRunner) release(ctx context.Context, folds []store.Fold) error {
	for _, f := range folds {
		if f.Into != "" {
			continue
		}
		d, err := r.engine.cfg.Store.Notification(ctx, f.Notification)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		r.engine.told(ctx, []store.Notification{d.Notification})
	}
	return nil
}

// through is the stream time up to which the store has what the fleet operator
// judges by, of every partition.
func (e *Engine) through() time.Time {
	ns := int64(math.MaxInt64)
	for i := range e.status {
		ns = min(ns, e.status[i].facts.Load())
	}
	return time.Unix(0, ns).UTC()
}

// problem says why servers cannot be judged, or "".
func (e *Engine) problem(now, started time.Time) string {
	arrived := started.UnixNano()
	why := ""
	for i := range e.status {
		arrived = max(arrived, e.status[i].arrived.Load())
		if f := e.status[i].frozen.Load(); f != nil && *f != "" && *f != frozenGrace {
			why = *f
		}
	}
	if quiet := now.UnixNano() - arrived; quiet > int64(streamQuiet) {
		return "nothing arrives from the stream"
	}
	return why
}
