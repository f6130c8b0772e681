package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"nocturne/internal/stream"
	"nocturne/ruler/store"
)

// runner is the shell of one partition: it reads the log, applies, commits.
type runner struct {
	engine *Engine
	number int
	log    *slog.Logger
	part   *partition

	flight  chan error            // answer to the commit on its way; nil = none
	sent    store.PartitionCommit // that commit
	counted counts                // what it holds
	news    bool                  // it holds what the fleet operator asks for
	reaches int64                 // stream time up to which it holds all
	stored  int64                 // stream time up to which the store has all of that
	waiting time.Time             // wall clock of the oldest entry applied and not handed out
	linger  *time.Timer
	stale   <-chan struct{} // closed when the rules are not the newest any more
}

// errReload says that all is committed and the rules are to be taken anew.
var errReload = errors.New("rules were changed")

// pace is how much is done at a time, and how long is waited for more. No size
// changes what comes of it.
type pace struct {
	ahead int           // entries read ahead, of at most record.MaxEntry bytes
	batch int           // entries applied between two looks around
	hold  int64         // bytes applied and not handed out; then the commit is waited for
	idle  time.Duration // how long a clock that ticks may wait for company
	facts time.Duration // wall clock; then a partition that lags is not waited for
}

var usualPace = pace{ahead: 16, batch: 256, hold: 16 << 20, idle: 2 * time.Second, facts: 10 * time.Second}

const lingerFacts = 500 * time.Millisecond // how long working state may wait for company

func (r *runner) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := r.claim(ctx); err != nil {
		return err
	}
	entries := make(chan stream.Message, r.engine.pace.ahead)
	failed := make(chan error, 1)
	reader := func(from stream.Position) {
		failed <- r.read(ctx, from, entries)
	}
	go reader(stream.Position(r.part.pos))
	defer cancel()
	r.linger = time.NewTimer(time.Hour)
	defer r.linger.Stop()
	r.submit(ctx) // new rules may have closed what the old ones had opened
	for {
		in := entries
		if r.full() {
			in = nil
		}
		var err error
		select {
		case <-ctx.Done():
			return r.finish()
		case <-r.stale:
			if err := r.finish(); err != nil {
				return err
			}
			return errReload
		case m := <-in:
			err = r.applyAll(m, in)
		case answer := <-r.flight:
			err = r.landed(ctx, answer)
		case <-r.linger.C:
		case err = <-failed:
			if ctx.Err() != nil {
				return r.finish()
			}
			if !errors.Is(err, errLost) {
				return err
			}
			// What was read of the old life is applied; go on with the new one.
			if err = drain(entries, r.apply); err == nil {
				err = r.lost(ctx)
			}
			if err == nil {
				go reader(stream.Position(r.part.pos))
			}
		}
		if err != nil {
			return err
		}
		r.submit(ctx)
		r.publish()
	}
}

// drain applies what waits. What cannot be applied ends it: the rest stands on it.
func drain(entries <-chan stream.Message, apply func(stream.Message) error) error {
	for len(entries) > 0 {
		if err := apply(<-entries); err != nil {
			return err
		}
	}
	return nil
}

// forgotten counts what was applied and not committed: it will be read again.
func (r *runner) forgotten() {
	if r.part == nil {
		return
	}
	n := r.part.counts.received
	if r.sent.To != (store.Position{}) { // on its way when it failed
		n += r.counted.received
	}
	r.engine.metrics.forgotten(n)
}

// publish says up to when the store has all that the fleet operator hears of the
// partition, or asks for: facts, and which servers there were. The moment of the
// last entry is not over, for the next one may have the same.
func (r *runner) publish() {
	if !r.news && !r.part.out.news {
		r.stored = r.part.clock.stream
	}
	was := r.engine.status[r.number].facts.Swap(r.stored - 1)
	if at := r.engine.awaited.Load(); was < at && at < r.stored {
		r.engine.wakeFleet()
	}
}

func (r *runner) claim(ctx context.Context) error {
	e := r.engine
	e.health[r.number].ask(e.cfg.Now())
	claim, err := e.cfg.Store.Claim(ctx, r.number, e.cfg.Owner)
	if err != nil {
		return err
	}
	e.health[r.number].claim(e.cfg.Now())
	load := func(h store.Hash) ([]byte, error) { return e.cfg.Store.Snapshot(context.WithoutCancel(ctx), h) }
	var rules ruleset
	rules, r.stale = e.generation()
	if r.part, err = newPartition(r.number, rules, load); err != nil {
		return err
	}
	if err := r.part.restore(&claim); err != nil {
		return err
	}
	if claim.Position == (store.Position{}) {
		first, err := e.cfg.Log.First(ctx, r.number)
		if err != nil {
			return fmt.Errorf("partition %d: find the first entry: %w", r.number, err)
		}
		r.part.pos = store.Position(first)
		r.part.ledger.Truncated = first.Entry > 0
	}
	r.stored = r.part.clock.stream
	s := &e.status[r.number]
	s.claimed.Store(e.cfg.Now().UnixNano())
	s.stream.Store(r.part.clock.stream)
	r.publish()
	r.log.Info("partition claimed", "epoch", claim.Epoch, "incarnation", r.part.pos.Incarnation, "entry", r.part.pos.Entry, "servers", len(r.part.lines), "states_left", r.part.counts.statesLeft)
	return nil
}

