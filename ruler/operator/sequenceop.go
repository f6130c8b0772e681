package operator

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// sequence carries out rules of kind sequence. What happens is first kept for
// the tolerance and then taken in the order of its own, corrected time, so that
// the order of arrival within the tolerance does not matter and a sequence is
// judged that much later. What comes later still can end a match, but neither
// begin one nor carry it on; it is Noted.
//
// Windows between steps are judged by the times of what happened. That nothing
// more can come in a window is known when the operators' time has passed as
// long since the step before was taken, which errs on the late side for a
// server whose records were spooled.
type sequence struct {
	rule    *rule.Rule
	spec    *rule.Sequence
	servers map[record.ID]map[string]*chain
	seen    map[record.ID]*look
	dirty   map[key]struct{}
	due     calendar[key]
	booted  bool // a condition looks at boot times
	devices bool // a condition looks at snapshots
}

// chain is one key's state: what waits to be taken, and the match.
type chain struct {
	waiting []hit   // by time
	taken   int64   // time of the newest one taken
	step    int     // the step that is waited for
	stamps  []int64 // when the steps before it were done
	times   []int64 // when the step waited for happened so far, if it must several times
	limit   int64   // until when it counts; 0 = the first step
	giveUp  int64   // operators' time at which nothing more can come before limit; 0 = never
	first   hit     // that began the match
	last    hit     // that carried it on
	fired   int64   // operators' time; 0 = it has not
	told    int64   // of the last firing verdict
	solved  int     // resolving steps done
	expires int64   // operators' time; 0 = never
	count   int64   // what carried it on since it fired
	slot    int64   // where it is filed; not saved
}

// hit is something that happened and is part of the rule.
type hit struct {
	time    int64  // when, corrected
	arrived int64  // operators' time
	bits    uint64 // which triggers it is
	device  string
	group   string
	record  string
	text    string // for a person
	value   string
	fields  []record.Attr
}

// Bits of a hit: the steps from 0, resolving steps from bitResolve.
const (
	bitResolve = 16
	bitUntil   = 40
	bitGone    = 41 // the device is gone
	bitAlready = 42 // what the last step says not to happen is so already
	// Whether it happened cannot be told, because a condition cannot be evaluated.
	bitDoubtNot   = 43 // what the last step says not to happen
	bitDoubtUntil = 44
)

// ripe is when nothing can come any more that happened before. It came at most a
// tick after its arrival says, because ticks alone move the operators' time.
func (h *hit) ripe(spec *rule.Sequence) int64 { return h.arrived + int64(spec.Tolerance) + 1 }

// maxWaiting is how many hits of one key wait; then the oldest is taken early.
const maxWaiting = 32

// maxHits is how many devices of one snapshot a sequence looks at: each waits.
const maxHits = 1024

// look is what is known of a server besides.
type look struct {
	looked bool  // its devices were looked at, so only what comes about counts
	boot   int64 // its boot time, Unix seconds; 0 = not known
}

// lookKey is the key under which it is saved; no device is called so.
const lookKey = "\x00look"

// bootSlack is by how much a boot time may wander.
const bootSlack = 60

func newSequence(r *rule.Rule) Operator {
	s := &sequence{rule: r, spec: r.Spec.(*rule.Sequence), servers: map[record.ID]map[string]*chain{}, seen: map[record.ID]*look{},
		dirty: map[key]struct{}{}, due: newCalendar(compareKeys)}
	s.each(func(_ uint64, o *rule.Occurrence) {
		s.booted = s.booted || o.Boot
		s.devices = s.devices || o.State != nil || o.Change != nil
	})
	return s
}

// each calls fn for every occurrence of the rule with its bit.
func (s *sequence) each(fn func(bit uint64, o *rule.Occurrence)) {
	all := func(bit int, t *rule.Trigger) {
		for i := range t.Any {
			fn(1<<bit, &t.Any[i])
		}
	}
	for i := range s.spec.Steps {
		all(i, &s.spec.Steps[i].Trigger)
	}
	for i := range s.spec.Resolve {
		all(bitResolve+i, &s.spec.Resolve[i])
	}
	if s.spec.Until != nil {
		all(bitUntil, s.spec.Until)
	}
}

// Step implements Operator.
func (s *sequence) Step(ctx Context, in Input) []Verdict {
	w := walk{ctx: ctx, in: in}
	s.eachEvent(func(t target) { w.run([]target{t}) })
	return append(append(w.out, s.snapshot(ctx, in)...), s.boot(ctx, in)...)
}

// key is what a match is about, bounded per server: names come from servers.
func (s *sequence) key(server record.ID, typ, device string) key {
	k := key{server: server}
	switch s.spec.Per {
	case rule.PerDevice:
		k.device = device
	case rule.PerController:
		_, place, _ := strings.Cut(device, " ")
		k.device, _, _ = strings.Cut(place, "/")
	}
	if s.get(k) == nil && len(s.servers[server]) >= maxDevices {
		k.device = typ + " (others)"
	}
	return k
}

func (s *sequence) keys(server record.ID) []key {
	keys := make([]key, 0, len(s.servers[server]))
	for device := range s.servers[server] {
		keys = append(keys, key{server, device})
	}
	return sorted(keys)
}

