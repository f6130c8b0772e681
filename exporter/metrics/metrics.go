// Package metrics gathers the exporter's registry and pushes the part of it
// that every server sends by default, about a hundred series, by Prometheus
// remote write v1. What is gathered in full stays at /metrics for who scrapes.
//
// Best effort: a push that fails is counted and not repeated, because the next
// one says the same more freshly. Nothing is queued.
//
// A Pusher belongs to one goroutine. To test: go test ./exporter/metrics.
package metrics

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"

	"nocturne/exporter/metrics/machine"
)

// Config is the part of the exporter's configuration under "metrics".
type Config struct {
	// Listen is where /metrics is served; empty = nowhere.
	Listen string `yaml:"listen"`
	// WebConfigFile is the path of an exporter-toolkit web configuration: TLS,
	// client certificates, basic auth. Empty = plain HTTP for everybody.
	WebConfigFile string `yaml:"web_config_file"`
	// Push sends the default series through every output to an eventbridge.
	Push bool `yaml:"push"`
	// Interval is the time between two pushes.
	Interval time.Duration `yaml:"interval"`
	// Machine adds cpu, memory, filesystems, disks, network and time of this
	// machine, gathered by a child process.
	Machine bool `yaml:"machine"`
	// Settings say which of them.
	machine.Settings `yaml:",inline"`
	// All pushes every series that is gathered, not only the default ones.
	All bool `yaml:"all"`
	// MaxSeries bounds a push; what is beyond is counted and left out.
	MaxSeries int `yaml:"max_series"`
}

// DefaultConfig pushes once a minute and listens on loopback.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:9490", Push: true, Interval: time.Minute, Machine: true, MaxSeries: 2000,
		Settings: machine.Settings{Services: machine.DefaultServices()},
	}
}

// Validate says what to write instead.
func (c Config) Validate() error {
	if c.Interval < time.Second || c.Interval > time.Hour {
		return fmt.Errorf("metrics interval %s: write a time from 1s to 1h", c.Interval)
	}
	if c.MaxSeries < 1 || c.MaxSeries > 100000 {
		return fmt.Errorf("metrics max_series %d: write a number from 1 to 100000", c.MaxSeries)
	}
	if c.WebConfigFile != "" && !filepath.IsAbs(c.WebConfigFile) {
		return fmt.Errorf("metrics web_config_file %q: write an absolute path", c.WebConfigFile)
	}
	return c.Settings.Validate(runtime.GOOS)
}

// Poster posts to an eventbridge; *otlp.Client is one.
type Poster interface {
	Post(ctx context.Context, path, contentType, encoding string, body io.Reader) ([]byte, error)
}

// Pusher pushes to one receiver.
type Pusher struct {
	cfg      Config
	gatherer prometheus.Gatherer
	to       Poster
	log      *slog.Logger
	now      func() time.Time
	failing  bool

	pushes, failures, sent, cut prometheus.Counter
	last                        prometheus.Gauge
}

// NewPusher returns a pusher; its own metrics are registered as those of an
// output.
func NewPusher(output string, cfg Config, g prometheus.Gatherer, to Poster, log *slog.Logger, reg prometheus.Registerer) (*Pusher, error) {
	p := &Pusher{cfg: cfg, gatherer: g, to: to, log: log, now: time.Now}
	labels := prometheus.Labels{"output": output}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "exporter_metrics_" + name, Help: help, ConstLabels: labels})
	}
	p.pushes = counter("pushes_total", "Pushes tried.")
	p.failures = counter("push_failures_total", "Pushes that failed; their samples are lost.")
	p.sent = counter("samples_out_total", "Samples that the receiver took.")
	p.cut = counter("samples_dropped_total", "Samples left out because of max_series.")
	p.last = prometheus.NewGauge(prometheus.GaugeOpts{Name: "exporter_metrics_series", Help: "Series in the last push.", ConstLabels: labels})
	for _, c := range []prometheus.Collector{p.pushes, p.failures, p.sent, p.cut, p.last} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("metrics push to %s: %w", output, err)
		}
	}
	return p, nil
}

// Run pushes now and every interval until ctx ends.
func (p *Pusher) Run(ctx context.Context) error {
	tick := time.NewTicker(p.cfg.Interval)
	defer tick.Stop()
	for {
		p.round(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (p *Pusher) round(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, min(p.cfg.Interval, 30*time.Second))
	defer cancel()
	err := p.push(ctx)
	switch {
	case err == nil && p.failing:
		p.log.Info("metrics are taken again")
	case err != nil && !p.failing && ctx.Err() == nil:
		p.log.Warn("metrics are not taken", "err", err)
	}
	p.failing = err != nil
}

func (p *Pusher) push(ctx context.Context) error {
	families, err := p.gatherer.Gather()
	if err != nil && len(families) == 0 {
		p.failures.Inc()
		return fmt.Errorf("gather: %w", err)
	}
	series := flatten(families, !p.cfg.All)
	if n := len(series) - p.cfg.MaxSeries; n > 0 {
		series = series[:p.cfg.MaxSeries]
		p.cut.Add(float64(n))
	}
	p.last.Set(float64(len(series)))
	p.pushes.Inc()
	body := snappy.Encode(nil, appendWriteRequest(nil, series, p.now().UnixMilli()))
	_, err = p.to.Post(ctx, "/nocturne/v1/metrics", "application/x-protobuf", "snappy", bytes.NewReader(body))
	if err != nil {
		p.failures.Inc()
		return err
	}
	p.sent.Add(float64(len(series)))
	return nil
}
