package alerts_test

import (
	"flag"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/common/model"

	"nocturne/alerts"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator/operatortest"
	"nocturne/ruler/rule"
	"nocturne/ruler/runbook"
)

var update = flag.Bool("update", false, "rewrite what the stories want")

func pack(t *testing.T) []*rule.Rule {
	t.Helper()
	rules, err := rule.ParseFS(alerts.Files(), "records")
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// optional are the rules of all packs that are off by default.
func optional(t *testing.T) []*rule.Rule {
	t.Helper()
	var rules []*rule.Rule
	for _, name := range alerts.Packs() {
		own, err := rule.ParseFS(alerts.Files(), "optional/"+name)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, own...)
	}
	return rules
}

// Every story runs against the whole pack, so a rule that speaks out of turn
// shows in another rule's story.
func TestStories(t *testing.T) { stories(t, "records", pack(t), pack(t)) }

// The optional packs' stories run against the default rules too: ids and
// problem classes of both have to go together.
func TestOptionalStories(t *testing.T) {
	own := optional(t)
	all := append(pack(t), own...)
	if errs := rule.Unique(all); len(errs) > 0 {
		t.Fatal(errs)
	}
	stories(t, "optional", all, own)
}

// stories runs a folder's stories against all rules and wants each of own to
// fire, to end and to stay quiet in some; where an event clears it, to end by that.
func stories(t *testing.T, dir string, all, own []*rule.Rule) {
	fired, quiet, ended, cleared := map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}
	for _, r := range operatortest.Run(t, dir, operatortest.Options{Rules: all, Update: *update}) {
		for verdict := range strings.Lines(r.Want) { // time, kind, server, rule …
			words := strings.Fields(verdict)
			if words[1] != "resolved" {
				continue
			}
			ended[words[3]] = r.File
			if strings.Contains(verdict, ": cleared by ") {
				cleared[words[3]] = r.File
			}
		}
		for _, id := range r.Fired {
			fired[id] = r.File
		}
		for _, id := range r.Quiet {
			quiet[id] = r.File
		}
	}
	for _, r := range own {
		if fired[r.ID] == "" {
			t.Errorf("rule %s: no story in which it fires", r.ID)
		}
		if quiet[r.ID] == "" {
			t.Errorf("rule %s: no story that names it below \"quiet\"", r.ID)
		}
		if ended[r.ID] == "" {
			t.Errorf("rule %s: no story in which it ends", r.ID)
		}
		if m, ok := r.Spec.(*rule.Match); ok && m.Clear != nil && cleared[r.ID] == "" {
			t.Errorf("rule %s: no story in which its event clears it", r.ID)
		}
	}
}

func TestRunbooks(t *testing.T) {
	anchors := map[string]bool{}
	books, err := alerts.Files().ReadDir("runbooks")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range books {
		text, err := alerts.Files().ReadFile("runbooks/" + b.Name())
		if err != nil {
			t.Fatal(err)
		}
		for key, section := range runbook.Sections(string(text)) {
			name := strings.TrimSuffix(b.Name(), path.Ext(b.Name())) + "#" + key
			anchors[name] = true
			if len(strings.Fields(section.Text)) < 20 {
				t.Errorf("%s: says next to nothing", name)
			}
		}
	}
	used := []string{"nocturne#watchdog", "nocturne#bridge-silent", "nocturne#ruler-stuck", "nocturne#metrics-store-away", "server#group-silent"} // those of no rule
	for _, r := range append(pack(t), optional(t)...) {
		used = append(used, r.Runbook)
		if !anchors[r.Runbook] {
			t.Errorf("rule %s: no section %s", r.ID, r.Runbook)
		}
	}
	for _, a := range metricPack(t).Alerts() {
		used = append(used, a.Rule.Runbook)
		if !anchors[a.Rule.Runbook] {
			t.Errorf("rule %s: no section %s", a.Rule.ID, a.Rule.Runbook)
		}
	}
	for a := range anchors {
		if !slices.Contains(used, a) {
			t.Errorf("runbook %s: no rule leads there", a)
		}
	}
}

func TestExplained(t *testing.T) {
	for _, r := range slices.Concat(pack(t), optional(t), metricPack(t).Rules()) {
		if s := rule.Explain(r); !strings.Contains(s, "Fires ") || !strings.HasSuffix(s, ".") {
			t.Errorf("rule %s explains itself as %q", r.ID, s)
		}
	}
}

// Simulated alerts reach the demo receiver and nothing else, whatever they say;
// real ones reach the receiver of their severity.
func TestRoutes(t *testing.T) {
	text, err := alerts.Files().ReadFile("alertmanager.yml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(string(text))
	if err != nil {
		t.Fatal(err)
	}
	root := dispatch.NewRoute(c.Route, nil)
	f := func(want string, pairs ...string) {
		t.Helper()
		labels := model.LabelSet{"server": "db7", "notification_id": "0123456789abcdef"}
		for i := 0; i < len(pairs); i += 2 {
			labels[model.LabelName(pairs[i])] = model.LabelValue(pairs[i+1])
		}
		var got []string
		for _, r := range root.Match(labels) {
			got = append(got, r.RouteOpts.Receiver)
			if r.RouteOpts.GroupWait > 5*time.Second {
				t.Errorf("%v waits %s", pairs, r.RouteOpts.GroupWait)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%v goes to %v, want %s", pairs, got, want)
		}
	}
	for _, s := range append(rule.Severities(), "none", "") {
		f("demo", "simulated", "true", "severity", s, "alertname", "RaidDriveFailed")
		f("demo", "simulated", "true", "severity", s, "alertname", "Watchdog")
	}
	f("critical", "severity", "critical")
	f("warning", "severity", "warning")
	f("info", "severity", "info")
	f("watchdog", "alertname", "Watchdog", "severity", "none")
	f("default", "alertname", "Somebody else's")
	for _, r := range c.Receivers {
		for _, w := range r.WebhookConfigs {
			if !w.SendResolved() {
				t.Errorf("receiver %s is not told when a problem is over", r.Name)
			}
		}
	}
}

// What docs/beside.md gives for an Alertmanager that somebody has already.
func TestRoutesToMerge(t *testing.T) {
	text, err := os.ReadFile("../docs/beside.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n```yaml\nroute:")
	doc, _, found := strings.Cut(rest, "```")
	c, err := config.Load("route:" + doc)
	if !found || err != nil {
		t.Fatalf("no configuration: %v", err)
	}
	root := dispatch.NewRoute(c.Route, nil)
	for _, tt := range []struct {
		want   string
		labels model.LabelSet
	}{
		{"servers by notification_id", model.LabelSet{"alertname": "RaidDriveFailed", "severity": "critical", "notification_id": "0123456789abcdef"}},
		{"servers by ", model.LabelSet{"alertname": "RulerStuck", "severity": "critical", "job": notify.Job}},
		{"nocturne-watchdog by alertname job", model.LabelSet{"alertname": "Watchdog", "severity": "none", "job": notify.Job}},
		{"yours by ", model.LabelSet{"alertname": "Watchdog", "severity": "none"}},
		{"yours by ", model.LabelSet{"alertname": "HighLatency", "severity": "critical"}},
	} {
		var got []string
		for _, r := range root.Match(tt.labels) {
			var by []string
			for name := range r.RouteOpts.GroupBy {
				by = append(by, string(name))
			}
			slices.Sort(by)
			got = append(got, r.RouteOpts.Receiver+" by "+strings.Join(by, " "))
		}
		if strings.Join(got, ", ") != tt.want {
			t.Errorf("%v goes to %q, want %q", tt.labels, got, tt.want)
		}
	}
}
