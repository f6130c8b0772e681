package alerts_test

import (
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"nocturne/alerts"
	"nocturne/ruler/metricrule"
	"nocturne/ruler/metricrule/ruletest"
	"nocturne/ruler/rule"
)

func metricPack(t *testing.T) *metricrule.Pack {
	t.Helper()
	files, err := metricrule.ParseFS(alerts.Files(), "metrics", "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := metricrule.NewPack(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Every metric rule fires in a unit test, ends in it, and is quiet in another.
func TestMetricRules(t *testing.T) {
	files, err := filepath.Glob("metrics/tests/*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no tests", err)
	}
	seen := map[string]ruletest.Seen{}
	for _, f := range files {
		s, err := ruletest.Run(f)
		if err != nil {
			t.Error(err)
		}
		for name, v := range s {
			seen[name] = v
		}
	}
	for _, r := range metricPack(t).Rules() {
		if s := seen[r.Name]; !s.Fired || !s.Cleared || !s.Quiet {
			t.Errorf("%s: fires %t, ends %t, is quiet %t in its tests", r.Name, s.Fired, s.Cleared, s.Quiet)
		}
	}
}

// What a person needs at night is there: how bad, what, and what to do.
func TestMetricRulesSayWhatToDo(t *testing.T) {
	class := regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	for _, a := range metricPack(t).Alerts() {
		r := a.Rule
		if !class.MatchString(r.Class) {
			t.Errorf("%s: class %q", r.ID, r.Class)
		}
		if !slices.Contains(rule.Severities(), r.Severity) {
			t.Errorf("%s: severity %q", r.ID, r.Severity)
		}
	}
}
