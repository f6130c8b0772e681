package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"nocturne/exporter/enrol"
	"nocturne/exporter/limit"
	"nocturne/exporter/source"
)

// part is a running part: a name and how it is going.
type group struct {
	wg     sync.WaitGroup
	failed chan error // the first failures; size 1
}

func newGroup() *group { return &group{failed: make(chan error, 1)} }

// run starts a part. A part that returns before it was told to has failed.
func (g *group) run(ctx context.Context, name string, f func() error) {
	g.wg.Go(func() {
		err := f()
		if ctx.Err() != nil && err == nil {
			return
		}
		if err == nil {
			err = errors.New("ended by itself")
		}
		select {
		case g.failed <- fmt.Errorf("%s: %w", name, err):
		default: // another one was first
		}
	})
}

// wait waits for all parts, but not for ever.
func (g *group) wait(limit time.Duration) bool {
	done := make(chan struct{})
	go func() { g.wg.Wait(); close(done) }()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// reloadDrain is how long a request may be under way when the exporter is built
// anew: one that is cut off is sent again and recognised.
const reloadDrain = time.Second

// Run runs the exporter until ctx ends, a part fails, or it has to be built
// anew: ErrRestart, ErrReload.
func (a *App) Run(ctx context.Context) error {
	sources, stopSources := context.WithCancel(context.WithoutCancel(ctx))
	defer stopSources()
	outputs, stopOutputs := context.WithCancel(context.WithoutCancel(ctx))
	defer stopOutputs()
	drain, stopDrain := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDrain()

	watching, delivering := newGroup(), newGroup()
	watching.run(sources, "sources", func() error {
		return source.Supervise(sources, source.Options{Sources: a.sources, Emitter: a.emitter, Log: a.log.With("component", "source"), Registerer: a.registry, Renew: a.renew})
	})
	delivering.run(outputs, "spool", func() error { return a.spool.Run(outputs) })
	for _, d := range a.drivers {
		delivering.run(outputs, "output", func() error { return d.Run(outputs, drain) })
	}
	for _, p := range a.pushers {
		delivering.run(outputs, "metrics", func() error { return p.Run(outputs) })
	}
	delivering.run(outputs, "watchdog", func() error {
		return newWatchdog(os.Getenv, a.commits.stuck, a.log.With("component", "watchdog")).run(outputs)
	})
	delivering.run(outputs, "memory", func() error {
		return limit.Watch(outputs, a.o.Config.Limits.MemoryBytes, a.log.With("component", "watchdog"))
	})
	if a.machine != nil {
		delivering.run(outputs, "machine", func() error { return a.machine.Run(outputs) })
	}
	if a.server != nil {
		delivering.run(outputs, "listener", a.serve)
	}
	delivering.run(outputs, "status", func() error { return a.tell(outputs) })
	a.log.Info("exporter runs", "server_id", a.identity.id.String(), "host", a.identity.name, "version", a.o.Version, "epoch", a.spool.Epoch().String())

	next, err := a.first(ctx, watching, delivering)
	reloads, patience := errors.Is(err, ErrReload), DrainTime
	stopSources()
	if !watching.wait(stopTime) {
		a.log.Warn("a source does not stop, going on without it")
	}
	if errors.Is(err, ErrStuck) {
		return err // the goodbye would wait like everything else
	}
	reason := "reload"
	if reloads { // it goes on: no goodbye, and nothing has to arrive first
		patience = reloadDrain
	} else {
		c := a.witness.cause(context.Cause(ctx), time.Now())
		reason = c.Reason
		if gerr := a.goodbye(ctx, c); gerr != nil {
			a.log.Warn("goodbye could not be recorded", "err", gerr)
			if errors.Is(gerr, ErrStuck) {
				return gerr // what follows would wait for the spool too
			}
		}
	}
	timer := time.AfterFunc(patience, stopDrain)
	defer timer.Stop()
	stopOutputs()
	if a.server != nil {
		_ = a.server.Close() // nobody waits for its answers
	}
	if !delivering.wait(DrainTime + 2*time.Second) {
		a.log.Warn("an output does not stop, going on without it")
	}
	a.farewell(time.Now())
	a.log.Info("exporter stopped", "reason", reason)
	if err == nil && ctx.Err() == nil {
		err = a.becomes(next)
	}
	return err
}

// first returns when ctx ends, with the first failure of a part, or with the
// server that this one has to become once next to nothing waits.
func (a *App) first(ctx context.Context, watching, delivering *group) (identity, error) {
	var next identity
	var tick <-chan time.Time
	for {
		select {
		case <-ctx.Done():
			return next, nil
		case err := <-watching.failed:
			return next, err
		case err := <-delivering.failed:
			return next, err
		case <-a.o.Reload.asked():
			if a.reload() {
				return next, ErrReload
			}
		case next = <-a.become:
			a.log.Warn("the register says that this is another server", "server_id", next.id.String(), "host", next.name)
			t := time.NewTicker(time.Second)
			defer t.Stop()
			tick = t.C
		case <-tick:
			if n, _ := a.spool.Size(); n < fewRecords {
				return next, nil
			}
		}
	}
}

// fewRecords are surely delivered within DrainTime by an output that works.
const fewRecords = 1000

// becomes makes the identity the one of the next start, if nothing is left to
// be sent for the old one.
func (a *App) becomes(next identity) error {
	if n, _ := a.spool.Size(); n > 0 {
		a.log.Warn("not another server yet: not everything was delivered", "records", n)
		return ErrRestart
	}
	if err := enrol.Become(a.o.Config.Data, next.id, next.name); err != nil {
		return fmt.Errorf("become server %s: %w", next.id, err)
	}
	return ErrRestart
}
