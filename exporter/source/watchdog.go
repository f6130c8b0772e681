package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The watchdog: a system call may hang for as long as it likes (a controller in
// reset, a dead server of files, a COM object that lost its other half), and Go
// cannot end the goroutine that waits for it. So a source that hangs is given
// up, which is told and counted, and another one is built in its place. What it
// left behind is bounded: at maxAbandoned the source rests until one of them
// comes back, or, an hour after the start, until the process has been started
// anew by the service manager. That is at most one such start an hour, because
// what hangs in the kernel hangs after it too.

// HangAfter is how many deadlines after its deadline a round is given up.
const HangAfter = 3

const (
	maxAbandoned = 3
	restartAfter = time.Hour
	// abandonTime is how long the other sources may take to stop before the
	// process ends.
	abandonTime = 2 * time.Second
)

// ErrHung is what Supervise ends with when a source hangs and only a new
// process helps.
var ErrHung = errors.New("the process has to start again")

// errAbandoned is what the Emit of a source returns that was given up.
var errAbandoned = errors.New("this source was given up because it hung")

// hungError says that a source hangs; gone is closed if it comes back.
type hungError struct {
	what string
	gone <-chan struct{}
}

func (e *hungError) Error() string { return "hangs and is given up: " + e.what }

// Beat tells the watchdog that a source that streams is alive, and promises
// another Beat within the given time; 0 takes the promise back. While Emit is
// at work no time passes. A source that never calls it is not watched: it may
// wait for events for as long as it takes. Scheduled sources are watched by
// their deadline.
func Beat(ctx context.Context, within time.Duration) {
	if p, ok := ctx.Value(pulseKey{}).(*pulse); ok {
		p.beat(within)
	}
}

type pulseKey struct{}

// pulse is the promise of one running source.
type pulse struct {
	mu     sync.Mutex
	timer  *time.Timer
	within time.Duration
	busy   bool // in Emit
	hung   chan struct{}
	broken bool // hung is closed
}

func newPulse() *pulse {
	p := &pulse{hung: make(chan struct{})}
	p.timer = time.AfterFunc(time.Hour, p.fire)
	p.timer.Stop()
	return p
}

func (p *pulse) beat(within time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.within = within
	p.arm()
}

func (p *pulse) arm() {
	p.timer.Stop()
	if p.within > 0 && !p.busy && !p.broken {
		p.timer.Reset(p.within)
	}
}

func (p *pulse) fire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.busy && !p.broken {
		p.broken = true
		close(p.hung)
	}
}

// emitting begins or ends the time in Emit; false means that it is too late.
func (p *pulse) emitting(busy bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = busy
	p.arm()
	return !p.broken
}

// stop ends the watch of a source that has ended or was given up.
func (p *pulse) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.within, p.broken = 0, true
	p.arm()
}

// abandon counts a source that was given up and replaces it when there is room
// for another.
func (k *keeper) abandon(ctx context.Context, h *hungError) error {
	k.metrics.hung.Inc()
	k.metrics.abandoned.Inc()
	k.hanging.Add(1)
	go func() {
		<-h.gone
		k.metrics.abandoned.Dec()
		k.hanging.Add(-1)
		select {
		case k.back <- struct{}{}:
		default: // rung already
		}
	}()
	most := int32(maxAbandoned)
	if k.renew == nil {
		most = 1 // the same one cannot run twice
	}
	t := time.NewTimer(restartAfter - time.Since(k.began))
	defer t.Stop()
	for told := false; k.hanging.Load() >= most; told = true {
		if !told {
			k.log.Error("source rests: too many of it hang", "hanging", most)
		}
		select {
		case <-k.back:
		case <-t.C:
			return fmt.Errorf("source %s: %w", k.name, ErrHung)
		case <-ctx.Done():
			return nil
		}
	}
	if k.renew == nil {
		return nil
	}
	fresh, err := k.renew(k.name)
	if err != nil {
		return fmt.Errorf("source %s: %w: it cannot be built anew: %w", k.name, ErrHung, err)
	}
	k.source.Store(&fresh)
	return nil
}
