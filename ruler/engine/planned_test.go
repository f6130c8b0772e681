package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/diff"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// What changes within a server while work is planned there stands in the history
// with who planned it and why, and nobody is told; before and after, it is told.
func TestPlannedChangesSaySo(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "srv01", "fra", "r1")
	b := w.add(2, "srv02", "ams", "r1")
	swap := func(n int) func(int) {
		return func(second int) {
			if second == 10 {
				for i, s := range []*sim{a, b} {
					s.raid([3]string{"c0/e252/s0", fmt.Sprintf("S%d-%d", i, n), "Onln"})
				}
			}
		}
	}
	rules := parsed(t, everyKind)
	window := &rule.Window{ID: "boards", Who: "ada", Why: "ticket 4711", Servers: rule.Selector{"site": {In: []string{"FRA"}}}}
	s := openStore(t)
	d := newDriver(t, w.log, s, rules...)
	d.generation(rules, nil)
	w.run(time.Minute, swap(0))
	d.must()
	window.From, window.To = w.now, w.now.Add(time.Minute)
	d.generation(rule.Plan(rules, []*rule.Window{window}), nil)
	w.run(time.Minute, swap(1))
	d.must()
	w.run(time.Minute, swap(2)) // it is over
	d.must()
	list, err := s.Changes(ctx, store.ChangeQuery{Kind: "replaced", Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range list.Changes {
		got = append(got, c.Name+" "+c.After+" "+fmt.Sprint(strings.HasPrefix(c.Muted, "planned: boards (ada, ticket 4711) until ") && c.Plan == (store.Plan{ID: "boards", Who: "ada", Why: "ticket 4711"})))
	}
	want := "srv02 S1-2 false, srv01 S0-2 false, srv02 S1-1 false, srv01 S0-1 true"
	if strings.Join(got, ", ") != want && strings.Join(got, ", ") != "srv01 S0-2 false, srv02 S1-2 false, srv01 S0-1 true, srv02 S1-1 false" {
		t.Errorf("changes: %s, want %s", strings.Join(got, ", "), want)
	}
}

// Which change a rule speaks of is a field, also where the rule speaks of it as one
// of many.
func TestPlannedIsAboutOneChange(t *testing.T) {
	changes := []diff.Change{{Kind: diff.Field, Type: "physical_drive", Place: "c0/s1", Field: "temperature", Class: diff.Volatile},
		{Kind: diff.Added, Type: "physical_drive", Place: "c0/s1", Class: diff.Config}, {Kind: diff.Added, Type: "physical_drive", Place: "c0/s2", Class: diff.Config}}
	rows := make([]store.Change, 2)
	planned(rows, changes, &operator.Verdict{Kind: operator.Muted, Device: "physical_drive (others)", Reason: "planned", Window: &rule.Window{ID: "w"}, Change: &changes[2]})
	if rows[0].Muted != "" || rows[1].Muted != "planned" || rows[1].Plan.ID != "w" {
		t.Errorf("rows %+v", rows)
	}
	planned(nil, changes, &operator.Verdict{Change: &changes[2]}) // none were written
}
