package spool

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
)

// metrics counts records per stage. For every output, at any time:
//
//	in + recovered + rewound = out + dropped + waiting
type metrics struct {
	in          *prometheus.CounterVec // category
	recoveredN  *prometheus.CounterVec // output
	rewoundN    *prometheus.CounterVec // output
	out         *prometheus.CounterVec // output
	droppedN    *prometheus.CounterVec // output, reason
	truncated   prometheus.Counter
	unreadable  prometheus.Counter
	damagedN    prometheus.Counter
	losses      prometheus.Counter
	commits     prometheus.Counter
	syncSeconds prometheus.Counter
	written     prometheus.Counter
	outputs     []string
}

// reasonRefused is a drop reason beside those of gap frames.
const reasonRefused = "refused"

func newMetrics(outputs []string) *metrics {
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "exporter_spool_" + name, Help: help}, labels)
	}
	one := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "exporter_spool_" + name, Help: help})
	}
	m := &metrics{
		in:          vec("records_in_total", "Records that sources committed.", "category"),
		recoveredN:  vec("records_recovered_total", "Records found waiting at start.", "output"),
		rewoundN:    vec("records_rewound_total", "Records presented again because the receiver lost what it had answered for.", "output"),
		out:         vec("records_out_total", "Records that an output has a durable answer for.", "output"),
		droppedN:    vec("records_dropped_total", "Records that will not be delivered, each declared by a gap frame.", "output", "reason"),
		truncated:   one("records_truncated_total", "Records whose text was cut to the size limit."),
		unreadable:  one("records_unreadable_total", "Records that could not be cut to the size limit."),
		damagedN:    one("records_damaged_total", "Records that had been on disk and could not be read back."),
		losses:      one("losses_total", "Times the whole spool was found lost or of another server."),
		commits:     one("commits_total", "Durable appends."),
		syncSeconds: one("commit_seconds_total", "Time spent in durable appends."),
		written:     one("written_bytes_total", "Bytes appended."),
		outputs:     outputs,
	}
	for _, c := range record.Categories() {
		m.in.WithLabelValues(c.String())
	}
	for _, o := range outputs {
		m.recoveredN.WithLabelValues(o)
		m.rewoundN.WithLabelValues(o)
		m.out.WithLabelValues(o)
		for _, r := range []string{record.GapOverflow.String(), record.GapUnreadable.String(), reasonRefused} {
			m.droppedN.WithLabelValues(o, r)
		}
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.in, m.recoveredN, m.rewoundN, m.out, m.droppedN, m.truncated, m.unreadable, m.damagedN, m.losses, m.commits, m.syncSeconds, m.written}
}

// taken counts records that were committed: n live ones, and holes that are
// declared unreadable at once.
func (m *metrics) taken(c record.Category, n, holes uint64) {
	m.in.WithLabelValues(c.String()).Add(float64(n + holes))
	if holes > 0 {
		for _, o := range m.outputs {
			m.dropped(o, record.GapUnreadable, holes)
		}
	}
}

func (m *metrics) mended(w mended) {
	m.truncated.Add(float64(w.truncated))
	m.unreadable.Add(float64(w.unreadable))
}

func (m *metrics) commit(took time.Duration, bytes int) {
	m.commits.Inc()
	m.syncSeconds.Add(max(0, took.Seconds()))
	m.written.Add(float64(bytes))
}

func (m *metrics) recovered(output string, n uint64) {
	m.recoveredN.WithLabelValues(output).Add(float64(n))
}

func (m *metrics) rewound(output string, n uint64) {
	m.rewoundN.WithLabelValues(output).Add(float64(n))
}

func (m *metrics) delivered(output string, n uint64) {
	m.out.WithLabelValues(output).Add(float64(n))
}

func (m *metrics) refused(output string, n uint64) {
	m.droppedN.WithLabelValues(output, reasonRefused).Add(float64(n))
}

func (m *metrics) dropped(output string, reason record.GapReason, n uint64) {
	m.droppedN.WithLabelValues(output, reason.String()).Add(float64(n))
}

func (m *metrics) damaged(n uint64) { m.damagedN.Add(float64(n)) }
func (m *metrics) lose()            { m.losses.Inc() }

// collector reads the gauges from the spool itself.
type collector struct{ s *Spool }

var (
	waitingDesc  = prometheus.NewDesc("exporter_spool_records_waiting", "Records that an output has no answer for yet.", []string{"output"}, nil)
	bytesDesc    = prometheus.NewDesc("exporter_spool_size_bytes", "Bytes on disk.", nil, nil)
	limitDesc    = prometheus.NewDesc("exporter_spool_limit_bytes", "Bytes on disk at which records are dropped.", nil, nil)
	segmentsDesc = prometheus.NewDesc("exporter_spool_segments", "Files of the log.", nil, nil)
)

func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c.s.metrics.all() {
		m.Describe(ch)
	}
	ch <- waitingDesc
	ch <- bytesDesc
	ch <- limitDesc
	ch <- segmentsDesc
}

func (c collector) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c.s.metrics.all() {
		m.Collect(ch)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for _, o := range c.s.outputs {
		gauge(waitingDesc, float64(o.waiting), o.name)
	}
	gauge(bytesDesc, float64(c.s.bytes))
	gauge(limitDesc, float64(c.s.cfg.MaxBytes))
	gauge(segmentsDesc, float64(len(c.s.segments)))
}
