package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"nocturne/exporter/source"
	"nocturne/exporter/source/heartbeat"
	"nocturne/internal/record"
)

// askTime is how long the system may take to say whether it goes down.
const askTime = time.Second

// witnesses know why the exporter stops, beside who asked for it.
type witnesses struct {
	// events keeps what the event log said of the machine's end.
	events *heartbeat.Shutdowns
	// system asks the machine whether it goes down; nil = it does not say so.
	system func() *heartbeat.Shutdown
	// replaced tells whether another program stands where this one was started.
	replaced func() bool
}

// cause returns why the exporter stops: Windows' service manager says when the
// machine goes down, systemd has to be asked, and a package that puts a new
// program in the place of this one restarts it without a word.
func (w *witnesses) cause(asked error, now time.Time) heartbeat.Cause {
	c := heartbeat.Cause{Reason: heartbeat.ReasonStop}
	said := w.system()
	switch {
	case errors.Is(asked, ErrShutdown), said != nil:
		c.Reason, c.Shutdown = heartbeat.ReasonShutdown, w.events.Last(now)
		if said == nil {
			break
		}
		if c.Shutdown != nil && said.Why == "" {
			said.Why = c.Shutdown.Why // logind's words, systemd's action
		}
		c.Shutdown = said
	case w.replaced():
		c.Reason = heartbeat.ReasonUpdate
	}
	return c
}

func newWitnesses() *witnesses {
	w := &witnesses{events: &heartbeat.Shutdowns{}, replaced: func() bool { return false }}
	w.events.Host, _ = os.Hostname() // unknown: every event is believed to be of this machine
	w.system = func() *heartbeat.Shutdown {
		ctx, cancel := context.WithTimeout(context.Background(), askTime)
		defer cancel()
		return heartbeat.AskSystem(ctx, "", source.Command{MaxOutput: 64 << 10}.Run)
	}
	if path, err := os.Executable(); err == nil {
		if was, err := os.Stat(path); err == nil {
			w.replaced = func() bool { return otherFile(was, path) }
		}
	}
	return w
}

// otherFile tells whether another file stands at a path; none is not another.
func otherFile(was os.FileInfo, path string) bool {
	is, err := os.Stat(path)
	return err == nil && (!os.SameFile(was, is) || !was.ModTime().Equal(is.ModTime()) || was.Size() != is.Size())
}

// goodbye records why the exporter stops.
func (a *App) goodbye(ctx context.Context, c heartbeat.Cause) error {
	ctx = context.WithoutCancel(ctx)
	return within(goodbyeTime, func() error {
		return a.spool.Append(ctx, "goodbye", record.Heartbeat, []record.Record{heartbeat.Goodbye(c, time.Now())}, nil)
	})
}

// goodbyeTime bounds the wait for the commit of a goodbye: Windows and systemd
// end a service that takes longer to stop.
const goodbyeTime = 10 * time.Second

// within waits for a commit at most d, and leaves it behind then: one that hangs
// in the kernel looks at no context. The error wraps ErrStuck.
func within(d time.Duration, commit func() error) error {
	done := make(chan error, 1)
	go func() { done <- commit() }()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case err := <-done:
		return err
	case <-t.C:
		return fmt.Errorf("a commit takes over %s: %w", d, ErrStuck)
	}
}
