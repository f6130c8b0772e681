package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
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
	// Renew builds a source anew in the place of one that hangs; nil = it waits
	// until that one comes back.
	Renew func(name string) (Source, error)
	// BackoffMin and BackoffMax bound the wait before a failed source is
	// started again; 0 = 1 s and 5 min. A source that ran longer than
	// BackoffMax starts from BackoffMin again.
	BackoffMin, BackoffMax time.Duration
}

// Supervise runs the sources until ctx ends and all of them have returned. It
// starts a failed source again, contains and counts its panics, asks one that is
// not supported here once an hour (a tool may be installed), and replaces one that hangs (see
// watchdog.go). Its error is about the options or the metrics, or wraps ErrHung:
// a source's failure never ends the others.
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
	run, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	keepers := keepersOf(o, m)
	var all, first sync.WaitGroup
	start := func(k *keeper) {
		all.Go(func() {
			if err := k.run(run); err != nil {
				stop(err)
			}
		})
	}
	for _, k := range keepers {
		if k.category == record.Heartbeat {
			first.Add(1)
			k.heard = sync.OnceFunc(first.Done)
			start(k)
		}
	}
	first.Wait()
	for _, k := range keepers {
		if k.category != record.Heartbeat {
			start(k)
		}
	}
	<-run.Done()
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	cause := context.Cause(run)
	if !errors.Is(cause, ErrHung) {
		<-ended
		return nil
	}
	t := time.NewTimer(abandonTime)
	defer t.Stop()
	select {
	case <-ended:
	case <-t.C:
	}
	return cause
}

func keepersOf(o Options, m *metrics) []*keeper {
	keepers := make([]*keeper, len(o.Sources))
	for i, s := range o.Sources {
		k := &keeper{
			name: s.Name(), category: s.Category(), emit: o.Emitter(s), log: o.Log.With("source", s.Name()), renew: o.Renew, began: time.Now(),
			metrics: m.of(s.Name()), min: o.BackoffMin, max: o.BackoffMax, heard: func() {}, back: make(chan struct{}, 1),
		}
		k.source.Store(&s)
		k.wake = func(recs []record.Record) { // the others' bells
			for _, other := range keepers {
				if w, ok := (*other.source.Load()).(*scheduled); ok && other != k {
					w.wake(recs)
				}
			}
		}
		keepers[i] = k
	}
	return keepers
}

// keeper runs one source for as long as it makes sense.
type keeper struct {
	name     string
	category record.Category
	source   atomic.Pointer[Source] // another one after a hang
	renew    func(name string) (Source, error)
	emit     Emit
	log      *slog.Logger
	metrics  *sourceMetrics
	min, max time.Duration
	heard    func()
	wake     func(recs []record.Record) // other sources
	failing  bool                       // the last round failed
	told     string                     // the failure that was written down last
	refused  string                     // why it is not supported, as logged last

	began   time.Time     // when Supervise did
	hanging atomic.Int32  // sources given up that are not back
	back    chan struct{} // rung when one is; size 1
}

// unsupportedWait is how long a source that is not supported here is left
// alone: somebody may install its tool.
const unsupportedWait = time.Hour

// run returns an error when only a new process helps.
func (k *keeper) run(ctx context.Context) error {
	defer k.heard() // whatever happens, nobody waits for this source for ever
	wait := k.min
	for ctx.Err() == nil {
		began := time.Now()
		err := k.once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			k.log.Info("source has nothing more to see")
			return nil
		case errors.Is(err, errors.ErrUnsupported):
			k.metrics.supported.Set(0)
			if text := err.Error(); text != k.refused {
				k.refused = text
				k.log.Info("source not supported here, asking again now and then", "err", err, "wait", unsupportedWait)
			}
			k.heard()
			if !sleep(ctx, jittered(unsupportedWait, 0.2)) {
				return nil
			}
			continue
		}
		if time.Since(began) > k.max {
			wait, k.told = k.min, ""
		}
		k.metrics.success.Set(0)
		k.metrics.restarts.Inc()
		k.log.Warn("source failed, starting it again", "err", err, "wait", wait)
		k.tell(ctx, err)
		k.heard()
		if h := (*hungError)(nil); errors.As(err, &h) {
			if err := k.abandon(ctx, h); err != nil {
				return err
			}
		}
		if !sleep(ctx, jittered(wait, 0.2)) {
			return nil
		}
		wait = min(2*wait, k.max)
	}
	return nil
}

// once runs the source until it returns, panics or breaks its promise.
func (k *keeper) once(ctx context.Context) error {
	s := *k.source.Load()
	p := newPulse()
	defer p.stop()
	ctx, cancel := context.WithCancel(context.WithValue(ctx, pulseKey{}, p))
	defer cancel()
	emit := func(ctx context.Context, recs []record.Record, position []byte) error {
		defer p.emitting(false)
		if !p.emitting(true) {
			return errAbandoned
		}
		return k.emitted(ctx, s, recs, position)
	}
	done, gone := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(gone)
		done <- k.contained(ctx, s, emit)
	}()
	select {
	case err := <-done:
		return err
	case <-p.hung:
		return &hungError{what: "it did not say that it is alive", gone: gone}
	}
}

// contained runs the source until it returns or panics.
func (k *keeper) contained(ctx context.Context, s Source, emit Emit) (err error) {
	defer func() {
		if p := recover(); p != nil {
			k.metrics.panics.Inc()
			k.log.Error("source panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic in source %s: %v", k.name, p)
		}
	}()
	if r, ok := s.(rounder); ok {
		r.observe(k.round)
	}
	return s.Run(ctx, emit)
}

// tell writes a failure down unless it is the same again. Where the failure is
// the spool's own, this fails too, and the log has it.
func (k *keeper) tell(ctx context.Context, failure error) {
	text := failure.Error()
	if text == k.told {
		return
	}
	if err := k.emit(ctx, []record.Record{Failed(k.name, failure, time.Now())}, nil); err != nil {
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

// emitted emits, counts and wakes.
func (k *keeper) emitted(ctx context.Context, s Source, recs []record.Record, position []byte) error {
	if err := k.emit(ctx, recs, position); err != nil {
		return err
	}
	k.metrics.records.Add(float64(len(recs)))
	k.metrics.supported.Set(1)
	k.wake(recs)
	if _, scheduled := s.(rounder); !scheduled {
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
