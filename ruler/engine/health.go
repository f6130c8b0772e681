package engine

import (
	"fmt"
	"sync"
	"time"

	"nocturne/internal/stream"
)

// health is how a partition, or the fleet operator, gets on with the store. All
// that people hear of goes through it, so when it fails they have to be told in
// another way. Times are the wall clock's.
type health struct {
	mu      sync.Mutex
	asked   time.Time // since when the store owes an answer; zero = it does not
	claimed time.Time // last success
	failing time.Time // since when it starts over and over; zero = it does not
	failed  time.Time // last time
	err     error
}

const (
	stuckAfter = 2 * time.Minute
	wellAfter  = 30 * time.Second // after a claim without another failure
)

func (h *health) ask(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = now
}

// claim notes that the state was loaded, and commit that more was written.
func (h *health) claim(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked, h.claimed = time.Time{}, now
}

func (h *health) commit(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.asked = (time.Time{}); err == nil {
		h.failing, h.err = time.Time{}, nil
	}
}

// fail notes that all has to start over.
func (h *health) fail(now time.Time, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failing.IsZero() || h.recovered(now) {
		h.failing = now
	}
	h.asked, h.failed, h.err = time.Time{}, now, err
}

func (h *health) recovered(now time.Time) bool {
	return h.claimed.After(h.failed) && now.Sub(h.claimed) >= wellAfter
}

// stuck says since when nothing gets on, and why; zero = it does.
func (h *health) stuck(now time.Time) (since time.Time, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.asked.IsZero() && now.Sub(h.asked) >= stuckAfter:
		return h.asked, "the store does not answer"
	case !h.failing.IsZero() && now.Sub(h.failing) >= stuckAfter && !h.recovered(now):
		return h.failing, h.err.Error()
	}
	return time.Time{}, ""
}

// Stuck says why records are not judged, or facts not kept, for minutes: a full
// disk, a damaged store. "" = all is well. A ruler that is stuck can store no
// notification about it.
func (e *Engine) Stuck() string {
	now, n := e.cfg.Now(), 0
	var oldest time.Time
	var reason string
	for i := range e.health {
		since, why := e.health[i].stuck(now)
		if why == "" {
			continue
		}
		if n++; oldest.IsZero() || since.Before(oldest) {
			oldest, reason = since, why
		}
	}
	if n == 0 {
		return ""
	}
	return cut(fmt.Sprintf("%d of %d parts of the ruler get nothing into the store since %s: %s", n, stream.Partitions+1, oldest.UTC().Format(time.RFC3339), reason), 1<<10)
}
