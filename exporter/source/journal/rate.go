package journal

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// rateWindow is the time over which a rate is averaged: a burst of so many
// seconds' worth is no flood.
const rateWindow = 10 * time.Second

// maxBuckets bounds the identifiers that are told apart; further ones share a
// bucket.
const maxBuckets = 1024

// limiter lets so many entries a second of each identifier through. It goes by
// the entries' own time: a backlog that is read in one go is no flood.
type limiter struct {
	perSecond float64 // 0 = all
	buckets   map[string]*bucket
	dropped   map[string]int // since the last summary
}

type bucket struct {
	left float64
	at   time.Time
}

func newLimiter(perSecond int) *limiter {
	return &limiter{perSecond: float64(perSecond), buckets: map[string]*bucket{}, dropped: map[string]int{}}
}

// allow tells whether an entry is let through, and notes it if it is not.
func (l *limiter) allow(identifier string, at time.Time) bool {
	if l.perSecond == 0 || at.IsZero() {
		return true
	}
	b, ok := l.buckets[identifier]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			l.forget(at)
		}
		if len(l.buckets) >= maxBuckets {
			identifier = "others"
			b = l.buckets[identifier]
		}
		if b == nil {
			b = &bucket{left: l.burst(), at: at}
			l.buckets[identifier] = b
		}
	}
	if d := at.Sub(b.at).Seconds(); d > 0 {
		b.left, b.at = min(b.left+d*l.perSecond, l.burst()), at
	} else if d < -rateWindow.Seconds() {
		b.at = at // the clock was set back
	}
	if b.left < 1 {
		l.dropped[identifier]++
		return false
	}
	b.left--
	return true
}

func (l *limiter) burst() float64 { return l.perSecond * rateWindow.Seconds() }

// forget removes buckets that are full by now.
func (l *limiter) forget(now time.Time) {
	for k, b := range l.buckets {
		if now.Sub(b.at) > rateWindow {
			delete(l.buckets, k)
		}
	}
}

// summary says what was dropped since the last one, "" = nothing.
func (l *limiter) summary() (text string, total int) {
	if len(l.dropped) == 0 {
		return "", 0
	}
	names := make([]string, 0, len(l.dropped))
	for k, n := range l.dropped {
		names = append(names, k)
		total += n
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := l.dropped[b] - l.dropped[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var parts []string
	for _, k := range names[:min(len(names), 5)] {
		parts = append(parts, fmt.Sprintf("%d of %.60q", l.dropped[k], k))
	}
	if len(names) > 5 {
		parts = append(parts, "and others")
	}
	clear(l.dropped)
	return fmt.Sprintf("%d entries were left out, being more than %g a second: %s", total, l.perSecond, strings.Join(parts, ", ")), total
}
