// Package app wires the eventbridge: stream, registry, ingest, sinks and the
// three listeners. New builds everything and binds the listeners, Run serves
// until its context ends and then drains, Close releases the rest in reverse.
//
// To test: go test ./eventbridge/app.
package app

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"nocturne/eventbridge/config"
	"nocturne/eventbridge/ingest"
	"nocturne/eventbridge/ingest/amqp"
	"nocturne/eventbridge/registry"
	"nocturne/internal/disk"
	"nocturne/internal/stream"
)

// Options are what New needs.
type Options struct {
	Config  config.Config
	Version string
	Log     *slog.Logger // nil: none
	// TickPeriod is for tests; 0 = 1 s.
	TickPeriod time.Duration
}

// App is a whole eventbridge.
type App struct {
	cfg     config.Config
	version string
	log     *slog.Logger
	started time.Time

	bridge     string
	adminToken string
	ca         *authority
	metrics    *prometheus.Registry
	edge       *ingest.Metrics
	broker     *amqp.Metrics // nil without a broker

	server   *stream.Server // nil with an external one
	conn     *stream.Conn
	gatherer *ingest.Gatherer
	registry *registry.Registry
	handler  *ingest.Handler
	prober   *ingest.Prober
	sinks    []driver

	listeners []listener
	parts     []part // run until the listeners are drained
	stops     []stop
	closeOnce sync.Once
	closeErr  error
}

// listener is a bound port and who answers there.
type listener struct {
	name string
	net.Listener
	srv *http.Server
}

// part is something that runs.
type part struct {
	name string
	run  func(context.Context) error
}

type stop struct {
	name string
	fn   func() error
}

const (
	openTimeout  = 2 * time.Minute
	drainTimeout = 15 * time.Second
)

// New builds the bridge. On error everything that was opened is closed again.
func New(o Options) (_ *App, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &App{cfg: o.Config, version: o.Version, log: o.Log, started: time.Now(), metrics: prometheus.NewRegistry(), edge: ingest.NewMetrics()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	if err := a.openData(); err != nil {
		return nil, err
	}
	if err := a.openStream(ctx); err != nil {
		return nil, err
	}
	a.metrics.MustRegister(a.edge, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), a.buildInfo(), a.diskMetrics())
	a.metrics.MustRegister(a.keepMetrics()...)

	limits := a.cfg.Ingest.Limits
	a.gatherer = ingest.NewGatherer(ingest.GathererConfig{
		Bridge: a.bridge, QueueBytes: limits.QueueBytes, QueueWait: limits.QueueWait, AppendTimeout: limits.AppendTimeout, TickPeriod: o.TickPeriod,
	}, a.conn, func() bool { return a.prober.OK() }, a.edge, a.component("append"))
	// The registry appends while it opens nothing; its records wait for Run.
	if err := a.openRegistry(ctx); err != nil {
		return nil, err
	}
	forward, err := a.openSinks(ctx)
	if err != nil {
		return nil, err
	}
	a.handler = ingest.New(ingest.Options{
		Config: limits, BridgeID: a.bridge, Registry: a.registry, Gatherer: a.gatherer, Stream: a.conn,
		Forward: forward, Metrics: a.edge, Log: a.component("ingest"),
	})
	a.readBroker()
	if err := a.listen(); err != nil {
		return nil, err
	}
	period := o.TickPeriod
	if period == 0 {
		period = time.Second
	}
	a.prober = ingest.NewProber(a.bridge, a.publicURLs(), a.ca.clientConfig(), period, a.edge, a.component("probe"))
	a.parts = append(a.parts, part{"registry", a.registry.Run})
	if a.server != nil {
		a.parts = append(a.parts, part{"stream", a.watchStream})
	}
	for _, d := range a.sinks {
		a.parts = append(a.parts, part{"sink " + d.name, d.Run})
	}
	return a, nil
}

func (a *App) component(name string) *slog.Logger { return a.log.With("component", name) }

func (a *App) onClose(name string, fn func() error) { a.stops = append(a.stops, stop{name, fn}) }

// openData takes the data folder: lock, bridge id, admin token, CA.
func (a *App) openData() error {
	dir := a.cfg.Data
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data folder: %w", err)
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return fmt.Errorf("data folder %s is in use by another eventbridge (lock: %w): stop that one, or name another folder as data", dir, err)
	}
	a.onClose("lock", unlock)
	if a.bridge = a.cfg.BridgeID; a.bridge == "" {
		if a.bridge, err = ensureText(filepath.Join(dir, "bridge.id"), func() string { return "b" + randomHex(4) }); err != nil {
			return err
		}
	}
	if a.adminToken, err = ensureText(filepath.Join(dir, "admin.token"), func() string { return randomHex(32) }); err != nil {
		return err
	}
	if a.ca, err = openAuthority(dir, a.cfg.Ingest.Listen, a.cfg.Ingest.Names); err != nil {
		return err
	}
	a.metrics.MustRegister(a.ca.expiry("ca", func() time.Time { return a.ca.cert.NotAfter }), a.ca.expiry("server", a.ca.leafEnds))
	return nil
}

