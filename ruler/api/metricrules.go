package api

import (
	"time"

	"nocturne/ruler/rulebook"
)

// kindMetric is the kind of rules that stand in files of their own.
const kindMetric = "metric"

// MetricHealthOf words how one did.
func MetricHealthOf(group string, interval time.Duration, evaluated time.Time, took time.Duration, failed string, alerts int) MetricHealth {
	return MetricHealth{Group: clip(group, maxName), Interval: interval.Seconds(), At: at(evaluated), Took: took.Seconds(), Error: clip(failed, maxText), Alerts: alerts}
}

func (s *server) metricHealth() map[string][]MetricHealth {
	if s.cfg.MetricHealth == nil {
		return nil
	}
	return s.cfg.MetricHealth()
}

// metricRow is a metric rule as the list shows it.
func metricRow(e *rulebook.Entry, health []MetricHealth) Rule {
	out := ruleOf(e)
	for _, h := range health {
		if h.Error != "" {
			out.Failed++
			out.LastError = h.Error
		}
	}
	return out
}

// metricRule is everything about one; no generation holds it.
func (s *server) metricRule(e *rulebook.Entry) RuleDetail {
	health := s.metricHealth()[e.ID]
	return RuleDetail{Rule: metricRow(e, health), YAML: clip(e.Text, rulebook.MaxRule), Explain: clip(e.Rule.Spec.Explain(e.Rule), maxText), Hash: e.Rule.Version, Shape: e.Rule.Shape,
		Verdicts: []VerdictCount{}, Failures: []RuleFailure{}, Metric: append([]MetricHealth{}, health...), Generation: Generation{Changes: []string{}, Entries: []GenerationEntry{}}}
}
