package rulebook_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/engine"
	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

const (
	file = `rules:
  # the first
  - id: a-one
    name: AOne
    class: a
    severity: info
    summary: a
    runbook: a#b
    expires: 1h
    match: {provider: a}

  # the second
  - {id: b-two, name: BTwo, class: b, severity: info, summary: b, runbook: a#b, expires: 1h, match: {provider: b}}
`
	own = "id: own\nname: Own\nclass: own\nseverity: %s\nsummary: own\nrunbook: a#b\nexpires: %s\nmatch: {provider: own}\n"
)

// desk is a book over a real store, and what the engine was told.
type desk struct {
	*rulebook.Book
	t     *testing.T
	store *sqlite.Store
	text  string // of the file
	told  engine.Generation
}

func newDesk(t *testing.T) *desk {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ruler.db"), Partitions: 16, Hash: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	d := &desk{t: t, store: s, text: file}
	d.open()
	return d
}

func (d *desk) open() {
	d.t.Helper()
	book, err := rulebook.Open(d.t.Context(), rulebook.Config{Store: d.store, Now: func() time.Time { return time.Unix(1e9, 0) }, Files: func() (rulebook.Files, error) {
		rules, err := rule.Parse("x.yml", []byte(d.text))
		return rulebook.Files{Rules: rules, Active: rules, Texts: map[string][]byte{"x.yml": []byte(d.text)}, Metric: []rulebook.Metric{
			{Rule: &rule.Rule{ID: "metric-never", Kind: "metric", File: "m.yml", Line: 9}, Disabled: true},
			{Rule: &rule.Rule{ID: "metric-full", Kind: "metric", File: "m.yml", Line: 7}},
		}}, err
	}})
	if err != nil {
		d.t.Fatal(err)
	}
	d.Book = book
	d.told = book.Generation()
	book.Use(func(g engine.Generation) error { d.told = g; return nil })
}

func (d *desk) ids() string {
	var out []string
	for _, r := range d.told.Rules {
		out = append(out, r.ID)
	}
	return strings.Join(out, " ")
}

var (
	ctx = context.Background()
	ada = rulebook.Editor{Actor: "ada", Comment: "because"}
	bob = rulebook.Editor{Actor: "bob", Via: "token 7"}
)

const risky = "id: risky\nname: Risky\nclass: own\nseverity: critical\nsummary: own\nrunbook: a#b\nrisk:\n  degraded: b-two\n  weak: %s\n"

// A rule of the store can name those of files and of the store. What it names may
// go away: that is a warning, because it must not keep others from being deleted.
func TestARuleThatNamesOthers(t *testing.T) {
	d := newDesk(t)
	for text, want := range map[string]string{
		fmt.Sprintf(risky, "own"):    `store:9: there is no rule "own": name one of the rules that are read together with this one`,
		fmt.Sprintf(risky, "a-onee"): `store:9: there is no rule "a-onee": did you mean "a-one"?`,
		fmt.Sprintf(risky, "risky"):  `store:9: rule "risky" names itself: name the rules that say which drives and arrays have a problem`,
	} {
		if _, _, err := d.Create(ctx, ada, text); !errors.Is(err, rulebook.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nmade: %v, want %s", text, err, want)
		}
		if rep := d.Validate("", text); len(rep.Mistakes) != 1 || rep.Mistakes[0].Line != 9 || rep.Mistakes[0].Column != 9 {
			t.Errorf("%s\nmistakes %+v", text, rep.Mistakes)
		}
	}
	if _, _, err := d.Create(ctx, ada, fmt.Sprintf(own, "info", "1h")); err != nil {
		t.Fatal(err)
	}
	e, out, err := d.Create(ctx, ada, fmt.Sprintf(risky, "[own, a-one]"))
	if err != nil || len(e.Without)+len(out.Warnings) > 0 {
		t.Fatalf("%v, without %q", err, e.Without)
	}
	f := func(what string, out rulebook.Outcome, err error, want string) {
		t.Helper()
		if err != nil || strings.Join(out.Warnings, "; ") != want {
			t.Errorf("%s: %v, warnings %q, want %q", what, err, out.Warnings, want)
		}
	}
	_, out, err = d.Switch(ctx, bob, "a-one", 0, false)
	f("switched off", out, err, "rule risky names a-one, which was switched off by bob")
	out, err = d.Delete(ctx, bob, "own", 1)
	f("deleted", out, err, "rule risky names own, which was deleted by bob")
	if rep := d.Validate("risky", fmt.Sprintf(risky, "a-one")); len(rep.Mistakes) > 0 || fmt.Sprint(rep.Warnings) != "[names a-one, which was switched off by bob]" {
		t.Errorf("validated: %+v", rep)
	}
	d.text = strings.ReplaceAll(d.text, "b-two", "c-three")
	out, err = d.Reload(ctx, ada)
	f("gone from its file", out, err, "rule risky names b-two, which is not there")
	d.open() // a ruler starts with all that
	if e, err := d.Get("risky"); err != nil || e.Off != "" || len(e.Without) != 3 {
		t.Errorf("after a restart: %v, %+v", err, e)
	}
	_, out, err = d.Switch(ctx, bob, "a-one", 1, true)
	f("switched on", out, err, "")
}

