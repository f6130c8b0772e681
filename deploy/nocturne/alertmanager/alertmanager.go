// Package alertmanager runs Prometheus' Alertmanager inside a program of ours, built from Alertmanager's own packages:
// same configuration file, same receivers, same API v2, same metrics. It exists because a machine that runs the whole of
// Nocturne should need nothing else; anywhere else any Alertmanager does.
//
// It differs from the upstream program in three ways. It has no user interface of its own (the generated one is not part
// of the Go module) and no gossip. Its notification log and silences are on disk within [Options.SnapshotDelay] of a
// change (upstream: every 15 minutes), because a killed Alertmanager that forgot what it sent pages people twice. And a
// stop or a reload waits for the messages that are on their way instead of cutting them off half-sent.
//
// Alerts themselves are kept in memory only, as upstream: the ruler sends all of them again every minute.
//
// New binds and loads, Run serves until its context ends, Reload may be called at any time from any goroutine.
// Tests use Listen "127.0.0.1:0" and a webhook receiver.
package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/api"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/route"
)

const (
	alertGCInterval       = 30 * time.Minute
	dispatchMaintenance   = 30 * time.Second
	stateGCInterval       = 15 * time.Minute
	shutdownTimeout       = 3 * time.Second
	defaultRetention      = 120 * time.Hour
	defaultSnapshotDelay  = 200 * time.Millisecond
	defaultDrainTimeout   = 3 * time.Second
	snapshotShareOfTime   = 10 // a snapshot may take a tenth of the time, then the delay grows with it
	longestSnapshotDelay  = 2 * time.Second
	requestsReadHeaderMax = 10 * time.Second
	requestsReadMax       = 30 * time.Second
	requestsWriteMax      = 2 * time.Minute
	requestsIdleMax       = 2 * time.Minute
)

// Options says where Alertmanager finds its configuration, keeps its state and listens.
type Options struct {
	ConfigFile  string
	DataDir     string
	Listen      string // "127.0.0.1:9093"; port 0 takes a free one
	ExternalURL string // for links in messages; http://<listen> when empty

	Retention     time.Duration // of expired silences and of the notification log, 120 h when zero
	SnapshotDelay time.Duration // 200 ms when zero; grows with the size of the state, never past 2 s
	DrainTimeout  time.Duration // how long a stop or reload waits for messages on their way, 3 s when zero

	Logger *slog.Logger
}

// App is one Alertmanager.
type App struct {
	logger      *slog.Logger
	listener    net.Listener
	server      *http.Server
	coordinator *config.Coordinator
	graph       *graph
	alerts      *mem.Alerts
	keepers     []*keeper
	stops       []stop
}

type stop struct {
	name string
	fn   func() error
}

// New loads the configuration and the saved state and binds the listener. It serves nothing before Run.
func New(opts Options) (_ *App, err error) {
	setDefaults(&opts)
	a := &App{logger: opts.Logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()

	conf, err := config.LoadFile(opts.ConfigFile)
	if err != nil {
		return nil, fmt.Errorf("load alertmanager configuration %s: %w", opts.ConfigFile, err)
	}
	if err := os.MkdirAll(opts.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create alertmanager data folder: %w", err)
	}
	if a.listener, err = net.Listen("tcp", opts.Listen); err != nil {
		return nil, fmt.Errorf("listen for alerts: %w", err)
	}
	a.onStop("listener", func() error { return ignoreClosed(a.listener.Close()) })
	external, err := externalURL(opts.ExternalURL, a.listener.Addr())
	if err != nil {
		return nil, err
	}

	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	requests := newRequestDuration(reg)
	flags := featurecontrol.NoopFlags{}
	var events eventrecorder.Recorder // the zero recorder records nothing

	log, silences, err := a.loadState(opts, reg)
	if err != nil {
		return nil, err
	}
	silencer := silence.NewSilencer(silences, opts.Logger, events)
	a.alerts, err = mem.NewAlerts(context.Background(), alertGCInterval, 0, silencer, opts.Logger, events, reg, flags)
	if err != nil {
		return nil, fmt.Errorf("create alert store: %w", err)
	}
	a.onStop("alerts", func() error { a.alerts.Close(); return nil })

	groups := marker.NewGroupMarker()
	handler, err := api.New(api.Options{
		Alerts:          a.alerts,
		Silences:        silences,
		GroupMutedFunc:  groups.Muted,
		Logger:          opts.Logger.With("component", "api"),
		Registry:        reg,
		RequestDuration: requests,
		GroupFunc: func(ctx context.Context, r func(*dispatch.Route) bool, f func(*alert.Alert, time.Time) bool) (dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
			return a.graph.dispatcher.Load().Groups(ctx, r, f)
		},
	})
	if err != nil {
		return nil, fmt.Errorf("create api: %w", err)
	}

	a.graph = &graph{
		alerts: a.alerts, api: handler, silencer: silencer, groups: groups, events: events, log: log,
		pipelines: notify.NewPipelineBuilder(reg, flags, events), metrics: dispatch.NewDispatcherMetrics(false, reg, flags),
		external: external, retention: opts.Retention, drainTimeout: opts.DrainTimeout, logger: opts.Logger,
	}
	a.onStop("dispatcher", func() error { a.graph.stop(); return nil })
	a.coordinator = config.NewCoordinator(opts.ConfigFile, reg, opts.Logger.With("component", "configuration"))
	a.coordinator.Subscribe(a.graph.reload)
	if err := a.coordinator.ApplyConfig(conf); err != nil {
		return nil, fmt.Errorf("apply alertmanager configuration %s: %w", opts.ConfigFile, err)
	}

	router := route.New()
	a.registerPages(router, reg)
	a.server = &http.Server{
		Handler: handler.Register(router, "/"), ReadHeaderTimeout: requestsReadHeaderMax,
		ReadTimeout: requestsReadMax, WriteTimeout: requestsWriteMax, IdleTimeout: requestsIdleMax,
	}
	return a, nil
}

func setDefaults(o *Options) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.SnapshotDelay == 0 {
		o.SnapshotDelay = defaultSnapshotDelay
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = defaultDrainTimeout
	}
}

