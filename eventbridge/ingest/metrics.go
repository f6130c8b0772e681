package ingest

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
)

// Endpoints.
const (
	endpointFrames  = "/nocturne/v1/frames"
	endpointHello   = "/nocturne/v1/hello"
	endpointEnrol   = "/nocturne/v1/enrol"
	endpointMetrics = "/nocturne/v1/metrics"
	endpointLogs    = "/v1/logs"
)

// codes are the statuses that an endpoint can answer with; anything else is
// counted as "other".
func codes() []int { return []int{200, 204, 400, 401, 403, 404, 405, 413, 415, 429, 500, 502, 503} }

// Why a request was refused as a whole.
const (
	reasonMethod      = "method"
	reasonContentType = "content_type"
	reasonEncoding    = "content_encoding"
	reasonTooLarge    = "too_large"
	reasonBody        = "body" // torn, or too slow
	reasonUnpack      = "unpack"
	reasonDecode      = "decode"
	reasonEmpty       = "empty"
	reasonCredential  = "credential"
	reasonIdentity    = "identity" // speaks for another server
	reasonNoStore     = "no_store"
	reasonBusy        = "busy"
	reasonInternal    = "internal"
)

func refusedReasons() []string {
	return []string{reasonMethod, reasonContentType, reasonEncoding, reasonTooLarge, reasonBody, reasonUnpack, reasonDecode, reasonEmpty, reasonCredential, reasonIdentity, reasonNoStore, reasonBusy, reasonInternal}
}

// Why a frame was refused, beside record.Rejects.
const (
	frameIdentity = "identity" // another server's, or another producer's
	frameLimit    = "too_many" // more frames than a request may hold
)

func frameReasons() []string {
	out := []string{frameIdentity, frameLimit}
	for _, r := range record.Rejects() {
		out = append(out, r.String())
	}
	return out
}

// Why records are dropped on the way to the stream.
const dropBusy = "busy" // not stored, the sender keeps them and comes back

// What was mended in plain OTLP.
const (
	mendAttrs = "attributes_cut"
	mendText  = "text_mended"
	mendName  = "name_claimed"
)

// Metrics are the edge's numbers. Register them once.
type Metrics struct {
	Ingest *Stage // frames over HTTP, from header to answer
	OTLP   *Stage // plain OTLP over HTTP
	Append *Stage // from the queues into the stream

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	panics    prometheus.Counter
	refused   map[string]prometheus.Counter
	frames    map[string]prometheus.Counter // by status
	rejected  map[string]prometheus.Counter // by reason
	mended    map[string]prometheus.Counter
	rewinds   prometheus.Counter
	hellos    prometheus.Counter
	skew      prometheus.Histogram
	bytes     prometheus.Counter

	appends     map[string]prometheus.Counter // by result
	appendTime  prometheus.Histogram
	entryFrames prometheus.Histogram
	entryBytes  prometheus.Counter
	ticks       map[string]prometheus.Counter
	probes      map[string]prometheus.Counter
	probeTime   prometheus.Gauge
	queued      prometheus.Gauge
	Collectors
}

