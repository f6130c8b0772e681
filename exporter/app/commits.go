package app

import (
	"fmt"
	"sync"
	"time"
)

// A commit that takes longer than slowCommit makes the exporter unwell; one
// that takes longer than deadCommit will not end: a disk that does not answer
// holds every source, and a new process may find another.
const (
	slowCommit = time.Minute
	deadCommit = 10 * time.Minute
)

// commits knows which commits to the spool are under way: the health of the
// exporter is that they come to an end, well or not. Nothing is written to
// find out.
type commits struct {
	mu    sync.Mutex
	next  int
	began map[int]time.Time
}

// begin notes a commit; the function returned notes its end.
func (c *commits) begin(now time.Time) (end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.began == nil {
		c.began = map[int]time.Time{}
	}
	id := c.next
	c.next++
	c.began[id] = now
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.began, id)
	}
}

// stuckError says how long the oldest commit has been under way.
type stuckError struct{ since time.Duration }

func (e *stuckError) Error() string {
	return fmt.Sprintf("a commit to the spool has not ended for %s", e.since.Round(time.Second))
}

// stuck returns a *stuckError when a commit takes too long.
func (c *commits) stuck(now time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var oldest time.Duration
	for _, t := range c.began {
		oldest = max(oldest, now.Sub(t))
	}
	if oldest <= slowCommit {
		return nil
	}
	return &stuckError{oldest}
}
