package metricrule

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/ruler/rule"
)

func TestInvalidFiles(t *testing.T) {
	want := map[string]string{
		"both":          "x.yml:4: group \"a\", rule 1, \"A\": only one of 'record' and 'alert' must be set",
		"duration":      "x.yml:6: unknown unit \" minutes\" in duration \"5 minutes\": write 30s, 5m, 1h30m or 7d",
		"empty":         "x.yml:1: the file is empty: write \"groups:\" and a list of groups",
		"group-twice":   "x.yml:1: groupname: \"a\" is repeated in the same file: give each group a name of its own",
		"interval":      "x.yml:3: not a valid duration string: \"-1m\": write 30s, 5m, 1h30m or 7d",
		"metricsql":     "x.yml:1: group \"a\", rule 1, \"A\": could not parse expression: 1:1: parse error: unknown function with name \"lag\": rules are PromQL; functions that only MetricsQL has (lag, tlast_over_time, …) have to be written with those of PromQL",
		"no-name":       "x.yml:4: alert \"::\" has no letter or digit of ASCII: its id is made of them",
		"query":         "x.yml:5: group \"a\", rule 1, \"A\": could not parse expression: 1:6: parse error: unexpected end of input: try the query in VictoriaMetrics' /vmui/ first",
		"tabs":          "x.yml:2: found character that cannot start any token",
		"template":      "x.yml:4: group \"a\", rule 1, \"A\": annotation \"summary\": template: __alert_A:1: unexpected \"}\" in operand: templates are Prometheus': {{ $labels.server }}, {{ $value | humanizePercentage }}",
		"unknown-field": "x.yml:6: there is no field \"four\" here: a rule has record or alert, expr, for, keep_firing_for, labels, annotations",
		"unknown-top":   "x.yml:1: there is no field \"group\" here: a file has groups",
	}
	files, err := filepath.Glob("testdata/invalid-*.yml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "invalid-"), ".yml")
		_, err = Parse("x.yml", data)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		if err.Error() != want[name] {
			t.Errorf("%q: %q,", name, err)
		}
	}
}

func TestRuleID(t *testing.T) {
	for name, want := range map[string]string{
		"DiskFillsUp": "metric-disk-fills-up", "disk fills: up!": "metric-disk-fills-up", "CPUBusy": "metric-cpubusy", "KubePod2Crash": "metric-kube-pod2-crash", "node_down": "metric-node-down",
	} {
		if got := ruleID(name, ""); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if got := ruleID(strings.Repeat("Long", 99), rule.Critical); len(got) > 70 || !strings.HasSuffix(got, "-critical") {
		t.Errorf("long name: %s", got)
	}
}

const two = `groups:
  - name: disks
    labels: {team: storage}
    rules:
      - {record: "a:b", expr: up}
      - {alert: Full, expr: up == 0, labels: {severity: warning}}
      - {alert: Full, expr: up == 1, labels: {severity: critical}, keep_firing_for: 5m}
      - {alert: Other, expr: up == 2, for: 5m, labels: {severity: page, class: c}, annotations: {runbook_url: "https://x"}}
`

func TestPack(t *testing.T) {
	f, err := Parse("two.yml", []byte(two))
	if err != nil {
		t.Fatal(err)
	}
	p, err := NewPack([]*File{f}, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]*rule.Rule{}
	for _, r := range p.Rules() {
		got[r.ID] = r
	}
	c := got["metric-full-critical"]
	if c == nil || got["metric-full-warning"] == nil || got["metric-other"] == nil || len(got) != 3 {
		t.Fatalf("rules: %v", got)
	}
	if c.Severity != rule.Critical || c.Class != "full" || c.Line != 7 || c.Shape != got["metric-full-warning"].Shape {
		t.Errorf("critical: %+v", c)
	}
	if s := rule.Explain(c); !strings.Contains(s, "Fires ") || !strings.HasSuffix(s, "over for 5m.") {
		t.Errorf("explained: %s", s)
	}
	if o := got["metric-other"]; o.Severity != rule.Warning || o.Class != "c" || o.Runbook != "https://x" || o.For != 5*time.Minute {
		t.Errorf("other: %+v", o)
	}
}

func TestOverrides(t *testing.T) {
	f, err := Parse("two.yml", []byte(two))
	if err != nil {
		t.Fatal(err)
	}
	no, info, long := false, rule.Info, "1h"
	p, err := NewPack([]*File{f}, rule.Overrides{"metric-full-critical": {Enabled: &no}, "metric-other": {Severity: &info, For: &long}})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Rules()); n != 2 {
		t.Errorf("%d rules", n)
	}
	for _, r := range p.Rules() {
		if r.ID == "metric-other" && (r.Severity != info || r.For != time.Hour) {
			t.Errorf("overridden: %+v", r)
		}
	}
	if len(f.Groups.Groups[0].Rules) != 4 || f.Groups.Groups[0].Rules[3].Labels["severity"] != "page" {
		t.Error("the file itself was changed")
	}
	for id, o := range map[string]rule.Override{"metric-nothing": {Enabled: &no}, "metric-other": {After: &long}, "metric-full-warning": {For: &info}} {
		if _, err := NewPack([]*File{f}, rule.Overrides{id: o}); err == nil || !strings.Contains(err.Error(), id) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(two))
	f.Add([]byte("groups:\n  - name: a\n    rules: [{alert: A, expr: up, for: 1m}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("f.yml", data)
		if err != nil {
			return
		}
		if _, err := NewPack([]*File{file}, nil); err != nil {
			t.Fatalf("parsed, but no pack: %v", err)
		}
	})
}

// What a store answers is foreign bytes: read, or an error of the two kinds.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1700000000,"0.5"]}]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"scalar","result":[1700000000,"NaN"]}}`))
	f.Add([]byte(`{"status":"success","isPartial":true,"data":{"resultType":"vector","result":[]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1]},null,{"value":null}]}}`))
	var body []byte
	fake := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }))
	f.Cleanup(fake.Close)
	c := newClient(fake.URL, "", newMetrics(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		body = data
		if _, err := c.Query(context.Background(), "up", time.Unix(1700000000, 0)); err != nil && !errors.Is(err, ErrAway) && !errors.Is(err, ErrQuery) {
			t.Errorf("an error of no kind: %v", err)
		}
	})
}
