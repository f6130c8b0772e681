package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// everyKind has a rule of each kind whose state is half-done most of the time.
const everyKind = `rules:
  - {id: t-match, name: TMatch, class: t-match, severity: info, summary: m, runbook: a#b, expires: 70s, match: {provider: disk, event_id: 11}}
  - {id: t-count, name: TCount, class: t-count, severity: info, summary: c, runbook: a#b, count: {event: {provider: disk, event_id: 7}, more_than: 2, within: 2m}}
  - {id: t-flap, name: TFlap, class: t-flap, severity: info, summary: f, runbook: a#b, flap: {device: physical_drive, field: state, changes: 4, within: 2m}}
  - {id: t-for, name: TFor, class: t-for, severity: info, summary: s, runbook: a#b, for: 50s, state: {device: physical_drive, field: state, ok: [Onln, Rbld]}}
  - {id: t-change, name: TChange, class: t-change, severity: info, summary: c, runbook: a#b, expires: 80s, change: {device: physical_drive, kinds: [replaced]}}
  - {id: t-absent, name: TAbsent, class: t-absent, severity: info, summary: a, runbook: a#b, absent: {category: raid, after: 45s, while: heartbeat}}
  - {id: t-steps, name: TSteps, class: t-steps, severity: info, summary: s, runbook: a#b, expires: 40s, sequence: {per: device, steps: [{state: {device: physical_drive, field: state, is: Rbld}}, {state: {device: physical_drive, field: state, is: Onln}, within: 1m}]}}
  - {id: t-unless, name: TUnless, class: t-unless, severity: info, summary: u, runbook: a#b, expires: 50s, sequence: {steps: [{event: {provider: disk, event_id: 11}}, {not: {event: {provider: disk, event_id: 7}}, within: 45s}]}}
`

// bystander is about none of what happens in these tests.
const bystander = `rules:
  - {id: %s, name: Other, class: other, severity: %s, summary: "%s", runbook: a#b, expires: %s, match: {provider: nobody, event_id: 1}}
`

