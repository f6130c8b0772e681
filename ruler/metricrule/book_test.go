package metricrule

import (
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// Two series that are one problem: which of them speaks does not depend on the
// order in which Prometheus' engine happens to list its alerts.
func TestTwoSeriesOfOneProblem(t *testing.T) {
	r := &rule.Rule{ID: "metric-a", Name: "A", Class: "metric-a", Severity: rule.Warning, Runbook: "a#b", Kind: Kind, Spec: &Spec{}}
	p := place{"f", "g", 0}
	a := &Alert{Rule: r}
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	one := &want{key: key{record.ID{1}, "", "a"}, severity: "warning", summary: "C: is full", series: map[string]string{"volume": "C:"}}
	two := &want{key: key{record.ID{1}, "", "a"}, severity: "warning", summary: "D: is full", series: map[string]string{"volume": "D:"}}
	b, _ := newBook(&Pack{alerts: map[place]*Alert{p: a}}, nil, at(now, store.Position{}))
	about := func(record.ID) operator.ServerFacts { return operator.ServerFacts{ID: record.ID{1}} }
	if out, _ := b.observe(p, []*want{one, two}, about, at(now, store.Position{})); len(out) != 1 {
		t.Fatalf("%d transitions", len(out))
	}
	now = now.Add(textEvery)
	if out, _ := b.observe(p, []*want{two, one}, about, at(now, store.Position{})); len(out) != 0 {
		t.Errorf("nothing changed: %+v", out)
	}
}
