package operator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// state carries out rules of kind state. Only bad devices have state.
type state struct {
	problems
	spec *rule.State
}

func newState(r *rule.Rule) Operator {
	return &state{problems: newProblems(r), spec: r.Spec.(*rule.State)}
}

// Step implements Operator.
func (s *state) Step(ctx Context, in Input) []Verdict {
	snap := in.Record.Snapshot
	if snap == nil || !selects(s.rule.Servers, &ctx.Server) {
		return nil
	}
	var out []Verdict
	known := s.servers[ctx.Server.ID]
	for i := range snap.Devices {
		d := &snap.Devices[i]
		if d.Type != s.spec.Device {
			continue
		}
		v := d.Field(s.spec.Field)
		number, isNumber := v.Float()
		if !diff.KnownValue(v) || !isNumber && (s.spec.Above != nil || s.spec.Below != nil) {
			continue // not known: what was last known holds
		}
		text := strings.TrimSpace(v.Text())
		bad := s.spec.IsBad(text, number, isNumber)
		if !bad && len(known) == 0 {
			continue // by far the most frequent
		}
		k := key{ctx.Server.ID, diff.DeviceName(d.Type, d.Place)}
		p := s.get(k)
		if !bad && p != nil && p.told != 0 && p.good == "" {
			bad = s.spec.StaysBad(text, number, isNumber)
		}
		switch {
		case bad:
			out = append(out, s.bad(ctx, in, k, d, text)...)
		case p != nil:
			out = append(out, s.better(ctx, in, k, p, text, d)...)
		}
	}
	for _, k := range s.gone(ctx, in) {
		out = append(out, s.good(ctx, in, k, s.get(k), "the device is gone", "")...)
	}
	return out
}

func (s *state) bad(ctx Context, in Input, k key, d *record.Device, text string) []Verdict {
	p := s.get(k)
	if !s.room(k) {
		return nil // with the next snapshot, when others are well
	}
	if p != nil && p.good != "" {
		s.put(k, ctx.Now) // it was well for less than Keep
		p.good, p.deadline = "", 0
	}
	if p != nil && p.value == keep(text) {
		return nil // nothing new; For runs by Tick
	}
	before := ""
	if p == nil {
		before = previousField(ctx.Previous, d, s.spec.Field)
	} else {
		before = p.value
	}
	p = s.put(k, ctx.Now)
	p.value, p.group, p.note = keep(text), lastGroup(d, deviceAt(ctx.Previous, d.Type, d.Place), p.group), keep(d.Field(record.FieldText).Text())
	if n := occupant(in.Current, d); n != "" {
		p.serial = keep(n)
	}
	p.count++
	if p.told == 0 && s.rule.For > 0 {
		if p.deadline == 0 {
			s.expireAt(k, p, ctx.Now.Add(s.rule.For))
		}
		return nil
	}
	v := s.firing(k, p, ctx.Now)
	v.RecordID, v.Before = in.RecordID, before
	v.Fields = append(v.Fields, record.Attr{Key: FieldModel, Value: record.String(keep(d.Field(record.FieldModel).Text()))})
	return []Verdict{v}
}

func (s *state) firing(k key, p *problem, now time.Time) Verdict {
	p.told = now.UnixNano()
	v := s.verdict(Firing, k, now)
	v.Severity = s.spec.SeverityOf(p.value, s.rule)
	v.Reason = fmt.Sprintf("%s is %s", s.spec.Field, p.value)
	v.After, v.Group = p.value, p.group
	v.Fields = []record.Attr{{Key: FieldSerial, Value: record.String(p.serial)}}
	if p.note != "" {
		v.Fields = append(v.Fields, record.Attr{Key: FieldMessage, Value: record.String(p.note)})
	}
	return v
}

// better takes a good value of what was bad: the end, or the beginning of Keep.
// Another occupant of the place has nothing to prove.
func (s *state) better(ctx Context, in Input, k key, p *problem, text string, d *record.Device) []Verdict {
	reason := fmt.Sprintf("%s is %s", s.spec.Field, keep(text))
	other := p.serial != "" && occupant(in.Current, d) != "" && keep(occupant(in.Current, d)) != p.serial
	if s.spec.Keep == 0 || p.told == 0 || other {
		return s.good(ctx, in, k, p, reason, text)
	}
	if p.good == "" {
		s.expireAt(k, p, ctx.Now.Add(s.spec.Keep))
	}
	if p.good != keep(text) {
		s.put(k, ctx.Now)
		p.good = keep(text)
	}
	return nil
}

func (s *state) good(ctx Context, in Input, k key, p *problem, reason, after string) []Verdict {
	told := p.told != 0
	s.drop(k)
	if !told {
		return nil // it was bad for less than For
	}
	v := s.verdict(Resolved, k, ctx.Now)
	v.Severity = s.spec.SeverityOf(p.value, s.rule)
	v.RecordID, v.Reason, v.Before, v.After, v.Group = in.RecordID, reason, p.value, keep(after), p.group
	v.Fields = []record.Attr{{Key: FieldSerial, Value: record.String(p.serial)}}
	return []Verdict{v}
}

// gone returns the keys of devices that are not there any more, sorted. A
// device that was not observed is not gone.
func (ps *problems) gone(ctx Context, in Input) []key {
	known := ps.servers[ctx.Server.ID]
	if len(known) == 0 || in.Current == nil {
		return nil
	}
	var keys []key
	for device := range known {
		typ, place, _ := strings.Cut(device, " ")
		if deviceAt(in.Current, typ, place) == nil && covers(in.Record.Snapshot, typ, place) {
			keys = append(keys, key{ctx.Server.ID, device})
		}
	}
	return sorted(keys)
}

// Tick implements Operator.
func (s *state) Tick(now time.Time) []Verdict {
	var out []Verdict
	s.expired(now, func(k key, p *problem) {
		p.deadline = 0
		s.dirty[k] = struct{}{}
		if p.good != "" {
			out = append(out, s.good(Context{Now: now}, Input{}, k, p, fmt.Sprintf("%s is %s for %s", s.spec.Field, p.good, span(s.spec.Keep)), p.good)...)
			return
		}
		v := s.firing(k, p, now)
		v.Reason += " for " + span(s.rule.For)
		out = append(out, v)
	})
	return out
}

func covers(s *record.Snapshot, typ, place string) bool {
	return slices.ContainsFunc(s.Sections, func(sec record.Section) bool { return sec.Covers(typ, place) })
}

// deviceAt finds a device in a merged state, which is sorted: a server with many
// thousand devices, of which each is looked up, must not hold up the others.
func deviceAt(s *record.Snapshot, typ, place string) *record.Device {
	if s == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(s.Devices, place, func(d record.Device, place string) int {
		return cmp.Or(cmp.Compare(d.Type, typ), cmp.Compare(d.Place, place))
	})
	if !ok {
		return nil
	}
	return &s.Devices[i]
}

func previousField(s *record.Snapshot, d *record.Device, field string) string {
	if old := deviceAt(s, d.Type, d.Place); old != nil {
		return keep(old.Field(field).Text())
	}
	return ""
}

// occupant is the last known one where the merged state is at hand.
func occupant(current *record.Snapshot, d *record.Device) string {
	if c := deviceAt(current, d.Type, d.Place); c != nil {
		return c.Occupant
	}
	return d.Occupant
}
