package api

import (
	"time"

	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
)

// kindMetric is the kind of rules that stand in files of their own and that no
// book holds.
const kindMetric = "metric"

// MetricRule is a metric rule that is carried out.
type MetricRule struct {
	Rule   *rule.Rule
	Text   string // YAML, with the overrides of the configuration
	Health []MetricHealth
}

// MetricHealthOf words how one did.
func MetricHealthOf(group string, interval time.Duration, evaluated time.Time, took time.Duration, failed string, alerts int) MetricHealth {
	return MetricHealth{Group: clip(group, maxName), Interval: interval.Seconds(), At: at(evaluated), Took: took.Seconds(), Error: clip(failed, maxText), Alerts: alerts}
}

func (s *server) metricRules() []MetricRule {
	if s.cfg.MetricRules == nil {
		return nil
	}
	return s.cfg.MetricRules()
}

// row is the rule as the list shows it.
func (m *MetricRule) row() Rule {
	r := m.Rule
	out := Rule{ID: clip(r.ID, maxName), Name: clip(r.Name, maxName), Kind: r.Kind, Class: clip(r.Class, maxName), Severity: r.Severity, Source: string(rulebook.FromFile), File: clip(r.File, maxText), Line: r.Line, Enabled: true, Warnings: []string{}}
	for _, h := range m.Health {
		if h.Error != "" {
			out.Failed++
			out.LastError = h.Error
		}
	}
	return out
}

// metricRule is everything about one.
func (s *server) metricRule(id string) (RuleDetail, bool) {
	for _, m := range s.metricRules() {
		if m.Rule.ID != id {
			continue
		}
		return RuleDetail{Rule: m.row(), YAML: clip(m.Text, rulebook.MaxRule), Explain: clip(m.Rule.Spec.Explain(m.Rule), maxText), Hash: m.Rule.Version, Shape: m.Rule.Shape,
			Verdicts: []VerdictCount{}, Failures: []RuleFailure{}, Metric: append([]MetricHealth{}, m.Health...), Generation: Generation{Changes: []string{}, Entries: []GenerationEntry{}}}, true
	}
	return RuleDetail{}, false
}
