package operator

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// risk carries out rules of kind risk. It looks at what the rules it names hold
// open, so its own state is only what it fired for: nothing is kept twice, and a
// rule that is added finds what is open by then.
type risk struct {
	problems
	spec                   *rule.Risk
	degraded, weak, failed []*problems
}

func newRisk(r *rule.Rule) Operator {
	return &risk{problems: newProblems(r), spec: r.Spec.(*rule.Risk)}
}

// own makes the state of operators that keep problems available to risk.
func (ps *problems) own() *problems { return ps }

// bind finds the rules it names. One that is not there, or switched off, holds
// nothing open.
func (k *risk) bind(find func(id string) Operator) {
	all := func(ids []string) (out []*problems) {
		for _, id := range ids {
			if op, ok := find(id).(interface{ own() *problems }); ok && id != k.rule.ID {
				out = append(out, op.own())
			}
		}
		return out
	}
	k.degraded, k.weak, k.failed = all(k.spec.Degraded), all(k.spec.Weak), all(k.spec.Failed)
}

// Step implements Operator. The Set calls it behind all others.
func (k *risk) Step(ctx Context, in Input) []Verdict {
	if in.Record.Snapshot == nil || !selects(k.rule.Servers, &ctx.Server) {
		return nil
	}
	dangers := k.dangers(ctx.Server.ID, in.Current)
	var out []Verdict
	for _, device := range slices.Sorted(maps.Keys(dangers)) {
		d, at := dangers[device], key{ctx.Server.ID, device}
		if p := k.get(at); p != nil && p.value == d.why {
			continue
		}
		p := k.put(at, ctx.Now)
		p.value, p.group, p.serial = d.why, d.group, d.serial
		p.told = ctx.Now.UnixNano()
		p.count++
		v := k.verdict(Firing, at, ctx.Now)
		v.RecordID, v.Group, v.After = in.RecordID, d.group, d.why
		v.Reason = "second drive of the same group is failing: " + d.why
		v.Fields = []record.Attr{{Key: FieldSerial, Value: record.String(d.serial)}}
		out = append(out, v)
	}
	return append(out, k.ended(ctx.Server.ID, in.RecordID, ctx.Now, dangers)...)
}

// Tick implements Operator. A snapshot shows what becomes a risk; time only ends
// one, when the count of a rule is over.
func (k *risk) Tick(now time.Time) []Verdict {
	if len(k.servers) == 0 {
		return nil
	}
	var out []Verdict
	servers := slices.SortedFunc(maps.Keys(k.servers), func(a, b record.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, server := range servers {
		out = append(out, k.ended(server, "", now, k.dangers(server, nil))...)
	}
	return out
}

// ended resolves what is no risk any more.
func (k *risk) ended(server record.ID, recordID string, now time.Time, dangers map[string]danger) []Verdict {
	var out []Verdict
	for _, device := range slices.Sorted(maps.Keys(k.servers[server])) {
		if _, still := dangers[device]; still {
			continue
		}
		at := key{server, device}
		out = append(out, k.over(at, k.get(at), recordID, now, "the drive is well, gone or no member any more, or its group is whole"))
		k.drop(at)
	}
	return out
}

// danger is why a drive is at risk.
type danger struct{ group, why, serial string }

// dangers returns the drives at risk: weak, a member of a group that is degraded,
// and not the one that failed. current may be nil.
func (k *risk) dangers(server record.ID, current *record.Snapshot) map[string]danger {
	arrays := map[string]string{}
	eachOpen(k.degraded, server, func(_ *rule.Rule, device string, p *problem) {
		if strings.Contains(p.group, "/") && arrays[p.group] == "" {
			arrays[p.group] = device + " is " + p.value
		}
	})
	if len(arrays) == 0 {
		return nil
	}
	failed := map[string]bool{}
	eachOpen(k.failed, server, func(_ *rule.Rule, device string, _ *problem) { failed[device] = true })
	out := map[string]danger{}
	eachOpen(k.weak, server, func(r *rule.Rule, device string, p *problem) {
		group := p.group
		typ, place, _ := strings.Cut(device, " ")
		if d := deviceAt(current, typ, place); d != nil {
			group = groupOf(d) // it may have left since
		}
		if array := arrays[group]; array != "" && !failed[device] && out[device].group == "" {
			out[device] = danger{group, weakness(r) + " is " + p.value + ", " + array, p.serial}
		}
	})
	return out
}

// weakness names what a rule looks at.
func weakness(r *rule.Rule) string {
	switch s := r.Spec.(type) {
	case *rule.State:
		return s.Field
	case *rule.Count:
		if s.Counter != nil {
			return s.Counter.Field
		}
	}
	return r.Name
}

// eachOpen calls fn for what rules hold open for a server, in order.
func eachOpen(rules []*problems, server record.ID, fn func(r *rule.Rule, device string, p *problem)) {
	for _, ps := range rules {
		m := ps.servers[server]
		for _, device := range slices.Sorted(maps.Keys(m)) {
			if m[device].told != 0 {
				fn(ps.rule, device, m[device])
			}
		}
	}
}
