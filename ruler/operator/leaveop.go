package operator

import (
	"maps"
	"slices"

	"nocturne/internal/record"
)

// leaver is an operator with problems that nothing else ends when the register
// gives a server other labels and the rule is not about it any more: its
// snapshots and events are looked at no longer.
type leaver interface {
	leave(ctx Context, in Input) []Verdict
}

const notAbout = "the rule is not about this server any more"

// relabelled ends what rules hold open for a server that they are not about,
// when the register says what it is.
func (s *Set) relabelled(ctx Context, in Input) []Verdict {
	if in.Header == nil || !fromRegistry(in.Header) || in.Record.Name != record.NameLabels && in.Record.Name != record.NameEnrolled {
		return nil
	}
	var out []Verdict
	for i, op := range s.ops {
		if l, ok := op.(leaver); ok && !selects(s.rules[i].Servers, &ctx.Server) {
			out = append(out, l.leave(ctx, in)...)
		}
	}
	return out
}

// leave implements leaver.
func (ps *problems) leave(ctx Context, in Input) []Verdict {
	var out []Verdict
	for _, device := range slices.Sorted(maps.Keys(ps.servers[ctx.Server.ID])) {
		k := key{ctx.Server.ID, device}
		out = append(out, ps.end(k, ps.get(k), in.RecordID, ctx.Now, notAbout)...)
	}
	return out
}

// leave implements leaver: a change is shown until it expires, whoever looks.
func (c *change) leave(Context, Input) []Verdict { return nil }

// leave implements leaver.
func (s *sequence) leave(ctx Context, in Input) []Verdict {
	var out []Verdict
	for _, k := range s.keys(ctx.Server.ID) {
		if c := s.get(k); c.fired != 0 {
			v := s.verdict(Resolved, k, c, ctx.Now)
			v.Reason, v.RecordID = notAbout, in.RecordID
			out = append(out, v)
		}
	}
	s.Forget(ctx.Server.ID)
	return out
}
