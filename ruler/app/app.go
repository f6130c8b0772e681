// Package app wires the ruler: store, stream, engine, sender, API and page. New
// builds everything and binds the listener, Run works until its context ends,
// Close releases the rest in reverse.
//
// To test: go test ./ruler/app.
package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"nocturne/internal/disk"
	"nocturne/internal/stream"
	"nocturne/internal/trust"
	"nocturne/ruler/api"
	"nocturne/ruler/backtest"
	"nocturne/ruler/chart"
	"nocturne/ruler/config"
	"nocturne/ruler/console"
	"nocturne/ruler/engine"
	"nocturne/ruler/eventlog"
	"nocturne/ruler/metricrule"
	"nocturne/ruler/notify"
	"nocturne/ruler/probe"
	"nocturne/ruler/register"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// Options are what New needs.
type Options struct {
	Config config.Config
	// Rules reads the rules of files; nil = those of Config. It is called again
	// whenever Hangup or somebody at the API says so.
	Rules func() (rulebook.Files, error)
	// Metrics are the metric rules; nil = none is evaluated.
	Metrics *metricrule.Pack
	Log     *slog.Logger // nil: none
	// ReloadMetrics reads the metric rules anew with them; nil = they stay.
	ReloadMetrics func() (*metricrule.Pack, error)
	Hangup        <-chan os.Signal
	// Version is what the API says of itself.
	Version string
	// Stream replaces the connection that the config names; for tests.
	Stream stream.Log
}

// App is a whole ruler.
type App struct {
	cfg      config.Config
	log      *slog.Logger
	version  string
	store    *sqlite.Store
	stream   stream.Log
	engine   *engine.Engine
	sender   *notify.Sender
	metrics  *metricrule.Evaluator // nil = no metric rules
	server   *http.Server
	listener net.Listener
	shown    *trust.Shown // nil = plain HTTP

	book   *rulebook.Book
	pack   *metricrule.Pack // as it was read last
	used   metrics          // what of it is carried out; the book's edits come one by one
	hangup <-chan os.Signal

	stopping  chan struct{} // closed when Run ends: streams end with it
	stops     []stop
	closeOnce sync.Once
	closeErr  error
}

// metrics is a pack, and why some of its rules are not carried out.
type metrics struct {
	pack *metricrule.Pack
	off  map[string]string // by id
}

type stop struct {
	name string
	fn   func() error
}

const (
	openTimeout = time.Minute
	streamWait  = 250 * time.Millisecond
	drainTime   = time.Second
	pruneEvery  = time.Hour
	layoutHash  = "fnv32a % 1024" // of stream.Partition
)

// New builds the ruler. On error everything that was opened is closed again.
func New(o Options) (_ *App, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &App{cfg: o.Config, log: o.Log, version: o.Version, stream: o.Stream, hangup: o.Hangup, stopping: make(chan struct{})}
	if a.cfg.Metrics.URL != "" {
		a.pack = o.Metrics
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// The address first: a second ruler on this machine stops here, before it
	// could take the partitions of the first.
	if a.listener, err = net.Listen("tcp", a.cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s for the page and the API (is another ruler running?): %w", a.cfg.Listen, err)
	}
	a.onClose("listener", func() error { return ignoreClosed(a.listener.Close()) })
	if err := a.readCertificate(reg); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(a.cfg.Data, 0o750); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	unlock, err := lockFile(filepath.Join(a.cfg.Data, "lock"))
	if err != nil {
		return nil, fmt.Errorf("data folder %s is in use by another ruler (lock: %w): stop that one, or name another folder as data", a.cfg.Data, err)
	}
	a.onClose("lock", unlock)
	// Without a limit: a store that is brought to a new version in an hour is better than one that is begun anew for ever.
	if a.store, err = openStore(context.Background(), a.cfg, func(from, to int) {
		a.log.Info("the store is brought to this version's schema: a large one takes minutes, let it end", "from", from, "to", to)
	}); err != nil {
		return nil, err
	}
	a.onClose("store", a.store.Close)
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	owner, err := ownerName(a.cfg.Data)
	if err != nil {
		return nil, err
	}
	if err := a.connect(ctx); err != nil {
		return nil, err
	}
	restored, err := a.store.Restored(ctx)
	if err != nil {
		return nil, err
	}
	if now := time.Now(); restored.After(now) { // by a clock that went ahead: people hear all the same
		restored = now
	}
	outbox := engine.Outbox{Store: a.store, Behind: a.behind, Restored: restored, Unreadable: a.unreadable}
	if a.sender, err = notify.NewSender(notify.Options{Config: a.cfg.Notify(), Source: outbox, Silences: outbox, Stuck: a.stuck, Log: a.component("notify"), Registerer: reg}); err != nil {
		return nil, err
	}
	if a.book, err = rulebook.Open(ctx, rulebook.Config{Files: a.ruleFiles(&o), Store: a.store, Log: a.component("rules")}); err != nil {
		return nil, err
	}
	rules := a.book.Generation()
	a.engine, err = engine.New(engine.Config{Log: a.stream, Store: a.store, Rules: rules.Rules, Generation: rules.Number, Gone: rules.Gone, Owner: owner, Changed: a.sender.Changed, Probe: probe.New(a.cfg.Probe, reg).Ask, Restored: restored, Logger: a.component("engine"), Registerer: reg})
	if err != nil {
		return nil, err
	}
	if a.pack != nil {
		a.used = metrics{pack: a.pack, off: a.book.MetricOff()}
		a.metrics, err = metricrule.New(metricrule.Options{Config: a.cfg.Metrics, Pack: a.pack.Without(a.used.off), Store: a.store, Owner: owner, Changed: a.sender.Changed,
			ConsoleURL: a.cfg.Alertmanager.ConsoleURL, Log: a.component("metricrule"), Registerer: reg})
		if err != nil {
			return nil, err
		}
	}
	a.book.Use(a.carryOut)
	a.diskMetrics(reg)
	handler, err := a.handler(reg)
	if err != nil {
		return nil, err
	}
	a.server = newServer(handler)
	a.server.ErrorLog = slog.NewLogLogger(a.component("http").Handler(), slog.LevelDebug)
	return a, nil
}

// Store is what OpenStore opens.
type Store = *sqlite.Store

// OpenStore opens the store of a ruler for a command that may run beside it: it
// does not migrate what the ruler has open.
func OpenStore(ctx context.Context, cfg config.Config) (Store, error) {
	return openStore(ctx, cfg, nil)
}

// openStore migrates where upgrade is given, and tells it before.
func openStore(ctx context.Context, cfg config.Config, upgrade func(from, to int)) (Store, error) {
	return sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(cfg.Data, storeFile), Partitions: stream.Partitions, Hash: layoutHash, Keep: upgrade == nil, Upgrade: upgrade})
}

