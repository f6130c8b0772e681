// Package remotewrite is the sink for VictoriaMetrics: Prometheus remote-write
// v1, snappy-packed protobuf. VictoriaMetrics answers remote-write 2.0 with 204
// and stores nothing, so v1 is all this package speaks.
//
// Samples depend on the record alone, so writing twice writes the same sample;
// VictoriaMetrics keeps one of them when it runs with
// -dedup.minScrapeInterval=1ms, which it must. A Prometheus in its place keeps
// one by itself.
//
// A Sink is used by one goroutine. To test: go test ./eventbridge/sink/remotewrite
// (needs bin/victoria-metrics, see sinktest).
package remotewrite

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"

	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
)

// Config says where to write.
type Config struct {
	URL     string                // base of VictoriaMetrics, "http://127.0.0.1:8428"
	Timeout time.Duration         // of one request; default 30 s
	Log     *slog.Logger          // may be nil
	Reg     prometheus.Registerer // may be nil
}

// Sink writes samples to VictoriaMetrics.
type Sink struct {
	base   string
	client *http.Client
	req    prompb.WriteRequest
	labels []prompb.Label
	points []prompb.Sample
	raw    []byte
	packed []byte
	// ignored is what VictoriaMetrics said it dropped after answering 204.
	ignored prometheus.Gauge
	dedup   *prometheus.GaugeVec // without labels; empty while nothing is known
	log     *slog.Logger
	known   string // the instance whose flags were looked at
}

var _ sink.Sink = (*Sink)(nil)

// New returns a sink.
func New(cfg Config) *Sink {
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	s := &Sink{base: strings.TrimSuffix(cfg.URL, "/"), client: &http.Client{Timeout: cfg.Timeout}}
	s.ignored = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "eventbridge_remotewrite_store_ignored_samples",
		Help: "Samples that VictoriaMetrics has ignored since its start although it answered with success (vm_rows_ignored_total).",
	})
	s.dedup = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "eventbridge_remotewrite_store_deduplicates",
		Help: "1 when VictoriaMetrics runs with -dedup.minScrapeInterval, without which repeats count twice, or a Prometheus is in its place; absent while that is not known.",
	}, nil)
	if s.log = cfg.Log; s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Reg != nil {
		cfg.Reg.MustRegister(s.ignored, s.dedup)
	}
	return s
}

// Header returns the headers of a remote-write v1 request.
func Header() http.Header {
	return http.Header{
		"Content-Type":                      {"application/x-protobuf"},
		"Content-Encoding":                  {"snappy"},
		"X-Prometheus-Remote-Write-Version": {"0.1.0"},
		"User-Agent":                        {"nocturne-eventbridge"},
	}
}

// maxRaw keeps a request below VictoriaMetrics' -maxInsertRequestSize of 32 MiB.
const maxRaw = 16 << 20

// Write implements sink.Sink.
func (s *Sink) Write(ctx context.Context, b sink.Batch) error {
	rows := b.Rows
	for len(rows) > 0 {
		n, err := s.encode(rows)
		if err != nil {
			return err
		}
		if err := sink.Post(ctx, s.client, s.base+"/api/v1/write", Header(), s.packed); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// encode packs as many rows as fit one request and returns how many.
func (s *Sink) encode(rows []sink.Row) (n int, err error) {
	series, labels := 0, 0
	for i := range rows {
		size := 0
		for k := range rows[i].Samples {
			series++
			labels += len(rows[i].Samples[k].Labels) + 1
			size += sampleSize(&rows[i].Samples[k])
		}
		if size > maxRaw {
			return 0, fmt.Errorf("samples of one record take %d bytes, limit %d: %w", size, maxRaw, sink.ErrRefused)
		}
	}
	s.req.Timeseries = grow(s.req.Timeseries[:0], series)
	s.labels, s.points = grow(s.labels[:0], labels), grow(s.points[:0], series)
	total := 0
	for n = range rows {
		size := 0
		for k := range rows[n].Samples {
			size += sampleSize(&rows[n].Samples[k])
		}
		if total += size; total > maxRaw {
			break
		}
		for k := range rows[n].Samples {
			s.add(&rows[n].Samples[k])
		}
		if n == len(rows)-1 {
			n = len(rows)
			break
		}
	}
	if size := s.req.Size(); cap(s.raw) < size {
		s.raw = make([]byte, size)
	} else {
		s.raw = s.raw[:size]
	}
	w, err := s.req.MarshalToSizedBuffer(s.raw)
	if err != nil {
		return 0, fmt.Errorf("encode samples: %w: %w", err, sink.ErrRefused)
	}
	s.packed = snappy.Encode(s.packed[:cap(s.packed)], s.raw[len(s.raw)-w:])
	return n, nil
}

// sampleSize is an upper bound of a sample's encoded bytes.
func sampleSize(p *series.Sample) int {
	n := 64 + len(p.Name)
	for _, l := range p.Labels {
		n += 12 + len(l.Name) + len(l.Value)
	}
	return n
}

// grow returns an empty slice with room for n, so that appending never moves it.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, 0, n)
	}
	return s
}

func (s *Sink) add(p *series.Sample) {
	from := len(s.labels)
	s.labels = append(s.labels, prompb.Label{Name: "__name__", Value: p.Name})
	for _, l := range p.Labels {
		s.labels = append(s.labels, prompb.Label{Name: l.Name, Value: l.Value})
	}
	at := len(s.points)
	s.points = append(s.points, prompb.Sample{Value: p.Value, Timestamp: p.Millis})
	s.req.Timeseries = append(s.req.Timeseries, prompb.TimeSeries{Labels: s.labels[from:], Samples: s.points[at:]})
}

// Instance implements sink.Sink.
func (s *Sink) Instance(ctx context.Context) (string, error) {
	v, err := sink.AskVictoria(ctx, s.client, s.base)
	if err != nil {
		return "", err
	}
	s.ignored.Set(v.Ignored)
	if v.Instance != s.known {
		s.known = v.Instance
		s.look(v)
	}
	return v.Instance, nil
}

// look checks the one flag that this sink's promise hangs on. A store that neither
// shows it nor is a Prometheus may do either: nothing is said of it.
func (s *Sink) look(v sink.Vitals) {
	value, shown := v.Flags["dedup.minScrapeInterval"]
	d, ok := sink.Duration(value)
	switch {
	case v.Prometheus || ok && d >= time.Millisecond:
		s.dedup.WithLabelValues().Set(1)
	case shown:
		s.dedup.WithLabelValues().Set(0)
		s.log.Error("VictoriaMetrics does not deduplicate: samples written again after a restart count twice; start it with -dedup.minScrapeInterval=1ms", "url", s.base)
	default:
		s.dedup.Reset()
		s.log.Warn("the store's page /metrics does not show whether it deduplicates; a VictoriaMetrics must run with -dedup.minScrapeInterval=1ms", "url", s.base)
	}
}
