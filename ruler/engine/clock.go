package engine

import (
	"time"

	"nocturne/internal/stream"
)

// The operators' clock. It is moved by ticks alone, and by at most two tick
// periods each, so that time in which no bridge took anything in does not
// count against a server: a ruler that was down finds ticks and heartbeats side
// by side in the log, a bridge that was down wrote neither.
//
// A bridge counts when servers used it in the last day. It is good when its
// tick says that the probe of its public listener succeeded and frames came in
// as they used to. After a gap the clock stands still a little longer: exporters
// wait before they try again.
//
// With several bridges the clock goes on while one of them is good, and a
// server whose own bridges are not is left out: what would call it silent is
// held until one of them has been good for a while.

const (
	bridgeMemory = 24 * time.Hour
	maxPeriod    = 10 * time.Second // a tick's claim of its period is not believed beyond
	maxGrace     = time.Minute
	outage       = 5                // periods without a tick, from which on exporters wait longer and longer
	quietAtLeast = 10 * time.Second // without a frame before an inflow is called stopped
	quietGaps    = 3                // and this many times the longest gap of late
	quietFleet   = 3                // smaller fleets are judged server by server
	learnInflow  = 2 * time.Minute  // before any of that
	longestGap   = 2 * time.Minute  // what counts of a gap: an outage is no habit
	bridgeGone   = 10 * time.Second // without a tick, one of several bridges counts as gone
	gapMemory    = 15 * time.Minute // in which the longest gap is forgotten
	clockSlack   = 10 * time.Second // by which append times may go back before the clock counts as set
)

// Why the clock stands still. The set is closed.
const (
	frozenProbe  = "the bridge cannot reach its own listener"
	frozenInflow = "the bridge takes in nothing"
	frozenGrace  = "servers get time to come back after the bridge was away"
	frozenGone   = "the bridge is not heard" // one of several
)

// clock is one partition's.
type clock struct {
	now     int64 // operators' time, Unix nanoseconds
	stream  int64 // append time of the last entry; never back by less than clockSlack
	ticked  int64 // append time of the last tick that counted
	fleet   int   // servers of all partitions, as last counted; -1 = not known
	frozen  string
	grace   time.Duration // left
	bridges map[string]*bridge
	turned  int64 // append time when the memory of who used which bridge was turned over
}

// bridge is what a partition knows of one.
type bridge struct {
	tick  int64   // append time of its last tick
	used  int64   // append time of the last entry with frames
	since int64   // append time of the first tick with frames
	quiet int64   // nanoseconds without a frame accepted
	gap   float64 // seconds: the longest gap between frames, fading
	why   string  // "" = good
	bad   int64   // append time since when it is not; 0 = it is
	well  int64   // append time since when it is good without a gap; 0 = it is not
	bit   uint16  // of this bridge in a server's memory
}

func newClock() clock { return clock{fleet: -1, bridges: map[string]*bridge{}} }

// advance moves stream time. It does not go back, but for more than a little:
// then the stream's machine had a clock that was ahead and was set right.
func (c *clock) advance(appended time.Time) {
	if ahead := c.stream - appended.UnixNano(); ahead > int64(clockSlack) {
		c.setRight(ahead)
	}
	c.stream = max(c.stream, appended.UnixNano())
	if c.now == 0 {
		c.now = c.stream
	}
}

// setRight takes back by how much stream time was ahead. Waiting until it is
// reached again would be that long without anybody being called silent. The
// operators' clock goes on: it counts what passed, whatever the hour was.
func (c *clock) setRight(ahead int64) {
	back := func(moments ...*int64) {
		for _, m := range moments {
			if *m != 0 {
				*m -= ahead
			}
		}
	}
	back(&c.stream, &c.ticked, &c.turned)
	for _, b := range c.bridges {
		back(&b.tick, &b.used, &b.since, &b.bad, &b.well)
	}
}

func (c *clock) bridge(id string) *bridge {
	b := c.bridges[id]
	if b == nil {
		// Beyond 16 bridges some share a bit and are judged as one.
		b = &bridge{bit: 1 << (len(c.bridges) % 16)}
		c.bridges[id] = b
	}
	return b
}

// tick moves the clock and tells whether it moved.
func (c *clock) tick(id string, t stream.Tick) bool {
	b := c.bridge(id)
	period := min(max(t.Period, 100*time.Millisecond), maxPeriod)
	gap := time.Duration(0)
	if b.tick != 0 {
		gap = time.Duration(c.stream - b.tick)
	}
	step := min(gap, 2*period)
	b.judge(t, step, c)
	b.tick = c.stream
	if !c.counts(b) {
		return false
	}
	passed := min(int64(step), c.stream-c.ticked) // several bridges tick one clock
	c.ticked = c.stream
	other := c.anyGood(b, period)
	c.outage(b, gap, period, other)
	switch {
	case b.why != "" && other:
		return false // another bridge moves it
	case b.why != "":
		c.frozen = b.why
		return false
	case c.grace > 0:
		c.grace -= step
		c.frozen = frozenGrace
		return false
	}
	c.frozen = ""
	c.now += max(passed, 0)
	return passed > 0
}

