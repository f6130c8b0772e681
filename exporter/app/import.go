package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"nocturne/exporter/enrol"
	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// importName is the source that imported records are booked under.
const importName = "import"

// Lock takes a data folder for a command that must not run beside an exporter.
func Lock(dir string) (func() error, error) {
	if err := enrol.Folder(dir); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", dir, err)
	}
	return unlock, nil
}

// Import takes event records from read instead of the sources, and returns when
// every output has an answer for them. It says nothing of this machine, neither
// heartbeat nor goodbye: the events may be another's, and who never spoke is
// never missed. When ctx ends early, what was read stays in the spool for the
// next run.
func Import(ctx context.Context, o Options, read func(ctx context.Context, emit source.Emit) error) error {
	o.Config.Metrics.Listen, o.Config.Metrics.Push, o.Config.Metrics.Machine = "", false, false
	o.Sources = []source.Source{}
	a, err := New(o)
	if err != nil {
		return err
	}
	return errors.Join(a.importAll(ctx, read), a.Close())
}

func (a *App) importAll(ctx context.Context, read func(ctx context.Context, emit source.Emit) error) error {
	outputs, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	g := newGroup()
	for _, d := range a.drivers {
		g.run(outputs, "output", func() error { return d.Run(outputs, outputs) })
	}
	err := read(ctx, func(ctx context.Context, recs []record.Record, position []byte) error {
		if err := a.room(ctx, g); err != nil {
			return err
		}
		return a.spool.Append(ctx, importName, record.EventLog, recs, position)
	})
	werr := a.until(ctx, g, func() bool { waiting, _ := a.spool.Size(); return waiting == 0 })
	if waiting, _ := a.spool.Size(); waiting > 0 {
		a.log.Warn("not everything is delivered; the exporter sends the rest when it runs", "records", waiting)
	}
	stop()
	g.wait(DrainTime)
	return errors.Join(err, werr)
}

// room waits while the spool is half full: an import waits rather than drop.
func (a *App) room(ctx context.Context, g *group) error {
	return a.until(ctx, g, func() bool {
		_, bytes := a.spool.Size()
		return int64(bytes) <= a.o.Config.Spool.MaxBytes/2
	})
}

// until waits for a condition, for the end of ctx or a failed part.
func (a *App) until(ctx context.Context, g *group, done func() bool) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-g.failed:
			return err
		case <-tick.C:
		}
	}
	return nil
}
