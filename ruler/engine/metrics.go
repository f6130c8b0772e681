package engine

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// metrics of the engine. In = out + dropped + waiting, in records: in when they
// are applied, out and dropped when their commit is in.
type metrics struct {
	entries, frames, bytes, badEntries prometheus.Counter
	recordsIn, recordsOut              prometheus.Counter
	waiting                            prometheus.Gauge
	dropped                            *prometheus.CounterVec // records, by reason
	rejected                           *prometheus.CounterVec // frames, by reason
	clamped                            *prometheus.CounterVec
	verdicts, changes, snapshots       prometheus.Counter
	effects                            *prometheus.CounterVec
	findings                           *prometheus.CounterVec
	folds                              *prometheus.CounterVec
	failed                             *prometheus.CounterVec
	commits                            *prometheus.CounterVec
	commitSeconds, commitPartitions    prometheus.Histogram
	stateBytes                         *prometheus.CounterVec
	truncated, volumeLost, restarts    prometheus.Counter
	tickPanics, unreadable             prometheus.Counter
}

// Why records are dropped. The set is closed.
const (
	dropDuplicate = "duplicate"
	dropRejected  = "rejected"  // their frame could not be decoded
	dropRetired   = "retired"   // of a server out of service
	dropPanic     = "panic"     // met a bug; see the audit log
	dropForgotten = "forgotten" // applied, not committed, and read again
)

func newMetrics(e *Engine, reg prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "ruler_" + name, Help: help})
	}
	vec := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ruler_" + name, Help: help}, []string{label})
		for _, s := range values {
			v.WithLabelValues(s)
		}
		return v
	}
	var rejects, effects []string
	for _, r := range record.Rejects() {
		rejects = append(rejects, r.String())
	}
	for _, f := range notify.Effects() {
		effects = append(effects, string(f))
	}
	m := &metrics{
		entries:    counter("engine_entries_total", "Stream entries applied."),
		frames:     counter("engine_frames_total", "Frames applied."),
		bytes:      counter("engine_read_bytes_total", "Bytes of stream entries applied."),
		badEntries: counter("engine_bad_entries_total", "Stream entries that could not be decoded."),
		recordsIn:  counter("engine_records_in_total", "Records that arrived in frames, duplicates among them."),
		recordsOut: counter("engine_records_out_total", "Records stepped and committed."),
		waiting:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "ruler_engine_records_waiting", Help: "Records applied and not committed yet."}),
		dropped:    vec("engine_records_dropped_total", "Records not stepped, by reason.", "reason", dropDuplicate, dropRejected, dropRetired, dropPanic, dropForgotten),
		rejected:   vec("engine_frames_rejected_total", "Frames refused, by reason.", "reason", append(rejects, "partition")...),
		clamped:    vec("engine_clamped_total", "Things in records that were cut or mended, by what.", "what", "attributes", "text", "identity"),
		verdicts:   counter("engine_verdicts_total", "Verdicts of operators."),
		changes:    counter("engine_changes_total", "Changes found between snapshots."),
		snapshots:  counter("engine_snapshots_total", "Snapshots compared."),
		effects:    vec("engine_transitions_total", "What verdicts did to notifications, by effect.", "effect", effects...),
		findings:   vec("engine_identity_findings_total", "What heartbeats told about who speaks, by finding.", "finding", findingNames[1:]...),
		folds:      vec("fleet_silences_total", "Silences that the fleet operator decided on, by outcome.", "outcome", "alone", "folded"),
		failed:     vec("engine_conditions_failed_total", "Records for which a rule's condition could not be evaluated, by rule; the log says why.", "rule_id"),
		commits:    vec("store_commits_total", "Transactions, by result.", "result", "ok", "fenced", "failed"),
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ruler_store_commit_duration_seconds", Help: "Time of one transaction.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5}}),
		commitPartitions: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ruler_store_commit_partitions", Help: "Partitions merged into one transaction.", Buckets: []float64{1, 2, 4, 8, 16}}),
		stateBytes:       vec("store_state_bytes_total", "Bytes of working state written, by kind.", "kind", "delta", "base"),
		truncated:        counter("engine_log_truncated_entries_total", "Stream entries deleted before they were read."),
		volumeLost:       counter("engine_volume_lost_total", "Times the stream was another one, or shorter than what was read."),
		tickPanics:       counter("engine_tick_panics_total", "Parts of ticks that met a bug and were skipped; the audit log says which."),
		unreadable:       counter("engine_unreadable_notifications_total", "Times the saved form of a notification could not be read, and it was told from its columns; the log says which."),
		restarts:         counter("engine_partition_restarts_total", "Times a partition was claimed anew after an error."),
	}
	if reg == nil {
		return m
	}
	reg.MustRegister(m.entries, m.frames, m.bytes, m.badEntries, m.recordsIn, m.recordsOut, m.waiting, m.dropped, m.rejected, m.clamped, m.verdicts, m.changes, m.snapshots,
		m.effects, m.findings, m.folds, m.failed, m.commits, m.commitSeconds, m.commitPartitions, m.stateBytes, m.truncated, m.volumeLost, m.restarts, m.tickPanics, m.unreadable,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ruler_store_size_bytes", Help: "Bytes of the store on disk."}, func() float64 { return float64(storeBytes(e.cfg.Store)) }))
	for n := range e.status {
		s := &e.status[n]
		label := prometheus.Labels{"partition": strconv.Itoa(n)}
		reg.MustRegister(
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ruler_partition_lag_seconds", Help: "Now less the append time of the last entry applied.", ConstLabels: label}, func() float64 {
				if t := s.stream.Load(); t != 0 {
					return max(e.cfg.Now().Sub(time.Unix(0, t)).Seconds(), 0)
				}
				return 0
			}),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ruler_partition_clock_frozen", Help: "1 while the operators' clock stands still, or one of several bridges is away.", ConstLabels: label}, func() float64 {
				if f := s.frozen.Load(); f != nil && *f != "" {
					return 1
				}
				return 0
			}))
	}
	return m
}

