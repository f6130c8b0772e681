package engine

import (
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// Generation is a numbered set of rules. It takes effect at one entry of each
// partition, which the partition's first commit under it says.
type Generation struct {
	Number uint64 // 0 = not numbered, and nothing is written of it
	Rules  []*rule.Rule
	// Gone says of rules that are known and not carried out why they are not:
	// what is open for them is resolved with it.
	Gone map[string]string
}

// Marks says which form of each rule a set of rules holds.
func Marks(rules []*rule.Rule) map[string]store.RuleMark {
	out := make(map[string]store.RuleMark, len(rules))
	for _, r := range rules {
		out[r.ID] = store.RuleMark{Version: r.Version, Shape: r.Shape}
	}
	return out
}

// fresh returns the rules that begin here: new ones and those of another shape.
// Where it is not known what was carried out before, none.
func (r *ruleset) fresh(c *store.Claim) map[string]bool {
	out := map[string]bool{}
	if c.Marks == nil || c.Generation == r.number {
		return out
	}
	for _, v := range r.rules {
		if c.Marks[v.ID].Shape != v.Shape {
			out[v.ID] = true
		}
	}
	return out
}

// begin lets rules that begin here judge what is known, so that a drive that
// failed yesterday is told by a rule that was made today, and a problem that is
// open goes on under the changed rule instead of ending and beginning again.
func (p *partition) begin(fresh map[string]bool) error {
	for id, v := range p.held {
		if r := p.table.Rule(v.RuleID); r == nil || fresh[v.RuleID] {
			p.letGo(id)
		}
	}
	if !p.set.Begins(fresh) {
		return nil
	}
	lines := make([]*server, 0, len(p.lines))
	for _, s := range p.lines {
		if !s.root.retired {
			lines = append(lines, s)
		}
	}
	for _, s := range byID(lines) {
		k := operator.Present{Context: operator.Context{Now: p.now(), Server: s.serverFacts()}, Interval: s.line.interval, Goodbye: s.line.goodbye}
		if s.line.lastBeat != 0 {
			k.LastBeat = time.Unix(0, s.line.lastBeat).UTC()
		}
		for _, cur := range s.current {
			snap, err := p.snapshots.get(cur.hash)
			if err != nil {
				return err
			}
			k.Snapshots = append(k.Snapshots, operator.KnownSnapshot{Category: cur.category, Snapshot: snap})
		}
		for _, v := range p.set.Begin(fresh, k) {
			p.verdict(v, nil)
		}
	}
	return nil
}

// retireRules ends what is open for rules that are gone or have another shape
// and did not say again that the problem exists.
func (p *partition) retireRules() {
	for _, tr := range p.table.Retire(p.at(), p.rules.gone) {
		s := p.lines[tr.Notification.Server]
		if s == nil {
			continue
		}
		p.transition(tr, s, nil, operator.Resolved)
		if n := &tr.Notification; tr.Effect == notify.Closed && n.Device == "" && !p.rules.never[tr.RuleID] {
			p.fact(store.FactFound, s, n.ID) // the rule that is gone may have expected it
		}
		if s.silent && !p.stillSilent(s.id) {
			// The fleet operator forgets it; a heartbeat that is missing it hears of anew.
			p.fact(store.FactBack, s, "")
			s.silent, s.overdue = false, false
			p.out.dirty[s.root] = struct{}{}
			to := stUp
			if s.line.goodbye {
				to = stStopped
			}
			p.state(s, to, tr.Reason)
		}
	}
}

// stillSilent tells whether a rule about heartbeats fires for a server.
func (p *partition) stillSilent(id record.ID) bool {
	for _, n := range p.table.Open(id) {
		if slices.ContainsFunc(n.Parts, func(q notify.Part) bool {
			return q.State == notify.Firing && q.Device == "" && p.rules.silence[q.RuleID]
		}) {
			return true
		}
	}
	return false
}

// ruled counts what a rule said.
func (p *partition) ruled(rule, effect string) {
	p.out.commit.RuleCounts = countRule(p.out.commit.RuleCounts, rule, effect, p.streamTime())
}

func countRule(c []store.RuleCount, rule, effect string, last time.Time) []store.RuleCount {
	at := slices.IndexFunc(c, func(o store.RuleCount) bool { return o.ID == rule && o.Effect == effect })
	if at < 0 {
		c = append(c, store.RuleCount{ID: strings.Clone(rule), Effect: effect})
		at = len(c) - 1
	}
	c[at].N++
	c[at].Last = last
	return c
}