func (s *sequence) get(k key) *chain { return s.servers[k.server][k.device] }

func (s *sequence) put(k key, c *chain) {
	m := s.servers[k.server]
	if m == nil {
		m = map[string]*chain{}
		s.servers[k.server] = m
	}
	m[k.device] = c
}

// wait files a hit by its time.
func (s *sequence) wait(ctx Context, in Input, k key, h hit) {
	s.dirty[k] = struct{}{}
	c := s.get(k)
	if c == nil {
		c = &chain{}
		s.put(k, c)
	}
	h.arrived, h.record = ctx.Now.UnixNano(), in.RecordID
	if h.time = in.Event.UnixNano(); in.Event.IsZero() {
		h.time = h.arrived
	}
	at, _ := slices.BinarySearchFunc(c.waiting, h, compareHits)
	c.waiting = slices.Insert(c.waiting, at, h)
	s.file(k, c, ctx.Now)
}

// relieve takes early what waits beyond the bound.
func (s *sequence) relieve(out []Verdict, k key, now time.Time) []Verdict {
	c := s.get(k)
	for len(c.waiting) > maxWaiting {
		n := len(out)
		if out = s.takeNext(out, k, c, now); ended(out[n:]) {
			break
		}
	}
	s.file(k, c, now)
	return out
}

// ended tells whether a problem is over: what happened after that is taken with
// the next tick, because a Set puts what begins before what ends.
func ended(out []Verdict) bool { return len(out) > 0 && out[len(out)-1].Kind == Resolved }

// compareHits orders by time; at the same moment, as in one snapshot, earlier
// steps first. It must not depend on the order of arrival.
func compareHits(a, b hit) int {
	lowest := func(bits uint64) uint64 { return bits & -bits }
	return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(lowest(a.bits), lowest(b.bits)), cmp.Compare(a.device, b.device), cmp.Compare(a.record, b.record))
}

func (s *sequence) verdict(kind VerdictKind, k key, c *chain, now time.Time) Verdict {
	v := newVerdict(s.rule, kind, k.server, now)
	if s.spec.Per != rule.PerServer {
		v.Device, v.Group = c.first.device, c.first.group
	}
	return v
}

// Tick implements Operator.
func (s *sequence) Tick(now time.Time) []Verdict {
	var out []Verdict
	s.due.due(now, func(k key, slot int64) {
		c := s.get(k)
		if c == nil || c.slot != slot {
			return // gone, or filed anew
		}
		c.slot = 0
		out = append(out, s.advance(k, c, now)...)
		s.file(k, c, now)
	})
	return out
}

// file says when a key is to be looked at again, after now, or drops it when
// there is nothing left to know.
func (s *sequence) file(k key, c *chain, now time.Time) {
	next := int64(math.MaxInt64)
	for i := range c.waiting {
		next = min(next, c.waiting[i].ripe(s.spec))
	}
	for _, at := range []int64{c.giveUp, c.expires} {
		if at != 0 {
			next = min(next, at)
		}
	}
	switch {
	case next != math.MaxInt64:
		next = max(next, now.UnixNano()+1)
		if c.slot == 0 || ceilSecond(next) < c.slot {
			c.slot = s.due.file(k, next)
		}
	case c.fired == 0:
		s.dirty[k] = struct{}{}
		m := s.servers[k.server]
		if delete(m, k.device); len(m) == 0 {
			delete(s.servers, k.server)
		}
	}
}

// advance takes what has waited long enough, and lets time say the rest.
func (s *sequence) advance(k key, c *chain, now time.Time) (out []Verdict) {
	ns := now.UnixNano()
	ripe := int64(math.MinInt64)
	for i := range c.waiting {
		if c.waiting[i].ripe(s.spec) <= ns {
			ripe = c.waiting[i].time
		}
	}
	for len(c.waiting) > 0 && c.waiting[0].time <= ripe {
		if out = s.takeNext(out, k, c, now); ended(out) {
			return out
		}
	}
	for c.giveUp != 0 && c.giveUp <= ns {
		if len(c.waiting) > 0 && c.waiting[0].time <= c.limit {
			out = s.takeNext(out, k, c, now)
			continue
		}
		s.dirty[k] = struct{}{}
		out = s.pastLimit(out, k, c, now)
	}
	if c.expires != 0 && c.expires <= ns {
		v := s.verdict(Resolved, k, c, now)
		v.Reason = "nothing more for " + span(s.rule.Expires)
		out = append(out, v)
		s.end(k, c)
	}
	return out
}

// end leaves the key without a match; what waits goes on waiting.
func (s *sequence) end(k key, c *chain) {
	s.dirty[k] = struct{}{}
	*c = chain{waiting: c.waiting, taken: c.taken, slot: c.slot}
}

// Forget implements Operator.
func (s *sequence) Forget(server record.ID) {
	for device := range s.servers[server] {
		s.dirty[key{server, device}] = struct{}{}
	}
	delete(s.servers, server)
	if s.seen[server] != nil {
		delete(s.seen, server)
		s.dirty[key{server, lookKey}] = struct{}{}
	}
}
