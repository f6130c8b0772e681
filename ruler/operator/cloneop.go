package operator

import (
	"fmt"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// cloneMargin is how much later than the newest start a record of an older one
// must have been observed: a last word spoken while the next process started
// is none.
const cloneMargin = 5 * time.Second

// clonesNeeded is how many heartbeats have to say so: one alone may be a
// redelivery over a clock that was set back.
const clonesNeeded = 2

// clone carries out rules of kind clone: the newest start of an exporter makes
// all older ones history, so when a heartbeat that an older one wrote after
// that, and those of the newest, arrive in turns, there are two machines. When
// the newest is not heard any more, a machine was set back to a snapshot that
// was taken while it ran, and there is still one.
type clone struct {
	rule  *rule.Rule
	spec  *rule.Clone
	lines map[record.ID]*line
	state problems // firing and its deadline, keyed by server
}

// line is the newest start known of a server.
type line struct {
	start  record.EpochRef
	heard  int64 // when it last spoke, Unix nanoseconds
	strays int32 // heartbeats of older starts since the newest spoke first
	turns  int32 // heartbeats of the newest since the first stray
}

func newClone(r *rule.Rule) Operator {
	return &clone{rule: r, spec: r.Spec.(*rule.Clone), lines: map[record.ID]*line{}, state: newProblems(r)}
}

// Step implements Operator.
func (c *clone) Step(ctx Context, in Input) []Verdict {
	h := in.Header
	if h == nil || h.Category != record.Heartbeat || h.Unassured || !selects(c.rule.Servers, &ctx.Server) {
		return nil
	}
	id, e := h.Subject, h.Epoch
	l := c.lines[id]
	switch {
	case l == nil:
		l = &line{}
		c.lines[id] = l
		c.restart(ctx, id, l, e.EpochRef)
		return nil
	case e.EpochRef == l.start:
		c.touch(id)
		if l.heard = ctx.Now.UnixNano(); l.strays > 0 {
			l.turns++
		}
		return nil
	case e.Start > l.start.Start, e.Prev == l.start:
		c.restart(ctx, id, l, e.EpochRef)
		return nil
	case in.Record.Observed.UnixNano() <= l.start.Start+int64(cloneMargin):
		return nil // spooled before the newest start
	}
	if ctx.Now.UnixNano()-l.heard > int64(c.spec.Quiet) {
		c.restart(ctx, id, l, e.EpochRef) // the newest is gone, this one lives on
		return nil
	}
	return c.stray(ctx, in, id, l)
}

// restart makes a start the one that counts.
func (c *clone) restart(ctx Context, id record.ID, l *line, e record.EpochRef) {
	l.start, l.heard = e, ctx.Now.UnixNano()
	if c.state.get(key{server: id}) == nil {
		l.strays, l.turns = 0, 0
	}
	c.touch(id)
}

func (c *clone) stray(ctx Context, in Input, id record.ID, l *line) []Verdict {
	l.strays++
	k := key{server: id}
	p := c.state.put(k, ctx.Now)
	p.count++
	c.state.expireAt(k, p, ctx.Now.Add(c.spec.Quiet))
	if l.strays < clonesNeeded || l.turns == 0 || p.told != 0 {
		return nil
	}
	p.told = ctx.Now.UnixNano()
	v := c.state.verdict(Firing, k, ctx.Now)
	v.RecordID = in.RecordID
	v.Reason = fmt.Sprintf("exporters started at %s and at %s both speak as this server",
		stamp(in.Header.Epoch.Start), stamp(l.start.Start))
	v.Before, v.After = in.Header.Epoch.EpochRef.String(), l.start.String()
	if name := keep(in.Record.Attr(record.AttrName).Str()); name != "" {
		v.Reason += "; the older one calls itself " + name
	}
	return []Verdict{v}
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }

// Tick implements Operator.
func (c *clone) Tick(now time.Time) []Verdict {
	var out []Verdict
	c.state.expired(now, func(k key, p *problem) {
		if p.told != 0 {
			v := c.state.verdict(Resolved, k, now)
			v.Reason = "only one exporter was heard for " + span(c.spec.Quiet)
			out = append(out, v)
		}
		c.state.drop(k)
		if l := c.lines[k.server]; l != nil {
			l.strays, l.turns = 0, 0
		}
	})
	return out
}

// The line is saved in the problem's key space: one key per server, the line
// in front of the problem, which may be missing.
const lineVersion = 1

func (c *clone) touch(id record.ID) { c.state.dirty[key{server: id}] = struct{}{} }

// Save implements Operator.
func (c *clone) Save(dirtyOnly bool) []KeyedState {
	if !dirtyOnly {
		for id := range c.lines {
			c.touch(id)
		}
	}
	out := c.state.Save(true)
	for i := range out {
		s := &out[i]
		l := c.lines[s.Server]
		if l == nil {
			s.Data = nil
			continue
		}
		w := writer{lineVersion}
		w.int(l.start.Start)
		w.int(int64(l.start.Random))
		for _, v := range []int64{l.heard, int64(l.strays), int64(l.turns)} {
			w.int(v)
		}
		w.text(string(s.Data))
		s.Data = w
	}
	return out
}

// Load implements Operator.
func (c *clone) Load(s KeyedState) error {
	if s.Data == nil {
		delete(c.lines, s.Server)
		return c.state.Load(s)
	}
	r, err := open(s, c.rule.Shape, lineVersion)
	if err != nil {
		return err
	}
	l := &line{start: record.EpochRef{Start: r.int(), Random: uint64(r.int())}, heard: r.int(), strays: int32(r.int()), turns: int32(r.int())}
	inner := r.text()
	if err := r.close(s); err != nil {
		return err
	}
	if s.Data = nil; inner != "" {
		s.Data = []byte(inner)
	}
	if err := c.state.Load(s); err != nil {
		return err
	}
	c.lines[s.Server] = l
	return nil
}

// Forget implements Operator.
func (c *clone) Forget(server record.ID) {
	if c.lines[server] != nil {
		delete(c.lines, server)
		c.touch(server)
	}
	c.state.Forget(server)
}
