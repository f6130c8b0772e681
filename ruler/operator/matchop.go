package operator

import (
	"fmt"
	"strconv"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// repeatAfter is how long events that say the same are only counted: a disk
// that fails writes thousands.
const repeatAfter = time.Minute

// maxDevices is how many devices of one server a match rule tells apart: their
// names come from the server.
const maxDevices = 64

// maxTracked is of how many devices of one server other rules keep something. Far
// more than a server has, and few enough that one that makes devices up harms
// nobody else.
const maxTracked = 2048

// match carries out rules of kind match.
type match struct {
	problems
	spec *rule.Match
}

func newMatch(r *rule.Rule) Operator {
	return &match{problems: newProblems(r), spec: r.Spec.(*rule.Match)}
}

// Step implements Operator.
func (m *match) Step(ctx Context, in Input) []Verdict {
	w := walk{ctx: ctx, in: in}
	w.run([]target{{rule: m.rule, where: &m.spec.Where, act: m.fire}})
	if m.spec.Clear != nil {
		w.run([]target{{rule: m.rule, where: m.spec.Clear, act: m.clear}})
	}
	return append(w.out, m.replaced(ctx, in)...)
}

// replaced ends what events said of devices in whose place a snapshot shows
// another one: nobody waits for the expiry of what was said of a part that is in
// the bin.
func (m *match) replaced(ctx Context, in Input) []Verdict {
	var out []Verdict
	for i := range in.Changes {
		ch := &in.Changes[i]
		if ch.Kind != diff.Replaced {
			continue
		}
		for _, k := range m.of(ctx.Server.ID) {
			if !names(k.device, ch, in.Current) {
				continue
			}
			m.drop(k)
			v := m.verdict(Resolved, k, ctx.Now)
			v.RecordID = in.RecordID
			v.Reason = Describe(ch)
			out = append(out, v)
		}
	}
	return out
}

// of returns the keys of a server, sorted.
func (m *match) of(server record.ID) []key {
	keys := make([]key, 0, len(m.servers[server]))
	for device := range m.servers[server] {
		keys = append(keys, key{server, device})
	}
	return sorted(keys)
}

// fire takes a record for which Where holds.
func (m *match) fire(ctx Context, in Input) []Verdict {
	if !selects(m.rule.Servers, &ctx.Server) {
		return nil
	}
	k := m.eventKey(ctx.Server.ID, m.spec.Device, in.Record)
	p := m.put(k, ctx.Now)
	p.count++
	p.untold++
	if m.rule.Expires > 0 {
		m.expireAt(k, p, ctx.Now.Add(m.rule.Expires))
	}
	if p.told != 0 && ctx.Now.UnixNano()-p.told < int64(repeatAfter) {
		return nil
	}
	v := m.verdict(Firing, k, ctx.Now)
	v.RecordID = in.RecordID
	v.Reason = eventReason(in.Record)
	if p.untold > 1 {
		v.Reason += fmt.Sprintf(" (%d times since the last report)", p.untold)
	}
	v.Fields = eventFields(in.Record)
	p.told, p.untold = ctx.Now.UnixNano(), 0
	return []Verdict{v}
}

// clear takes a record for which Clear holds. When it does not say of which
// device it speaks, it clears all of the server.
func (m *match) clear(ctx Context, in Input) []Verdict {
	keys := m.of(ctx.Server.ID)
	if d := deviceOf(m.spec.Device, in.Record); d != "" || m.spec.Device.Type == "" {
		keys = []key{{ctx.Server.ID, d}}
	}
	var out []Verdict
	for _, k := range keys {
		if m.get(k) == nil {
			continue
		}
		m.drop(k)
		v := m.verdict(Resolved, k, ctx.Now)
		v.RecordID = in.RecordID
		v.Reason = "cleared by " + eventReason(in.Record)
		out = append(out, v)
	}
	return out
}

// Tick implements Operator.
func (m *match) Tick(now time.Time) []Verdict {
	var out []Verdict
	m.expired(now, func(k key, p *problem) {
		v := m.verdict(Resolved, k, now)
		v.Reason = fmt.Sprintf("not seen again for %s, %s in all", span(m.rule.Expires), times(p.count))
		out = append(out, v)
		m.drop(k)
	})
	return out
}

// eventKey is the key of the device that an event speaks of, bounded per
// server.
func (ps *problems) eventKey(server record.ID, ref rule.DeviceRef, r *record.Record) key {
	k := key{server, deviceOf(ref, r)}
	if ps.get(k) == nil && len(ps.servers[server]) >= maxDevices {
		k.device = ref.Type + " (others)"
	}
	return k
}

// deviceOf names the device that an event speaks of; "" = the server.
func deviceOf(ref rule.DeviceRef, r *record.Record) string {
	if ref.Type == "" {
		return ""
	}
	place := ""
	switch {
	case ref.Text != nil:
		place = rule.Clean(ref.Text.Find(r.Body), maxKept)
	case ref.Attr == AttrMegaRAIDDrive:
		place = megaPlace(r.Body)
	default:
		place = rule.Clean(r.Attr(ref.Attr).Text(), maxKept)
	}
	if place == "" {
		return ""
	}
	return ref.Type + " " + place
}

// eventReason names an event as a person would: "disk 7: The device … has a
// bad block."
func eventReason(r *record.Record) string {
	head := r.Attr(record.AttrProvider).Str()
	if id, ok := r.Attr(record.AttrEventID).Int(); ok && id != 0 {
		head += " " + strconv.FormatInt(id, 10)
	}
	if head == "" {
		head = r.Name
	}
	if body := rule.Clean(r.Body, maxKept); body != "" {
		return rule.Clean(head, maxKept) + ": " + body
	}
	return rule.Clean(head, maxKept)
}

// Keys of Verdict.Fields.
const (
	FieldMessage  = "message"
	FieldChannel  = "channel"
	FieldProvider = "provider"
	FieldEventID  = "event_id"
	FieldSerial   = "serial"
	FieldModel    = "model"
)

func eventFields(r *record.Record) []record.Attr {
	return []record.Attr{
		{Key: FieldMessage, Value: record.String(keep(r.Body))},
		{Key: FieldChannel, Value: record.String(keep(r.Attr(record.AttrChannel).Str()))},
		{Key: FieldProvider, Value: record.String(keep(r.Attr(record.AttrProvider).Str()))},
		{Key: FieldEventID, Value: record.String(r.Attr(record.AttrEventID).Text())},
	}
}