func storeBytes(s store.Store) int64 {
	if b, ok := s.(interface{ Bytes() int64 }); ok {
		return b.Bytes()
	}
	return 0
}

// out counts a batch whose commit is in.
func (m *metrics) out(c *counts, commit *store.PartitionCommit) {
	m.entries.Add(float64(c.entries))
	m.frames.Add(float64(c.frames))
	m.bytes.Add(float64(c.bytes))
	m.badEntries.Add(float64(c.badEntries))
	m.recordsOut.Add(float64(c.stepped))
	m.dropped.WithLabelValues(dropDuplicate).Add(float64(c.duplicate))
	m.dropped.WithLabelValues(dropRetired).Add(float64(c.retired))
	m.dropped.WithLabelValues(dropRejected).Add(float64(c.dropped - c.retired - c.panics))
	m.dropped.WithLabelValues(dropPanic).Add(float64(c.panics))
	m.tickPanics.Add(float64(c.ticks))
	m.waiting.Sub(float64(c.received))
	for r, n := range c.rejected {
		m.rejected.WithLabelValues(r.String()).Add(float64(n))
	}
	m.rejected.WithLabelValues("partition").Add(float64(c.misrouted))
	m.clamped.WithLabelValues("attributes").Add(float64(c.clamped.AttrsCut))
	m.clamped.WithLabelValues("text").Add(float64(c.clamped.TextMended))
	m.clamped.WithLabelValues("identity").Add(float64(c.clamped.IdentityClaims))
	m.verdicts.Add(float64(c.verdicts))
	m.changes.Add(float64(c.changes))
	m.snapshots.Add(float64(c.snapshot))
	for f, n := range c.effects {
		m.effects.WithLabelValues(string(f)).Add(float64(n))
	}
	for f, n := range c.findings {
		if f > 0 {
			m.findings.WithLabelValues(findingNames[f]).Add(float64(n))
		}
	}
	for id, f := range c.failed {
		m.failed.WithLabelValues(id).Add(float64(f.Records))
	}
	m.stateBytes.WithLabelValues("delta").Add(float64(len(commit.Delta)))
	m.stateBytes.WithLabelValues("base").Add(float64(len(commit.Base)))
}

// in counts records that were applied.
func (m *metrics) in(records int64) {
	m.recordsIn.Add(float64(records))
	m.waiting.Add(float64(records))
}

func (m *metrics) forgotten(records int64) {
	m.waiting.Sub(float64(records))
	m.dropped.WithLabelValues(dropForgotten).Add(float64(records))
}

func (m *metrics) committed(partitions int, took time.Duration, err error) {
	result := "ok"
	switch {
	case errors.Is(err, store.ErrFenced):
		result = "fenced"
	case err != nil:
		result = "failed"
	}
	m.commits.WithLabelValues(result).Inc()
	if err == nil {
		m.commitSeconds.Observe(took.Seconds())
		m.commitPartitions.Observe(float64(partitions))
	}
}

func (m *metrics) folded(o *outcome) {
	for _, f := range o.folds {
		if f.Into == "" {
			m.folds.WithLabelValues("alone").Inc()
		} else {
			m.folds.WithLabelValues("folded").Inc()
		}
	}
}
