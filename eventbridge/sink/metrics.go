package sink

import (
	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
)

// metrics of one driver. In = out + dropped + waiting, in records:
// in_records = out_records + dropped_records + waiting_records.
type metrics struct {
	in, out    prometheus.Counter
	dropped    map[string]prometheus.Counter
	waiting    prometheus.Gauge
	rejects    map[record.Reject]prometheus.Counter
	batches    map[string]prometheus.Counter
	restarts   prometheus.Counter
	lost       prometheus.Counter
	poisoned   prometheus.Counter
	seconds    prometheus.Histogram
	behind     prometheus.Gauge
	lag        prometheus.Gauge
	up         prometheus.Gauge
	leader     prometheus.Gauge
	missing    prometheus.Gauge
	cutSamples prometheus.Counter
	movedTimes prometheus.Counter
}

// Results of writing a batch.
const (
	resultWritten = "written"
	resultRetry   = "retry"
	resultRefused = "refused"
)

func newMetrics(reg prometheus.Registerer, name string) *metrics {
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"sink": name}, reg)
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "eventbridge_sink_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "eventbridge_sink_" + name, Help: help})
		reg.MustRegister(g)
		return g
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eventbridge_sink_" + name, Help: help}, []string{label})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		in:         counter("in_records_total", "Records read from the stream, again ones counted again."),
		out:        counter("out_records_total", "Records that are in the store."),
		waiting:    gauge("waiting_records", "Records read and not yet written or dropped."),
		restarts:   counter("store_restarts_total", "Times the store was found restarted and the trailing window was written again."),
		lost:       counter("lost_entries_total", "Stream entries that retention removed before this sink read them."),
		poisoned:   counter("poisoned_records_total", "Records set aside because the store refuses them."),
		behind:     gauge("behind_seconds", "Age of the newest entry written, by the stream's time."),
		lag:        gauge("lag_entries", "Stream entries not yet written, all partitions together."),
		up:         gauge("store_up", "1 when the store answered the last time it was asked."),
		leader:     gauge("leader", "1 while this process drives the sink."),
		missing:    gauge("ledger_missing_records", "Records that the ledger knows to be missing."),
		cutSamples: counter("cut_samples_total", "Samples left out of a record that would become too many, or that names a place twice."),
		movedTimes: counter("moved_times_total", "Records whose server's clock was so wrong that their time was corrected."),
		dropped:    map[string]prometheus.Counter{},
		rejects:    map[record.Reject]prometheus.Counter{},
		batches:    map[string]prometheus.Counter{},
	}
	m.seconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "eventbridge_sink_write_seconds", Help: "Time of one write to the store.", Buckets: prometheus.ExponentialBuckets(0.002, 4, 8),
	})
	reg.MustRegister(m.seconds)
	dropped := vec("dropped_records_total", "Records not written, by reason.", "reason")
	for _, r := range DropReasons() {
		m.dropped[r] = dropped.WithLabelValues(r)
	}
	rejects := vec("rejected_frames_total", "Frames that cannot be decoded, by reason.", "reason")
	for _, r := range record.Rejects() {
		m.rejects[r] = rejects.WithLabelValues(r.String())
	}
	batches := vec("batches_total", "Calls to the store, by result.", "result")
	for _, r := range []string{resultWritten, resultRetry, resultRefused} {
		m.batches[r] = batches.WithLabelValues(r)
	}
	return m
}

func (m *metrics) drop(reason string, n int) { m.dropped[reason].Add(float64(n)) }
