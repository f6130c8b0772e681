// Package app builds the exporter from its configuration and runs it: sources
// into the spool, the spool into outputs, metrics beside them.
//
// New takes what can be in the way (the folder's lock, the listener, the
// spool) and starts nothing. Run ends when its context ends or a part fails;
// then the sources stop, a goodbye is recorded and delivered if that takes no
// longer than DrainTime. Close lets go of everything and may be called after
// New alone.
//
// To test: go test ./exporter/app.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"nocturne/exporter/config"
	"nocturne/exporter/enrol"
	"nocturne/exporter/metrics"
	"nocturne/exporter/metrics/machine"
	"nocturne/exporter/output"
	"nocturne/exporter/ownlog"
	"nocturne/exporter/source"
	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// DrainTime is how long a stopping exporter tries to deliver its goodbye.
const DrainTime = 5 * time.Second

// stopTime is how long sources may take to stop.
const stopTime = 3 * time.Second

// ErrShutdown as the cause of the end of Run's context makes the goodbye say
// that the whole machine goes down, not only the exporter.
var ErrShutdown = errors.New("the machine shuts down")

// ErrRestart is returned by Run when the exporter has to be built anew, because
// it has become another server.
var ErrRestart = errors.New("the exporter has to start again")

// Options are what New needs.
type Options struct {
	Config  config.Config
	Version string
	Log     *slog.Logger
	Stdout  io.Writer // of console outputs; nil = none
	// Sources replaces the configured sources; nil = those of Config.
	Sources []source.Source
	// Now is the clock of the spool's epochs; nil = time.Now. Everything else
	// measures time in a way that setting the clock does not change.
	Now func() time.Time
	// Reload brings other configurations; nil = there is only this one.
	Reload *Reloader
}

// App is an exporter.
type App struct {
	o        Options
	log      *slog.Logger
	registry *prometheus.Registry
	gatherer prometheus.Gatherer // registry and machine
	machine  *machine.Machine    // nil = none
	identity identity
	spool    *spool.Spool
	drivers  []*output.Driver
	pushers  []*metrics.Pusher
	sources  []source.Source
	makers   map[string]maker // of the configured sources, by name
	listener net.Listener
	server   *http.Server
	commits  commits
	witness  *witnesses
	stops    []stop
	become   chan identity  // who the bridge says we are; size 1
	next     *config.Config // to be built with, after ErrReload
	reported enrol.Labels
	own      prometheus.Counter // records of our own log, which are left out
	started  time.Time
	problems *problems
}

// stop is one thing that Close undoes.
type stop struct {
	what string
	do   func() error
}

// New builds an exporter.
func New(o Options) (*App, error) {
	a := newApp(o)
	if err := a.build(); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func newApp(o Options) *App {
	a := &App{o: o, registry: prometheus.NewRegistry(), become: make(chan identity, 1), witness: newWitnesses(), started: time.Now(), problems: &problems{},
		own: prometheus.NewCounter(prometheus.CounterOpts{Name: "exporter_own_log_records_total", Help: "Records of the exporter's own log that a source read: they are not sent, to make no loop."})}
	a.log = slog.New(remembering{Handler: o.Log.Handler(), to: a.problems})
	return a
}

func (a *App) onClose(what string, do func() error) { a.stops = append(a.stops, stop{what, do}) }

// Close undoes New in reverse. It is safe to call it twice.
func (a *App) Close() error {
	var errs []error
	for len(a.stops) > 0 {
		s := a.stops[len(a.stops)-1]
		a.stops = a.stops[:len(a.stops)-1]
		if err := s.do(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", s.what, err))
		}
	}
	return errors.Join(errs...)
}

func (a *App) build() error {
	c := &a.o.Config
	if err := enrol.Folder(c.Data); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	unlock, err := lock(filepath.Join(c.Data, "lock"))
	if err != nil {
		return fmt.Errorf("data folder %s: %w", c.Data, err)
	}
	a.onClose("lock", unlock)
	if err := a.registerMetrics(); err != nil {
		return err
	}
	if a.reported, err = Reported(*c); err != nil {
		return err
	}
	receivers, err := a.receivers()
	if err != nil {
		return err
	}
	if err := a.openSpool(receivers); err != nil {
		return err
	}
	for _, r := range receivers {
		if err := a.addOutput(r); err != nil {
			return err
		}
	}
	if a.sources = a.o.Sources; a.sources == nil {
		if err := a.makeSources(); err != nil {
			return err
		}
	}
	return a.listen()
}

func (a *App) registerMetrics() error {
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "exporter_build_info", Help: "Always 1.",
		ConstLabels: prometheus.Labels{"version": a.o.Version, "goversion": runtime.Version(), "os": runtime.GOOS}})
	info.Set(1)
	all := []prometheus.Collector{info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})}
	all = append(append(all, a.own), a.o.Reload.metrics()...)
	for _, c := range all {
		if err := a.registry.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	a.gatherer = a.registry
	if !a.o.Config.Metrics.Machine {
		return nil
	}
	var err error
	a.machine, err = machine.New(machine.Options{Settings: a.o.Config.Metrics.Settings, Log: a.log.With("component", "metrics")})
	a.gatherer = prometheus.Gatherers{a.registry, a.machine}
	return err
}

func (a *App) openSpool(receivers []receiver) error {
	dir, err := spool.Dir(filepath.Join(a.o.Config.Data, "spool"))
	if err != nil {
		return fmt.Errorf("open spool: %w", err)
	}
	state, err := spool.Dir(a.o.Config.Data)
	if err != nil {
		return fmt.Errorf("open spool: %w", err)
	}
	names := make([]string, len(receivers))
	for i := range receivers {
		names[i] = receivers[i].Name
	}
	a.spool, err = spool.Open(spool.Options{
		Config: a.o.Config.Spool, FS: dir, StateFS: state, Producer: record.ExporterProducer(a.identity.id), Subject: a.identity.id,
		Outputs: names, Log: a.log.With("component", "spool"), Metrics: a.registry, Now: a.o.Now,
	})
	if err != nil {
		return err
	}
	a.onClose("spool", a.spool.Close)
	return nil
}

// ServerID returns who this exporter speaks for.
func (a *App) ServerID() record.ID { return a.identity.id }

// Registry returns the exporter's metrics.
func (a *App) Registry() *prometheus.Registry { return a.registry }

// emitter returns the emit function of a source.
func (a *App) emitter(s source.Source) source.Emit {
	name, category := s.Name(), s.Category()
	return func(ctx context.Context, recs []record.Record, position []byte) error {
		recs = a.foreign(recs)
		defer a.commits.begin(time.Now())()
		if err := a.spool.Append(ctx, name, category, recs, position); err != nil {
			return err
		}
		if category == record.EventLog {
			a.witness.events.Observe(recs)
		}
		return nil
	}
}

// foreign returns the records that are not of our own log.
func (a *App) foreign(recs []record.Record) []record.Record {
	own := func(r record.Record) bool { return ownlog.Is(&r) }
	if !slices.ContainsFunc(recs, own) {
		return recs
	}
	out := slices.DeleteFunc(slices.Clone(recs), own) // the source may still use its slice
	a.own.Add(float64(len(recs) - len(out)))
	return out
}
