package registry

import (
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the registry's own numbers. Register them once.
type Metrics struct {
	r        *Registry
	failures failures

	denied       map[Reason]prometheus.Counter
	enrolRefused map[Reason]prometheus.Counter
	enrolled     map[string]prometheus.Counter

	announceIn, announceOut, announceFailed prometheus.Counter
	conflicts, unreadable, copyFailures     prometheus.Counter

	vecs              []prometheus.Collector
	servers, tokens   *prometheus.Desc
	owed, successions *prometheus.Desc
}

func newMetrics(r *Registry) *Metrics {
	m := &Metrics{
		r: r, failures: failures{perMinute: r.cfg.EnrolFailuresPerMinute, byKey: map[netip.Prefix]*limiter{}},
		denied: map[Reason]prometheus.Counter{}, enrolRefused: map[Reason]prometheus.Counter{}, enrolled: map[string]prometheus.Counter{},
		servers:     prometheus.NewDesc("eventbridge_registry_servers", "Servers in the register.", []string{"state"}, nil),
		tokens:      prometheus.NewDesc("eventbridge_registry_join_tokens", "Join tokens that can still be used.", nil, nil),
		owed:        prometheus.NewDesc("eventbridge_registry_owed_records", "Records about servers that are promised and not yet in the stream.", nil, nil),
		successions: prometheus.NewDesc("eventbridge_registry_successions_proposed", "Successions that wait for a person.", nil, nil),
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
		m.vecs = append(m.vecs, v)
		return v
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.vecs = append(m.vecs, c)
		return c
	}
	denied := vec("eventbridge_registry_credentials_refused_total", "Requests refused because of their credential.", "reason")
	for _, reason := range CredentialReasons() {
		m.denied[reason] = denied.WithLabelValues(string(reason))
	}
	refused := vec("eventbridge_registry_enrolments_refused_total", "Enrolments refused.", "reason")
	for _, reason := range EnrolReasons() {
		m.enrolRefused[reason] = refused.WithLabelValues(string(reason))
	}
	enrolled := vec("eventbridge_registry_enrolments_total", "Servers enrolled.", "result")
	for _, result := range enrolResults() {
		m.enrolled[result] = enrolled.WithLabelValues(result)
	}
	m.announceIn = counter("eventbridge_registry_records_in_total", "Records about servers handed to the stream, repeats counted again.")
	m.announceOut = counter("eventbridge_registry_records_out_total", "Records about servers that the stream has stored.")
	m.announceFailed = counter("eventbridge_registry_records_failed_total", "Records about servers that the stream did not take; they stay owed.")
	m.conflicts = counter("eventbridge_registry_conflicts_total", "Changes tried anew because another bridge changed the same entry.")
	m.unreadable = counter("eventbridge_registry_unreadable_entries_total", "Entries of the bucket that could not be read.")
	m.copyFailures = counter("eventbridge_registry_copy_failures_total", "Failed attempts to write the copy of the register.")
	return m
}

// Describe and Collect make Metrics a prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.vecs {
		c.Describe(ch)
	}
	ch <- m.servers
	ch <- m.tokens
	ch <- m.owed
	ch <- m.successions
}

// Collect counts the register as it stands.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.vecs {
		c.Collect(ch)
	}
	t := m.r.Totals()
	for _, state := range states() {
		ch <- prometheus.MustNewConstMetric(m.servers, prometheus.GaugeValue, float64(t.Servers[state]), string(state))
	}
	ch <- prometheus.MustNewConstMetric(m.tokens, prometheus.GaugeValue, float64(t.Tokens))
	ch <- prometheus.MustNewConstMetric(m.owed, prometheus.GaugeValue, float64(t.Owed))
	ch <- prometheus.MustNewConstMetric(m.successions, prometheus.GaugeValue, float64(t.Successions))
}

func states() []State { return []State{Active, Revoked, Decommissioned, Merged} }

// Totals count the register.
type Totals struct {
	Servers     map[State]int `json:"servers"`
	Tokens      int           `json:"join_tokens"` // usable ones
	Owed        int           `json:"owed_records"`
	Successions int           `json:"successions_proposed"`
}

// Totals returns the register's numbers as they stand.
func (r *Registry) Totals() Totals {
	t := Totals{Servers: map[State]int{}}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, e := range r.servers {
		s := e.server.Load()
		t.Servers[s.State]++
		t.Owed += len(s.Owed)
		if !s.SuccessionOf.IsZero() {
			t.Successions++
		}
	}
	for _, e := range r.tokens {
		if e.token.Usable(r.now()) {
			t.Tokens++
		}
	}
	return t
}

// Usable tells whether a server can join with the token.
func (t *Token) Usable(now time.Time) bool { return !t.Revoked && t.Left > 0 && now.Before(t.Expires) }
