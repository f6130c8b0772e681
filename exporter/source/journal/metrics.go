package journal

import (
	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
)

// Reasons of what is not handed on, and of what is missing: closed sets.
const (
	droppedRate     = "rate"
	droppedExcluded = "excluded"

	missingRemoved    = "removed"    // rotated away before it was read, at most so many
	missingUnreadable = "unreadable" // too long, or not what journalctl writes
)

// Metrics are the source's; one that is built anew after a hang goes on with
// the same ones.
type Metrics struct {
	read                     prometheus.Counter
	dropped, missing, levels *prometheus.CounterVec
	lag, newest              prometheus.Gauge
}

// NewMetrics makes and registers them; a nil registerer = they are not seen.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "exporter", Subsystem: Name, Name: name, Help: help}
	}
	counter := func(name, help, label string, values ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
		for _, v := range values {
			c.WithLabelValues(v)
		}
		return c
	}
	levels := []string{"none"}
	for _, p := range priorities {
		levels = append(levels, p.level)
	}
	m := &Metrics{
		read:    prometheus.NewCounter(prometheus.CounterOpts(opts("read_total", "Lines that journalctl gave: those handed on, dropped and unreadable."))),
		dropped: counter("dropped_total", "Entries that were read and not handed on, by reason.", "reason", droppedRate, droppedExcluded),
		missing: counter("missing_total", "Entries that were written and never read, by what shows it; removed ones are at most so many.", "reason", missingRemoved, missingUnreadable),
		levels:  counter("levels_total", "Entries handed on by level.", "level", levels...),
		lag:     prometheus.NewGauge(prometheus.GaugeOpts(opts("lag_seconds", "How old the newest entry read was when it was read."))),
		newest:  prometheus.NewGauge(prometheus.GaugeOpts(opts("newest_entry_timestamp_seconds", "Time of the newest entry read."))),
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.read, m.dropped, m.missing, m.levels, m.lag, m.newest} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// handed counts an entry that is handed on.
func (m *Metrics) handed(r *record.Record) {
	level := r.Attr(record.AttrLevel).Str()
	if level == "" {
		level = "none"
	}
	m.levels.WithLabelValues(level).Inc()
}