func parsed(t testing.TB, text string) []*rule.Rule {
	t.Helper()
	rules, err := rule.Parse("test.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// generation makes the rules the newest generation, as a reload does: every
// partition has committed, and takes them from what is stored.
func (d *driver) generation(rules []*rule.Rule, gone map[string]string) {
	d.t.Helper()
	newest, err := d.store.Generations(ctx, 1)
	if err != nil {
		d.t.Fatal(err)
	}
	g := store.Generation{Number: 1, At: t0, Actor: "test", Rules: Marks(rules)}
	if len(newest) > 0 {
		g.Number += newest[0].Number
	}
	if err := d.store.EditRules(ctx, store.RuleEdit{After: g.Number - 1, Generation: &g}); err != nil {
		d.t.Fatal(err)
	}
	d.engine.rules = newRuleset(Generation{g.Number, rules, gone})
	d.crash()
}

// unrulyNight keeps every rule of everyKind half-way.
func unrulyNight(t testing.TB) *world {
	w := newWorld(t)
	for i := range 4 {
		w.add(i+1, fmt.Sprintf("srv%02d", i+1), "fra", "r1")
	}
	a, b, c := w.sims[0], w.sims[1], w.sims[2]
	w.run(5*time.Minute, func(second int) {
		if second%20 == 5 && second < 200 {
			a.event("disk", 7)
		}
		if second%25 == 10 && second < 180 {
			a.raid([3]string{"c0/e252/s0", "S0", []string{"Onln", "Rbld"}[second/25%2]}, [3]string{"c0/e252/s1", fmt.Sprint("S", second/60), "Onln"})
		}
		switch second {
		case 30, 90, 200:
			b.event("disk", 11)
		case 40:
			c.raid([3]string{"c0/e1/s0", "C0", "Onln"})
		case 60:
			c.raid([3]string{"c0/e1/s0", "C0", "Failed"})
		case 150:
			b.silent = true
		case 250:
			b.silent = false
			c.raid([3]string{"c0/e1/s0", "C1", "Onln"})
		}
	})
	return w
}

// swapping asks for other rules after every so many commits.
type swapping struct {
	store.Store
	every, n int
}

var errSwap = errors.New("swap")

func (s *swapping) Commit(ctx context.Context, c []store.PartitionCommit) error {
	if err := s.Store.Commit(ctx, c); err != nil {
		return err
	}
	if c[0].From == c[0].To || c[0].Partition == store.FleetPartition {
		return nil // it only says that the rules are others
	}
	if s.n++; s.n%s.every == 0 {
		return errSwap
	}
	return nil
}

// Adding, editing and deleting one rule changes nothing of what the others say.
func TestOtherRulesKeepTheirState(t *testing.T) {
	w := unrulyNight(t)
	rules := append(testRules(t), parsed(t, everyKind)...)
	reference := openStore(t)
	d := newDriver(t, w.log, reference)
	d.generation(rules, nil)
	d.must()
	want := dump(t, reference)
	for _, id := range []string{"t-match", "t-count", "t-flap", "t-for", "t-change", "t-absent", "t-steps", "t-unless", "server-silent"} {
		if !strings.Contains(want, `"rule_id":"`+id+`"`) {
			t.Errorf("nothing happened of rule %s", id)
		}
	}
	sets := [][]*rule.Rule{
		rules,
		append(parsed(t, fmt.Sprintf(bystander, "other-a", "info", "added", "1m")), rules...),
		append(parsed(t, fmt.Sprintf(bystander, "other-a", "critical", "text and severity", "1m")), rules...),
		append(parsed(t, fmt.Sprintf(bystander, "other-a", "critical", "another shape", "2m")), rules...),
		append(parsed(t, fmt.Sprintf(bystander, "other-b", "info", "another rule, the first one is deleted", "2m")), rules...),
	}
	for _, every := range []int{40, 7, 3}[:rounds(3, 1)] {
		s := &swapping{Store: openStore(t), every: every}
		d := newDriver(t, w.log, s)
		d.batch, d.fold = 23, every/3
		d.generation(rules, nil)
		swaps := 0
		for err := d.catchUp(); err != nil; err = d.catchUp() {
			if !errors.Is(err, errSwap) {
				t.Fatal(err)
			}
			swaps++
			d.generation(sets[swaps%len(sets)], nil)
		}
		if got := dump(t, s); got != want {
			t.Errorf("other rules were swapped %d times, and it made a difference:\n%s", swaps, difference(want, got))
		}
	}
}

// what says how the notifications of a class stand.
func what(t *testing.T, s store.Store, class string) string {
	t.Helper()
	var out []string
	p, err := s.Notifications(ctx, store.NotificationQuery{Class: class})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range p.Notifications {
		out = append(out, n.ID[:2]+" "+string(n.State)+" "+n.Severity+" "+n.Reason)
	}
	return strings.Join(out, "; ")
}

const (
	driveRule = "  - {id: d, name: D, class: d, severity: %s, summary: \"%s\", runbook: a#b, state: {device: physical_drive, field: state, ok: [%s]}}\n"
	eventRule = "  - {id: e, name: E, class: e, severity: %s, summary: \"%s\", runbook: a#b, expires: %s, match: {provider: disk, event_id: 7}}\n"
	quietRule = "  - {id: q, name: Q, class: silence, severity: critical, summary: q, runbook: a#b, absent: {category: heartbeat, after: %s}}\n"
)

func threeRules(t *testing.T, drive, event, quiet string) []*rule.Rule {
	return parsed(t, "rules:\n"+drive+event+quiet)
}

// What a change of a rule does to the problem that it has open.
func TestAChangedRuleJudgesAnew(t *testing.T) {
	drive, event, quiet := fmt.Sprintf(driveRule, "info", "one", "Onln"), fmt.Sprintf(eventRule, "info", "one", "10m"), fmt.Sprintf(quietRule, "30s")
	for _, c := range []struct {
		name  string
		rules []*rule.Rule
		gone  map[string]string
		// what holds of the drive that failed, of the event and of the silent
		// server right after the change, and a minute later
		want, later [3]string
	}{
		{"text and severity keep state", threeRules(t, fmt.Sprintf(driveRule, "warning", "two", "Onln"), fmt.Sprintf(eventRule, "critical", "two", "10m"), quiet), nil,
			[3]string{"same firing info state is Failed", "same firing info disk 7: something", "same firing critical no heartbeat for .*"}, [3]string{"same firing", "same firing", "same firing"}},
		{"another shape judges what is known anew, and ends what it does not see", threeRules(t, fmt.Sprintf(driveRule, "info", "one", "Onln, Rbld"), fmt.Sprintf(eventRule, "info", "one", "11m"), fmt.Sprintf(quietRule, "40s")), nil,
			[3]string{"same firing info state is Failed", "same resolved info the rule e was changed and judges anew", "same firing critical no heartbeat for .*"}, [3]string{"same firing", "same resolved", "same firing"}},
		{"what is not bad any more is over", threeRules(t, fmt.Sprintf(driveRule, "info", "one", "Onln, Failed"), event, fmt.Sprintf(quietRule, "95s")), nil,
			[3]string{"same resolved info the rule d was changed and judges anew", "same firing info disk 7: something", "same resolved critical the rule q was changed and judges anew"}, [3]string{"same resolved", "same firing", "other firing critical no heartbeat for 1m3.s; same resolved"}},
		{"deleted rules resolve with the reason", threeRules(t, "", "", fmt.Sprintf(quietRule, "30s")), map[string]string{"d": "was deleted by ada", "e": "is switched off by bob"},
			[3]string{"same resolved info the rule d was deleted by ada", "same resolved info the rule e is switched off by bob", "same firing critical no heartbeat for .*"}, [3]string{"same resolved", "same resolved", "same firing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.add(1, "db1", "fra", "r1"), w.add(2, "db2", "ber", "r2")
			w.run(20 * time.Second)
			a.raid([3]string{"c0/e252/s0", "S0", "Failed"})
			a.event("disk", 7)
			b.silent = true
			w.run(50 * time.Second)
			s := openStore(t)
			d := newDriver(t, w.log, s)
			d.generation(threeRules(t, drive, event, quiet), nil)
			d.must()
			classes := [3]string{"d", "e", "silence"}
			var first [3]string
			check := func(when string, want [3]string) {
				t.Helper()
				for i, class := range classes {
					got := what(t, s, class)
					if first[i] != "" {
						got = regexp.MustCompile(`(^|; )`+first[i]).ReplaceAllString(got, "${1}same")
						got = regexp.MustCompile(`(^|; )[0-9a-f]{2} `).ReplaceAllString(got, "${1}other ")
					}
					if !regexp.MustCompile("^" + want[i]).MatchString(got) {
						t.Errorf("%s, class %s: %q, want %q", when, class, got, want[i])
					}
				}
			}
			check("before", [3]string{".. firing", ".. firing", ".. firing"})
			for i, class := range classes {
				first[i] = what(t, s, class)[:2]
			}
			d.generation(c.rules, c.gone)
			d.must()
			check("after", c.want)
			w.run(time.Minute)
			d.must()
			check("later", c.later)
			detail, err := s.Server(ctx, b.id)
			if err != nil {
				t.Fatal(err)
			}
			if (detail.State == store.StateSilent) != strings.Contains(what(t, s, "silence"), "firing") {
				t.Errorf("the silent server's state is %s (%s)", detail.State, detail.StateReason)
			}
			gens, err := s.Generations(ctx, 1)
			if err != nil || len(gens) != 1 || len(gens[0].Entries) != 16 {
				t.Errorf("generations %+v %v: it took effect in every partition", gens, err)
			}
		})
	}
}

// A sequence that is half-done goes on over a restart and over changes of text and
// of other rules. A change of its own condition begins it anew, and ends what it
// has open: of what happened nothing is known any more.
func TestAHalfDoneSequence(t *testing.T) {
	const seq = "  - {id: s, name: S, class: s, severity: %s, summary: \"%s\", runbook: a#b, expires: 1h, sequence: {steps: [{event: {provider: disk, event_id: 7}}, {event: {provider: disk, event_id: 9}, within: %s}]}}\n"
	quiet := fmt.Sprintf(quietRule, "30s")
	before := threeRules(t, fmt.Sprintf(seq, "info", "one", "10m"), "", quiet)
	const anew = "resolved info the rule s was changed and judges anew"
	for _, c := range []struct {
		name  string
		rules []*rule.Rule
		// what becomes of the half-done one, and of the one that has fired
		half, open string
	}{
		{"a restart", before, "firing info", "firing info"},
		{"its text and severity", threeRules(t, fmt.Sprintf(seq, "critical", "two", "10m"), "", quiet), "firing critical", "firing info"},
		{"another rule", threeRules(t, fmt.Sprintf(seq, "info", "one", "10m"), fmt.Sprintf(eventRule, "info", "new", "5m"), fmt.Sprintf(quietRule, "40s")), "firing info", "firing info"},
		{"its condition", threeRules(t, fmt.Sprintf(seq, "info", "one", "11m"), "", quiet), "", anew},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			half, open := w.add(1, "db1", "fra", "r1"), w.add(2, "db2", "ber", "r2")
			w.run(10 * time.Second)
			open.event("disk", 7)
			w.run(10 * time.Second)
			open.event("disk", 9)
			half.event("disk", 7)
			w.run(10 * time.Second)
			s := openStore(t)
			d := newDriver(t, w.log, s)
			d.generation(before, nil)
			d.must()
			of := func(id *sim) string {
				p, err := s.Notifications(ctx, store.NotificationQuery{Class: "s", Server: id.id})
				if err != nil || len(p.Notifications) > 1 {
					t.Fatalf("%d notifications, %v", len(p.Notifications), err)
				}
				for _, n := range p.Notifications {
					return string(n.State) + " " + n.Severity + " " + n.Reason
				}
				return ""
			}
			f := func(when string, id *sim, want string) {
				t.Helper()
				if got := of(id); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
					t.Errorf("%s, %s: %q, want %q", when, id.name, got, want)
				}
			}
			f("before", half, "")
			f("before", open, "firing info")
			d.generation(c.rules, nil)
			d.must()
			f("after", open, c.open)
			w.run(20 * time.Second)
			half.event("disk", 9)
			w.run(10 * time.Second)
			d.must()
			f("the second step", half, c.half)
			f("the second step", open, c.open)
			if c.half != "" {
				return
			}
			half.event("disk", 7)
			w.run(10 * time.Second)
			half.event("disk", 9)
			w.run(10 * time.Second)
			d.must()
			f("from the beginning", half, "firing info")
		})
	}
}