// NewMetrics returns the edge's metrics, all at zero.
func NewMetrics() *Metrics {
	m := &Metrics{
		Ingest: NewStage("ingest", "frames over HTTP.", append(frameReasons(), dropBusy)...),
		OTLP:   NewStage("otlp", "plain OTLP logs over HTTP.", dropBusy, reasonTooLarge),
		Append: NewStage("append", "into the stream.", dropBusy),
	}
	m.Collectors = Collectors{m.Ingest, m.OTLP, m.Append}
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eventbridge_ingest_requests_total", Help: "Requests answered."}, []string{"endpoint", "code"})
	m.durations = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "eventbridge_ingest_request_duration_seconds", Help: "Time from request to answer.", Buckets: prometheus.ExponentialBuckets(0.001, 4, 8)}, []string{"endpoint"})
	m.Collectors = append(m.Collectors, m.requests, m.durations)
	m.refused = m.Closed("eventbridge_ingest_requests_refused_total", "Requests refused as a whole.", "reason", refusedReasons()...)
	m.frames = m.Closed("eventbridge_ingest_frames_total", "Frames answered.", "status", StatusStored, StatusRefused, StatusBusy)
	m.rejected = m.Closed("eventbridge_ingest_frames_refused_total", "Frames refused.", "reason", frameReasons()...)
	m.mended = m.Closed("eventbridge_otlp_mended_total", "What had to be mended in plain OTLP records to keep the rest.", "what", mendAttrs, mendText, mendName)
	m.appends = m.Closed("eventbridge_append_entries_total", "Entries handed to the stream.", "result", "stored", "failed")
	m.ticks = m.Closed("eventbridge_append_ticks_total", "Ticks handed to the stream.", "result", "stored", "failed")
	m.probes = m.Closed("eventbridge_probe_total", "Probes of the bridge's own listeners.", "result", "ok", "failed")
	m.panics = m.counter("eventbridge_ingest_panics_total", "Requests that ended in a panic: bugs.")
	m.rewinds = m.counter("eventbridge_ingest_rewinds_total", "Servers told to rewind because the stream lost what it had acknowledged.")
	m.hellos = m.counter("eventbridge_ingest_hellos_total", "Servers that connected and said where they stand.")
	m.bytes = m.counter("eventbridge_ingest_bytes_total", "Bytes of request bodies with frames.")
	m.entryBytes = m.counter("eventbridge_append_bytes_total", "Bytes of entries that the stream has stored.")
	m.skew = m.histogram("eventbridge_ingest_skew_seconds", "How far servers' clocks are from the bridge's, either way.", []float64{0.1, 1, 5, 30, 60, 300, 3600, 86400, 30 * 86400, 365 * 86400})
	m.appendTime = m.histogram("eventbridge_append_duration_seconds", "Time until the stream has an entry on disk.", prometheus.ExponentialBuckets(0.0005, 3, 10))
	m.entryFrames = m.histogram("eventbridge_append_entry_frames", "Frames gathered into one entry.", []float64{1, 2, 5, 10, 20, 50, 100, 500, 1000, 4096})
	m.probeTime = prometheus.NewGauge(prometheus.GaugeOpts{Name: "eventbridge_probe_duration_seconds", Help: "Time of the last probe of the bridge's own listeners."})
	m.queued = prometheus.NewGauge(prometheus.GaugeOpts{Name: "eventbridge_append_queue_bytes", Help: "Bytes of frames that wait for the stream."})
	m.Collectors = append(m.Collectors, m.probeTime, m.queued)
	return m
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.Collectors = append(m.Collectors, c)
	return c
}

func (m *Metrics) histogram(name, help string, buckets []float64) prometheus.Histogram {
	h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
	m.Collectors = append(m.Collectors, h)
	return h
}

// Collectors are metrics that are registered together.
type Collectors []prometheus.Collector

// Closed adds a counter with a closed set of label values, all at zero.
func (c *Collectors) Closed(name, help, label string, values ...string) map[string]prometheus.Counter {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	*c = append(*c, v)
	out := map[string]prometheus.Counter{}
	for _, value := range values {
		out[value] = v.WithLabelValues(value)
	}
	return out
}

// Describe implements prometheus.Collector.
func (c Collectors) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range c {
		m.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (c Collectors) Collect(ch chan<- prometheus.Metric) {
	for _, m := range c {
		m.Collect(ch)
	}
}

// endpointNumbers are the numbers of one endpoint, looked up once.
type endpointNumbers struct {
	byCode   map[int]prometheus.Counter
	other    prometheus.Counter
	duration prometheus.Observer
}

func (m *Metrics) endpoint(path string) *endpointNumbers {
	e := &endpointNumbers{byCode: map[int]prometheus.Counter{}, other: m.requests.WithLabelValues(path, "other"), duration: m.durations.WithLabelValues(path)}
	for _, c := range codes() {
		e.byCode[c] = m.requests.WithLabelValues(path, strconv.Itoa(c))
	}
	return e
}

func (e *endpointNumbers) done(code int, took time.Duration) {
	if code == 0 {
		code = 200
	}
	c, ok := e.byCode[code]
	if !ok {
		c = e.other
	}
	c.Inc()
	e.duration.Observe(took.Seconds())
}