// openStream starts the embedded server, or connects to an external one, and
// makes sure of the partitions.
func (a *App) openStream(ctx context.Context) error {
	url, token := a.cfg.Stream.URL, a.cfg.Stream.TokenFile
	if url == "" {
		host, portText, err := net.SplitHostPort(a.cfg.Stream.Address)
		if err != nil {
			return fmt.Errorf("stream.address: %w", err)
		}
		port, err := strconv.Atoi(portText)
		if err != nil {
			return fmt.Errorf("stream.address: %w", err)
		}
		if port != 0 { // the server only says that it did not become ready
			if err := portFree(a.cfg.Stream.Address); err != nil {
				return fmt.Errorf("stream.address: %w", err)
			}
		}
		dir := filepath.Join(a.cfg.Data, "stream")
		start := time.Now()
		if a.server, err = stream.NewServer(stream.ServerConfig{Dir: dir, Host: host, Port: port}); err != nil {
			return err
		}
		a.onClose("stream server", func() error { a.server.Close(); return nil })
		a.component("stream").Info("embedded stream is open", "address", a.server.URL(), "took", time.Since(start).Round(time.Millisecond))
		url, token = a.server.URL(), stream.TokenFile(dir, stream.RoleBridge)
	}
	var err error
	if a.conn, err = stream.Connect(stream.Config{URL: url, Role: stream.RoleBridge, TokenFile: token, Name: "eventbridge " + a.bridge, Log: a.component("stream")}); err != nil {
		return err
	}
	a.onClose("stream connection", func() error { a.conn.Close(); return nil })
	return a.conn.CreateStreams(ctx, stream.StreamsConfig{MaxAge: a.cfg.Stream.MaxAge, MaxBytes: a.cfg.Stream.MaxBytes})
}

func (a *App) openRegistry(ctx context.Context) error {
	kv, err := a.conn.JetStream().CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: registry.Bucket, Description: "servers, credentials, join tokens", History: 1, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return fmt.Errorf("open bucket %s: %w", registry.Bucket, err)
	}
	cfg := a.cfg.Registry
	cfg.Copy = filepath.Join(a.cfg.Data, "registry.copy")
	a.registry, err = registry.Open(ctx, registry.Options{Config: cfg, BridgeID: a.bridge, KV: kv, Append: a.gatherer, Log: a.component("registry")})
	if err != nil {
		return err
	}
	a.metrics.MustRegister(a.registry.Metrics)
	return nil
}

// readBroker adds the input from RabbitMQ, if there is one.
func (a *App) readBroker() {
	if a.cfg.AMQP.URL == "" {
		return
	}
	a.broker = amqp.NewMetrics()
	a.metrics.MustRegister(a.broker)
	in := amqp.New(amqp.Options{Config: a.cfg.AMQP, BridgeID: a.bridge, Registry: a.registry, Gatherer: a.gatherer, Metrics: a.broker, Log: a.component("amqp")})
	a.parts = append(a.parts, part{"amqp", in.Run})
}

// listen binds the listeners; nobody is served before Run.
func (a *App) listen() error {
	local := http.NewServeMux()
	local.Handle("/", a.handler)
	local.Handle("GET /metrics", a.metricsHandler())
	if err := a.bind("ingest", a.cfg.Ingest.Address, nil, local); err != nil {
		return err
	}
	if err := a.bind("admin", a.cfg.Admin.Address, nil, a.adminHandler()); err != nil {
		return err
	}
	if a.cfg.Ingest.Listen == "" {
		return nil
	}
	serverTLS, err := a.ca.serverConfig(a.cfg.Ingest.ClientCA)
	if err != nil {
		return err
	}
	return a.bind("listen", a.cfg.Ingest.Listen, serverTLS, a.handler)
}

func (a *App) bind(name, address string, tlsConfig *tls.Config, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for %s on %s: %w: is another program using the port?", name, address, err)
	}
	srv := a.handler.Server(h)
	a.onClose(name+" listener", func() error {
		err := errors.Join(srv.Close(), l.Close())
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		return err
	})
	if tlsConfig != nil {
		a.listeners = append(a.listeners, listener{name, tls.NewListener(l, tlsConfig), srv})
		return nil
	}
	a.listeners = append(a.listeners, listener{name, l, srv})
	return nil
}

func (a *App) metricsHandler() http.Handler {
	return promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelError), MaxRequestsInFlight: 8})
}

func (a *App) buildInfo() prometheus.Collector {
	g := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "eventbridge_build_info", Help: "1; the labels say which build this is.", ConstLabels: prometheus.Labels{"version": a.version, "bridge": a.bridge},
	})
	g.Set(1)
	return g
}

