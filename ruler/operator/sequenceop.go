package operator

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
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
)

// ripe is when nothing can come any more that happened before. It came at most a
// tick after its arrival says, because ticks alone move the operators' time.
func (h *hit) ripe(spec *rule.Sequence) int64 { return h.arrived + int64(spec.Tolerance) + 1 }

// maxWaiting is how many hits of one key wait; then the oldest is taken early.
const maxWaiting = 32

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
	var out []Verdict
	s.each(func(bit uint64, o *rule.Occurrence) {
		if o.Event != nil && holds(&o.Event.Where, in.Record) {
			out = append(out, s.event(bit, o.Event, ctx, in)...)
		}
	})
	return append(append(out, s.snapshot(ctx, in)...), s.boot(ctx, in)...)
}

// event takes a record for which an event's conditions hold.
func (s *sequence) event(bit uint64, e *rule.CountedEvent, ctx Context, in Input) []Verdict {
	if !selects(s.rule.Servers, &ctx.Server) {
		return nil
	}
	h := hit{bits: bit, device: deviceOf(e.Device, in.Record), text: eventReason(in.Record)}
	k := s.key(ctx.Server.ID, e.Device.Type, h.device)
	if c := s.get(k); c == nil || !c.merge(in.RecordID, h.device, bit) {
		h.fields = eventFields(in.Record)
		s.wait(ctx, in, k, h)
		return s.relieve(nil, k, ctx.Now)
	}
	s.dirty[k] = struct{}{}
	return nil
}