func TestLifeOfARule(t *testing.T) {
	d := newDesk(t)
	if d.told.Number != 1 || d.ids() != "a-one b-two" {
		t.Fatalf("started with generation %d of %s", d.told.Number, d.ids())
	}
	e, out, err := d.Create(ctx, ada, fmt.Sprintf(own, "info", "1h"))
	if err != nil || e.Source != rulebook.FromStore || e.Rule.File != "store" || out.Generation != 2 || d.ids() != "a-one b-two own" {
		t.Fatalf("created %+v, %+v, %v; carried out is %s", e, out, err, d.ids())
	}
	if _, out, err = d.Update(ctx, bob, "own", 1, fmt.Sprintf(own, "warning", "1h")); err != nil || fmt.Sprint(out.Changes) != "[changed the text or severity of own]" {
		t.Errorf("updated: %+v, %v", out, err)
	}
	if _, out, err = d.Update(ctx, ada, "own", 2, fmt.Sprintf(own, "warning", "2h")); err != nil || fmt.Sprint(out.Changes) != "[changed the condition of own]" {
		t.Errorf("updated: %+v, %v", out, err)
	}
	var conflict *rulebook.ConflictError
	if _, _, err = d.Update(ctx, bob, "own", 2, fmt.Sprintf(own, "critical", "1h")); !errors.As(err, &conflict) || conflict.Current.Author != "ada" || !strings.Contains(conflict.Before.YAML, "warning") {
		t.Errorf("an edit of an older version: %v", err)
	}
	if diff, err := d.Diff(ctx, "own", 1, 3); err != nil || !strings.Contains(diff, "-severity: info\n+severity: warning\n") || !strings.Contains(diff, "-expires: 1h\n+expires: 2h\n") {
		t.Errorf("diff %v:\n%s", err, diff)
	}
	if _, out, err = d.Switch(ctx, bob, "own", 3, false); err != nil || d.ids() != "a-one b-two" || d.told.Gone["own"] != "was switched off by bob" {
		t.Errorf("switched off: %+v %v, carried out is %s, gone %v", out, err, d.ids(), d.told.Gone)
	}
	if _, err = d.Delete(ctx, ada, "own", 4); err != nil || d.told.Gone["own"] != "was deleted by ada" {
		t.Errorf("deleted: %v, gone %v", err, d.told.Gone)
	}
	if _, _, err = d.Create(ctx, ada, fmt.Sprintf(own, "info", "1h")); !errors.Is(err, rulebook.ErrTaken) {
		t.Errorf("an id used again: %v", err)
	}
	if e, _, err = d.Restore(ctx, bob, "own", 5, 1); err != nil || !strings.Contains(e.Text, "severity: info") {
		t.Errorf("restored: %+v %v", e, err)
	}
	if _, _, err = d.Switch(ctx, bob, "own", 6, true); err != nil || d.ids() != "a-one b-two own" {
		t.Errorf("switched on: %v, carried out is %s", err, d.ids())
	}
	versions, err := d.Versions(ctx, "own")
	var did []string
	for _, v := range versions {
		did = append(did, fmt.Sprint(v.Version, v.Action, v.Author))
	}
	if got, want := strings.Join(did, " "), "7enablebob 6restorebob 5deleteada 4disablebob 3updateada 2updatebob 1createada"; err != nil || strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("versions %s %v, want %s", got, err, want)
	}
	number := d.told.Number
	if d.open(); d.told.Number != number || d.ids() != "a-one b-two own" {
		t.Errorf("after a restart generation %d of %s, it was %d", d.told.Number, d.ids(), number)
	}
	audit, err := d.store.AuditLog(ctx, store.AuditQuery{Action: "rules"})
	if err != nil || len(audit) != 8 || audit[0].Actor != "bob" || audit[0].Via != "token 7" || audit[0].Action != "rules.enable" || audit[0].Subject != "own" {
		t.Errorf("audit log %v: %+v", err, audit)
	}
}

