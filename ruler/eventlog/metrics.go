package eventlog

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics count what was asked and what came back.
type metrics struct {
	queries  *prometheus.CounterVec
	querying prometheus.Histogram
	rows     *prometheus.CounterVec
}

// What became of a query, and of a row: closed sets.
const (
	resultOK        = "ok"
	resultAway      = "away"
	resultSlow      = "slow"
	resultTooMuch   = "too_much"
	resultFailed    = "failed"
	rowRead         = "read"
	rowRepeated     = "repeated"  // it was there twice
	rowMalformed    = "malformed" // not one that an eventbridge wrote
	rowCrowded      = "crowded"   // too many of one moment: left out of a backtest
	rowOtherPurpose = "other"     // no event: a snapshot, a heartbeat
)

func newMetrics(reg prometheus.Registerer) *metrics {
	counter := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		for _, s := range values {
			v.WithLabelValues(s)
		}
		return v
	}
	m := &metrics{
		queries: counter("ruler_eventlog_queries_total", "Queries to the log store, by result.", "result", resultOK, resultAway, resultSlow, resultTooMuch, resultFailed),
		rows:    counter("ruler_eventlog_rows_total", "Rows that the log store answered with, by what became of them.", "result", rowRead, rowRepeated, rowMalformed, rowCrowded, rowOtherPurpose),
		querying: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ruler_eventlog_query_duration_seconds", Help: "Time of a query to the log store.",
			Buckets: []float64{.003, .01, .03, .1, .3, 1, 3, 10, 30}}),
	}
	if reg != nil {
		reg.MustRegister(m.queries, m.rows, m.querying)
	}
	return m
}

func (m *metrics) queried(took time.Duration, err error) {
	result := resultFailed
	switch {
	case err == nil:
		result = resultOK
	case errors.Is(err, ErrAway):
		result = resultAway
	case errors.Is(err, ErrSlow):
		result = resultSlow
	case errors.Is(err, ErrTooMuch):
		result = resultTooMuch
	}
	m.queries.WithLabelValues(result).Inc()
	m.querying.Observe(took.Seconds())
}

func (m *metrics) row(result string, n int) { m.rows.WithLabelValues(result).Add(float64(n)) }