// outage notes whether a bridge was away, and for how long servers have to be
// waited for when it was the only one.
func (c *clock) outage(b *bridge, gap, period time.Duration, other bool) {
	away := time.Duration(0)
	if gap > outage*period { // less is a busy machine
		away, b.well = gap, 0
	}
	switch {
	case b.why != "":
		b.well = 0
		if b.bad == 0 {
			b.bad = c.stream
		}
	case b.bad != 0:
		away = max(away, time.Duration(c.stream-b.bad))
		b.bad = 0
	}
	if b.why == "" && b.well == 0 {
		b.well = c.stream
	}
	if !other {
		c.grace = max(c.grace, min(2*away, maxGrace))
	}
}

// judge decides whether the bridge is good.
func (b *bridge) judge(t stream.Tick, step time.Duration, c *clock) {
	b.gap -= b.gap * min(step.Seconds()/gapMemory.Seconds(), 1)
	if t.Accepted > 0 {
		b.gap = max(b.gap, min(time.Duration(b.quiet), longestGap).Seconds())
		b.quiet = 0
		if b.since == 0 {
			b.since = c.stream
		}
	} else {
		b.quiet += int64(step)
	}
	switch {
	case !t.ProbeOK:
		b.why = frozenProbe
	case b.stopped(c):
		b.why = frozenInflow
	default:
		b.why = ""
	}
}

// stopped tells whether no frame came in for much longer than is usual.
func (b *bridge) stopped(c *clock) bool {
	usual := time.Duration(b.gap * quietGaps * float64(time.Second))
	small := 0 <= c.fleet && c.fleet < quietFleet
	return !small && b.since != 0 && c.stream-b.since >= int64(learnInflow) && b.quiet >= int64(max(quietAtLeast, usual))
}

// counts tells whether servers of this partition used the bridge of late. A
// partition nobody used yet follows every bridge.
func (c *clock) counts(b *bridge) bool {
	recent := func(b *bridge) bool { return b.used != 0 && c.stream-b.used < int64(bridgeMemory) }
	if recent(b) {
		return true
	}
	for _, o := range c.bridges {
		if recent(o) {
			return false
		}
	}
	return true
}

// anyGood tells whether a bridge that counts, but for one, ticked well within
// two periods.
func (c *clock) anyGood(but *bridge, period time.Duration) bool {
	for _, b := range c.bridges {
		if b != but && b.why == "" && b.tick != 0 && c.stream-b.tick <= int64(2*period) && c.counts(b) {
			return true
		}
	}
	return false
}

// shown translates a moment of the operators' clock into stream time: the two
// differ by all the time in which the clock stood still.
func (c *clock) shown(t time.Time) time.Time {
	return time.Unix(0, t.UnixNano()+c.stream-c.now).UTC()
}

// heardOf tells whether the bridge still ticks.
func (c *clock) heardOf(b *bridge) bool { return b.tick != 0 && c.stream-b.tick <= int64(bridgeGone) }

// fit tells whether one of the bridges has been good for so long that a server
// that used them should have been heard.
func (c *clock) fit(used uint16, interval time.Duration) bool {
	if len(c.bridges) < 2 {
		return true // the clock itself stands still
	}
	for _, b := range c.bridges {
		// Nobody may be left out for ever: any bridge judges a server that used none
		// of late, such as one that fell silent when its bridge was replaced.
		if (used&b.bit != 0 || used == 0) && b.well != 0 && c.heardOf(b) && c.stream-b.well >= int64(max(maxGrace, interval+interval/4)) {
			return true
		}
	}
	return false
}

// turn tells once in half a day that the older half of the memory of who used
// which bridge is to be forgotten.
func (c *clock) turn() bool {
	if c.stream-c.turned < int64(bridgeMemory/2) {
		return false
	}
	c.turned = c.stream
	return true
}

// trouble says what is wrong with the clock or with one of several bridges.
func (c *clock) trouble() string {
	if c.frozen != "" {
		return c.frozen
	}
	for id, b := range c.bridges {
		if !c.counts(b) || b.used == 0 {
			continue
		}
		switch {
		case b.why != "":
			return "bridge " + id + ": " + b.why
		case !c.heardOf(b):
			return "bridge " + id + ": " + frozenGone
		}
	}
	return ""
}