// Two people switch a rule at once: the second is told of the first.
func TestSwitchesOfAnOlderRule(t *testing.T) {
	d := newDesk(t)
	if _, _, err := d.Create(ctx, ada, fmt.Sprintf(own, "info", "1h")); err != nil {
		t.Fatal(err)
	}
	for id, begin := range map[string]int{"b-two": 0, "own": 1, "metric-full": 0} {
		if e, out, err := d.Switch(ctx, ada, id, begin, false); err != nil || e.OffKind != rulebook.OffSwitched || e.Version() != begin+1 || fmt.Sprint(out.Changes) != "[removed "+id+"]" {
			t.Errorf("%s: %+v, %q, %v", id, e, out.Changes, err)
		}
		if _, _, err := d.Switch(ctx, bob, id, begin, false); !errors.Is(err, store.ErrConflict) || !strings.Contains(err.Error(), "by ada") {
			t.Errorf("%s switched on an old version: %v", id, err)
		}
		if e, _, err := d.Switch(ctx, bob, id, begin+1, true); err != nil || e.Off != "" || e.OffKind != "" {
			t.Errorf("%s: %+v, %v", id, e, err)
		}
	}
}

// Metric rules are carried out elsewhere, and switched like others.
func TestSwitchesOfMetricRules(t *testing.T) {
	d := newDesk(t)
	number := d.told.Number
	applied := 0
	d.Use(func(engine.Generation) error { applied++; return nil })
	if _, _, err := d.Switch(ctx, bob, "metric-full", 0, false); err != nil || applied != 1 || d.Generation().Number != number {
		t.Fatalf("%v, told %d times, generation %d after %d", err, applied, d.Generation().Number, number)
	}
	if _, _, err := d.Create(ctx, ada, strings.ReplaceAll(fmt.Sprintf(own, "info", "1h"), "id: own", "id: metric-full")); !errors.Is(err, rulebook.ErrTaken) || !strings.Contains(err.Error(), "m.yml:7") {
		t.Errorf("the id of a metric rule: %v", err)
	}
	if _, _, err := d.Update(ctx, ada, "metric-full", 1, "id: metric-full\n"); !errors.Is(err, rulebook.ErrReadOnly) {
		t.Errorf("a metric rule was changed: %v", err)
	}
	if _, err := d.Reload(ctx, ada); err != nil {
		t.Fatal(err)
	}
	d.open()
	if off := d.MetricOff(); fmt.Sprint(off) != "map[metric-full:was switched off by bob metric-never:is disabled in the ruler's configuration]" {
		t.Errorf("after reading them anew and a restart: %v", off)
	}
	log, err := d.store.AuditLog(ctx, store.AuditQuery{Action: "rules.disable"})
	if err != nil || len(log) != 1 || log[0].Subject != "metric-full" || log[0].Actor != "bob" {
		t.Errorf("audit log %+v, %v", log, err)
	}
}

func TestRulesOfFiles(t *testing.T) {
	d := newDesk(t)
	if _, _, err := d.Create(ctx, ada, strings.ReplaceAll(fmt.Sprintf(own, "info", "1h"), "id: own", "id: a-one")); !errors.Is(err, rulebook.ErrTaken) || !strings.Contains(err.Error(), "x.yml:3") {
		t.Errorf("the id of a file's rule: %v", err)
	}
	if _, _, err := d.Update(ctx, ada, "a-one", 1, fmt.Sprintf(own, "info", "1h")); !errors.Is(err, rulebook.ErrReadOnly) {
		t.Errorf("a rule of a file was changed: %v", err)
	}
	if e, _, err := d.Switch(ctx, ada, "b-two", 0, false); err != nil || e.Off != "was switched off by ada" || d.ids() != "a-one" {
		t.Errorf("switched off: %+v %v, carried out is %s", e, err, d.ids())
	}
	if _, _, err := d.Switch(ctx, ada, "a-one", 0, false); !errors.Is(err, rulebook.ErrInvalid) || d.ids() != "a-one" {
		t.Errorf("the last rule was switched off: %v", err)
	}
	e, err := d.Get("a-one")
	if want := "id: a-one\nname: AOne\n"; err != nil || !strings.HasPrefix(e.Text, want) || !strings.HasSuffix(e.Text, "match: {provider: a}\n") {
		t.Errorf("text %q, %v", e.Text, err)
	}
	d.text = strings.Replace(file, "class: a\n", "clas: a\n", 1)
	before := d.told.Number
	if _, err := d.Reload(ctx, ada); !errors.Is(err, rulebook.ErrInvalid) || !strings.Contains(err.Error(), `x.yml:5: the rule has no field "clas": did you mean "class"?`) || d.told.Number != before {
		t.Errorf("wrong rules: %v, generation %d", err, d.told.Number)
	}
	d.text = file + "  - {id: c, name: C, class: c, severity: info, summary: c, runbook: a#b, expires: 1h, match: {provider: c}}\n"
	if out, err := d.Reload(ctx, ada); err != nil || fmt.Sprint(out.Changes) != "[added c]" || d.ids() != "a-one c" {
		t.Errorf("reloaded %+v %v: %s; what was switched off stays off", out, err, d.ids())
	}
	// An update of the program may bring a rule with an id that somebody took.
	if _, _, err := d.Create(ctx, ada, fmt.Sprintf(own, "info", "1h")); err != nil {
		t.Fatal(err)
	}
	d.text = file + "  - {id: own, name: C, class: c, severity: info, summary: c, runbook: a#b, expires: 1h, match: {provider: c}}\n"
	if d.open(); d.ids() != "a-one own" || len(d.List()) != 4 {
		t.Errorf("carried out is %s", d.ids())
	}
	for _, e := range d.List() {
		if e.Source == rulebook.FromStore && !strings.Contains(e.Off, "x.yml:14") {
			t.Errorf("the store's rule: %+v", e)
		}
	}
}

