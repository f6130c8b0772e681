package alertmanager

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/notify"
)

// drain is a stage around the whole pipeline that lets a stopped dispatcher's messages arrive. Upstream's dispatcher
// cancels them instead: the receiver may have the message while the log does not know, and the next start repeats it.
type drain struct {
	next notify.Stage

	cut    context.Context // ends when waiting is over
	cancel context.CancelFunc

	mu       sync.Mutex
	inFlight int
	idle     chan struct{} // closed when a waiter may go on; nil while nobody waits
}

func newDrain(next notify.Stage) *drain {
	d := &drain{next: next}
	d.cut, d.cancel = context.WithCancel(context.Background())
	return d
}

// Exec implements notify.Stage. The caller's deadline holds, its cancellation does not.
func (d *drain) Exec(ctx context.Context, l *slog.Logger, alerts ...*alert.Alert) (context.Context, []*alert.Alert, error) {
	if err := ctx.Err(); err != nil || !d.enter() {
		return ctx, nil, context.Canceled
	}
	defer d.leave()
	own := context.WithoutCancel(ctx)
	var cancel context.CancelFunc
	if deadline, ok := ctx.Deadline(); ok {
		own, cancel = context.WithDeadline(own, deadline)
	} else {
		own, cancel = context.WithCancel(own)
	}
	defer cancel()
	defer context.AfterFunc(d.cut, cancel)()
	return d.next.Exec(own, l, alerts...)
}

// wait refuses new work, waits until what is on its way has arrived, at most timeout, cuts off the rest and says how
// many groups that hit.
func (d *drain) wait(timeout time.Duration) (cut int) {
	defer d.cancel()
	d.mu.Lock()
	d.idle = make(chan struct{})
	idle := d.idle
	if d.inFlight == 0 {
		close(idle)
	}
	d.mu.Unlock()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-idle:
		return 0
	case <-timer.C:
	}
	d.cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.inFlight
}

func (d *drain) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.idle != nil {
		return false
	}
	d.inFlight++
	return true
}

func (d *drain) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight--
	if d.inFlight == 0 && d.idle != nil {
		close(d.idle)
	}
}