// newServer gives up on who sends or reads too slowly. The one answer that is a
// stream sets its own deadlines.
func newServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 2 * time.Minute, IdleTimeout: 2 * time.Minute}
}

// connect waits for the stream's server, which starts beside us.
func (a *App) connect(ctx context.Context) error {
	if a.stream != nil {
		return nil
	}
	cfg := stream.Config{URL: a.cfg.Stream.URL, TokenFile: a.cfg.Stream.TokenFile, Role: stream.RoleRuler, Name: "ruler", Log: a.component("stream")}
	for {
		c, err := stream.Connect(cfg)
		if err == nil {
			a.stream = c
			a.onClose("stream", func() error { c.Close(); return nil })
			return nil
		}
		a.log.Debug("stream is not there yet", "err", err)
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the stream at %s: %w", a.cfg.Stream.URL, err)
		case <-time.After(streamWait):
		}
	}
}

func (a *App) handler(reg *prometheus.Registry) (http.Handler, error) {
	cfg := a.cfg.API
	cfg.Reader, cfg.Tokens, cfg.Users, cfg.Desk, cfg.Feed, cfg.Registerer = a.store, a.store, a.store, a.store, a.store, reg
	cfg.Exposed = a.exposed()
	cfg.Rules, cfg.Failures = a.book, a.engine.ConditionFailures
	if a.metrics != nil {
		cfg.MetricHealth = a.metricHealth
	}
	cfg.Past = backtest.Config{Stream: a.stream, State: a.store}
	if a.cfg.Logs.URL != "" {
		events := eventlog.New(a.cfg.Logs, reg)
		cfg.Events, cfg.Past.Events = events, events
	}
	if a.cfg.Metrics.URL != "" {
		cfg.Charts = chart.New(a.cfg.Metrics.URL, reg)
	}
	cfg.Alerting, cfg.SilencesChanged = a.sender.Troubles, a.sender.SilencesChanged
	cfg.Stop, cfg.Version = a.stopping, a.version
	rest, err := api.New(cfg, a.component("api"))
	if err != nil {
		return nil, err
	}
	page, err := console.New()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/api/", rest)
	mux.Handle("/", page)
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := a.store.AuditLog(r.Context(), store.AuditQuery{Limit: 1}); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n")) // the caller hung up: nobody is left to tell
	})
	return mux, nil
}

// metricHealth says by id what the API tells of how metric rules did.
func (a *App) metricHealth() map[string][]api.MetricHealth {
	out := map[string][]api.MetricHealth{}
	for _, s := range a.metrics.States() {
		for _, h := range s.Health {
			out[s.Rule.ID] = append(out[s.Rule.ID], api.MetricHealthOf(h.Group, h.Interval, h.At, h.Took, h.Error, h.Alerts))
		}
	}
	return out
}

// behind, unreadable and stuck may be asked before there is an engine.
func (a *App) behind(partition int) bool { return a.engine != nil && a.engine.Behind(partition) }

func (a *App) unreadable(err error) {
	if a.engine != nil {
		a.engine.Unreadable(err)
	}
}

func (a *App) stuck() string {
	if a.engine == nil {
		return ""
	}
	return a.engine.Stuck()
}

