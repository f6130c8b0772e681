package source

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are one series for each source: the label set is closed.
type metrics struct {
	success, last, supported             *prometheus.GaugeVec
	duration                             *prometheus.GaugeVec
	timeouts, panics, restarts, failures *prometheus.CounterVec
	records, early, hung                 *prometheus.CounterVec
	abandoned                            *prometheus.GaugeVec
}

type sourceMetrics struct {
	success, last, supported, duration            prometheus.Gauge
	timeouts, panics, restarts, failures, records prometheus.Counter
	early, hung                                   prometheus.Counter
	abandoned                                     prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer, sources []Source) (*metrics, error) {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "exporter", Subsystem: "source", Name: name, Help: help}, []string{"source"})
	}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "exporter", Subsystem: "source", Name: name, Help: help}, []string{"source"})
	}
	m := &metrics{
		success:   gauge("success", "Whether the source's last round, or what it streams now, was read without error."),
		last:      gauge("last_success_timestamp_seconds", "When the source last read something without error."),
		supported: gauge("supported", "Whether this machine can be asked at all."),
		duration:  gauge("duration_seconds", "How long the source's last round took; 0 for sources that stream."),
		timeouts:  counter("timeouts_total", "Rounds that were still at work at their deadline."),
		failures:  counter("failures_total", "Rounds that ended with an error, time-outs included."),
		panics:    counter("panics_total", "Panics that were contained."),
		restarts:  counter("restarts_total", "Times the source ended with an error and was started again."),
		hung:      counter("hung_total", "Times the source hung, was given up and replaced."),
		abandoned: gauge("abandoned", "Sources given up that still hang."),
		records:   counter("records_total", "Records handed to the spool."),
		early:     counter("early_rounds_total", "Rounds that came early because a record of another source asked for it."),
	}
	for _, s := range sources {
		m.of(s.Name()).supported.Set(1)
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.success, m.last, m.supported, m.duration, m.timeouts, m.failures, m.panics, m.restarts, m.records, m.early, m.hung, m.abandoned} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) of(name string) *sourceMetrics {
	return &sourceMetrics{
		success: m.success.WithLabelValues(name), last: m.last.WithLabelValues(name),
		supported: m.supported.WithLabelValues(name), duration: m.duration.WithLabelValues(name),
		timeouts: m.timeouts.WithLabelValues(name), panics: m.panics.WithLabelValues(name),
		restarts: m.restarts.WithLabelValues(name), failures: m.failures.WithLabelValues(name),
		records: m.records.WithLabelValues(name), early: m.early.WithLabelValues(name),
		hung: m.hung.WithLabelValues(name), abandoned: m.abandoned.WithLabelValues(name),
	}
}

// round is how one round of a scheduled source went.
type round struct {
	took     time.Duration
	err      error
	timedOut bool
	stack    string // of a panic that was contained
	early    bool   // not how one went: one was asked for early
}

func (m *sourceMetrics) round(r round) {
	if r.early {
		m.early.Inc()
		return
	}
	m.duration.Set(r.took.Seconds())
	if r.timedOut {
		m.timeouts.Inc()
	}
	if r.stack != "" {
		m.panics.Inc()
	}
	if r.err != nil {
		m.success.Set(0)
		m.failures.Inc()
		return
	}
	m.success.Set(1)
	m.last.SetToCurrentTime()
}
