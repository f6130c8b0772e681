package metricrule

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/ruler/notify"
)

// Results of evaluations, queries and writes: closed sets.
const (
	resultOK     = "ok"
	resultFailed = "failed" // the rule's own fault
	resultAway   = "away"   // nothing could be asked
)

// metrics of the evaluator. Every value exists from the start.
type metrics struct {
	evaluations *prometheus.CounterVec // rules, by result
	queries     *prometheus.CounterVec
	querying    prometheus.Histogram
	written     *prometheus.CounterVec // samples
	passes      prometheus.Histogram   // of a group
	missed      prometheus.Counter
	away        prometheus.Gauge
	rules       *prometheus.GaugeVec
	open        prometheus.Gauge
	transitions *prometheus.CounterVec
	skipped     *prometheus.CounterVec // alerts
	restarts    prometheus.Counter
}

const (
	skipRetired = "retired" // of a server that was taken out of service
	skipTooMany = "too_many"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help, label string, values ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, v := range values {
			c.WithLabelValues(v)
		}
		return c
	}
	buckets := []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10, 30}
	m := &metrics{
		evaluations: counter("ruler_metric_evaluations_total", "Evaluations of metric rules, by result.", "result", resultOK, resultFailed, resultAway),
		queries:     counter("ruler_metric_queries_total", "Queries to the metrics store, by result.", "result", resultOK, resultFailed, resultAway),
		querying:    prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ruler_metric_query_duration_seconds", Help: "How long the metrics store took to answer.", Buckets: buckets}),
		written:     counter("ruler_metric_written_samples_total", "Samples of recording rules and alerts, by result of writing them.", "result", resultOK, resultFailed),
		passes:      prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ruler_metric_group_duration_seconds", Help: "How long one evaluation of a group took.", Buckets: buckets}),
		missed:      prometheus.NewCounter(prometheus.CounterOpts{Name: "ruler_metric_missed_evaluations_total", Help: "Evaluations of groups left out because the one before was not done."}),
		away:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "ruler_metric_store_away", Help: "1 while the metrics store cannot be asked: nothing fires and nothing is resolved."}),
		rules:       prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ruler_metric_rules", Help: "Metric rules, by health after their last evaluation."}, []string{"health"}),
		open:        prometheus.NewGauge(prometheus.GaugeOpts{Name: "ruler_metric_open_alerts", Help: "Alerts of metric rules that are part of an open notification."}),
		transitions: counter("ruler_metric_transitions_total", "What metric rules did to notifications, by effect.", "effect"),
		skipped:     counter("ruler_metric_skipped_alerts_total", "Firing alerts that became no part of a notification, by reason.", "reason", skipRetired, skipTooMany),
		restarts:    prometheus.NewCounter(prometheus.CounterOpts{Name: "ruler_metric_restarts_total", Help: "Times the evaluator read its state anew after a failure of the store."}),
	}
	for _, h := range []string{"good", "bad", "unknown"} {
		m.rules.WithLabelValues(h)
	}
	for _, e := range notify.Effects() {
		m.transitions.WithLabelValues(string(e))
	}
	if reg != nil {
		reg.MustRegister(m.evaluations, m.queries, m.querying, m.written, m.passes, m.missed, m.away, m.rules, m.open, m.transitions, m.skipped, m.restarts)
	}
	return m
}

func result(err error) string {
	switch {
	case err == nil:
		return resultOK
	case isAway(err):
		return resultAway
	default:
		return resultFailed
	}
}

func (m *metrics) queried(took time.Duration, err error) {
	m.queries.WithLabelValues(result(err)).Inc()
	m.querying.Observe(took.Seconds())
}

func (m *metrics) wrote(samples int, err error) {
	if err != nil && !errors.Is(err, ErrWrite) {
		err = ErrWrite
	}
	r := resultOK
	if err != nil {
		r = resultFailed
	}
	m.written.WithLabelValues(r).Add(float64(samples))
}
