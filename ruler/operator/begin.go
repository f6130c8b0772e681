package operator

import (
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/rule"
)

// Present is what is known of a server at the moment when a rule begins to be
// carried out, because it is new or its condition is another one.
type Present struct {
	Context
	Snapshots []KnownSnapshot // the last merged state of each category
	LastBeat  time.Time       // zero = never heard
	Interval  time.Duration   // of heartbeats, as announced
	Goodbye   bool            // it said goodbye
}

// KnownSnapshot is the last merged state of one category, without what is volatile.
type KnownSnapshot struct {
	Category record.Category
	Snapshot *record.Snapshot
}

// beginner is an operator that can judge what is known at once. The others
// begin with the next record.
type beginner interface {
	begin(k Present) []Verdict
}

// Begins tells whether one of the rules can judge what is known at once.
func (s *Set) Begins(rules map[string]bool) bool {
	for id := range rules {
		if i, ok := s.byID[id]; ok {
			if _, ok := s.ops[i].(beginner); ok {
				return true
			}
		}
	}
	return false
}

// Begin lets rules that begin judge what is known of a server, in Step's order.
func (s *Set) Begin(rules map[string]bool, k Present) []Verdict {
	var out []Verdict
	for i, op := range s.ops {
		if b, ok := op.(beginner); ok && rules[s.rules[i].ID] {
			out = append(out, b.begin(k)...)
		}
	}
	order(out)
	return out
}

// begin implements beginner: a state is a state, whenever the rule was made.
func (s *state) begin(k Present) []Verdict {
	var out []Verdict
	for _, ks := range k.Snapshots {
		k.Previous = ks.Snapshot
		out = append(out, s.Step(k.Context, Input{Record: &record.Record{Snapshot: ks.Snapshot}, Header: &record.Header{Category: ks.Category}, Current: ks.Snapshot})...)
	}
	return out
}

// begin implements beginner. What another shape of the rule knew was loaded; a
// server that is past its deadline goes on being absent. Of others the last
// heartbeat is known, and of other categories only that the server has them, so
// that their time begins now.
func (a *absent) begin(k Present) []Verdict {
	id := k.Server.ID
	if !selects(a.rule.Servers, &k.Server) {
		return nil
	}
	if a.servers[id] == nil && !a.learn(k) {
		return nil
	}
	p := a.servers[id]
	dead := a.spec.While == rule.WhileHeartbeat && (p.alive == 0 || k.Now.UnixNano()-p.alive > int64(beatGap))
	if p.mode == silent || p.deadline == 0 || p.deadline > k.Now.UnixNano() || dead {
		return nil
	}
	return []Verdict{a.fire(k.Now, id, p)}
}

// learn makes a presence of what is known, and tells whether there is something.
func (a *absent) learn(k Present) bool {
	last, known := k.LastBeat, a.spec.Category == record.Heartbeat
	for _, ks := range k.Snapshots {
		if ks.Category == a.spec.Category {
			last, known = k.Now, true
		}
	}
	if !known || k.LastBeat.IsZero() {
		return false
	}
	p := &presence{last: last.UnixNano(), alive: k.LastBeat.UnixNano()}
	after := a.after(&record.Record{Attrs: []record.Attr{{Key: record.AttrInterval, Value: record.Int(k.Interval.Milliseconds())}}})
	if k.Goodbye {
		// What it said is not known any more: it has as long as any goodbye allows.
		p.mode, p.alive, after = leftShutdown, 0, a.spec.Goodbye.Shutdown
	}
	a.put(k.Server.ID, p)
	if after == 0 {
		a.dirty[k.Server.ID] = struct{}{}
	} else {
		a.deadline(k.Server.ID, p, last.Add(after))
	}
	return true
}
