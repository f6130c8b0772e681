package winlog

import (
	"container/list"
	"errors"
	"strings"
	"sync"
	"time"
)

// Limits of the cache of publishers. Whoever keeps them for ever leaks handles;
// whoever keeps a failure for ever never sees the provider that is installed
// later, and a provider that is upgraded has new messages.
const (
	maxPublishers = 128
	publisherTTL  = time.Hour
	missingTTL    = 5 * time.Minute
	// A provider's library may lie on a share that does not answer: its events go
	// without their text then. What hangs cannot be ended.
	openTime   = 5 * time.Second
	maxHanging = 8
)

var errHangs = errors.New("opening the provider takes too long")

// publishers keeps what was opened for providers, by name without case, for all
// channels at once. It may be used concurrently.
type publishers[H any] struct {
	open  func(name string) (H, error)
	close func(H)

	mu      sync.Mutex
	known   map[string]*list.Element // of *publisher[H]
	recent  list.List                // most recently used first
	hanging int                      // being opened
}

type publisher[H any] struct {
	name  string
	once  sync.Once
	h     H
	err   error
	until time.Time // when it is opened anew; set by once
	users int
	gone  bool // out of the cache: the last user closes it
}

func newPublishers[H any](open func(name string) (H, error), closeIt func(H)) *publishers[H] {
	return &publishers[H]{open: open, close: closeIt, known: map[string]*list.Element{}}
}

// use calls do with what was opened for a name, and tells whether there is
// such a thing. It stays open while do runs.
func (c *publishers[H]) use(name string, now time.Time, do func(H)) bool {
	p := c.take(strings.ToLower(name), now)
	defer c.release(p)
	p.once.Do(func() {
		h, err := c.openInTime(name)
		c.mu.Lock()
		defer c.mu.Unlock()
		if p.h, p.err, p.until = h, err, now.Add(publisherTTL); err != nil {
			p.until = now.Add(missingTTL)
		}
	})
	if p.err != nil {
		return false
	}
	do(p.h)
	return true
}

// openInTime opens, and closes what comes too late.
func (c *publishers[H]) openInTime(name string) (h H, err error) {
	c.mu.Lock()
	if c.hanging == maxHanging {
		c.mu.Unlock()
		return h, errHangs
	}
	c.hanging++
	c.mu.Unlock()
	var tooLate bool // guarded by mu
	done := make(chan struct{})
	go func() {
		got, gotErr := c.open(name)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.hanging--
		if !tooLate {
			h, err = got, gotErr
		} else if gotErr == nil {
			c.close(got)
		}
		close(done)
	}()
	timer := time.NewTimer(openTime)
	defer timer.Stop()
	select {
	case <-done:
		return h, err
	case <-timer.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-done: // just now
		return h, err
	default:
		tooLate = true
		return h, errHangs
	}
}

func (c *publishers[H]) take(key string, now time.Time) *publisher[H] {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.known[key]; ok {
		p := e.Value.(*publisher[H])
		if p.until.IsZero() || now.Before(p.until) { // zero: being opened
			p.users++
			c.recent.MoveToFront(e)
			return p
		}
		c.remove(e)
	}
	p := &publisher[H]{name: key, users: 1}
	c.known[key] = c.recent.PushFront(p)
	for len(c.known) > maxPublishers {
		c.remove(c.recent.Back())
	}
	return p
}

// remove takes one out of the cache. Callers hold mu.
func (c *publishers[H]) remove(e *list.Element) {
	p := c.recent.Remove(e).(*publisher[H])
	delete(c.known, p.name)
	p.gone = true
	c.ended(p)
}

func (c *publishers[H]) release(p *publisher[H]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.users--
	c.ended(p)
}

// ended closes what nobody uses and nobody will find. Callers hold mu.
func (c *publishers[H]) ended(p *publisher[H]) {
	if p.gone && p.users == 0 && p.err == nil && !p.until.IsZero() {
		c.close(p.h)
	}
}

// clear closes everything that is not in use.
func (c *publishers[H]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.recent.Len() > 0 {
		c.remove(c.recent.Back())
	}
}
