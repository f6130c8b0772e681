package rule_test

import (
	"strings"
	"testing"
	"time"

	"nocturne/ruler/rule"
)

// A window holds by the clock on the wall of its zone, over midnight, and over
// the nights in which the clocks change.
func TestWindows(t *testing.T) {
	p, err := rule.ParsePack("w.yml", []byte(`
windows:
  - {id: patching, who: platform team, why: monthly patching, servers: {site: bern}, weekly: {days: [sat], from: "22:00", to: "04:00", zone: Europe/Zurich}}
  - {id: move, who: rk, why: ticket 4711, from: 2026-12-01T21:00:00+01:00, to: 2026-12-02T04:00:00Z}
  - {id: all-day, who: a, why: b, weekly: {days: [mon, wed], from: "00:00", to: "24:00"}}
`))
	if err != nil {
		t.Fatal(err)
	}
	f := func(window int, now, until string) {
		t.Helper()
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if end, ok := p.Windows[window].Covers(at); ok {
			got = end.UTC().Format(time.RFC3339)
		}
		if got != until {
			t.Errorf("window %d at %s: until %q, want %q", window, now, got, until)
		}
	}
	f(0, "2026-11-28T20:59:59Z", "")                     // Saturday, one second early: 22:00 there is 21:00 UTC
	f(0, "2026-11-28T21:00:00Z", "2026-11-29T03:00:00Z") // it begins
	f(0, "2026-11-29T02:59:59Z", "2026-11-29T03:00:00Z") // Sunday morning belongs to it
	f(0, "2026-11-29T03:00:00Z", "")
	f(0, "2026-07-04T20:00:00Z", "2026-07-05T02:00:00Z") // summer
	f(0, "2026-10-25T02:30:00Z", "2026-10-25T03:00:00Z") // the night with 25 hours
	f(0, "2026-03-29T01:30:00Z", "2026-03-29T02:00:00Z") // the night with 23
	f(1, "2026-12-01T19:59:59Z", "")
	f(1, "2026-12-01T20:00:00Z", "2026-12-02T04:00:00Z")
	f(1, "2026-12-02T04:00:00Z", "")
	f(2, "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z")
	f(2, "2026-12-01T00:00:00Z", "")
	next := func(window int, now, want string) {
		t.Helper()
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if from, to, ok := p.Windows[window].Next(at); ok {
			got = from.UTC().Format(time.RFC3339) + " " + to.UTC().Format(time.RFC3339)
		}
		if got != want {
			t.Errorf("window %d after %s: %q, want %q", window, now, got, want)
		}
	}
	next(0, "2026-11-28T21:00:00Z", "2026-11-28T21:00:00Z 2026-11-29T03:00:00Z")
	next(0, "2026-11-28T21:00:01Z", "2026-12-05T21:00:00Z 2026-12-06T03:00:00Z")
	next(0, "2026-10-24T12:00:00Z", "2026-10-24T20:00:00Z 2026-10-25T03:00:00Z") // an hour longer
	next(1, "2026-11-01T00:00:00Z", "2026-12-01T20:00:00Z 2026-12-02T04:00:00Z")
	next(1, "2026-12-01T21:00:00Z", "")
	next(2, "2026-12-03T00:00:00Z", "2026-12-07T00:00:00Z 2026-12-08T00:00:00Z")
	if s := p.Windows[0].String(); s != "patching (platform team, monthly patching)" {
		t.Error(s)
	}
}

// Severities and windows shape no state, and a rule that uses nothing new has
// the shape that it always had.
func TestShapesOfChangesAndStates(t *testing.T) {
	parse := func(condition string) *rule.Rule {
		t.Helper()
		r, err := rule.Parse("r.yml", []byte("id: a\nname: A\nclass: c\nseverity: warning\nsummary: s\nrunbook: a#b\n"+condition))
		if err != nil {
			t.Fatal(err)
		}
		return r[0]
	}
	f := func(a, b string, same bool) {
		t.Helper()
		x, y := parse(a), parse(b)
		if (x.Shape == y.Shape) != same {
			t.Errorf("%s and %s: same shape is %v, want %v", a, b, !same, same)
		}
		if x.Version == y.Version {
			t.Errorf("%s and %s have one version", a, b)
		}
	}
	f("expires: 1h\nchange: {device: x, kinds: [removed]}", "expires: 1h\nchange: {device: x, kinds: [removed], levels: {info: removed}}", true)
	f("state: {device: x, field: f, bad: [a, b]}", "state: {device: x, field: f, bad: [a, b], levels: {info: a}}", true)
	f("state: {device: x, field: f, above: 9}", "state: {device: x, field: f, above: 9, clear: 8}", false)
	f("state: {device: x, field: f, above: 9}", "state: {device: x, field: f, above: 9, keep: 8m}", false)
	r := parse("expires: 1h\nchange: {device: x, kinds: [removed]}")
	planned := rule.Plan([]*rule.Rule{r}, []*rule.Window{{ID: "w", Who: "a", Why: "b"}})[0]
	if planned.Shape != r.Shape || planned.Version == r.Version || !strings.Contains(rule.Explain(planned), "planned, and not told: w (a, b)") {
		t.Errorf("%+v", planned)
	}
	// Written down when these fields came: a change here resets the state of
	// every rule of the kind at the next start.
	if s := parse("expires: 1h\nchange: {device: x, kinds: [removed]}").Shape; s != "1725b235c4d0" {
		t.Errorf("shape %s", s)
	}
	if s := parse("state: {device: x, field: f, above: 9}").Shape; s != "66b772d625fd" {
		t.Errorf("shape %s", s)
	}
}
