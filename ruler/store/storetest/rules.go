package storetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"nocturne/ruler/store"
)

// edit makes an edit of a stored rule and the generation that goes with it.
func edit(after uint64, r store.StoredRule, action string) store.RuleEdit {
	return store.RuleEdit{
		After:      after,
		Generation: &store.Generation{Number: after + 1, At: at(time.Hour), Actor: "ada", Reason: action + " " + r.ID, Rules: map[string]store.RuleMark{r.ID: {Version: "v", Shape: "s"}}, Changes: []string{action + " " + r.ID}},
		Rule:       &r,
		Version:    &store.RuleVersion{ID: r.ID, Version: r.Version, At: at(time.Hour), Author: r.Author, Action: action, Comment: "because", YAML: r.YAML},
		Audit:      &store.AuditEntry{At: at(time.Hour), Actor: r.Author, Action: "rule." + action, Subject: r.ID},
	}
}

func rulesAreKeptWithVersions(t *testing.T, f *fixture) {
	r := store.StoredRule{ID: "disk-slow", YAML: "id: disk-slow\n", Enabled: true, Version: 1, Author: "ada", Created: at(0), Changed: at(0)}
	ok(t, f.EditRules(ctx, edit(0, r, "create")))
	r2 := r
	r2.YAML, r2.Version, r2.Author, r2.Changed = "id: disk-slow\nname: X\n", 2, "bob", at(time.Minute)
	ok(t, f.EditRules(ctx, edit(1, r2, "update")))

	for what, e := range map[string]store.RuleEdit{
		"an edit of a version that is not the newest": edit(2, r2, "update"),
		"an edit checked against older rules":         edit(1, store.StoredRule{ID: "other", Version: 1}, "create"),
		"the same id made twice":                      edit(2, r, "create"),
	} {
		if err := f.EditRules(ctx, e); !errors.Is(err, store.ErrConflict) {
			t.Errorf("%s: %v, want ErrConflict", what, err)
		}
	}
	ok(t, f.EditRules(ctx, store.RuleEdit{After: 2, Switch: &store.RuleSwitch{ID: "server-silent", Version: 1, Author: "ada", At: at(0), Comment: "noisy"}}))
	for _, version := range []int{1, 3} {
		if err := f.EditRules(ctx, store.RuleEdit{After: 2, Switch: &store.RuleSwitch{ID: "server-silent", Version: version, At: at(1)}}); !errors.Is(err, store.ErrConflict) {
			t.Errorf("a switch of version %d after 1: %v, want ErrConflict", version, err)
		}
	}
	ok(t, f.EditRules(ctx, store.RuleEdit{After: 2, Switch: &store.RuleSwitch{ID: "server-silent", Version: 2, Enabled: true, Author: "bob", At: at(1)}}))

	rules, err := f.StoredRules(ctx)
	ok(t, err)
	if want := []store.StoredRule{r2}; !reflect.DeepEqual(rules, want) {
		t.Errorf("rules %+v, want %+v", rules, want)
	}
	versions, err := f.RuleVersions(ctx, "disk-slow")
	ok(t, err)
	if len(versions) != 2 || versions[0].Version != 2 || versions[0].Author != "bob" || versions[1].YAML != r.YAML || versions[1].Comment != "because" {
		t.Errorf("versions %+v", versions)
	}
	switches, err := f.RuleSwitches(ctx)
	ok(t, err)
	if want := []store.RuleSwitch{{ID: "server-silent", Version: 2, Enabled: true, Author: "bob", At: at(1)}}; !reflect.DeepEqual(switches, want) {
		t.Errorf("switches %+v, want %+v", switches, want)
	}
	gens, err := f.Generations(ctx, 10)
	ok(t, err)
	if len(gens) != 2 || gens[0].Number != 2 || gens[0].Reason != "update disk-slow" || gens[1].Rules["disk-slow"].Shape != "s" || len(gens[1].Changes) != 1 {
		t.Errorf("generations %+v", gens)
	}
	audit, err := f.AuditLog(ctx, store.AuditQuery{Limit: 10})
	ok(t, err)
	if len(audit) != 2 || audit[0].Actor != "bob" || audit[0].Action != "rule.update" {
		t.Errorf("audit log %+v: what was refused must not be there", audit)
	}
}

