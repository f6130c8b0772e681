package metricrule

import (
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/rules"

	"nocturne/ruler/rule"
)

// Health is how one rule of a file did when it was evaluated last.
type Health struct {
	File     string
	Line     int
	Group    string
	Interval time.Duration
	At       time.Time // zero = not yet
	Took     time.Duration
	Error    string // "" = it could be judged
	Alerts   int    // pending and firing
}

// State is one metric rule and how its queries did. Rules of one id are one: a
// name that stands with several severities has several ids.
type State struct {
	Rule   *rule.Rule
	Text   string // YAML, as it is carried out
	Health []Health
}

// States lists the rules that are carried out, by id.
func (e *Evaluator) States() []State {
	e.mu.Lock()
	defer e.mu.Unlock()
	by := map[string]*State{}
	for at, a := range e.pack.alerts {
		s := by[a.Rule.ID]
		if s == nil {
			s = &State{Rule: e.pack.rules[a.Rule.ID]}
			by[a.Rule.ID] = s
		}
		if a.Rule == s.Rule {
			s.Text = a.Text
		}
		h := e.health[at]
		h.File, h.Line, h.Group = a.Rule.File, a.Rule.Line, at.group
		s.Health = append(s.Health, h)
	}
	out := make([]State, 0, len(by))
	for _, s := range by {
		slices.SortFunc(s.Health, func(a, b Health) int {
			if n := strings.Compare(a.File, b.File); n != 0 {
				return n
			}
			return a.Line - b.Line
		})
		out = append(out, *s)
	}
	slices.SortFunc(out, func(a, b State) int { return strings.Compare(a.Rule.ID, b.Rule.ID) })
	return out
}

// examined keeps how a rule did, unless the rules were changed meanwhile: its
// place may be another one's now.
func (e *Evaluator) examined(g *group, i int, r rules.Rule) {
	h := Health{Interval: g.Interval(), At: r.GetEvaluationTimestamp(), Took: r.GetEvaluationDuration()}
	if err := r.LastError(); err != nil {
		h.Error = rule.Cut(err.Error(), rule.MaxSummary)
	}
	if a, ok := r.(*rules.AlertingRule); ok {
		h.Alerts = len(a.ActiveAlerts())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if g.pack != e.pack {
		return
	}
	e.health[place{g.File(), g.Name(), i}] = h
}
