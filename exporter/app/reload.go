package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/exporter/config"
)

// ErrReload is returned by Run when the exporter has to be built anew with
// another configuration: Next.
var ErrReload = errors.New("the configuration was read again")

// Reloader lets an exporter take a new configuration while it runs. What is
// rebuilt is everything: the sources go on from their positions and the outputs
// from theirs, the same way as after a restart, which is tested with kill -9.
// It begins an epoch, as every start does, and says no goodbye.
//
// Nothing that runs is touched before the new configuration has passed every
// check that can be made beside it. It is safe for concurrent use.
type Reloader struct {
	load func() (config.Config, error)
	bell chan struct{} // size 1: one wish waits
	ok   prometheus.Gauge
	when prometheus.Gauge
}

// NewReloader returns one that reads configurations with load.
func NewReloader(load func() (config.Config, error)) *Reloader {
	r := &Reloader{load: load, bell: make(chan struct{}, 1),
		ok:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "exporter_config_last_reload_successful", Help: "Whether the configuration was taken when it was last read."}),
		when: prometheus.NewGauge(prometheus.GaugeOpts{Name: "exporter_config_last_reload_success_timestamp_seconds", Help: "When a configuration was last taken, the one at start included."}),
	}
	r.taken()
	return r
}

// Ask asks for the configuration to be read again, soon.
func (r *Reloader) Ask() {
	select {
	case r.bell <- struct{}{}:
	default: // asked already
	}
}

// asked is nil, which never answers, for an exporter without a reloader.
func (r *Reloader) asked() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.bell
}

func (r *Reloader) metrics() []prometheus.Collector {
	if r == nil {
		return nil
	}
	return []prometheus.Collector{r.ok, r.when}
}

func (r *Reloader) taken() {
	r.ok.Set(1)
	r.when.SetToCurrentTime()
}

// Kept says that the configuration from before stays, and why.
func (r *Reloader) Kept(err error, log *slog.Logger) {
	r.ok.Set(0)
	log.Error("configuration not taken, the one from before stays", "err", err)
}

// reload reads the configuration and tells whether it can be taken.
func (a *App) reload() bool {
	c, err := a.o.Reload.load()
	if err == nil {
		err = a.fits(c)
	}
	if err != nil {
		a.o.Reload.Kept(err, a.log)
		return false
	}
	a.next = &c
	return true
}

// Next is the configuration that the exporter has to be built with after
// ErrReload.
func (a *App) Next() config.Config { return *a.next }

// fits builds what can be built of a configuration beside the running one.
func (a *App) fits(c config.Config) error {
	old := &a.o.Config
	if c.Data != old.Data {
		return fmt.Errorf("data is %s now: another folder needs a restart", c.Data)
	}
	o := a.o
	o.Config = c
	b := newApp(o)
	b.spool = a.spool
	receivers, err := b.receivers()
	if err != nil {
		return err
	}
	if b.identity.id != a.identity.id {
		return fmt.Errorf("the credentials are of server %s now: another server needs a restart", b.identity.id)
	}
	for i := range receivers {
		out, err := b.newOutput(&receivers[i])
		if err != nil {
			return fmt.Errorf("output %q: %w", receivers[i].Name, err)
		}
		if err := out.Close(); err != nil {
			return fmt.Errorf("output %q: %w", receivers[i].Name, err)
		}
	}
	if _, err := b.configured(); err != nil {
		return err
	}
	if c.Metrics.Listen == old.Metrics.Listen || c.Metrics.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", c.Metrics.Listen)
	if err != nil {
		return fmt.Errorf("listen for /metrics: %w", err)
	}
	return l.Close()
}

// Rebuild builds an exporter again after ErrReload, with the configuration from
// before where the new one fails after all.
func Rebuild(o Options, next config.Config) (*App, config.Config, error) {
	began := time.Now()
	old := o.Config
	o.Config = next
	a, err := New(o)
	if err == nil {
		o.Reload.taken()
		o.Log.Info("configuration taken", "took", time.Since(began).Round(time.Millisecond))
		return a, next, nil
	}
	o.Reload.Kept(err, o.Log)
	o.Config = old
	a, err = New(o)
	return a, old, err
}