// errLost says that the stream is another one, or shorter than what was read.
var errLost = errors.New("stream volume lost")

// read hands on what the log has. It ends with errLost when the position is not
// in the log any more.
func (r *runner) read(ctx context.Context, from stream.Position, entries chan<- stream.Message) error {
	err := r.engine.cfg.Log.Read(ctx, r.number, from, func(m stream.Message) error {
		select {
		case entries <- m:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	if errors.Is(err, stream.ErrIncarnation) {
		return fmt.Errorf("%w: %w", errLost, err)
	}
	return err
}

func (r *runner) lost(ctx context.Context) error {
	first, err := r.engine.cfg.Log.First(ctx, r.number)
	if err != nil {
		return fmt.Errorf("partition %d: find the first entry: %w", r.number, err)
	}
	r.log.Error("stream volume lost: starting from the first entry of the new one", "was", r.part.pos.Incarnation, "was_entry", r.part.pos.Entry, "incarnation", first.Incarnation, "entry", first.Entry)
	r.engine.metrics.volumeLost.Inc()
	r.part.volumeLost(store.Position(first))
	return nil
}

// applyAll applies an entry and those that wait behind it. What it takes from in
// it applies.
func (r *runner) applyAll(m stream.Message, in <-chan stream.Message) error {
	for n := 1; ; n++ {
		if err := r.apply(m); err != nil {
			return err
		}
		if n == r.engine.pace.batch || r.full() {
			return nil
		}
		select {
		case m = <-in:
		default:
			return nil
		}
	}
}

func (r *runner) apply(m stream.Message) error {
	e := r.engine
	was, records := r.part.losses.LogTruncated, r.part.counts.received
	if err := r.part.apply(m); err != nil {
		return err
	}
	if n := r.part.losses.LogTruncated - was; n > 0 {
		e.metrics.truncated.Add(float64(n))
		r.log.Error("log truncated: entries were deleted before they were read", "entries", n)
	}
	now := e.cfg.Now()
	if r.waiting.IsZero() {
		r.waiting = now
	}
	s := &e.status[r.number]
	s.stream.Store(r.part.clock.stream)
	s.arrived.Store(now.UnixNano())
	if f := r.part.clock.trouble(); s.frozen.Load() == nil || *s.frozen.Load() != f {
		s.frozen.Store(&f)
	}
	e.metrics.in(r.part.counts.received - records)
	return nil
}

// full tells whether so much is applied that the commit must be waited for.
func (r *runner) full() bool { return r.flight != nil && r.part.counts.bytes > r.engine.pace.hold }

// submit hands the gathered batch to the committer when it is time.
func (r *runner) submit(ctx context.Context) {
	p := r.part
	if r.flight != nil || p.pos == p.from && !p.out.urgent {
		return
	}
	wait := lingerFacts
	switch {
	case p.out.urgent, p.counts.bytes > r.engine.pace.hold/4:
		wait = 0
	case p.idle():
		wait = r.engine.pace.idle
	}
	now := r.engine.cfg.Now()
	if wait > 0 && !r.waiting.IsZero() {
		// All partitions wait for the same moments, so that they share a commit.
		if left := r.waiting.Truncate(wait).Add(wait).Sub(now); left > 0 {
			r.linger.Reset(left)
			return
		}
	}
	p.clock.fleet = int(r.engine.servers.Load())
	r.counted = p.counts
	r.news, r.reaches = p.out.news, p.clock.stream
	r.sent = p.take(now)
	r.waiting = time.Time{}
	r.engine.health[r.number].ask(now)
	r.flight = r.engine.committer.submit(ctx, &r.sent)
}

// landed takes the committer's answer.
func (r *runner) landed(ctx context.Context, err error) error {
	r.flight = nil
	r.engine.health[r.number].commit(err)
	if err != nil {
		return err
	}
	r.part.snapshots.stored(r.sent.Snapshots)
	r.news, r.stored = false, max(r.stored, r.reaches)
	e := r.engine
	e.metrics.out(&r.counted, &r.sent)
	for id, f := range e.failures.add(r.counted.failed, e.cfg.Now()) {
		r.log.Warn("condition cannot be evaluated", "rule", id, "records", f.Records, "reason", f.Reason, "record_id", f.RecordID)
	}
	for _, err := range r.counted.unreadable {
		e.Unreadable(err)
	}
	if n := r.counted.ticks; n > 0 {
		r.log.Error("parts of a tick skipped: a bug, see the audit log", "parts", n)
	}
	if n := r.counted.panics; n > 0 {
		r.log.Error("records skipped: a bug, see the audit log", "records", n)
	}
	e.told(ctx, r.sent.Notifications)
	if len(r.sent.Facts) > 0 {
		e.wakeFleet()
	}
	r.sent = store.PartitionCommit{}
	return nil
}

// finish commits what was applied before the process was asked to stop.
func (r *runner) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), lastCommit)
	defer cancel()
	for range 2 {
		if r.flight != nil {
			select {
			case err := <-r.flight:
				if err := r.landed(ctx, err); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if r.part.pos != r.part.from {
			r.part.out.urgent = true
		}
		r.submit(ctx)
	}
	if r.flight == nil {
		return nil
	}
	select {
	case err := <-r.flight:
		return r.landed(ctx, err)
	case <-ctx.Done():
		return ctx.Err()
	}
}