// A rule that was away has forgotten what it knew: what happened meanwhile is
// judged as by a new rule, not against a state of before.
func TestARuleThatComesBackBeginsAnew(t *testing.T) {
	w := newWorld(t)
	a := w.add(1, "db1", "fra", "r1")
	with := threeRules(t, fmt.Sprintf(driveRule, "info", "one", "Onln"), fmt.Sprintf(eventRule, "info", "one", "10m"), fmt.Sprintf(quietRule, "30s"))
	without := threeRules(t, "", "", fmt.Sprintf(quietRule, "30s"))
	w.run(20 * time.Second)
	a.raid([3]string{"c0/e252/s0", "S0", "Failed"})
	a.event("disk", 7)
	w.run(10 * time.Second)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.generation(with, nil)
	d.must()
	d.generation(without, nil)
	d.must()
	w.run(10 * time.Second)
	d.must()
	d.generation(with, nil)
	d.must()
	if got := what(t, s, "d"); !strings.Contains(got, "firing info state is Failed") {
		t.Errorf("the drive is still broken, and nobody is told: %s", got)
	}
	a.event("disk", 7)
	w.run(10 * time.Second)
	d.must()
	if got := what(t, s, "e"); strings.Count(got, "firing") != 1 || strings.Count(got, "resolved") != 1 {
		t.Errorf("a new event is a new problem: %s", got)
	}
	sums, err := s.RuleVerdicts(ctx, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	var counts []string
	for _, v := range sums {
		counts = append(counts, fmt.Sprintf("%s %s %d", v.ID, v.Effect, v.N))
	}
	if got, want := strings.Join(counts, ", "), "d closed 1, d opened 2, e closed 1, e opened 2"; got != want {
		t.Errorf("verdicts %s, want %s", got, want)
	}
}
