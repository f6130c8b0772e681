package notify

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of the Sender. Results are a closed set; targets come from the
// config.
type metrics struct {
	requests *prometheus.CounterVec
	silences *prometheus.CounterVec
	handover prometheus.Histogram
	refused  prometheus.Counter
	restarts prometheus.Counter
	up       *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ruler_notify_requests_total", Help: "Requests to Alertmanager by result."}, []string{"result"}),
		silences: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ruler_notify_silence_requests_total", Help: "Silences that were made, prolonged or lifted at Alertmanager, by result."}, []string{"result"}),
		handover: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ruler_notify_handover_seconds", Help: "From the append of the record that changed a notification to Alertmanager's answer.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60, 600}}),
		refused:  prometheus.NewCounter(prometheus.CounterOpts{Name: "ruler_notify_refused_total", Help: "Notifications that Alertmanager refused as malformed."}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{Name: "ruler_notify_alertmanager_restarts_total", Help: "Restarts of Alertmanager that were seen and answered by sending everything."}),
		up:       prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "ruler_notify_alertmanager_up", Help: "1 when the last probe of the Alertmanager succeeded."}, []string{"target"}),
	}
	for _, r := range []string{"accepted", "refused", "failed"} {
		m.requests.WithLabelValues(r)
		m.silences.WithLabelValues(r)
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.silences, m.handover, m.refused, m.restarts, m.up)
	}
	return m
}

func (m *metrics) request(err error) { m.requests.WithLabelValues(resultOf(err)).Inc() }

func (m *metrics) silence(err error) { m.silences.WithLabelValues(resultOf(err)).Inc() }

func resultOf(err error) string {
	switch {
	case err == nil:
		return "accepted"
	case errors.Is(err, errRefused):
		return "refused"
	default:
		return "failed"
	}
}

func (m *metrics) handed(b batch, now time.Time) {
	for i, w := range b.rows {
		if w.news && b.as[i] == w.State {
			m.handover.Observe(max(now.Sub(w.Changed).Seconds(), 0))
		}
	}
}