// loadState opens the notification log and the silences and hangs a keeper on each.
func (a *App) loadState(opts Options, reg prometheus.Registerer) (*nflog.Log, *silence.Silences, error) {
	saved := newSnapshotMetrics(reg)
	logFile := filepath.Join(opts.DataDir, "nflog")
	log, err := nflog.New(nflog.Options{
		SnapshotFile: logFile, Retention: opts.Retention, Logger: opts.Logger.With("component", "nflog"), Metrics: reg,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read notification log %s: %w", logFile, err)
	}
	silenceFile := filepath.Join(opts.DataDir, "silences")
	silences, err := silence.New(silence.Options{
		SnapshotFile: silenceFile, Retention: opts.Retention, Logger: opts.Logger.With("component", "silences"), Metrics: reg,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read silences %s: %w", silenceFile, err)
	}
	for _, k := range []*keeper{
		newKeeper("nflog", logFile, log, opts, saved),
		newKeeper("silences", silenceFile, silences, opts, saved),
	} {
		a.keepers = append(a.keepers, k)
		a.onStop(k.name, k.close)
	}
	// Both call their broadcast hook, meant for gossip, at every change, which is just what a keeper wants to know.
	log.SetBroadcast(a.keepers[0].changed)
	silences.SetBroadcast(a.keepers[1].changed)
	return log, silences, nil
}

// Addr is the address that the API listens on.
func (a *App) Addr() string { return a.listener.Addr().String() }

// Reload reads the configuration file again. A file that cannot be used leaves the running configuration as it was.
func (a *App) Reload() error { return a.coordinator.Reload() }

// Run serves until ctx ends. Close must be called afterwards, whatever Run returned.
func (a *App) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(a.listener) }()
	a.logger.Info("alertmanager ready", "addr", a.Addr())
	select {
	case err := <-served:
		return fmt.Errorf("serve alertmanager api: %w", err)
	case <-ctx.Done():
	}
	timeout, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := a.server.Shutdown(timeout)
	<-served //nolint:errcheck // http.ErrServerClosed
	return err
}

// Close waits for messages on their way, writes the last snapshots and gives everything back.
func (a *App) Close() error {
	var errs []error
	for i := len(a.stops) - 1; i >= 0; i-- {
		if err := a.stops[i].fn(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", a.stops[i].name, err))
		}
	}
	a.stops = nil
	return errors.Join(errs...)
}

func (a *App) onStop(name string, fn func() error) { a.stops = append(a.stops, stop{name, fn}) }

func newRequestDuration(reg prometheus.Registerer) *prometheus.HistogramVec {
	return promauto.With(reg).NewHistogramVec(prometheus.HistogramOpts{
		Name:    "alertmanager_http_request_duration_seconds",
		Help:    "Histogram of latencies for HTTP requests.",
		Buckets: prometheus.DefBuckets,
	}, []string{"handler", "method", "code"})
}

func externalURL(given string, addr net.Addr) (*url.URL, error) {
	if given == "" {
		given = "http://" + addr.String()
	}
	u, err := url.Parse(given)
	if err != nil {
		return nil, fmt.Errorf("read external url: %w", err)
	}
	return u, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