func plannedWorkIsKeptWithVersions(t *testing.T, f *fixture) {
	plan := func(version int, action string) store.RuleEdit {
		return store.RuleEdit{Window: &store.Window{ID: "bern", Version: version, At: at(time.Duration(version) * time.Minute), Author: "ada", Action: action, Comment: "c", YAML: "id: bern\n"},
			Audit: &store.AuditEntry{At: at(0), Actor: "ada", Action: "rules." + action, Subject: "bern"}}
	}
	ok(t, f.EditRules(ctx, plan(1, store.WindowMade)))
	for _, version := range []int{1, 3} {
		if err := f.EditRules(ctx, plan(version, store.WindowChanged)); !errors.Is(err, store.ErrConflict) {
			t.Errorf("version %d after 1: %v, want ErrConflict", version, err)
		}
	}
	ok(t, f.EditRules(ctx, plan(2, store.WindowEnded)))
	other := plan(1, store.WindowMade)
	other.Window.ID = "arosa"
	ok(t, f.EditRules(ctx, other))
	newest, err := f.Windows(ctx)
	ok(t, err)
	if want := []store.Window{*other.Window, *plan(2, store.WindowEnded).Window}; !reflect.DeepEqual(newest, want) {
		t.Errorf("windows %+v, want %+v", newest, want)
	}
	versions, err := f.WindowVersions(ctx, "bern")
	ok(t, err)
	if want := []store.Window{*plan(2, store.WindowEnded).Window, *plan(1, store.WindowMade).Window}; !reflect.DeepEqual(versions, want) {
		t.Errorf("versions %+v, want %+v", versions, want)
	}
}

func generationsTakeEffectOnce(t *testing.T, f *fixture) {
	ok(t, f.EditRules(ctx, edit(0, store.StoredRule{ID: "a", Version: 1}, "create")))
	c, err := f.Claim(ctx, 3, "x")
	ok(t, err)
	if c.Generation != 0 || c.Marks != nil {
		t.Errorf("a new partition runs generation %d %v", c.Generation, c.Marks)
	}
	commit := store.PartitionCommit{Partition: 3, Epoch: c.Epoch, From: c.Position, To: store.Position{Incarnation: "i", Entry: 5}, StreamTime: at(0), Generation: 1}
	ok(t, f.Commit(ctx, []store.PartitionCommit{commit}))
	commit.From, commit.To = commit.To, store.Position{Incarnation: "i", Entry: 9}
	commit.RuleCounts = []store.RuleCount{{ID: "a", Effect: "opened", N: 2, Last: at(time.Minute)}, {ID: "a", Effect: "muted", N: 1, Last: at(time.Minute)}}
	ok(t, f.Commit(ctx, []store.PartitionCommit{commit})) // said twice: the first one holds
	commit.From, commit.To, commit.Generation = commit.To, store.Position{Incarnation: "i", Entry: 10}, 0
	commit.RuleCounts = []store.RuleCount{{ID: "a", Effect: "opened", N: 3, Last: at(48 * time.Hour)}}
	ok(t, f.Commit(ctx, []store.PartitionCommit{commit}))
	c, err = f.Claim(ctx, 3, "x")
	ok(t, err)
	if c.Generation != 1 || c.Marks["a"] != (store.RuleMark{Version: "v", Shape: "s"}) {
		t.Errorf("the partition runs generation %d %v", c.Generation, c.Marks)
	}
	gens, err := f.Generations(ctx, 1)
	ok(t, err)
	if want := []store.GenerationEntry{{Partition: 3, At: at(0)}}; len(gens) != 1 || !reflect.DeepEqual(gens[0].Entries, want) {
		t.Errorf("generations %+v, want the entries %+v", gens, want)
	}
	sums, err := f.RuleVerdicts(ctx, time.Time{})
	ok(t, err)
	if want := []store.RuleVerdicts{{ID: "a", Effect: "muted", N: 1, Last: at(time.Minute)}, {ID: "a", Effect: "opened", N: 5, Last: at(48 * time.Hour)}}; !reflect.DeepEqual(sums, want) {
		t.Errorf("verdicts %+v, want %+v", sums, want)
	}
	if sums, err = f.RuleVerdicts(ctx, at(24*time.Hour)); err != nil || len(sums) != 1 || sums[0].N != 3 {
		t.Errorf("verdicts of the second day %+v, %v", sums, err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
