package operator

import (
	"fmt"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// flap carries out rules of kind flap. Only devices whose field changed within
// the window have state.
type flap struct {
	problems
	spec *rule.Flap
}

func newFlap(r *rule.Rule) Operator {
	return &flap{problems: newProblems(r), spec: r.Spec.(*rule.Flap)}
}

// Step implements Operator.
func (f *flap) Step(ctx Context, in Input) []Verdict {
	var out []Verdict
	for i := range in.Changes {
		ch := &in.Changes[i]
		if ch.Kind != diff.Field || ch.Type != f.spec.Device || ch.Field != f.spec.Field || !selects(f.rule.Servers, &ctx.Server) {
			continue
		}
		k := key{ctx.Server.ID, ch.Device()}
		if !f.room(k) {
			continue
		}
		p := f.put(k, ctx.Now)
		p.count++
		p.value = keep(ch.After.Text())
		if d := deviceAt(in.Current, ch.Type, ch.Place); d != nil {
			p.group, p.serial = groupOf(d), keep(d.Occupant)
		}
		p.window.add(ctx.Now, f.spec.Within, 1)
		if v, ok := f.judge(ctx, k, p); ok {
			v.RecordID, v.Before, v.After = in.RecordID, keep(ch.Before.Text()), p.value
			out = append(out, v)
		}
	}
	return out
}

func (f *flap) judge(ctx Context, k key, p *problem) (Verdict, bool) {
	n := p.window.count(ctx.Now, f.spec.Within)
	if p.told != 0 {
		f.expireAt(k, p, p.window.falls(f.spec.Changes/2, f.spec.Within))
		if ctx.Now.UnixNano()-p.told < int64(repeatAfter) {
			return Verdict{}, false
		}
	} else if n < f.spec.Changes {
		f.expireAt(k, p, p.window.falls(0, f.spec.Within))
		return Verdict{}, false
	}
	f.expireAt(k, p, p.window.falls(f.spec.Changes/2, f.spec.Within))
	p.told = ctx.Now.UnixNano()
	v := f.verdict(Firing, k, ctx.Now)
	v.Group = p.group
	v.Reason = fmt.Sprintf("%s changed %s within %s, now %s", f.spec.Field, times(n), span(f.spec.Within), p.value)
	v.Fields = []record.Attr{{Key: FieldSerial, Value: record.String(p.serial)}}
	return v, true
}

// Tick implements Operator.
func (f *flap) Tick(now time.Time) []Verdict {
	var out []Verdict
	f.expired(now, func(k key, p *problem) {
		p.deadline = 0
		f.dirty[k] = struct{}{}
		n := p.window.count(now, f.spec.Within)
		if p.told != 0 && n <= f.spec.Changes/2 {
			v := f.over(k, p, "", now, fmt.Sprintf("%s changed %s within %s, now %s", f.spec.Field, times(n), span(f.spec.Within), p.value))
			v.After = p.value
			out = append(out, v)
			p.told = 0
		}
		switch {
		case p.told != 0:
			f.expireAt(k, p, p.window.falls(f.spec.Changes/2, f.spec.Within))
		case n > 0:
			f.expireAt(k, p, p.window.falls(0, f.spec.Within))
		default:
			f.drop(k)
		}
	})
	return out
}
