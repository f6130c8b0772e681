package operator

import (
	"bytes"
	"fmt"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// beatGap is how long heartbeats may be missing before a server counts as not
// alive for rules that judge only while it is.
const beatGap = 5 * time.Minute

// longestPatience bounds what a server's own heartbeat interval adds to a rule's
// deadline: two and a half times the default interval of two minutes.
const longestPatience = 5 * time.Minute

// absent carries out rules of kind absent. A server has state from the first
// record of the category on.
type absent struct {
	rule    *rule.Rule
	spec    *rule.Absent
	servers map[record.ID]*presence
	dirty   map[record.ID]struct{}
	due     calendar[record.ID]
	holds   []func(server record.ID, n int) // as problems.holds
}

// presence is what is known of one server. With map and calendar it stays far
// below 1 KiB.
type presence struct {
	last     int64 // last record, Unix nanoseconds
	deadline int64
	alive    int64  // last heartbeat, for WhileHeartbeat; 0 = not alive
	slot     uint32 // where it is filed, in seconds; not saved
	mode     presenceMode
}

type presenceMode uint8

// The numbers are in the store.
const (
	watched      presenceMode = 0 // heard; deadline counts from the last record
	left         presenceMode = 1 // its exporter stopped; deadline counts from its goodbye
	silent       presenceMode = 2 // past its deadline
	leftRestart  presenceMode = 3 // it restarts
	leftShutdown presenceMode = 4 // it was switched off
)

func newAbsent(r *rule.Rule) Operator {
	if w := r.Spec.(*rule.Absent).While; w == rule.WhileShutdown || w == rule.WhileExpected {
		return newAwait(r)
	}
	return &absent{rule: r, spec: r.Spec.(*rule.Absent), servers: map[record.ID]*presence{}, dirty: map[record.ID]struct{}{},
		due: newCalendar(func(a, b record.ID) int { return bytes.Compare(a[:], b[:]) })}
}

// Step implements Operator.
func (a *absent) Step(ctx Context, in Input) []Verdict {
	if in.Header == nil {
		return nil
	}
	id := ctx.Server.ID
	p := a.servers[id]
	if !selects(a.rule.Servers, &ctx.Server) {
		if p == nil {
			return nil
		}
		return a.unselect(ctx, id, p)
	}
	switch {
	case in.Header.Category == record.Heartbeat && in.Record.Name == record.NameGoodbye:
		if p != nil {
			return a.goodbye(ctx, in, id, p)
		}
	case in.Header.Category == a.spec.Category && in.Record.Name != record.NameSourceFailed:
		return a.heard(ctx, in, id, p)
	case in.Header.Category == record.Heartbeat && p != nil:
		a.beat(ctx.Now, id, p)
	}
	return nil
}

func (a *absent) heard(ctx Context, in Input, id record.ID, p *presence) []Verdict {
	if p == nil {
		p = &presence{alive: ctx.Now.UnixNano()}
		a.put(id, p)
	}
	var out []Verdict
	if p.mode == silent {
		v := newVerdict(a.rule, Resolved, id, ctx.Now)
		v.RecordID = in.RecordID
		v.Reason = fmt.Sprintf("%s again after %s", a.what(), span(ctx.Now.Sub(time.Unix(0, p.last))))
		out = append(out, v)
	}
	p.mode, p.last = watched, ctx.Now.UnixNano()
	a.deadline(id, p, ctx.Now.Add(a.after(in.Record)))
	return out
}

// after is how long a server may be silent after a record. One that announced
// that it speaks seldom is not missed before two of its heartbeats are, within
// what the default deadline allows anybody: what an agent says of itself cannot
// buy it more.
func (a *absent) after(r *record.Record) time.Duration {
	ms, ok := r.Attr(record.AttrInterval).Int()
	if a.spec.Category != record.Heartbeat || !ok || ms <= 0 || ms > int64(longestPatience/time.Millisecond) {
		return a.spec.After
	}
	return max(a.spec.After, min(time.Duration(ms)*time.Millisecond*5/2, longestPatience))
}

func (a *absent) goodbye(ctx Context, in Input, id record.ID, p *presence) []Verdict {
	said, words := farewellOf(in.Record), farewellWords(in.Record)
	var out []Verdict
	if p.mode == silent {
		v := newVerdict(a.rule, Resolved, id, ctx.Now)
		v.RecordID, v.Reason = in.RecordID, "said goodbye: "+words
		out = append(out, v)
	}
	v := newVerdict(a.rule, Muted, id, ctx.Now)
	v.RecordID = in.RecordID
	p.mode, p.last, p.alive = said.mode(), ctx.Now.UnixNano(), 0
	if stay := time.Duration(said.allows(a.spec.Goodbye)); stay > 0 {
		v.Reason = fmt.Sprintf("said goodbye (%s), has %s to come back", words, span(stay))
		a.deadline(id, p, ctx.Now.Add(stay))
	} else {
		v.Reason = fmt.Sprintf("said goodbye (%s), may stay away until it is back", words)
		p.deadline = 0
		a.dirty[id] = struct{}{}
	}
	return append(out, v)
}

// beat notes that a server is alive. After a gap the others get their full
// time again.
func (a *absent) beat(now time.Time, id record.ID, p *presence) {
	_, gone := p.mode.farewell()
	if a.spec.While != rule.WhileHeartbeat {
		if gone {
			p.mode = watched
			a.deadline(id, p, now.Add(a.spec.After))
		}
		return
	}
	if p.alive == 0 || now.UnixNano()-p.alive > int64(beatGap) {
		if gone {
			p.mode = watched
		}
		if p.mode == watched {
			a.deadline(id, p, now.Add(a.spec.After))
		}
	}
	p.alive = now.UnixNano()
	a.dirty[id] = struct{}{}
}

// unselect stops watching a server that the rule is not about any more.
func (a *absent) unselect(ctx Context, id record.ID, p *presence) []Verdict {
	wasSilent := p.mode == silent
	a.Forget(id)
	if !wasSilent {
		return nil
	}
	v := newVerdict(a.rule, Resolved, id, ctx.Now)
	v.Reason = notAbout
	return []Verdict{v}
}

func (a *absent) deadline(id record.ID, p *presence, at time.Time) {
	a.dirty[id] = struct{}{}
	p.deadline = at.UnixNano()
	if p.slot == 0 || ceilSecond(p.deadline) < int64(p.slot) {
		p.slot = uint32(a.due.file(id, p.deadline))
	}
}

// Tick implements Operator.
func (a *absent) Tick(now time.Time) []Verdict {
	var out []Verdict
	a.due.due(now, func(id record.ID, slot int64) {
		p := a.servers[id]
		if p == nil || int64(p.slot) != slot {
			return
		}
		p.slot = 0
		switch {
		case p.mode == silent, p.deadline == 0:
		case p.deadline > now.UnixNano():
			p.slot = uint32(a.due.file(id, p.deadline))
		case a.spec.While == rule.WhileHeartbeat && (p.alive == 0 || now.UnixNano()-p.alive > int64(beatGap)):
			// Not alive: the next heartbeat files it again.
			p.alive = 0
			a.dirty[id] = struct{}{}
		default:
			out = append(out, a.fire(now, id, p))
		}
	})
	return out
}

func (a *absent) fire(now time.Time, id record.ID, p *presence) Verdict {
	v := newVerdict(a.rule, Firing, id, now)
	last := time.Unix(0, p.last)
	v.Reason = fmt.Sprintf("no %s for %s", a.what(), span(now.Sub(last)))
	if said, gone := p.mode.farewell(); gone {
		v.Reason = fmt.Sprintf([...]string{byStop: "said goodbye %s ago and did not come back", byRestart: "went down %s ago and did not come back",
			byShutdown: "shut down %s ago and did not come back"}[said], span(now.Sub(last)))
	}
	v.Before = "last seen " + last.UTC().Format(time.RFC3339)
	p.mode, p.deadline = silent, 0
	a.dirty[id] = struct{}{}
	return v
}

// what names what is missing.
func (a *absent) what() string {
	if a.spec.Category == record.Heartbeat {
		return "heartbeat"
	}
	return a.spec.Category.String() + " record"
}

// Version 1 knew one kind of goodbye and may be of any category; version 2 says
// of which it is.
const presenceVersion = 2

// Save implements Operator.
func (a *absent) Save(dirtyOnly bool) []KeyedState {
	ids := make([]record.ID, 0, len(a.dirty))
	if dirtyOnly {
		for id := range a.dirty {
			ids = append(ids, id)
		}
	} else {
		for id := range a.servers {
			ids = append(ids, id)
		}
	}
	a.dirty = emptied(a.dirty)
	slices.SortFunc(ids, func(x, y record.ID) int { return bytes.Compare(x[:], y[:]) })
	out := make([]KeyedState, 0, len(ids))
	for _, id := range ids {
		s := KeyedState{RuleID: a.rule.ID, Shape: a.rule.Shape, Server: id, Key: string(id[:])}
		if p := a.servers[id]; p != nil {
			w := writer{presenceVersion, byte(a.spec.Category), byte(p.mode)}
			// Deadline and life signs lie near the last record: small numbers.
			for _, v := range []int64{p.last, p.deadline - p.last, p.alive - p.last, 0} {
				w.int(v)
			}
			s.Data = w
		}
		out = append(out, s)
	}
	return out
}

// Load implements Operator.
func (a *absent) Load(s KeyedState) error {
	if s.Key != string(s.Server[:]) {
		return fmt.Errorf("load state of rule %s: key of another server: %w", s.RuleID, record.ErrMalformed)
	}
	if s.Data == nil {
		a.drop(s.Server)
		return nil
	}
	p, err := a.decode(s)
	if err != nil {
		return err
	}
	a.put(s.Server, p)
	if s.Shape != a.rule.Shape {
		a.judgeAnew(p)
		a.dirty[s.Server] = struct{}{}
	}
	if p.mode != silent && p.deadline != 0 {
		p.slot = uint32(a.due.file(s.Server, p.deadline))
	}
	return nil
}

// judgeAnew makes a presence that another shape of the rule left behind fit
// this one. What was open is closed when the shape changes, so a server that is
// still silent must fire again: forgetting it would be forgetting the outage.
func (a *absent) judgeAnew(p *presence) {
	stay := a.spec.After
	if said, gone := p.mode.farewell(); gone {
		stay = time.Duration(said.allows(a.spec.Goodbye))
	} else {
		p.mode = watched
	}
	p.deadline = p.last + int64(stay)
	if stay == 0 {
		p.deadline = 0
	}
}

func (a *absent) decode(s KeyedState) (*presence, error) {
	r := reader{b: s.Data}
	version, category := r.byte(), byte(a.spec.Category)
	if version == presenceVersion {
		category = r.byte()
	} else if version != 1 {
		return nil, fmt.Errorf("load state of rule %s: unknown version: %w", s.RuleID, ErrShape)
	}
	p := &presence{mode: presenceMode(r.byte())}
	p.last = r.int()
	p.deadline, p.alive = r.int()+p.last, r.int()+p.last
	r.int() // since when it is alive, which nothing needs
	if p.mode > leftShutdown {
		r.bad = true
	}
	if err := r.close(s); err != nil {
		return nil, err
	}
	if category != byte(a.spec.Category) {
		return nil, fmt.Errorf("load state of rule %s: of another category: %w", s.RuleID, ErrShape)
	}
	return p, nil
}

// Forget implements Operator.
func (a *absent) Forget(server record.ID) {
	if a.servers[server] != nil {
		a.drop(server)
		a.dirty[server] = struct{}{}
	}
}

func (a *absent) put(id record.ID, p *presence) {
	if a.servers[id] == nil {
		a.holding(id, 1)
	}
	a.servers[id] = p
}

func (a *absent) drop(id record.ID) {
	if a.servers[id] != nil {
		delete(a.servers, id)
		a.holding(id, -1)
	}
}

func (a *absent) holding(id record.ID, n int) {
	for _, f := range a.holds {
		f(id, n)
	}
}
