package metrics

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// item is what one push became.
type item struct {
	body    []byte // encoded series
	samples int
}

// queue holds items up to a number of bytes, those being sent included.
type queue struct {
	mu      sync.Mutex
	items   []item
	bytes   int
	limit   int
	ready   chan struct{} // holds one token when there may be items
	waiting prometheus.Gauge
}

func newQueue(limit int, waiting prometheus.Gauge) *queue {
	return &queue{limit: limit, ready: make(chan struct{}, 1), waiting: waiting}
}

// put adds an item, or returns false when there is no room.
func (q *queue) put(it item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+len(it.body) > q.limit {
		return false
	}
	q.bytes += len(it.body)
	q.items = append(q.items, it)
	q.waiting.Add(float64(it.samples))
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return true
}

// get waits for items and takes as many as fit size, at least one.
func (q *queue) get(ctx context.Context, size int) ([]item, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.ready:
		}
		q.mu.Lock()
		n, sum := 0, 0
		for n < len(q.items) && (n == 0 || sum+len(q.items[n].body) <= size) {
			sum += len(q.items[n].body)
			n++
		}
		out := q.items[:n:n]
		q.items = q.items[n:]
		if len(q.items) > 0 {
			select {
			case q.ready <- struct{}{}:
			default:
			}
		}
		q.mu.Unlock()
		if n > 0 {
			return out, nil
		}
	}
}

// done gives the room of items back.
func (q *queue) done(items []item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, it := range items {
		q.bytes -= len(it.body)
		q.waiting.Sub(float64(it.samples))
	}
}

// drain empties the queue and returns how many samples it held.
func (q *queue) drain() (samples int) {
	q.mu.Lock()
	items := q.items
	q.items = nil
	q.mu.Unlock()
	for _, it := range items {
		samples += it.samples
	}
	q.done(items)
	return samples
}
