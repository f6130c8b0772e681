package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

const (
	factsIncarnation = "facts"
	factsBatch       = 1000
	fleetEvery       = time.Second
	countEvery       = 30 * time.Second
	streamQuiet      = 30 * time.Second // without an entry: ticks come every second
	problemLasts     = 10 * time.Second // before it is told
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
		e.cfg.Logger.Error("fleet operator starts over", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(claimWait):
		}
	}
}

func (r *fleetRunner) run(ctx context.Context) error {
	if err := r.claim(ctx); err != nil {
		return err
	}
	tick := time.NewTicker(fleetEvery)
	defer tick.Stop()
	counted := r.engine.cfg.Now()
	for {
		if err := r.facts(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-r.engine.fleetWake:
		case <-tick.C:
			now := r.engine.cfg.Now()
			if now.Sub(counted) >= countEvery {
				counted = now
				r.engine.count(ctx)
			}
			if err := r.pass(ctx, now); err != nil {
				return err
			}
		}
	}
}

func (r *fleetRunner) claim(ctx context.Context) error {
	c, err := r.engine.cfg.Store.Claim(ctx, store.FleetPartition, r.engine.cfg.Owner)
	if err != nil {
		return err
	}
	r.fleet, r.epoch, r.pos = newFleet(), c.Epoch, c.Position
	if c.Base != nil {
		if err := json.Unmarshal(c.Base, r.fleet); err != nil {
			return fmt.Errorf("fleet operator: working state: %w", err)
		}
	}
	return nil
}

// facts takes all facts there are.
func (r *fleetRunner) facts(ctx context.Context) error {
	for {
		facts, err := r.engine.cfg.Store.Facts(ctx, r.pos.Entry, factsBatch)
		if err != nil || len(facts) == 0 {
			return err
		}
		var o outcome
		sizes := func() ([]store.GroupSize, error) { return r.engine.cfg.Store.Groups(ctx) }
		for _, f := range facts {
			if err := r.fleet.apply(f, sizes, &o); err != nil {
				return err
			}
		}
		last := facts[len(facts)-1]
		if err := r.commit(ctx, &o, last.Seq, last.At); err != nil {
			return err
		}
	}
}

// pass lets time pass: folds end, and the bridges are looked at.
func (r *fleetRunner) pass(ctx context.Context, now time.Time) error {
	var o outcome
	at := r.engine.newest()
	if !at.IsZero() {
		r.fleet.tick(at, &o)
	}
	problem := r.engine.problem(now, r.started)
	if problem != r.problem {
		r.problem, r.since = problem, now
	}
	if problem == "" || now.Sub(r.since) >= problemLasts {
		r.fleet.bridges(problem, now.UTC(), &o)
	}
	if len(o.folds) == 0 && len(o.notes) == 0 {
		return nil
	}
	return r.commit(ctx, &o, r.pos.Entry, at)
}

func (r *fleetRunner) commit(ctx context.Context, o *outcome, seq uint64, at time.Time) error {
	state, err := json.Marshal(r.fleet)
	if err != nil {
		return fmt.Errorf("fleet operator: working state: %w", err)
	}
	c := store.PartitionCommit{Partition: store.FleetPartition, Epoch: r.epoch, From: r.pos, To: store.Position{Incarnation: factsIncarnation, Entry: seq},
		StreamTime: at, Committed: r.engine.cfg.Now(), Base: state, Folds: o.folds, FactsDone: seq}
	var tell []notify.Notification
	for i := range o.notes {
		c.Notifications = append(c.Notifications, row(&o.notes[i], store.FleetPartition))
		tell = append(tell, o.notes[i])
	}
	select {
	case err = <-r.engine.committer.submit(ctx, &c):
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	r.pos = c.To
	r.engine.metrics.folded(o)
	if len(tell) > 0 {
		r.engine.cfg.Changed(tell...)
	}
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
		r.engine.told([]store.Notification{d.Notification})
	}
	return nil
}

// newest is the newest stream time of all partitions.
func (e *Engine) newest() time.Time {
	var ns int64
	for i := range e.status {
		ns = max(ns, e.status[i].stream.Load())
	}
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// problem says why servers cannot be judged, or "".
func (e *Engine) problem(now, started time.Time) string {
	arrived := started.UnixNano()
	why := ""
	for i := range e.status {
		arrived = max(arrived, e.status[i].arrived.Load())
		if f := e.status[i].frozen.Load(); f != nil && (*f == frozenProbe || *f == frozenInflow) {
			why = *f
		}
	}
	if quiet := now.UnixNano() - arrived; quiet > int64(streamQuiet) {
		return "nothing arrives from the stream"
	}
	return why
}
