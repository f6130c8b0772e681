package winlog

import (
	"context"
	"sync"
)

// Limits of what is read ahead of the spool, all channels together, and of what
// goes into one commit.
const (
	maxAhead  = 16 << 20 // bytes, roughly
	maxCommit = 4096     // records
)

// queue is between the readers of the channels and the one that commits: it
// gathers what arrives while a commit is in flight, so that many small batches
// become one fsync. A reader that is too far ahead waits.
type queue struct {
	mu     sync.Mutex
	parts  []found
	bytes  int
	more   chan struct{} // rung when there is something; size 1
	room   chan struct{} // closed and made anew when there is room
	budget int
}

func newQueue(budget int) *queue {
	return &queue{more: make(chan struct{}, 1), room: make(chan struct{}), budget: budget}
}

// put adds a part and waits while there is no room; false when ctx ended.
func (q *queue) put(ctx context.Context, f found) bool {
	for {
		q.mu.Lock()
		if len(q.parts) == 0 || q.bytes+f.bytes <= q.budget {
			q.parts = append(q.parts, f)
			q.bytes += f.bytes
			q.mu.Unlock()
			select {
			case q.more <- struct{}{}:
			default: // rung already
			}
			return true
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return false
		}
	}
}

// take returns what goes into the next commit, nil for nothing. The rest stays,
// and rings again.
func (q *queue) take() []found {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, recs := 0, 0
	for n < len(q.parts) && (n == 0 || recs+len(q.parts[n].recs) <= maxCommit) {
		recs += len(q.parts[n].recs)
		q.bytes -= q.parts[n].bytes
		n++
	}
	out := q.parts[:n:n]
	if q.parts = q.parts[n:]; len(q.parts) > 0 {
		select {
		case q.more <- struct{}{}:
		default: // rung already
		}
	}
	close(q.room)
	q.room = make(chan struct{})
	return out
}
