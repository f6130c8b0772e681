package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/models"
	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
)

// memory is a Source that keeps rows as the store does.
type memory struct {
	mu       sync.Mutex
	rows     map[string]notify.Notification
	accepted map[string][]notify.Delivery
	results  []notify.Delivery
	fail     error
}

func (m *memory) put(n notify.Notification) notify.Notification {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rows[n.ID] = n
	return n
}

func (m *memory) Desired(_ context.Context, since time.Time) ([]notify.Desired, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []notify.Desired
	for _, n := range m.rows {
		waits := slices.ContainsFunc(m.accepted[n.ID], func(d notify.Delivery) bool { // for the end, having heard the beginning
			return d.State == notify.Firing && !slices.ContainsFunc(m.accepted[n.ID], func(e notify.Delivery) bool { return e.State == notify.Resolved && e.Target == d.Target })
		})
		if n.State == notify.Firing || !n.Resolved.Before(since) || waits {
			out = append(out, notify.Desired{Notification: n, Accepted: slices.Clone(m.accepted[n.ID])})
		}
	}
	return out, m.fail
}

func (m *memory) Delivered(_ context.Context, results []notify.Delivery) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.results = append(m.results, results...)
	for _, r := range results {
		if r.Error == "" {
			m.accepted[r.Notification] = append(m.accepted[r.Notification], r)
		}
	}
	return m.fail
}

// all returns the results so far.
func (m *memory) all() []notify.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.results)
}

// told is one alert that an Alertmanager was handed.
type told struct {
	at         time.Time
	starts     time.Time
	ends       time.Time
	labels     map[string]string
	generator  string
	annotation map[string]string
}

func (a told) firing() bool { return a.ends.After(a.at) }

// manager stands in for Alertmanager's API v2: it checks requests against the
// models that Alertmanager generates from its schema, and keeps the alerts.
type manager struct {
	t      *testing.T
	mu     sync.Mutex
	alerts []told
	posts  int
	auth   string

	down    error  // refuse connections
	status  int    // answer this instead
	refuse  string // 400 when an alert has this notification id
	started string
	quiet   silenced
	onPost  func() // called with every post of alerts
	slow    time.Duration
}

func (m *manager) RoundTrip(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	m.mu.Lock()
	down, slow := m.down, m.slow
	m.mu.Unlock()
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	if down != nil {
		return nil, down
	}
	m.ServeHTTP(rec, req)
	return rec.Result(), nil
}

func (m *manager) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.auth = req.Header.Get("Authorization")
	switch {
	case m.status != 0:
		http.Error(w, "not now", m.status)
	case req.Method == http.MethodGet && strings.HasSuffix(req.URL.Path, "/api/v2/status"):
		_ = json.NewEncoder(w).Encode(map[string]any{"uptime": m.started})
	case req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/api/v2/alerts") && req.Header.Get("Content-Type") == "application/json":
		m.post(w, req.Body)
	case strings.Contains(req.URL.Path, "/api/v2/silence"):
		m.silences(w, req)
	default:
		m.t.Errorf("%s %s", req.Method, req.URL)
		http.NotFound(w, req)
	}
}

func (m *manager) post(w http.ResponseWriter, body io.Reader) {
	m.posts++
	if m.onPost != nil {
		m.onPost()
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		m.t.Error(err)
	}
	var alerts models.PostableAlerts
	if err := json.Unmarshal(raw, &alerts); err != nil {
		m.t.Errorf("%v in %s", err, raw)
	}
	if err := alerts.Validate(strfmt.Default); err != nil {
		m.t.Errorf("against the schema: %v", err)
	}
	bad := false
	for _, a := range alerts {
		if m.refuse != "" && a.Labels["notification_id"] == m.refuse {
			bad = true
			continue
		}
		starts, ends := time.Time(a.StartsAt), time.Time(a.EndsAt)
		if ends.Before(starts) {
			m.t.Errorf("ends %s before it starts %s", ends, starts)
		}
		m.alerts = append(m.alerts, told{at: time.Now(), starts: starts, ends: ends, labels: a.Labels, generator: string(a.GeneratorURL), annotation: a.Annotations})
	}
	if bad {
		http.Error(w, `"bad label"`, http.StatusBadRequest)
	}
}

// of returns what was told of a notification since a time.
func (m *manager) of(id string, since time.Time) []told {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []told
	for _, a := range m.alerts {
		if a.labels["notification_id"] == id && !a.at.Before(since) {
			out = append(out, a)
		}
	}
	return out
}

func (m *manager) requests() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.posts
}

func (m *manager) set(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// rig is a Sender that runs in a bubble of synctest.
type rig struct {
	src    *memory
	hush   *hush
	am     *manager
	sender *notify.Sender
	reg    *prometheus.Registry
	log    *bytes.Buffer
	owner  atomic.Bool
	stuck  atomic.Value // string: why the ruler is
}

const amURL = "http://user:secret@am.example:9093/prefix/"

// inBubble runs f with a Sender under virtual time.
func inBubble(t *testing.T, f func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{src: &memory{rows: map[string]notify.Notification{}, accepted: map[string][]notify.Delivery{}}, hush: &hush{},
			am: &manager{t: t, started: "1", quiet: silenced{list: map[string]models.PostableSilence{}}}, reg: prometheus.NewRegistry(), log: &bytes.Buffer{}}
		r.owner.Store(true)
		r.stuck.Store("")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		r.start(t, ctx, done)
		f(t, r)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if strings.Contains(r.log.String(), "secret") {
			t.Errorf("the log tells the password: %s", r.log)
		}
	})
}

func (r *rig) start(t *testing.T, ctx context.Context, done chan error) {
	s, err := notify.NewSender(notify.Options{Config: notify.Config{Targets: []string{amURL}, ConsoleURL: "http://console/"}, Source: r.src, Silences: r.hush, Transport: r.am,
		Registerer: r.reg, Owns: r.owner.Load, Stuck: func() string { return r.stuck.Load().(string) }, Log: slog.New(slog.NewTextHandler(r.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	r.sender = s
	go func() { done <- s.Run(ctx) }()
	synctest.Wait()
}

// open stores and hands over a notification that fires.
func (r *rig) open(id string) notify.Notification {
	n := notify.Notification{ID: id, Server: record.ID{1}, State: notify.Firing, Severity: "critical", Opened: time.Now(), Changed: time.Now(), Version: 1,
		Labels: map[string]string{"alertname": "X", "notification_id": id, "severity": "critical"}, Annotations: map[string]string{"summary": "it is bad"}}
	r.sender.Changed(r.src.put(n))
	synctest.Wait()
	return n
}

func (r *rig) close(n notify.Notification) notify.Notification {
	n.State, n.Resolved, n.Changed = notify.Resolved, time.Now(), time.Now()
	n.Version++
	r.sender.Changed(r.src.put(n))
	synctest.Wait()
	return n
}
