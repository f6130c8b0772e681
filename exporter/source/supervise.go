package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
)

// Options are what Supervise needs. Sources, Emitter and Log must be set.
type Options struct {
	// Sources are run side by side. Those of category heartbeat go first: the
	// others start once each of them has emitted or failed, so that the first
	// record of an epoch is a heartbeat.
	Sources []Source
	// Emitter returns the emit function of one source.
	Emitter func(s Source) Emit
	Log     *slog.Logger
	// Registerer takes the metrics; nil = none.
	Registerer prometheus.Registerer
	// BackoffMin and BackoffMax bound the wait before a failed source is
	// started again; 0 = 1 s and 5 min. A source that ran longer than
	// BackoffMax starts from BackoffMin again.
	BackoffMin, BackoffMax time.Duration
}

// Supervise runs the sources until ctx ends and all of them have returned. It
// starts a failed source again, contains and counts its panics, and stops
// asking one that is not supported here. Its error is about the options or the
// metrics only: a source's failure never ends the others.
//
// A panic in a goroutine that the source itself started cannot be contained.
func Supervise(ctx context.Context, o Options) error {
	if o.BackoffMin <= 0 {
		o.BackoffMin = time.Second
	}
	if o.BackoffMax < o.BackoffMin {
		o.BackoffMax = max(5*time.Minute, o.BackoffMin)
	}
	seen := map[string]bool{}
	for _, s := range o.Sources {
		if seen[s.Name()] {
			return fmt.Errorf("supervise sources: two are named %q", s.Name())
		}
		seen[s.Name()] = true
	}
	m, err := newMetrics(o.Registerer, o.Sources)
	if err != nil {
		return fmt.Errorf("supervise sources: %w", err)
	}
	var all, first sync.WaitGroup
	start := func(s Source, heard func()) {
		k := &keeper{
			source: s, emit: o.Emitter(s), log: o.Log.With("source", s.Name()),
			metrics: m.of(s.Name()), min: o.BackoffMin, max: o.BackoffMax, heard: sync.OnceFunc(heard), wake: others(s, o.Sources),
		}
		all.Go(func() { k.run(ctx) })
	}
	for _, s := range o.Sources {
		if s.Category() == record.Heartbeat {
			first.Add(1)
			start(s, first.Done)
		}
	}
	first.Wait()
	for _, s := range o.Sources {
		if s.Category() != record.Heartbeat {
			start(s, func() {})
		}
	}
	all.Wait()
	<-ctx.Done()
	return nil
}

// others returns what rings the bells of all sources but s.
func others(s Source, all []Source) func(recs []record.Record) {
	var wakers []*scheduled
	for _, o := range all {
		if w, ok := o.(*scheduled); ok && o.Name() != s.Name() {
			wakers = append(wakers, w)
		}
	}
	return func(recs []record.Record) {
		for _, w := range wakers {
			w.wake(recs)
		}
	}
}

// keeper runs one source for as long as it makes sense.
type keeper struct {
	source   Source
	emit     Emit
	log      *slog.Logger
	metrics  *sourceMetrics
	min, max time.Duration
	heard    func()
	wake     func(recs []record.Record) // of other sources
	failing  bool                       // the last round failed
	told     string                     // the failure that was written down last
}

func (k *keeper) run(ctx context.Context) {
	defer k.heard() // whatever happens, nobody waits for this source for ever
	wait := k.min
	for ctx.Err() == nil {
		began := time.Now()
		err := k.once(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			k.log.Info("source has nothing more to see")
			return
		case errors.Is(err, errors.ErrUnsupported):
			k.metrics.supported.Set(0)
			k.log.Info("source not supported here", "err", err)
			return
		}
		if time.Since(began) > k.max {
			wait, k.told = k.min, ""
		}
		k.metrics.success.Set(0)
		k.metrics.restarts.Inc()
		k.log.Warn("source failed, starting it again", "err", err, "wait", wait)
		k.tell(ctx, err)
		k.heard()
		if !sleep(ctx, jittered(wait, 0.2)) {
			return
		}
		wait = min(2*wait, k.max)
	}
}

// once runs the source until it returns or panics.
func (k *keeper) once(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			k.metrics.panics.Inc()
			k.log.Error("source panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in source %s: %v", k.source.Name(), p)
		}
	}()
	if r, ok := k.source.(rounder); ok {
		r.observe(k.round)
	}
	return k.source.Run(ctx, k.emitted)
}

// tell writes a failure down unless it is the same again. Where the failure is
// the spool's own, this fails too, and the log has it.
func (k *keeper) tell(ctx context.Context, failure error) {
	text := failure.Error()
	if text == k.told {
		return
	}
	if err := k.emit(ctx, []record.Record{Failed(k.source.Name(), failure, time.Now())}, nil); err != nil {
		k.log.Debug("failure not written down", "err", err)
		return
	}
	k.metrics.records.Inc()
	k.told = text
}

// round counts one round, and says when the source begins or ends to fail.
func (k *keeper) round(r round) {
	k.metrics.round(r)
	switch {
	case r.early:
		return
	case r.stack != "":
		k.log.Error("source panicked", "err", r.err, "stack", r.stack)
	case r.err != nil && !k.failing:
		k.log.Warn("source fails", "err", r.err)
	case r.err == nil && k.failing:
		k.log.Info("source works again")
	}
	k.failing = r.err != nil
}

// emitted is the emit function that the source sees.
func (k *keeper) emitted(ctx context.Context, recs []record.Record, position []byte) error {
	if err := k.emit(ctx, recs, position); err != nil {
		return err
	}
	k.metrics.records.Add(float64(len(recs)))
	k.wake(recs)
	if _, scheduled := k.source.(rounder); !scheduled {
		k.metrics.success.Set(1)
		k.metrics.last.SetToCurrentTime()
	}
	k.heard()
	return nil
}

// sleep waits and tells whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// jittered spreads d by up to the given share, both ways.
func jittered(d time.Duration, share float64) time.Duration {
	return d + time.Duration((rand.Float64()*2-1)*share*float64(d))
}
