package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/api/apitest"
	"nocturne/ruler/engine"
	"nocturne/ruler/metricrule"
	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
)

func TestRulesList(t *testing.T) {
	b := newBench(t, nil)
	f := func(query string, want ...string) {
		t.Helper()
		var got []string
		for _, r := range get[RuleList](b, "/rules?"+query).Items {
			got = append(got, r.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	f("", "disk-bad-block", "nic-link-lost", "server-silent")
	f("source=store", "nic-link-lost")
	f("kind=match&severity=warning&limit=1", "disk-bad-block")
	f("search=SILENT", "server-silent")
	f("enabled=false")
	d := get[RuleDetail](b, "/rules/disk-bad-block")
	if d.Rule.Fired30d != 3 || d.Rule.LastFired == nil || d.Rule.File != "alerts/records/demo.yml" || d.Rule.Line != 2 || d.Since != 1 || d.Generation.Number != 2 || !strings.HasPrefix(d.YAML, "id: disk-bad-block\n") || d.Explain == "" {
		t.Errorf("rule %+v", d)
	}
}

// Metric rules stand in files of their own; the list has them too, with how their
// queries did, and every rule says what it could not judge.
func TestRulesThatFail(t *testing.T) {
	metric := &rule.Rule{ID: "metric-disk-full", Name: "DiskFull", Class: "disk-space", Severity: rule.Warning, Kind: kindMetric, Spec: &metricrule.Spec{Expr: "a > b"}, File: "alerts/metrics/disk.yml", Line: 4}
	b := newBench(t, func(c *Config) {
		book, err := apitest.Book(&apitest.Rules{}, c.Now, func(f *rulebook.Files) { f.Metric = []rulebook.Metric{{Rule: metric, Text: "alert: DiskFull\n"}} })
		if err != nil {
			t.Fatal(err)
		}
		c.Rules = book
		c.Failures = func() map[string]engine.Failure {
			return map[string]engine.Failure{"disk-bad-block": {Records: 4, Reason: "no such key: param9", RecordID: "r1", At: now}}
		}
		c.MetricHealth = func() map[string][]MetricHealth {
			return map[string][]MetricHealth{metric.ID: {MetricHealthOf("disk", time.Minute, now, 3*time.Millisecond, "422: bad query", 0)}}
		}
	})
	l := get[RuleList](b, "/rules?kind=metric")
	if len(l.Items) != 1 || l.Items[0].ID != "metric-disk-full" || l.Items[0].Source != "file" || !l.Items[0].Enabled || l.Items[0].LastError != "422: bad query" {
		t.Errorf("list %+v", l)
	}
	m := get[RuleDetail](b, "/rules/metric-disk-full")
	if len(m.Metric) != 1 || m.Metric[0].Interval != 60 || m.Metric[0].Error == "" || m.Metric[0].At == nil || m.YAML != "alert: DiskFull\n" || !strings.Contains(m.Explain, "a > b") {
		t.Errorf("metric rule %+v", m)
	}
	if w := b.call("PUT", Prefix+"/rules/metric-disk-full/enabled", `{"enabled":false,"comment":"noisy"}`, nil); w.Code != http.StatusOK {
		t.Errorf("switch: %d %s", w.Code, w.Body)
	}
	if l := get[RuleList](b, "/rules?enabled=false").Items; len(l) != 1 || l[0].ID != "metric-disk-full" || l[0].OffKind != "switched" || l[0].Version != 1 || l[0].Author == "" {
		t.Errorf("switched off: %+v", l)
	}
	d := get[RuleDetail](b, "/rules/disk-bad-block")
	if len(d.Failures) != 1 || d.Failures[0].Records != 4 || d.Rule.Failed != 4 || d.Rule.LastError != "no such key: param9" {
		t.Errorf("rule %+v", d)
	}
}

// A text is tried only where it could be saved.
func TestBacktestOfARuleThatNamesOthers(t *testing.T) {
	b := newBench(t, nil)
	text := "id: risky\nname: Risky\nclass: own\nseverity: critical\nsummary: own\nrunbook: a#b\nrisk:\n  degraded: nobody\n  weak: disk-bad-block\n"
	w := b.call("POST", Prefix+"/rules/backtest", `{"yaml":`+quote(text)+`}`, nil)
	var p RuleProblem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusUnprocessableEntity || len(p.Mistakes) != 1 || !strings.Contains(p.Mistakes[0].Text, "nobody") {
		t.Errorf("%d %s %v", w.Code, w.Body, err)
	}
}

// Two people edit one rule: the second is told of both.
func TestEditOfAnOlderRule(t *testing.T) {
	b := newBench(t, nil)
	put := func(version int, severity string) (int, RuleProblem) {
		t.Helper()
		w := b.call("PUT", Prefix+"/rules/nic-link-lost", fmt.Sprintf(`{"version":%d,"comment":"","yaml":%s}`, version, quote(strings.Replace(apitest.StoredRule, "warning", severity, 1))), nil)
		var p RuleProblem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		return w.Code, p
	}
	if code, p := put(1, "critical"); code != http.StatusOK {
		t.Fatalf("%d %+v", code, p)
	}
	code, p := put(1, "info")
	if code != http.StatusConflict || p.Current == nil || p.Current.Version != 2 || p.Current.Action != "update" || p.Based == nil || p.Based.Version != 1 || !strings.Contains(p.Diff, "+severity: critical") {
		t.Errorf("%d %+v", code, p)
	}
	if code, p = put(2, "grave"); code != http.StatusUnprocessableEntity || len(p.Mistakes) != 1 || p.Mistakes[0].Line != 4 || p.Mistakes[0].Column != 11 || p.Mistakes[0].Hint == "" {
		t.Errorf("%d %+v", code, p)
	}
	deleted := func() int { return len(get[RuleList](b, "/rules?deleted=true").Items) }
	if n := deleted(); n != 0 {
		t.Errorf("%d rules are deleted", n)
	}
	defer func() {
		b.call("DELETE", Prefix+"/rules/nic-link-lost?version=4", "", nil)
		if l := get[RuleList](b, "/rules?deleted=true").Items; len(l) != 1 || !l[0].Deleted || l[0].Version != 5 {
			t.Errorf("deleted: %+v", l)
		}
	}()
	for _, c := range []struct {
		method, path, body string
		want               int
	}{
		{"PUT", "/rules/disk-bad-block", `{"version":1,"yaml":"id: x"}`, 403},
		{"PUT", "/rules/none", `{"version":1,"yaml":"id: x"}`, 404},
		{"GET", "/rules/none", "", 404},
		{"GET", "/rules/none/versions", "", 404},
		{"GET", "/rules/nic-link-lost/diff?from=1&to=9", "", 404},
		{"POST", "/rules", `{"yaml":` + quote(apitest.StoredRule) + `}`, 409},
		{"POST", "/rules/nic-link-lost/restore", `{"version":1,"restore":1}`, 409},
		{"DELETE", "/rules/nic-link-lost?version=1", "", 409},
		{"PUT", "/rules/nic-link-lost/enabled", `{"version":1,"enabled":false}`, 409},
		{"PUT", "/rules/server-silent/enabled", `{"version":0,"enabled":false}`, 200},
		{"PUT", "/rules/server-silent/enabled", `{"version":0,"enabled":true}`, 409},
		{"PUT", "/rules/server-silent/enabled", `{"version":1,"enabled":true}`, 200},
		{"PUT", "/rules/none/enabled", `{"version":0,"enabled":true}`, 404},
		{"DELETE", "/rules/nic-link-lost?version=2", "", 200},
		{"GET", "/rules/nic-link-lost", "", 404},
		{"GET", "/rules?deleted=true&search=nic", "", 200},
		{"GET", "/rules/nic-link-lost/versions", "", 200},
		{"POST", "/rules/nic-link-lost/restore", `{"version":3,"restore":1}`, 200},
		{"POST", "/rules/reload", `{}`, 200},
	} {
		if w := b.call(c.method, Prefix+c.path, c.body, nil); w.Code != c.want {
			t.Errorf("%s %s: %d, want %d: %s", c.method, c.path, w.Code, c.want, w.Body)
		}
	}
}

// quote writes a JSON string.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // strings always marshal
	}
	return string(b)
}
