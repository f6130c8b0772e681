package operator

import (
	"fmt"
	"strconv"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// count carries out rules of kind count. Of events it keeps a window for each
// device; of counters also the last value, which volatile fields have nowhere
// else. A counter that stands at zero has no state: lookedAt, a key without a
// device, says that the server's counters have been looked at, so that one
// that is not zero any more has grown.
type count struct {
	problems
	spec *rule.Count
}

const lookedAt = ""

func newCount(r *rule.Rule) Operator {
	return &count{problems: newProblems(r), spec: r.Spec.(*rule.Count)}
}

// Step implements Operator.
func (c *count) Step(ctx Context, in Input) []Verdict {
	if c.spec.Event != nil {
		w := walk{ctx: ctx, in: in}
		w.run([]target{{rule: c.rule, where: &c.spec.Event.Where, act: c.event}})
		return w.out
	}
	snap := in.Record.Snapshot
	if snap == nil || !selects(c.rule.Servers, &ctx.Server) {
		return nil
	}
	var out []Verdict
	before := c.get(key{ctx.Server.ID, lookedAt}) != nil
	found := false
	for i := range snap.Devices {
		d := &snap.Devices[i]
		if d.Type != c.spec.Counter.Device {
			continue
		}
		if n, ok := d.Field(c.spec.Counter.Field).Int(); ok && n >= 0 {
			found = true
			out = append(out, c.counter(ctx, in, d, n, before)...)
		}
	}
	if found && !before {
		c.put(key{ctx.Server.ID, lookedAt}, ctx.Now)
	}
	for _, k := range c.gone(ctx, in) {
		out = append(out, c.end(k, c.get(k), in.RecordID, ctx.Now, "the device is gone")...)
	}
	return out
}

// counter takes the value of a device's counter. A smaller one is a counter
// that began anew, another serial number is another counter.
func (c *count) counter(ctx Context, in Input, d *record.Device, n int64, before bool) (out []Verdict) {
	k := key{ctx.Server.ID, diff.DeviceName(d.Type, d.Place)}
	p := c.get(k)
	serial := keep(occupant(in.Current, d))
	grown := int64(0)
	switch {
	case p == nil && n == 0, !c.room(k):
		return nil
	case p == nil:
		old := deviceAt(ctx.Previous, d.Type, d.Place)
		if before && old != nil && keep(old.Occupant) == serial {
			grown = n
		}
	case p.serial != serial:
		out = c.end(k, p, in.RecordID, ctx.Now, "another device is at the place")
	default:
		last, _ := strconv.ParseInt(p.value, 10, 64)
		if n == last {
			return nil
		}
		grown = max(n-last, 0)
	}
	p = c.put(k, ctx.Now)
	p.value, p.serial, p.group = strconv.FormatInt(n, 10), serial, lastGroup(d, deviceAt(ctx.Previous, d.Type, d.Place), p.group)
	if grown == 0 {
		return out
	}
	return c.more(ctx, in, k, p, grown)
}

// event takes a record for which the conditions hold.
func (c *count) event(ctx Context, in Input) []Verdict {
	if !selects(c.rule.Servers, &ctx.Server) {
		return nil
	}
	k := c.eventKey(ctx.Server.ID, c.spec.Event.Device, in.Record)
	return c.more(ctx, in, k, c.put(k, ctx.Now), 1)
}

// more counts, and fires when it is too much.
func (c *count) more(ctx Context, in Input, k key, p *problem, n int64) []Verdict {
	p.window.add(ctx.Now, c.spec.Within, n)
	p.count += n
	now := p.window.count(ctx.Now, c.spec.Within)
	if now <= c.spec.MoreThan {
		c.expireAt(k, p, p.window.falls(0, c.spec.Within))
		return nil
	}
	c.expireAt(k, p, p.window.falls(c.spec.MoreThan, c.spec.Within))
	if p.told != 0 && ctx.Now.UnixNano()-p.told < int64(repeatAfter) {
		return nil
	}
	p.told = ctx.Now.UnixNano()
	v := c.verdict(Firing, k, ctx.Now)
	v.RecordID, v.Group, v.After = in.RecordID, p.group, p.value
	v.Reason = fmt.Sprintf("%s within %s, more than %d", times(now), span(c.spec.Within), c.spec.MoreThan)
	if c.spec.Event != nil {
		v.Reason += "; the last: " + eventReason(in.Record)
		v.Fields = eventFields(in.Record)
	} else {
		v.Reason = fmt.Sprintf("%s grew by %d to %s within %s, more than %d", c.spec.Counter.Field, now, p.value, span(c.spec.Within), c.spec.MoreThan)
		v.Fields = []record.Attr{{Key: FieldSerial, Value: record.String(p.serial)}}
	}
	return []Verdict{v}
}

// Tick implements Operator.
func (c *count) Tick(now time.Time) []Verdict {
	var out []Verdict
	c.expired(now, func(k key, p *problem) {
		p.deadline = 0
		n := p.window.count(now, c.spec.Within)
		c.dirty[k] = struct{}{}
		if p.told != 0 && n <= c.spec.MoreThan {
			out = append(out, c.over(k, p, "", now, fmt.Sprintf("%s within %s", times(n), span(c.spec.Within))))
			p.told = 0
		}
		switch {
		case n > c.spec.MoreThan:
			c.expireAt(k, p, p.window.falls(c.spec.MoreThan, c.spec.Within))
		case n > 0:
			c.expireAt(k, p, p.window.falls(0, c.spec.Within))
		case c.spec.Event != nil:
			c.drop(k)
		}
	})
	return out
}

// end drops a key's state, and says so if it fired.
func (ps *problems) end(k key, p *problem, recordID string, now time.Time, reason string) []Verdict {
	ps.drop(k)
	if p.told == 0 {
		return nil
	}
	return []Verdict{ps.over(k, p, recordID, now, reason)}
}

func (ps *problems) over(k key, p *problem, recordID string, now time.Time, reason string) Verdict {
	v := ps.verdict(Resolved, k, now)
	v.Reason, v.Group, v.RecordID = reason, p.group, recordID
	return v
}
