package plugin

import "github.com/prometheus/client_golang/prometheus"

// Metrics are counted over all settings that the process has had.
type Metrics struct {
	refused    *prometheus.CounterVec // by reason
	answers    *prometheus.CounterVec // by result
	events     prometheus.Counter
	skipped    prometheus.Counter
	reconnects prometheus.Counter
	streams    prometheus.Gauge
}

// Why a resource call was not asked of the ruler.
const (
	refusedPath     = "path"
	refusedMethod   = "method"
	refusedSize     = "size"
	refusedIdentity = "identity"
	refusedRole     = "role"
	refusedSettings = "settings"
	refusedBody     = "body"
)

// How a call that was asked of the ruler ended.
const (
	answerPassed      = "passed"
	answerUnreachable = "unreachable"
	answerToken       = "token"
	answerForeign     = "foreign" // not what the ruler's API answers
	answerSize        = "size"
)

// NewMetrics registers them; call it once per registry.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	m := &Metrics{
		refused:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nocturne_app_refused_total", Help: "Calls that were not asked of the ruler, by reason."}, []string{"reason"}),
		answers:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "nocturne_app_answers_total", Help: "Calls that were asked of the ruler, by result."}, []string{"result"}),
		events:     prometheus.NewCounter(prometheus.CounterOpts{Name: "nocturne_app_stream_events_total", Help: "Events of the ruler that were passed on."}),
		skipped:    prometheus.NewCounter(prometheus.CounterOpts{Name: "nocturne_app_stream_skipped_events_total", Help: "Events that were too long or no JSON; a reset was told instead."}),
		reconnects: prometheus.NewCounter(prometheus.CounterOpts{Name: "nocturne_app_stream_reconnects_total", Help: "Times that the ruler's stream was lost."}),
		streams:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "nocturne_app_streams", Help: "Streams that Grafana follows."}),
	}
	for _, reason := range []string{refusedPath, refusedMethod, refusedSize, refusedIdentity, refusedRole, refusedSettings, refusedBody} {
		m.refused.WithLabelValues(reason)
	}
	for _, result := range []string{answerPassed, answerUnreachable, answerToken, answerForeign, answerSize} {
		m.answers.WithLabelValues(result)
	}
	reg.MustRegister(m.refused, m.answers, m.events, m.skipped, m.reconnects, m.streams)
	return m
}
