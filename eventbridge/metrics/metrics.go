// Package metrics takes the metrics that exporters push and forwards them to
// VictoriaMetrics.
//
// It is a way of its own beside the records: best effort, bounded, outside the
// ledger. Forwarder.Serve decodes remote-write v1, writes the labels server_id,
// server and site of the authenticated server over whatever the series claim,
// refuses names that only the bridge makes, and queues the result; Run sends
// it. What does not fit the queue, and what VictoriaMetrics does not take
// within a few tries, is dropped and counted.
//
// In = out + dropped + waiting, in samples. Serve is safe for concurrent use;
// Run is called once. To test: go test ./eventbridge/metrics.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"

	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
	"nocturne/eventbridge/sink/remotewrite"
	"nocturne/internal/record"
)

// Server is who the credential belongs to.
type Server struct {
	ID   record.ID
	Name string
	Site string
}

// Limits of one request. Zero values take the defaults.
type Limits struct {
	Body    int // bytes packed; default 4 MiB
	Raw     int // bytes unpacked; default 16 MiB
	Series  int // default 20000
	Samples int // default 50000
	Labels  int // of one series, ours not counted; default 36 (VictoriaMetrics keeps 40)
	Name    int // bytes of a label name; default 128
	Value   int // bytes of a label value; default 1024
}

// Config of a Forwarder.
type Config struct {
	URL    string // base of VictoriaMetrics
	Limits Limits
	Queue  int           // bytes waiting; default 32 MiB
	Tries  int           // per batch; default 5
	Wait   time.Duration // before the first retry; default 500 ms, doubled each time
	Log    *slog.Logger
	Reg    prometheus.Registerer
	Now    func() time.Time // default time.Now
}

// Reasons why samples are dropped: a closed set.
const (
	dropReserved    = "reserved"     // under a name that only the bridge makes
	dropInvalid     = "invalid"      // no name, a label name too long, no number
	dropTime        = "time"         // days away from the others, or from now
	dropQueueFull   = "queue_full"   //
	dropRefused     = "refused"      // VictoriaMetrics will never take it
	dropUnreachable = "unreachable"  // VictoriaMetrics did not take it in time
	dropShutdown    = "shutdown"     // waiting when the bridge stopped
	dropUnsupported = "unsupported"  // exemplars and native histograms
	maxClock        = time.Hour      // a clock further off is corrected
	oldest          = 24 * time.Hour // pushed metrics are not kept for later
)

// DropReasons returns every reason.
func DropReasons() []string {
	return []string{dropReserved, dropInvalid, dropTime, dropQueueFull, dropRefused, dropUnreachable, dropShutdown, dropUnsupported}
}

// Forwarder takes pushes and forwards them.
type Forwarder struct {
	cfg      Config
	client   *http.Client
	reserved map[string]bool
	queue    *queue
	met      *counters
}

