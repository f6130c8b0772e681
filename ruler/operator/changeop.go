package operator

import (
	"fmt"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// change carries out rules of kind change.
type change struct {
	problems
	spec *rule.Change
}

func newChange(r *rule.Rule) Operator {
	return &change{problems: newProblems(r), spec: r.Spec.(*rule.Change)}
}

// Step implements Operator.
func (c *change) Step(ctx Context, in Input) []Verdict {
	var out []Verdict
	for i := range in.Changes {
		ch := &in.Changes[i]
		if !c.spec.Counts(ch) || !selects(c.rule.Servers, &ctx.Server) {
			continue
		}
		k := key{ctx.Server.ID, ch.Device()}
		if !c.room(k) {
			k.device = ch.Type + " (others)"
		}
		if v, planned := c.planned(ctx, in, ch, k); planned {
			out = append(out, v)
			continue
		}
		p := c.put(k, ctx.Now)
		p.count++
		p.told = ctx.Now.UnixNano()
		c.expireAt(k, p, ctx.Now.Add(c.rule.Expires))
		v := c.verdict(Firing, k, ctx.Now)
		v.RecordID, v.Momentary, v.Severity = in.RecordID, true, c.spec.SeverityOf(ch, c.rule)
		v.Before, v.After = keep(ch.Before.Text()), keep(ch.After.Text())
		v.Reason = Describe(ch)
		v.Fields = []record.Attr{{Key: FieldSerial, Value: record.String(keep(ch.Occupant))}}
		if d := deviceAt(in.Current, ch.Type, ch.Place); d != nil {
			v.Fields = append(v.Fields, record.Attr{Key: FieldModel, Value: record.String(keep(d.Field(record.FieldModel).Text()))})
			p.group = lastGroup(d, deviceAt(ctx.Previous, ch.Type, ch.Place), p.group)
		} else if d := deviceAt(ctx.Previous, ch.Type, ch.Place); d != nil {
			p.group = groupOf(d)
		}
		v.Group = p.group
		out = append(out, v)
	}
	return out
}

// planned mutes a change that somebody said would come.
func (c *change) planned(ctx Context, in Input, ch *diff.Change, k key) (Verdict, bool) {
	for _, w := range c.spec.Windows {
		until, ok := w.Covers(ctx.Now)
		if !ok || !selects(w.Servers, &ctx.Server) {
			continue
		}
		v := c.verdict(Muted, k, ctx.Now)
		v.RecordID, v.Momentary, v.Severity = in.RecordID, true, c.spec.SeverityOf(ch, c.rule)
		v.Before, v.After = keep(ch.Before.Text()), keep(ch.After.Text())
		v.Window, v.Change, v.Reason = w, ch, plannedReason(w, until, Describe(ch))
		return v, true
	}
	return Verdict{}, false
}

func plannedReason(w *rule.Window, until time.Time, what string) string {
	return fmt.Sprintf("planned: %s until %s: %s", w, until.UTC().Format("2006-01-02 15:04 MST"), what)
}

// Tick implements Operator.
func (c *change) Tick(now time.Time) []Verdict {
	var out []Verdict
	c.expired(now, func(k key, p *problem) {
		v := c.verdict(Resolved, k, now)
		v.Reason, v.Momentary, v.Group = "shown for "+span(c.rule.Expires), true, p.group
		out = append(out, v)
		c.drop(k)
	})
	return out
}

// Describe says in a few words what changed.
func Describe(ch *diff.Change) string {
	serial := ""
	if ch.Occupant != "" {
		serial = " (serial " + keep(ch.Occupant) + ")"
	}
	switch ch.Kind {
	case diff.Added:
		return "added" + serial
	case diff.Removed:
		return "removed" + serial
	case diff.Replaced:
		return fmt.Sprintf("replaced: serial %s instead of %s", keep(ch.After.Text()), keep(ch.Before.Text()))
	case diff.Moved:
		return fmt.Sprintf("moved here from %s%s", keep(ch.From), serial)
	default:
		return fmt.Sprintf("%s changed from %s to %s", keep(ch.Field), keep(ch.Before.Text()), keep(ch.After.Text()))
	}
}