func TestValidate(t *testing.T) {
	d := newDesk(t)
	if _, _, err := d.Create(ctx, ada, fmt.Sprintf(own, "info", "1h")); err != nil {
		t.Fatal(err)
	}
	f := func(id, text string, line, column int, want string) {
		t.Helper()
		rep := d.Validate(id, text)
		if line == 0 {
			if len(rep.Mistakes) != 0 || !strings.Contains(rep.Effect, want) || rep.Explain == "" {
				t.Errorf("%+v, want %q", rep, want)
			}
			return
		}
		if len(rep.Mistakes) == 0 || rep.Mistakes[0].Line != line || rep.Mistakes[0].Column != column || !strings.Contains(rep.Mistakes[0].Text, want) {
			t.Errorf("%+v, want %q at %d:%d", rep.Mistakes, want, line, column)
		}
	}
	f("own", fmt.Sprintf(own, "info", "1h"), 0, 0, "Nothing changes")
	f("own", fmt.Sprintf(own, "critical", "1h"), 0, 0, "stays")
	f("own", fmt.Sprintf(own, "info", "3h"), 0, 0, "anew")
	f("", strings.Replace(fmt.Sprintf(own, "info", "3h"), "id: own", "id: other", 1), 0, 0, "new rule")
	f("", fmt.Sprintf(own, "info", "1h"), 1, 5, "taken")
	f("own", strings.Replace(fmt.Sprintf(own, "info", "3h"), "id: own", "id: other", 1), 1, 5, "is not")
	f("own", fmt.Sprintf(own, "grave", "1h"), 4, 11, "grave")
	f("own", strings.Replace(fmt.Sprintf(own, "info", "1h"), "{provider", "{povider", 1), 8, 9, "povider")
	f("", file, 1, 1, "2 rules")
	f("", "id: [", 1, 1, "not YAML")
	f("", strings.Repeat("x", rulebook.MaxRule+1), 1, 1, "bytes")
	f("", strings.Replace(fmt.Sprintf(own, "info", "3h"), "id: own", "id: reload", 1), 1, 5, "reserved")
}

func FuzzValidate(f *testing.F) {
	f.Add(fmt.Sprintf(own, "info", "1h"))
	f.Add(file)
	book := &rulebook.Book{}
	f.Fuzz(func(t *testing.T, text string) {
		rep := book.Validate("", text)
		if (rep.Rule == nil) != (len(rep.Mistakes) > 0) {
			t.Errorf("rule %v with mistakes %+v", rep.Rule, rep.Mistakes)
		}
		for _, m := range rep.Mistakes {
			if m.Column < 1 {
				t.Errorf("%+v", m)
			}
		}
	})
}

func TestUnified(t *testing.T) {
	f := func(a, b, want string) {
		t.Helper()
		if got := rulebook.Unified("a", "b", a, b); got != want {
			t.Errorf("%q to %q:\n%s\nwant\n%s", a, b, got, want)
		}
	}
	f("x\n", "x\n", "")
	f("", "x\n", "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n")
	f("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n", "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n")
	var long []string
	for i := range 30 {
		long = append(long, fmt.Sprint("line ", i))
	}
	a := strings.Join(long, "\n") + "\n"
	b := strings.Replace(strings.Replace(a, "line 3\n", "", 1), "line 20\n", "line 20\nmore\n", 1)
	f(a, b, "--- a\n+++ b\n@@ -1,7 +1,6 @@\n line 0\n line 1\n line 2\n-line 3\n line 4\n line 5\n line 6\n@@ -19,6 +18,7 @@\n line 18\n line 19\n line 20\n+more\n line 21\n line 22\n line 23\n")
}