// New returns a forwarder; nothing is sent before Run.
func New(cfg Config) *Forwarder {
	l := &cfg.Limits
	for _, d := range []struct {
		v *int
		n int
	}{{&l.Body, 4 << 20}, {&l.Raw, 16 << 20}, {&l.Series, 20000}, {&l.Samples, 50000}, {&l.Labels, 36}, {&l.Name, 128}, {&l.Value, 1024}, {&cfg.Queue, 32 << 20}, {&cfg.Tries, 5}} {
		if *d.v == 0 {
			*d.v = d.n
		}
	}
	if cfg.Wait == 0 {
		cfg.Wait = 500 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Reg == nil {
		cfg.Reg = prometheus.NewRegistry()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	f := &Forwarder{cfg: cfg, client: &http.Client{Timeout: 30 * time.Second}, reserved: map[string]bool{}, met: newCounters(cfg.Reg)}
	for _, fam := range series.Families() {
		f.reserved[fam.Name] = true
	}
	f.queue = newQueue(cfg.Queue, f.met.waiting)
	return f
}

// Serve takes one push of an authenticated server. It answers 204 once the
// samples are queued; 400 and 413 say that sending again does not help, 503
// that it does, later.
func (f *Forwarder) Serve(w http.ResponseWriter, req *http.Request, from Server) {
	code, err := f.take(req, from)
	f.met.requests[code].Inc()
	if err == nil {
		w.WriteHeader(code)
		return
	}
	hint := "send Prometheus remote-write v1, packed with snappy"
	switch code {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "60")
		hint = "the metrics store is behind; these samples were dropped"
	case http.StatusRequestEntityTooLarge:
		hint = "send fewer series in one request"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, `{"error":%s,"hint":%s}`+"\n", record.AppendJSONString(nil, err.Error()), record.AppendJSONString(nil, hint)) // the client is gone
}

func (f *Forwarder) take(req *http.Request, from Server) (int, error) {
	if err := isV1(req.Header); err != nil {
		return http.StatusUnsupportedMediaType, err
	}
	packed, err := io.ReadAll(io.LimitReader(req.Body, int64(f.cfg.Limits.Body)+1))
	if err != nil {
		return http.StatusBadRequest, fmt.Errorf("read body: %w", err)
	}
	if len(packed) > f.cfg.Limits.Body {
		return http.StatusRequestEntityTooLarge, fmt.Errorf("body of more than %d bytes", f.cfg.Limits.Body)
	}
	raw, err := unpack(packed, f.cfg.Limits.Raw)
	var d Decoded
	if err == nil {
		d, err = decode(raw, f.cfg.Limits)
	}
	switch {
	case errors.Is(err, errTooLarge):
		return http.StatusRequestEntityTooLarge, err
	case err != nil:
		return http.StatusBadRequest, err
	}
	out, n := f.label(&d, from)
	if n > 0 && !f.queue.put(item{out, n}) {
		f.met.dropped[dropQueueFull].Add(float64(n))
		return http.StatusServiceUnavailable, errors.New("queue is full")
	}
	return http.StatusNoContent, nil
}

// isV1 refuses remote-write 2.0, which VictoriaMetrics would answer with
// success and not store.
func isV1(h http.Header) error {
	if e := h.Get("Content-Encoding"); e != "" && e != "snappy" {
		return fmt.Errorf("content encoding %.40q, want snappy", e)
	}
	typ, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || typ != "application/x-protobuf" {
		return fmt.Errorf("content type %.80q, want application/x-protobuf", h.Get("Content-Type"))
	}
	if p := params["proto"]; p != "" && p != "prometheus.WriteRequest" {
		return fmt.Errorf("message %.80q, want prometheus.WriteRequest (remote-write v1)", p)
	}
	if v := h.Get("X-Prometheus-Remote-Write-Version"); strings.HasPrefix(v, "2") {
		return fmt.Errorf("remote-write %.10q, want 0.1.0", v)
	}
	return nil
}

// label counts the samples in, writes the server's labels and returns what is
// to be sent, encoded.
func (f *Forwarder) label(d *Decoded, from Server) (out []byte, samples int) {
	f.met.in.Add(float64(d.Ignored))
	f.met.dropped[dropUnsupported].Add(float64(d.Ignored))
	now := f.cfg.Now()
	shift := shiftOf(d, now)
	if shift != 0 {
		f.met.shifted.Inc()
	}
	for i := range d.Series {
		s := &d.Series[i]
		f.met.in.Add(float64(len(s.Points)))
		if reason := f.stamp(s, from); reason != "" {
			f.met.dropped[reason].Add(float64(len(s.Points)))
			continue
		}
		f.points(s, shift, now)
		if len(s.Points) == 0 {
			continue
		}
		samples += len(s.Points)
		out = appendSeries(out, s)
	}
	return out, samples
}

// points moves a series' samples in time and leaves out those that
// VictoriaMetrics would drop without a word.
func (f *Forwarder) points(s *Series, shift int64, now time.Time) {
	first, last := now.Add(-oldest).UnixMilli(), now.Add(2*maxClock).UnixMilli()
	kept := s.Points[:0]
	for _, p := range s.Points {
		p.Millis += shift
		switch {
		case p.Millis < first || p.Millis > last:
			f.met.dropped[dropTime].Inc()
		case math.IsNaN(p.Value) && !series.IsStale(p.Value):
			f.met.dropped[dropInvalid].Inc()
		default:
			kept = append(kept, p)
		}
	}
	s.Points = kept
}

// shiftOf returns how much a request's times are moved: nothing, or, where the
// newest is more than maxClock off, as much as makes it now.
func shiftOf(d *Decoded, now time.Time) int64 {
	newest := int64(math.MinInt64)
	for i := range d.Series {
		for _, p := range d.Series[i].Points {
			newest = max(newest, p.Millis)
		}
	}
	if newest == math.MinInt64 {
		return 0
	}
	off := now.UnixMilli() - newest
	if (off > -maxClock.Milliseconds() && off < maxClock.Milliseconds()) || newest < math.MinInt64/2 || newest > math.MaxInt64/2 {
		return 0
	}
	return off
}

// stamp writes the server's labels over what the series claims and sorts them.
// It returns the reason why a series cannot be forwarded.
func (f *Forwarder) stamp(s *Series, from Server) string {
	name := ""
	ls := s.Labels[:0]
	for _, l := range s.Labels {
		switch {
		case l.Name == "server_id" || l.Name == "server" || l.Name == "site":
			f.met.claimed.Inc()
			continue
		case l.Name == "" || len(l.Name) > f.cfg.Limits.Name || l.Name != strings.ToValidUTF8(l.Name, ""):
			return dropInvalid
		case l.Name == "__name__":
			if len(l.Value) > f.cfg.Limits.Value || l.Value != strings.ToValidUTF8(l.Value, "") {
				return dropInvalid
			}
			name = l.Value
		}
		l.Value = cutText(l.Value, f.cfg.Limits.Value)
		ls = append(ls, l)
	}
	if name == "" {
		return dropInvalid
	}
	if f.reserved[name] {
		return dropReserved
	}
	for _, l := range []Label{{"server_id", from.ID.String()}, {"server", from.Name}, {"site", from.Site}} {
		if l.Value != "" {
			ls = append(ls, l)
		}
	}
	slices.SortStableFunc(ls, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	s.Labels = ls
	return ""
}

// maxSend is how many bytes are put together for one request.
const maxSend = 4 << 20

// Run sends what is queued until ctx ends; what waits then is dropped and counted.
func (f *Forwarder) Run(ctx context.Context) error {
	for {
		items, err := f.queue.get(ctx, maxSend)
		if err != nil {
			n := f.queue.drain()
			f.met.dropped[dropShutdown].Add(float64(n))
			return nil
		}
		f.send(ctx, items)
	}
}

// send writes items together, and apart when VictoriaMetrics refuses them.
func (f *Forwarder) send(ctx context.Context, items []item) {
	n := 0
	var body []byte
	for _, it := range items {
		n += it.samples
		body = append(body, it.body...)
	}
	err := f.try(ctx, snappy.Encode(nil, body))
	switch {
	case err == nil:
		f.met.out.Add(float64(n))
	case errors.Is(err, sink.ErrRefused) && len(items) > 1:
		f.send(ctx, items[:len(items)/2])
		f.send(ctx, items[len(items)/2:])
		return
	default:
		reason := dropUnreachable
		switch {
		case errors.Is(err, sink.ErrRefused):
			reason = dropRefused
		case ctx.Err() != nil:
			reason = dropShutdown
		}
		f.met.dropped[reason].Add(float64(n))
		f.cfg.Log.Warn("pushed metrics dropped", "reason", reason, "samples", n, "err", err)
	}
	f.queue.done(items)
}

func (f *Forwarder) try(ctx context.Context, packed []byte) (err error) {
	for attempt := range f.cfg.Tries {
		if attempt > 0 {
			w := f.cfg.Wait << (attempt - 1)
			t := time.NewTimer(w/2 + rand.N(w))
			select {
			case <-ctx.Done():
				t.Stop()
				return err
			case <-t.C:
			}
		}
		err = sink.Post(ctx, f.client, strings.TrimSuffix(f.cfg.URL, "/")+"/api/v1/write", remotewrite.Header(), packed)
		if err == nil || errors.Is(err, sink.ErrRefused) || ctx.Err() != nil {
			return err
		}
	}
	return fmt.Errorf("gave up after %d tries: %w", f.cfg.Tries, err)
}

// counters are the forwarder's metrics.
type counters struct {
	in, out, claimed, shifted prometheus.Counter
	waiting                   prometheus.Gauge
	dropped                   map[string]prometheus.Counter
	requests                  map[int]prometheus.Counter
}

func newCounters(reg prometheus.Registerer) *counters {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "eventbridge_metrics_" + name, Help: help})
	}
	m := &counters{
		in:       counter("in_samples_total", "Pushed samples received."),
		out:      counter("out_samples_total", "Pushed samples that the metrics store took."),
		claimed:  counter("claimed_labels_total", "Labels that claimed a server or a site and were overwritten."),
		shifted:  counter("shifted_requests_total", "Pushes whose sender's clock was so wrong that their times were corrected."),
		waiting:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "eventbridge_metrics_waiting_samples", Help: "Pushed samples waiting to be sent."}),
		dropped:  map[string]prometheus.Counter{},
		requests: map[int]prometheus.Counter{},
	}
	reg.MustRegister(m.in, m.out, m.claimed, m.shifted, m.waiting)
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eventbridge_metrics_dropped_samples_total", Help: "Pushed samples not forwarded, by reason."}, []string{"reason"})
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "eventbridge_metrics_requests_total", Help: "Pushes, by status code."}, []string{"code"})
	reg.MustRegister(dropped, requests)
	for _, r := range DropReasons() {
		m.dropped[r] = dropped.WithLabelValues(r)
	}
	for _, c := range []int{http.StatusNoContent, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusServiceUnavailable} {
		m.requests[c] = requests.WithLabelValues(strconv.Itoa(c))
	}
	return m
}