// Run serves until ctx ends or a part fails. Then it stops taking requests,
// answers the ones it has, stores what is queued, and returns.
func (a *App) Run(ctx context.Context) error {
	log := a.component("app")
	failed := make(chan error, len(a.listeners)+len(a.parts)+2)
	report := func(name string, err error) {
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
		failed <- err
	}
	// Rings, stopped from the outside in: probe (what is closing is not to be
	// reached), listeners, parts, appenders.
	probeCtx, stopProbe := context.WithCancel(ctx)
	defer stopProbe()
	partsCtx, stopParts := context.WithCancel(context.WithoutCancel(ctx))
	defer stopParts()
	appendCtx, stopAppend := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAppend()
	var servers, parts, appender sync.WaitGroup
	parts.Go(func() { report("probe", a.prober.Run(probeCtx)) })
	appender.Go(func() { report("append", a.gatherer.Run(appendCtx)) })
	for _, p := range a.parts {
		parts.Go(func() { report(p.name, p.run(partsCtx)) })
	}
	for _, l := range a.listeners {
		servers.Go(func() {
			if err := l.srv.Serve(l.Listener); !errors.Is(err, http.ErrServerClosed) {
				report(l.name, err)
			}
		})
		log.Info("listening", "listener", l.name, "address", l.Addr().String())
	}
	log.Info("eventbridge runs", "bridge", a.bridge, "version", a.version, "data", a.cfg.Data, "took", time.Since(a.started).Round(time.Millisecond))
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		if err == nil && ctx.Err() == nil {
			err = errors.New("a part ended by itself")
		}
	}
	stopProbe()
	log.Info("eventbridge stops: no new requests")
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	for _, l := range a.listeners {
		if e := l.srv.Shutdown(drain); e != nil {
			err = errors.Join(err, fmt.Errorf("drain %s: %w", l.name, e), l.srv.Close())
		}
	}
	servers.Wait()
	stopParts()
	parts.Wait()
	stopAppend()
	appender.Wait()
	log.Info("eventbridge has stopped", "append", a.edge.Append.Totals())
	return err
}

// Close releases what New opened, in reverse. Call it after Run has returned,
// or instead of Run.
func (a *App) Close() error {
	a.closeOnce.Do(func() {
		for i := len(a.stops) - 1; i >= 0; i-- {
			if err := a.stops[i].fn(); err != nil {
				a.closeErr = errors.Join(a.closeErr, fmt.Errorf("close %s: %w", a.stops[i].name, err))
			}
		}
	})
	return a.closeErr
}

// address returns where a listener listens, "" when there is none.
func (a *App) address(name string) string {
	for _, l := range a.listeners {
		if l.name == name {
			return l.Addr().String()
		}
	}
	return ""
}

// IngestURL is where servers on this machine send to.
func (a *App) IngestURL() string { return "http://" + a.address("ingest") }

// ListenURL is where servers on the network send to, "" when nobody listens.
func (a *App) ListenURL() string {
	if addr := a.address("listen"); addr != "" {
		return "https://" + addr
	}
	return ""
}

// AdminURL is where administrators ask.
func (a *App) AdminURL() string { return "http://" + a.address("admin") }

// AdminToken is the bearer token for AdminURL.
func (a *App) AdminToken() string { return a.adminToken }

// StreamURL is where the stream listens.
func (a *App) StreamURL() string {
	if a.server == nil {
		return a.cfg.Stream.URL
	}
	return a.server.URL()
}

// StreamTokenFile holds the token for a role on the embedded stream.
func (a *App) StreamTokenFile(role stream.Role) string {
	return stream.TokenFile(filepath.Join(a.cfg.Data, "stream"), role)
}

// Fingerprint is the SHA-256 of the CA certificate, in hexadecimal.
func (a *App) Fingerprint() string { return a.ca.fingerprint() }

// BridgeID names this bridge in the stream.
func (a *App) BridgeID() string { return a.bridge }

// publicURLs are what the probe asks, as a server would reach them.
func (a *App) publicURLs() []string {
	urls := []string{a.IngestURL()}
	if addr := a.address("listen"); addr != "" {
		host, port, err := net.SplitHostPort(addr)
		if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
			if ip.To4() == nil {
				host = "::1"
			}
		}
		urls = append(urls, "https://"+net.JoinHostPort(host, port))
	}
	return urls
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// ensureText reads a one-line file that only the owner may read, making it at
// the first start.
func ensureText(path string, fresh func() string) (string, error) {
	b, err := os.ReadFile(path)
	if text := strings.TrimSpace(string(b)); err == nil && text != "" {
		return text, nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	text := fresh()
	return text, disk.Replace(path, []byte(text+"\n"), 0o600)
}

// portFree says which port is taken before something less clear does.
func portFree(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%w: is another program using the port?", err)
	}
	return l.Close()
}
