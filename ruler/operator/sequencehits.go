package operator

import (
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

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

// eachEvent calls fn for every event that the rule waits for.
func (s *sequence) eachEvent(fn func(t target)) {
	s.each(func(bit uint64, o *rule.Occurrence) {
		if o.Event == nil {
			return
		}
		happens := func(bit uint64) func(Context, Input) []Verdict {
			return func(ctx Context, in Input) []Verdict { return s.event(bit, o.Event, ctx, in) }
		}
		t := target{rule: s.rule, where: &o.Event.Where, act: happens(bit)}
		switch last := len(s.spec.Steps) - 1; {
		case bit == 1<<bitUntil:
			t.doubt = happens(1 << bitDoubtUntil)
		case bit == 1<<last && s.spec.Steps[last].Not:
			t.doubt = happens(1 << bitDoubtNot)
		}
		fn(t)
	})
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
	byDevice := map[string]int{}
	add := func(bit uint64, typ, place, value, text string) {
		device := diff.DeviceName(typ, place)
		i, ok := byDevice[device]
		switch {
		case !ok && len(hits) == maxHits:
			return
		case !ok:
			i = len(hits)
			byDevice[device] = i
			hits = append(hits, hit{device: device, value: value, text: text})
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
	already := map[key]bool{}
	for _, h := range hits {
		typ, _, _ := strings.Cut(h.device, " ")
		k := s.key(ctx.Server.ID, typ, h.device)
		is, looked := already[k]
		if !looked {
			is = s.already(in.Current, k)
			already[k] = is
		}
		if is {
			h.bits |= 1 << bitAlready
		}
		s.wait(ctx, in, k, h)
	}
	if gone := s.gone(ctx, in); !gone && len(hits) == 0 {
		return nil
	}
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

// gone looks for devices with a match that are not there any more, and tells
// whether there are any.
func (s *sequence) gone(ctx Context, in Input) (found bool) {
	if s.spec.Per == rule.PerServer || in.Current == nil {
		return false
	}
	for _, k := range s.keys(ctx.Server.ID) {
		c := s.get(k)
		devices := []string{c.first.device}
		for i := range c.waiting {
			if d := c.waiting[i].device; !slices.Contains(devices, d) {
				devices = append(devices, d)
			}
		}
		for _, device := range devices {
			typ, place, _ := strings.Cut(device, " ")
			if device != "" && deviceAt(in.Current, typ, place) == nil && covers(in.Record.Snapshot, typ, place) && !c.leaving(device) {
				s.wait(ctx, in, k, hit{bits: 1 << bitGone, device: device, text: "the device is gone"})
				found = true
			}
		}
	}
	return found
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
