package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// codes is the closed set of answers; anything else counts as 500.
var codes = []int{
	http.StatusOK, http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound,
	http.StatusMethodNotAllowed, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusMisdirectedRequest, http.StatusTooManyRequests,
	499, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
}

type metrics struct {
	requests map[string]map[int]prometheus.Counter
	duration map[string]prometheus.Observer
	denials  map[string]prometheus.Counter
	streams  prometheus.Gauge
	dropped  prometheus.Counter
	attempts map[string]prometheus.Counter
}

// How tries to log in end; a closed set.
const (
	loginOK      = "ok"
	loginWrong   = "wrong"
	loginLimited = "too_often"
	loginLink    = "link"
	loginLinkBad = "bad_link"
)

func (m *metrics) logins(result string) { m.attempts[result].Inc() }

// Why a caller was not answered, or got less than he asked for; a closed set.
const (
	deniedNoToken  = "no_token"
	deniedToken    = "bad_token"
	deniedRevoked  = "ended_token"
	deniedSession  = "ended_session"
	deniedHost     = "host"
	deniedOrigin   = "origin"
	deniedRole     = "role"
	deniedIdentity = "identity_header"
	deniedCapped   = "role_capped"
)

func (m *metrics) denied(reason string) { m.denials[reason].Inc() }

func newMetrics(routes []route, reg prometheus.Registerer) *metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ruler_api_requests_total", Help: "Requests answered, by route and status code.",
	}, []string{"route", "code"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "ruler_api_request_duration_seconds", Help: "Time to answer a request, by route.",
		Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10},
	}, []string{"route"})
	denials := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ruler_api_denied_total", Help: "Callers that were refused, or got fewer rights than they asked for (role_capped), by reason.",
	}, []string{"reason"})
	streams := prometheus.NewGauge(prometheus.GaugeOpts{Name: "ruler_api_stream_clients", Help: "Clients of the stream of events."})
	dropped := prometheus.NewCounter(prometheus.CounterOpts{Name: "ruler_api_stream_dropped_total", Help: "Clients of the stream of events that were dropped because they read too slowly."})
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "ruler_api_logins_total", Help: "Tries to log in or to choose a password by a link, by result.",
	}, []string{"result"})
	if reg != nil {
		reg.MustRegister(requests, duration, denials, streams, dropped, attempts)
	}
	m := &metrics{streams: streams, dropped: dropped, attempts: map[string]prometheus.Counter{}, requests: map[string]map[int]prometheus.Counter{}, duration: map[string]prometheus.Observer{}, denials: map[string]prometheus.Counter{}}
	for _, reason := range []string{deniedNoToken, deniedToken, deniedRevoked, deniedSession, deniedHost, deniedOrigin, deniedRole, deniedIdentity, deniedCapped} {
		m.denials[reason] = denials.WithLabelValues(reason)
	}
	for _, result := range []string{loginOK, loginWrong, loginLimited, loginLink, loginLinkBad} {
		m.attempts[result] = attempts.WithLabelValues(result)
	}
	add := func(name string) {
		m.duration[name] = duration.WithLabelValues(name)
		m.requests[name] = map[int]prometheus.Counter{}
		for _, c := range codes {
			m.requests[name][c] = requests.WithLabelValues(name, strconv.Itoa(c))
		}
	}
	for _, rt := range routes {
		add(rt.name)
	}
	add("other")
	return m
}

func (m *metrics) observe(route string, code int, d time.Duration) {
	c, ok := m.requests[route][code]
	if !ok {
		c = m.requests[route][http.StatusInternalServerError]
	}
	c.Inc()
	m.duration[route].Observe(d.Seconds())
}
