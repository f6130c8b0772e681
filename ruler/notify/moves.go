package notify

import (
	"bytes"
	"maps"
	"slices"

	"nocturne/internal/record"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
)

// Moves carries out what rules of kind change say of parts that moved between
// servers. Its whole state are the notifications that are open, so whoever
// stores them needs no other; nothing ends one but time.
type Moves struct {
	rules []*rule.Rule
	table *Table
}

// Said is a verdict and what it did.
type Said struct {
	Verdict    operator.Verdict
	Facts      operator.ServerFacts // of the server where the part is now
	Transition Transition
}

// NewMoves returns those of the rules that follow parts between servers, with
// the notifications of them that are open.
func NewMoves(rules []*rule.Rule, open []Notification) *Moves {
	m := &Moves{}
	for _, r := range rules {
		if c, ok := r.Spec.(*rule.Change); ok && c.Across > 0 {
			m.rules = append(m.rules, r)
		}
	}
	m.table = NewTable(m.rules)
	m.table.Load(open)
	return m
}

// Open returns what is open.
func (m *Moves) Open() []Notification {
	var out []Notification
	for _, id := range m.servers() {
		out = append(out, m.table.Open(id)...)
	}
	return out
}

func (m *Moves) servers() []record.ID {
	return slices.SortedFunc(maps.Keys(m.table.open), func(a, b record.ID) int { return bytes.Compare(a[:], b[:]) })
}

// Retire ends what is open for rules that are gone or have another shape.
func (m *Moves) Retire(at At, gone map[string]string) []Transition { return m.table.Retire(at, gone) }

// Passed takes a part that moved. One that is told already under another name (a
// drive has up to three) is noted with it.
func (m *Moves) Passed(p *operator.Passage, from, to operator.ServerFacts, recordID string, at At) []Said {
	var out []Said
	at.Time = p.At()
	for _, r := range m.rules {
		v, ok := operator.Moved(r, p, from, to, recordID)
		if !ok {
			continue
		}
		if v.Kind == operator.Firing {
			for _, e := range m.table.open[v.Server] {
				for i := range e.Parts {
					if q := &e.Parts[i]; q.RuleID == v.RuleID && q.State == Firing && q.Serial == v.Serial && q.Device != v.Device {
						v.Kind, v.Reason = operator.Noted, v.Device+" "+v.Reason
						v.Device = q.Device
					}
				}
			}
		}
		out = append(out, Said{v, to, m.table.Apply(v, to, at)})
	}
	return out
}

// Tick ends what was shown for as long as its rule says.
func (m *Moves) Tick(at At) []Said {
	var out []Said
	for _, id := range m.servers() {
		for _, n := range m.table.Open(id) {
			for _, q := range n.Parts {
				r := m.table.Rule(q.RuleID)
				if r == nil || q.State != Firing {
					continue
				}
				end := q.Changed.Add(r.Expires)
				if end.After(at.Time) {
					continue
				}
				v := operator.Shown(r, id, q.Device, end)
				then := at
				then.Time = end
				out = append(out, Said{v, operator.ServerFacts{ID: id, Name: n.Name}, m.table.Apply(v, operator.ServerFacts{ID: id, Name: n.Name}, then)})
			}
		}
	}
	return out
}