// merge makes one hit of several conditions that hold for one record.
func (c *chain) merge(recordID, device string, bit uint64) bool {
	for i := range c.waiting {
		if w := &c.waiting[i]; w.record == recordID && w.device == device {
			w.bits |= bit
			return true
		}
	}
	return false
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

// boot takes a heartbeat.
func (s *sequence) boot(ctx Context, in Input) []Verdict {
	if !s.booted || in.Record.Name != record.NameHeartbeat || !selects(s.rule.Servers, &ctx.Server) {
		return nil
	}
	ns, ok := in.Record.Attr(record.AttrBootTime).Int()
	if !ok || ns <= 0 {
		return nil
	}
	l, at := s.look(ctx.Server.ID), ns/int64(time.Second)
	before := l.boot
	if d := at - before; -bootSlack <= d && d <= bootSlack {
		return nil
	}
	l.boot = at
	s.dirty[key{ctx.Server.ID, lookKey}] = struct{}{}
	if before == 0 {
		return nil
	}
	h := hit{text: "booted at " + time.Unix(at, 0).UTC().Format(time.RFC3339)}
	s.each(func(bit uint64, o *rule.Occurrence) {
		if o.Boot {
			h.bits |= bit
		}
	})
	k := key{server: ctx.Server.ID}
	s.wait(ctx, in, k, h)
	return s.relieve(nil, k, ctx.Now)
}

func (s *sequence) look(server record.ID) *look {
	l := s.seen[server]
	if l == nil {
		l = &look{}
		s.seen[server] = l
	}
	return l
}

// snapshot takes a record with a snapshot.
func (s *sequence) snapshot(ctx Context, in Input) []Verdict {
	snap := in.Record.Snapshot
	if snap == nil || !s.devices || !selects(s.rule.Servers, &ctx.Server) {
		return nil
	}
	l := s.seen[ctx.Server.ID]
	looked := l != nil && l.looked
	var hits []hit
	add := func(bit uint64, typ, place, value, text string) {
		device := diff.DeviceName(typ, place)
		i := slices.IndexFunc(hits, func(h hit) bool { return h.device == device })
		if i < 0 {
			hits = append(hits, hit{device: device, value: value, text: text})
			i = len(hits) - 1
			s.describe(&hits[i], in, ctx, typ, place)
		}
		hits[i].bits |= bit
	}
	found := false
	s.each(func(bit uint64, o *rule.Occurrence) {
		switch {
		case o.Change != nil:
			for i := range in.Changes {
				if ch := &in.Changes[i]; o.Change.Counts(ch) {
					add(bit, ch.Type, ch.Place, keep(ch.After.Text()), Describe(ch))
				}
			}
		case o.State != nil:
			for i := range snap.Devices {
				d := &snap.Devices[i]
				if d.Type != o.State.Device {
					continue
				}
				found = true
				if is(o.State, d) && (!looked || s.cameAbout(o.State, ctx.Previous, d)) {
					value := keep(strings.TrimSpace(d.Field(o.State.Field).Text()))
					add(bit, d.Type, d.Place, value, o.State.Field+" became "+value)
				}
			}
		}
	})
	if found && !looked {
		s.look(ctx.Server.ID).looked = true
		s.dirty[key{ctx.Server.ID, lookKey}] = struct{}{}
	}
	for _, h := range hits {
		typ, _, _ := strings.Cut(h.device, " ")
		k := s.key(ctx.Server.ID, typ, h.device)
		if s.already(in.Current, k) {
			h.bits |= 1 << bitAlready
		}
		s.wait(ctx, in, k, h)
	}
	s.gone(ctx, in)
	var out []Verdict
	for _, k := range s.keys(ctx.Server.ID) {
		out = s.relieve(out, k, ctx.Now)
	}
	return out
}

func (s *sequence) describe(h *hit, in Input, ctx Context, typ, place string) {
	d := deviceAt(in.Current, typ, place)
	if d == nil {
		d = deviceAt(ctx.Previous, typ, place)
	}
	if d == nil {
		return
	}
	h.group = groupOf(d)
	h.fields = []record.Attr{{Key: FieldSerial, Value: record.String(keep(d.Occupant))}, {Key: FieldModel, Value: record.String(keep(d.Field(record.FieldModel).Text()))}}
	if note := keep(d.Field(record.FieldText).Text()); note != "" {
		h.fields = append(h.fields, record.Attr{Key: FieldMessage, Value: record.String(note)})
	}
}

func is(b *rule.Became, d *record.Device) bool {
	v := d.Field(b.Field)
	return diff.KnownValue(v) && b.Holds(strings.TrimSpace(v.Text()))
}

// cameAbout tells whether a device was otherwise before, or is another one.
func (s *sequence) cameAbout(b *rule.Became, previous *record.Snapshot, d *record.Device) bool {
	old := deviceAt(previous, d.Type, d.Place)
	if old == nil || !is(b, old) {
		return true
	}
	was, now := diff.Known(old.Occupant), diff.Known(d.Occupant)
	return was != "" && now != "" && was != now
}

// already tells whether what the last step says not to happen is so.
func (s *sequence) already(current *record.Snapshot, k key) bool {
	last := &s.spec.Steps[len(s.spec.Steps)-1]
	if !last.Not || current == nil {
		return false
	}
	for i := range last.Any {
		b := last.Any[i].State
		if b == nil {
			continue
		}
		for j := range current.Devices {
			d := &current.Devices[j]
			if d.Type == b.Device && is(b, d) && s.key(k.server, d.Type, diff.DeviceName(d.Type, d.Place)) == k {
				return true
			}
		}
	}
	return false
}

// gone looks for devices with a match that are not there any more.
func (s *sequence) gone(ctx Context, in Input) {
	if s.spec.Per == rule.PerServer || in.Current == nil {
		return
	}
	for _, k := range s.keys(ctx.Server.ID) {
		c := s.get(k)
		devices := []string{c.first.device}
		for i := range c.waiting {
			if d := c.waiting[i].device; !contains(devices, d) {
				devices = append(devices, d)
			}
		}
		for _, device := range devices {
			typ, place, _ := strings.Cut(device, " ")
			if device != "" && deviceAt(in.Current, typ, place) == nil && covers(in.Record.Snapshot, typ, place) && !c.leaving(device) {
				s.wait(ctx, in, k, hit{bits: 1 << bitGone, device: device, text: "the device is gone"})
			}
		}
	}
}

// leaving tells whether it waits to be said already that a device is gone.
func (c *chain) leaving(device string) bool {
	last := false
	for i := range c.waiting {
		if c.waiting[i].device == device {
			last = c.waiting[i].bits == 1<<bitGone
		}
	}
	return last
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

// Save implements Operator.
func (s *sequence) Save(dirtyOnly bool) []KeyedState {
	keys := make([]key, 0, len(s.dirty))
	if dirtyOnly {
		for k := range s.dirty {
			keys = append(keys, k)
		}
	} else {
		for server, m := range s.servers {
			for device := range m {
				keys = append(keys, key{server, device})
			}
		}
		for server := range s.seen {
			keys = append(keys, key{server, lookKey})
		}
	}
	clear(s.dirty)
	out := make([]KeyedState, 0, len(keys))
	for _, k := range sorted(keys) {
		state := KeyedState{RuleID: s.rule.ID, Shape: s.rule.Shape, Server: k.server, Key: string(k.server[:]) + k.device}
		if k.device == lookKey {
			state.Data = s.seen[k.server].encode()
		} else if c := s.get(k); c != nil {
			state.Data = c.encode()
		}
		out = append(out, state)
	}
	return out
}

// Load implements Operator.
func (s *sequence) Load(state KeyedState) error {
	device, ok := strings.CutPrefix(state.Key, string(state.Server[:]))
	if !ok {
		return fmt.Errorf("load state of rule %s: key of another server: %w", state.RuleID, record.ErrMalformed)
	}
	k := key{state.Server, device}
	switch {
	case state.Data == nil && device == lookKey:
		delete(s.seen, k.server)
	case state.Data == nil:
		if s.get(k) != nil {
			delete(s.servers[k.server], device)
		}
	case device == lookKey:
		l, err := decodeLook(state, s.rule.Shape)
		if err != nil {
			return err
		}
		s.seen[k.server] = l
	default:
		c, err := decodeChain(state, s.rule.Shape, s.spec)
		if err != nil {
			return err
		}
		s.put(k, c)
		s.file(k, c, time.Unix(0, 0))
	}
	return nil
}
