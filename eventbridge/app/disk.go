package app

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/disk"
	"nocturne/internal/stream"
)

// diskFree tells how many bytes of a folder's disk we may still use.
func diskFree(dir string) (uint64, error) {
	s, err := disk.Of(dir)
	return s.Free, err
}

// What lies in the data folder.
const (
	partStream   = "stream"
	partRegister = "register"
	partOther    = "other"
)

// partOf says what a file of the data folder belongs to. A stream that others
// host has no files here.
func partOf(path string) string {
	switch {
	case strings.Contains(path, "/KV_registry/") || strings.HasPrefix(path, "registry."):
		return partRegister
	case strings.Contains(path, "/"+strings.TrimSuffix(stream.StreamName(0), "00")):
		return partStream
	}
	return partOther
}

// sizesFor is how long the sizes of the files hold: a stream has thousands of
// files, and is asked for them at every scrape.
const sizesFor = time.Minute

// diskMetrics say how full the disk of the data folder is, and what we take of it.
type diskMetrics struct {
	dir               string
	free, total, size *prometheus.Desc
	now               func() time.Time

	mu    sync.Mutex
	at    time.Time // of sizes
	sizes map[string]int64
}

func (a *App) diskMetrics() prometheus.Collector {
	return &diskMetrics{dir: a.cfg.Data, now: time.Now,
		free:  prometheus.NewDesc("eventbridge_data_free_bytes", "Free space on the disk of the data folder; -1 = not known.", nil, nil),
		total: prometheus.NewDesc("eventbridge_data_size_bytes", "Size of the disk of the data folder; -1 = not known.", nil, nil),
		size:  prometheus.NewDesc("eventbridge_data_used_bytes", "What the files of the data folder take, by what they belong to; looked at once a minute.", []string{"part"}, nil)}
}

// Describe implements prometheus.Collector.
func (d *diskMetrics) Describe(ch chan<- *prometheus.Desc) { ch <- d.free; ch <- d.total; ch <- d.size }

// Collect implements prometheus.Collector.
func (d *diskMetrics) Collect(ch chan<- prometheus.Metric) {
	free, total := -1.0, -1.0
	if s, err := disk.Of(d.dir); err == nil {
		free, total = float64(s.Free), float64(s.Total)
	}
	ch <- prometheus.MustNewConstMetric(d.free, prometheus.GaugeValue, free)
	ch <- prometheus.MustNewConstMetric(d.total, prometheus.GaugeValue, total)
	sizes, err := d.used()
	if err != nil {
		return // what cannot be read has no size
	}
	for _, part := range []string{partStream, partRegister, partOther} {
		ch <- prometheus.MustNewConstMetric(d.size, prometheus.GaugeValue, float64(sizes[part]), part)
	}
}

// used sums up the files, at most once in sizesFor.
func (d *diskMetrics) used() (map[string]int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	if age := now.Sub(d.at); d.sizes != nil && age >= 0 && age < sizesFor {
		return d.sizes, nil
	}
	sizes, err := disk.Sizes(d.dir, partOf)
	if err == nil {
		d.at, d.sizes = now, sizes
	}
	return sizes, err
}

// keepMetrics say how long the stream keeps what.
func (a *App) keepMetrics() []prometheus.Collector {
	gauge := func(name, help string, v float64) prometheus.Collector {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		g.Set(v)
		return g
	}
	return []prometheus.Collector{
		gauge("eventbridge_stream_max_age_seconds", "How long the stream keeps entries.", a.cfg.Stream.MaxAge.Seconds()),
		gauge("eventbridge_stream_max_bytes", "How much the stream keeps; the oldest goes first.", float64(a.cfg.Stream.MaxBytes)),
	}
}
