package app

import (
	"context"
	"net/http"
	"time"

	"nocturne/eventbridge/metrics"
	"nocturne/eventbridge/registry"
	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
	"nocturne/eventbridge/sink/remotewrite"
	"nocturne/eventbridge/sink/victorialogs"
	"nocturne/internal/record"
)

// driver is a sink that runs.
type driver struct {
	name string
	*sink.Driver
}

// Names of the sinks; their positions are kept under them.
const (
	sinkMetrics = "victoriametrics"
	sinkLogs    = "victorialogs"
)

// openSinks builds the sinks and the forwarder of pushed metrics.
func (a *App) openSinks(ctx context.Context) (forward forwardFunc, err error) {
	if url := a.cfg.VictoriaMetrics.URL; url != "" {
		rw := remotewrite.New(remotewrite.Config{URL: url, Log: a.component("sink"), Reg: a.metrics})
		if err := a.addSink(ctx, sink.Config{Name: sinkMetrics, Sink: rw, Samples: true}); err != nil {
			return nil, err
		}
		f := metrics.New(metrics.Config{URL: url, Log: a.component("metrics"), Reg: a.metrics})
		a.parts = append(a.parts, part{"metrics", f.Run})
		forward = func(w http.ResponseWriter, req *http.Request, from registry.Principal) {
			f.Serve(w, req, metrics.Server{ID: from.Server.ID, Name: from.Server.Name, Site: from.Server.Labels.Site})
		}
	}
	if url := a.cfg.VictoriaLogs.URL; url != "" {
		vl := victorialogs.New(victorialogs.Config{URL: url, MaxAge: max(0, a.cfg.VictoriaLogs.Keep-24*time.Hour), Reg: a.metrics})
		if err := a.addSink(ctx, sink.Config{Name: sinkLogs, Sink: vl, Ledger: true}); err != nil {
			return nil, err
		}
	}
	return forward, nil
}

func (a *App) addSink(ctx context.Context, cfg sink.Config) error {
	store, err := sink.OpenKV(ctx, a.conn.JetStream(), cfg.Name)
	if err != nil {
		return err
	}
	cfg.Holder, cfg.Stream, cfg.Store, cfg.Reg = a.bridge, a.conn, store, a.metrics
	cfg.Log, cfg.Lookup = a.component("sink"), a.lookup
	a.sinks = append(a.sinks, driver{cfg.Name, sink.New(cfg)})
	return nil
}

// forwardFunc takes pushed metrics of an authenticated server.
type forwardFunc = func(w http.ResponseWriter, req *http.Request, from registry.Principal)

// lookup tells a sink who a server is when its registry record is no longer in
// the stream.
func (a *App) lookup(id record.ID) (series.Server, bool) {
	s, err := a.registry.Server(id)
	if err != nil {
		return series.Server{}, false
	}
	return series.Server{Name: s.Name, Site: s.Labels.Site, Rack: s.Labels.Rack, Role: s.Labels.Role, Simulated: s.Labels.Simulated}, true
}
