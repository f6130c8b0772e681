package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nocturne/ruler/rule"
)

func TestMetricRules(t *testing.T) {
	no := false
	own := filepath.Join(t.TempDir(), "own.yml")
	if err := os.WriteFile(own, []byte("groups: [{name: a, rules: [{alert: Mine, expr: up == 0}]}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := Rules{Builtin: true, Metrics: []string{filepath.Join(filepath.Dir(own), "*.yml")}, Overrides: rule.Overrides{"metric-disk-full": {Enabled: &no}, "server-silent": {Enabled: &no}}}
	p, err := r.LoadMetrics()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	for _, v := range p.Rules() {
		got[v.ID] = true
	}
	if !got["metric-mine"] || !got["metric-disk-fills-up"] || got["metric-disk-full"] {
		t.Errorf("rules: %v", got)
	}
	if _, err := r.Load(); err != nil {
		t.Errorf("overrides of metric rules disturb the others: %v", err)
	}
	r.Metrics = []string{own + ".missing"}
	if _, err := r.LoadMetrics(); err == nil || !strings.Contains(err.Error(), "there is no such file") {
		t.Errorf("missing file: %v", err)
	}
}