// ownerName names this ruler among those of one store: the host, and a number
// made once per data folder, so that a restart takes over at once.
func ownerName(dir string) (string, error) {
	path := filepath.Join(dir, "owner")
	b, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(b))) > 0 {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read owner: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	var n [4]byte
	if _, err := rand.Read(n[:]); err != nil {
		return "", fmt.Errorf("make owner: %w", err)
	}
	name := host + "-" + hex.EncodeToString(n[:])
	if err := disk.Replace(path, []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write owner: %w", err)
	}
	return name, nil
}

// Addr is where the page and the API are.
func (a *App) Addr() string { return a.listener.Addr().String() }

// Run works until ctx ends or a part fails.
func (a *App) Run(ctx context.Context) error {
	a.log.Info("ruler started", "address", a.Addr(), "tls", a.shown != nil, "data", a.cfg.Data)
	if err := a.firstAdmin(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.engine.Run(ctx) })
	g.Go(func() error { return a.sender.Run(ctx) })
	if a.metrics != nil {
		g.Go(func() error { return a.metrics.Run(ctx) })
	}
	g.Go(func() error { return a.prune(ctx) })
	g.Go(func() error { return a.reloads(ctx) })
	if b := a.cfg.API.Bridge; b.URL != "" {
		labels := register.Syncer{Store: a.store, Bridge: register.Bridge{URL: b.URL, TokenFile: b.TokenFile, Client: &http.Client{Timeout: 10 * time.Second}}, Log: a.component("register")}
		g.Go(func() error { return labels.Run(ctx) })
	}
	g.Go(func() error {
		if err := a.serve(); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the page and the API: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		close(a.stopping)
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if err := a.server.Shutdown(drain); err != nil {
			return a.server.Close() // somebody reads on and on
		}
		return nil
	})
	err := g.Wait()
	a.log.Info("ruler stopped", "err", err)
	return err
}

// ruleFiles reads the rules of files and the metric rules together: either all
// of them are right, or nothing changes.
func (a *App) ruleFiles(o *Options) func() (rulebook.Files, error) {
	files := o.Rules
	if files == nil {
		files = a.cfg.Rules.Files
	}
	return func() (rulebook.Files, error) {
		f, err := files()
		if err != nil || a.pack == nil {
			return f, err
		}
		if a.metrics != nil && o.ReloadMetrics != nil {
			pack, err := o.ReloadMetrics()
			if err != nil {
				return f, err
			}
			a.pack = pack
		}
		f.Metric = metricRules(a.pack)
		return f, nil
	}
}

// metricRules lists the alerting rules of a pack, each id once.
func metricRules(p *metricrule.Pack) []rulebook.Metric {
	var out []rulebook.Metric
	seen := map[string]bool{}
	for disabled, list := range map[bool][]*metricrule.Alert{false: p.Alerts(), true: p.Disabled()} {
		for _, v := range list {
			if !seen[v.Rule.ID] {
				seen[v.Rule.ID] = true
				out = append(out, rulebook.Metric{Rule: v.Rule, Text: v.Text, Disabled: disabled})
			}
		}
	}
	return out
}

// carryOut makes a generation, and metric rules that were read with it or
// switched, the one that holds.
func (a *App) carryOut(g engine.Generation) error {
	if err := a.engine.Reload(g); err != nil || a.metrics == nil {
		return err
	}
	off := a.book.MetricOff()
	if a.pack == a.used.pack && maps.Equal(off, a.used.off) {
		return nil
	}
	a.used = metrics{pack: a.pack, off: off}
	return a.metrics.Reload(a.pack.Without(off))
}

// reloads takes new rules, and a new certificate, when asked to. What is wrong
// changes nothing.
func (a *App) reloads(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.hangup:
		}
		if a.shown != nil {
			a.toldOfCertificate(a.shown.Reload())
		}
		out, err := a.book.Reload(ctx, rulebook.Editor{Actor: "ruler", Comment: "asked by a signal"})
		if err != nil {
			a.log.Error("rules not reloaded: the ones before stay", "err", err)
			continue
		}
		a.log.Info("rules reloaded", "rules", out.Rules, "generation", out.Generation, "changes", len(out.Changes))
	}
}

// prune deletes facts that are older than the retention.
func (a *App) prune(ctx context.Context) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		n, err := a.store.Prune(ctx, a.cfg.Store.Limits(time.Now()))
		if err != nil && ctx.Err() == nil {
			a.log.Warn("prune store", "err", err)
		}
		if n > 0 {
			a.log.Info("store pruned", "rows", n)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (a *App) component(name string) *slog.Logger { return a.log.With("component", name) }

func (a *App) onClose(name string, fn func() error) { a.stops = append(a.stops, stop{name, fn}) }

// Close releases what New opened. It may be called again.
func (a *App) Close() error {
	a.closeOnce.Do(func() {
		var errs []error
		for i := len(a.stops) - 1; i >= 0; i-- {
			if err := a.stops[i].fn(); err != nil {
				errs = append(errs, fmt.Errorf("close %s: %w", a.stops[i].name, err))
			}
		}
		a.closeErr = errors.Join(errs...)
	})
	return a.closeErr
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
