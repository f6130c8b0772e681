package operator

import (
	"fmt"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// Finding is what a record is to one condition of a rule.
type Finding struct {
	For       string // what the conditions are for: "fires on"
	Condition string // "provider is disk"
	Holds     bool
	Why       string // when it does not: what is there instead
}

// Findings says for every condition of a rule about events whether it holds for a
// record, and why not. Nothing of it runs where records flow.
func Findings(r *rule.Rule, ctx Context, in Input) []Finding {
	var out []Finding
	for _, key := range rule.SelectorKeys() {
		want, ok := r.Servers[key]
		if !ok {
			continue
		}
		f := Finding{For: "only for servers", Condition: r.Servers.Describe(key), Holds: want.Holds(ctx.Server.Label(key), true)}
		if !f.Holds {
			f.Why = fmt.Sprintf("%s is %q in the register", key, keep(ctx.Server.Label(key)))
		}
		out = append(out, f)
	}
	events, ok := r.Spec.(rule.AboutEvents)
	if !ok {
		return out
	}
	for _, e := range events.Events() {
		for _, p := range e.Where.Parts(in.Record.Name) {
			out = append(out, finding(r, e.For, &p, ctx, in))
		}
	}
	return out
}

func finding(r *rule.Rule, what string, p *rule.Part, ctx Context, in Input) Finding {
	f := Finding{For: what, Condition: p.Text}
	anywhere := *r
	anywhere.Servers = nil // that is a finding of its own
	ok, failed := judge(&anywhere, &p.Where, &ctx, &in)
	switch f.Holds = ok; {
	case ok:
	case failed != nil:
		f.Why = failed.Reason
	case p.Where.If != nil:
		f.Why = "it is false"
	case p.Attr == "":
		f.Why = fmt.Sprintf("it is named %q", keep(in.Record.Name))
	default:
		f.Why = there(in.Record, p.Attr)
	}
	return f
}

func there(r *record.Record, attr string) string {
	v := r.Attr(attr)
	if v.IsNull() {
		return "the record has no " + attr
	}
	return fmt.Sprintf("it is %q", keep(v.Text()))
}
