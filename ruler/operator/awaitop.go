package operator

import (
	"fmt"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// await carries out rules of kind absent about servers that are not missed
// because they are known to be away: they said that they shut down, or they
// were entered in the register and never came. Only these have state.
type await struct {
	problems
	spec *rule.Absent
}

// daily is how often an absence that lasts is said anew. It stays one
// notification.
const daily = 24 * time.Hour

func newAwait(r *rule.Rule) Operator {
	return &await{problems: newProblems(r), spec: r.Spec.(*rule.Absent)}
}

// Step implements Operator.
func (a *await) Step(ctx Context, in Input) []Verdict {
	if in.Header == nil {
		return nil
	}
	k := key{server: ctx.Server.ID}
	p := a.get(k)
	if !selects(a.rule.Servers, &ctx.Server) {
		return a.over(ctx, in, k, p, notAbout)
	}
	if a.spec.While == rule.WhileExpected {
		if !fromRegistry(in.Header) {
			return a.over(ctx, in, k, p, "heard for the first time")
		}
		if p == nil && !ctx.Server.Heard && (in.Record.Name == record.NameEnrolled || in.Record.Name == record.NameLabels) {
			p = a.put(k, ctx.Now)
			a.expireAt(k, p, ctx.Now.Add(a.spec.After))
		}
		return nil
	}
	switch {
	case in.Header.Category != record.Heartbeat:
	case in.Record.Name == record.NameGoodbye && farewellOf(in.Record) == byShutdown:
		p = a.put(k, ctx.Now)
		p.since, p.note = ctx.Now.UnixNano(), farewellWords(in.Record)
		a.expireAt(k, p, ctx.Now.Add(a.spec.After))
	default:
		return a.over(ctx, in, k, p, "back")
	}
	return nil
}

// over forgets a server that need not be waited for any more.
func (a *await) over(ctx Context, in Input, k key, p *problem, reason string) []Verdict {
	if p == nil {
		return nil
	}
	a.drop(k)
	if p.told == 0 {
		return nil
	}
	v := a.verdict(Resolved, k, ctx.Now)
	v.RecordID, v.Reason = in.RecordID, fmt.Sprintf("%s, after %s", reason, span(ctx.Now.Sub(time.Unix(0, p.since))))
	return []Verdict{v}
}

// Tick implements Operator.
func (a *await) Tick(now time.Time) []Verdict {
	var out []Verdict
	a.expired(now, func(k key, p *problem) {
		v := a.verdict(Firing, k, now)
		since := time.Unix(0, p.since)
		if a.spec.While == rule.WhileShutdown {
			v.Reason = fmt.Sprintf("shut down for %s: %s", span(now.Sub(since)), p.note)
			v.Before = "shut down " + since.UTC().Format(time.RFC3339)
		} else {
			v.Reason = fmt.Sprintf("in the register for %s, and nothing was ever heard of it", span(now.Sub(since)))
			v.Before = "entered " + since.UTC().Format(time.RFC3339)
		}
		out = append(out, v)
		p.told = now.UnixNano()
		a.dirty[k] = struct{}{}
		a.expireAt(k, p, now.Add(daily))
	})
	return out
}

// fromRegistry tells whether a bridge's registry says it: what an agent says of
// enrolment and labels counts for nothing.
func fromRegistry(h *record.Header) bool {
	return h.Category == record.Agent && strings.HasPrefix(h.Producer, "bridge/") && strings.HasSuffix(h.Producer, "/registry")
}
