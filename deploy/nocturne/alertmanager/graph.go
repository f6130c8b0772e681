package alertmanager

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/alertmanager/api"
	"github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/common/model"
)

// graph is what a reload rebuilds: routes, receivers, inhibitor and dispatcher, on top of parts that live for ever.
// The order of reload is upstream's (alertmanager app/reloader.go), with the drain added.
type graph struct {
	alerts    provider.Alerts
	api       *api.API
	silencer  *silence.Silencer
	groups    marker.GroupMarker
	events    eventrecorder.Recorder
	log       notify.NotificationLog
	pipelines *notify.PipelineBuilder
	metrics   *dispatch.DispatcherMetrics

	external     *url.URL
	retention    time.Duration
	drainTimeout time.Duration
	logger       *slog.Logger

	dispatcher atomic.Pointer[dispatch.Dispatcher]
	inhibitor  atomic.Pointer[inhibit.Inhibitor]

	mu     sync.Mutex // held by reload and stop
	drain  *drain     // around the running dispatcher's pipeline
	closed bool
}

// reload puts conf in force. Everything that can fail comes before the first change to what runs.
func (g *graph) reload(conf *config.Config) error {
	tmpl, err := template.FromGlobs(conf.Templates)
	if err != nil {
		return fmt.Errorf("parse templates: %w", err)
	}
	tmpl.ExternalURL = g.external
	routes := dispatch.NewRoute(conf.Route, nil)
	receivers, err := buildReceivers(conf, routes, tmpl, g.logger)
	if err != nil {
		return err
	}
	g.warnAboutRepeats(routes)

	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errors.New("alertmanager is stopping")
	}
	g.halt()

	inhibitor := inhibit.NewInhibitor(g.alerts, conf.InhibitRules, g.logger, g.events)
	now := func() time.Duration { return 0 }
	stage := newDrain(g.pipelines.New(receivers, now, inhibitor, g.silencer, intervener(conf), g.groups, g.log, nil))
	g.api.Update(conf, func(ctx context.Context, labels model.LabelSet) {
		g.inhibitor.Load().Mutes(ctx, labels)
		g.silencer.Mutes(ctx, labels)
	})
	dispatcher := dispatch.NewDispatcher(g.alerts, routes, stage, g.groups, notificationTimeout, dispatchMaintenance, nil,
		g.logger, g.events, g.metrics, tmpl)

	// The inhibitor must know all alerts before the dispatcher starts, or something that it inhibits is sent.
	go inhibitor.Run()
	inhibitor.WaitForLoading()
	g.inhibitor.Store(inhibitor)
	g.drain = stage
	go dispatcher.Run(time.Now())
	dispatcher.WaitForLoading()
	g.dispatcher.Store(dispatcher)
	return nil
}

// stop halts what runs, for good.
func (g *graph) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
	g.halt()
}

// halt ends the dispatcher, lets its messages arrive, then ends the inhibitor.
func (g *graph) halt() {
	if d := g.dispatcher.Load(); d != nil {
		d.Stop()
	}
	if g.drain != nil {
		if cut := g.drain.wait(g.drainTimeout); cut > 0 {
			g.logger.Warn("messages cut off on their way, they may be sent again", "groups", cut)
		}
		g.drain = nil
	}
	if i := g.inhibitor.Load(); i != nil {
		i.Stop()
	}
}

func buildReceivers(conf *config.Config, routes *dispatch.Route, tmpl *template.Template, logger *slog.Logger) (map[string][]notify.Integration, error) {
	used := make(map[string]bool)
	routes.Walk(func(r *dispatch.Route) { used[r.RouteOpts.Receiver] = true })
	receivers := make(map[string][]notify.Integration, len(used))
	for _, r := range conf.Receivers {
		if !used[r.Name] {
			logger.Info("receiver not used by any route", "receiver", r.Name)
			continue
		}
		integrations, err := receiver.BuildReceiverIntegrations(r, tmpl, logger)
		if err != nil {
			return nil, fmt.Errorf("build receiver %s: %w", r.Name, err)
		}
		receivers[r.Name] = integrations
	}
	return receivers, nil
}

func intervener(conf *config.Config) *timeinterval.Intervener {
	intervals := make(map[string][]timeinterval.TimeInterval)
	for _, i := range conf.MuteTimeIntervals {
		intervals[i.Name] = i.TimeIntervals
	}
	for _, i := range conf.TimeIntervals {
		intervals[i.Name] = i.TimeIntervals
	}
	return timeinterval.NewIntervener(intervals)
}

func (g *graph) warnAboutRepeats(routes *dispatch.Route) {
	routes.Walk(func(r *dispatch.Route) {
		if r.RouteOpts.RepeatInterval > g.retention {
			g.logger.Warn("repeat_interval is longer than the notification log is kept, messages may repeat early",
				"route", r.Key(), "repeat_interval", r.RouteOpts.RepeatInterval, "retention", g.retention)
		}
	})
}

func notificationTimeout(d time.Duration) time.Duration { return max(d, notify.MinTimeout) }
