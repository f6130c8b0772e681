// Package api is what people, the page and the Grafana plugin call: an HTTP
// API under /api/v1 that answers from the store, and from nothing else that
// the ruler knows. What the ruler does not own it asks for by HTTP: the
// bridge's admin API (join tokens, the state of the pipeline), and in the demo
// the receiver and the simulator.
//
// One table (routes.go) holds every route with its parameters and its answer;
// requests are checked by it and the OpenAPI document is made from it, so that
// neither can say what the other does not. Unknown parameters are refused.
//
// Who may ask (caller.go): whoever has a token or is logged in (login.go), and
// unless a login is required anybody on this machine (a loopback peer that no
// proxy speaks for, asking for a name of this machine), as admin. Every route
// says which role it takes; a
// plugin's token speaks for the person that it names, never above its own role.
// State-changing calls must come from the same origin too.
//
// The handler is safe for concurrent use; New starts nothing. To test:
// go test ./ruler/api, with an in-memory store.Reader from apitest.
package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/ruler/backtest"
	"nocturne/ruler/chart"
	"nocturne/ruler/engine"
	"nocturne/ruler/lifecycle"
	"nocturne/ruler/notify"
	"nocturne/ruler/password"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
)

// Config is the `api` section of the ruler's file, and what app adds to it.
type Config struct {
	// Hosts are names under which the page is asked for, beside localhost and
	// the loopback addresses: what a reverse proxy or the network calls it.
	Hosts []string `yaml:"hosts"`
	// TokenFile holds the token for peers that are not on this machine.
	// Empty = they are refused.
	TokenFile string `yaml:"token_file"`
	// Login says whether the page asks everybody for a login: LoginRequired,
	// LoginOpen (not those on this machine) or LoginAuto.
	Login string `yaml:"login"`
	// Bridge is the eventbridge's admin API; empty = nothing is said of the
	// pipeline before the ruler, and no server can be added.
	Bridge BridgeConfig `yaml:"bridge"`
	// Demo is set where simulated servers run.
	Demo DemoConfig `yaml:"demo"`
	// ExporterPort is where discovery says the exporters serve /metrics.
	ExporterPort int `yaml:"exporter_port"`
	// LifecycleFile holds ends of support beside those that the program knows.
	LifecycleFile string `yaml:"lifecycle_file"`
	// Runbooks is a folder with what to do, in files like those of
	// alerts/runbooks; its sections go before those. Empty = there is none.
	Runbooks string `yaml:"runbooks"`

	Reader store.Reader `yaml:"-"` // required
	// Tokens are the callers' credentials; nil = there is only TokenFile.
	Tokens store.TokenStore `yaml:"-"`
	// Users are who may log in; nil = nobody.
	Users store.UserStore `yaml:"-"`
	// Exposed says that others than this machine reach the listener.
	Exposed bool `yaml:"-"`
	// Desk keeps what people do with notifications; nil = they may only look.
	Desk store.DeskStore `yaml:"-"`
	// Feed tells what changes; nil = there is no stream of events.
	Feed store.FeedStore `yaml:"-"`
	// Stop ends the streams, which do not end by themselves; nil = they last.
	Stop <-chan struct{} `yaml:"-"`
	// SilencesChanged is called after silences were stored; nil = nobody.
	SilencesChanged func() `yaml:"-"`
	// Rules are what is carried out; nil = nothing is said of them.
	Rules *rulebook.Book `yaml:"-"`
	// Failures are conditions that could not be evaluated, by rule id; nil =
	// nothing is said of them.
	Failures func() map[string]engine.Failure `yaml:"-"`
	// MetricHealth says by id how metric rules did that are carried out; nil = of none.
	MetricHealth func() map[string][]MetricHealth `yaml:"-"`
	// Past is what rules are tried on; without a stream none is.
	Past backtest.Config `yaml:"-"`
	// Events are what the log store keeps; nil = there is no event history.
	Events EventLog `yaml:"-"`
	// Charts are drawn from the metrics store; nil = there are none.
	Charts *chart.Client `yaml:"-"`
	// Alerting lists the Alertmanagers that take no notifications; nil = nothing
	// is said of them.
	Alerting func() []notify.Trouble `yaml:"-"`

	// Version is the ruler's own, for people and for the plugin.
	Version string `yaml:"-"`

	Registerer prometheus.Registerer `yaml:"-"` // nil = not registered
	Client     *http.Client          `yaml:"-"` // nil = one of our own
	Now        func() time.Time      `yaml:"-"` // nil = time.Now

	lineEvery     time.Duration   // for tests; 0 = lineEvery
	storageWithin time.Duration   // for tests; 0 = storageWithin
	hashing       password.Params // for tests; zero = password.Default
}

// The values of Config.Login. Auto is required where others than this machine are
// meant to reach the page: it listens for them, or has a name in api.hosts.
const (
	LoginAuto     = "auto"
	LoginRequired = "required"
	LoginOpen     = "open"
)

// LoginRequired tells whether nobody is answered without a login or a token.
func (c *Config) LoginRequired() bool {
	return c.Login == LoginRequired || c.Login != LoginOpen && (c.Exposed || len(c.Hosts) > 0)
}

// BridgeConfig says where the eventbridge's admin API is.
type BridgeConfig struct {
	URL       string `yaml:"url"`        // http://127.0.0.1:9472
	TokenFile string `yaml:"token_file"` // <bridge data>/admin.token
}

// DemoConfig says where the demo's helpers are.
type DemoConfig struct {
	ReceiverURL  string `yaml:"receiver_url"`  // http://127.0.0.1:9481
	SimulatorURL string `yaml:"simulator_url"` // http://127.0.0.1:9482
}

// DefaultConfig returns what an empty section means.
func DefaultConfig() Config { return Config{ExporterPort: 9490, Login: LoginAuto} }

// Validate says what to write instead.
func (c *Config) Validate() error {
	for _, u := range []struct{ key, value string }{
		{"api.bridge.url", c.Bridge.URL},
		{"api.demo.receiver_url", c.Demo.ReceiverURL},
		{"api.demo.simulator_url", c.Demo.SimulatorURL},
	} {
		if u.value == "" {
			continue
		}
		p, err := url.Parse(u.value)
		if err != nil || p.Host == "" || p.Scheme != "http" && p.Scheme != "https" {
			return fmt.Errorf("%s: %.80q is no address, write one like http://127.0.0.1:9472", u.key, u.value)
		}
	}
	if c.Bridge.URL != "" && c.Bridge.TokenFile == "" {
		return errors.New("api.bridge.token_file: missing, write the path of the bridge's admin.token")
	}
	for _, h := range c.Hosts {
		if h == "" || strings.ContainsAny(h, "/: ") {
			return fmt.Errorf("api.hosts: %.80q is no host name, write one like nocturne.example.org without port", h)
		}
	}
	if !slices.Contains([]string{"", LoginAuto, LoginRequired, LoginOpen}, c.Login) {
		return fmt.Errorf("api.login: %.80q does not fit, write auto, required or open", c.Login)
	}
	if c.ExporterPort < 1 || c.ExporterPort > 65535 {
		return fmt.Errorf("api.exporter_port: %d is no port, write one from 1 to 65535", c.ExporterPort)
	}
	return nil
}

// Prefix is where all routes are.
const Prefix = "/api/v1"

// requestTimeout bounds the work for one request.
const requestTimeout = 10 * time.Second

type server struct {
	cfg     Config
	log     *slog.Logger
	reader  store.Reader
	recent  recentBridge
	sizes   recentStorage
	known   knownServers
	client  *http.Client
	now     func() time.Time
	metrics *metrics
	used    lastUsed
	hub     hub

	required bool // nobody is answered without a login or a token
	hashing  password.Params
	throttle throttle

	cross   *http.CrossOriginProtection
	openapi []byte

	lifecycle *lifecycle.Source
	trying    sync.Mutex // one backtest at a time
}

// New returns the handler of everything under /api/.
func New(cfg Config, log *slog.Logger) (http.Handler, error) {
	if cfg.ExporterPort == 0 {
		cfg.ExporterPort = DefaultConfig().ExporterPort
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Reader == nil {
		return nil, errors.New("api: no Reader given")
	}
	if cfg.Client == nil {
		// No proxy and no redirects: these are neighbours on loopback.
		cfg.Client = &http.Client{
			Timeout:       5 * time.Second,
			Transport:     &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &server{cfg: cfg, log: log, reader: cfg.Reader, client: cfg.Client, now: cfg.Now, used: lastUsed{seen: map[string]time.Time{}}, cross: http.NewCrossOriginProtection()}
	s.required, s.hashing, s.throttle = cfg.LoginRequired(), cmp.Or(cfg.hashing, password.Default), throttle{buckets: map[[32]byte]bucket{}}
	s.hub = hub{s: s, clients: map[*client]struct{}{}}
	var err error
	if s.lifecycle, err = lifecycle.NewSource(cfg.LifecycleFile); err != nil {
		return nil, fmt.Errorf("api.lifecycle_file: %w", err)
	}
	routes := s.routes()
	s.metrics = newMetrics(routes, cfg.Registerer)
	s.openapi = openAPI(routes)
	return s.mux(routes), nil
}

func (s *server) mux(routes []route) http.Handler {
	mux := http.NewServeMux()
	allow := map[string][]string{}
	for _, rt := range routes {
		h := s.handler(rt)
		if rt.lines != nil {
			h = s.lined(rt)
		}
		if rt.stream {
			h = s.follow(rt)
		}
		mux.Handle(rt.method+" "+Prefix+rt.path, h)
		allow[rt.path] = append(allow[rt.path], rt.method)
	}
	for path, methods := range allow {
		list := strings.Join(methods, ", ")
		wrong := s.handler(route{name: "other", handle: func(*request) (any, error) {
			return nil, &problem{status: http.StatusMethodNotAllowed, msg: "this method does nothing here", hint: "use " + list, allow: list}
		}})
		// One by one: a pattern without method would be neither more nor less
		// specific than GET /rules/{id} where the path is /rules/reload.
		for _, m := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"} {
			if !slices.Contains(methods, m) && (m != "HEAD" || !slices.Contains(methods, "GET")) {
				mux.Handle(m+" "+Prefix+path, wrong)
			}
		}
	}
	mux.Handle("/", s.handler(route{name: "other", handle: func(*request) (any, error) {
		return nil, &problem{status: http.StatusNotFound, msg: "no such path in the API", hint: "see " + Prefix + "/openapi.json for all of them"}
	}}))
	return mux
}

// handler runs a route: guard, parse, handle, encode, count.
func (s *server) handler(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.now()
		ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		setHeaders(w.Header())
		body, err := s.answer(w, r, rt)
		code := http.StatusOK
		if err != nil {
			code, body = s.explain(w.Header(), rt, err)
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(code)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // the caller hung up: nobody is left to tell
		}
		s.metrics.observe(rt.name, code, s.now().Sub(start))
	})
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, rt route) ([]byte, error) {
	who, err := s.guard(r, rt)
	if err != nil {
		return nil, err
	}
	req, err := rt.parse(w, r)
	if err != nil {
		return nil, err
	}
	req.actor, req.who = who.name, who
	v, err := rt.handle(req)
	if err != nil {
		return nil, err
	}
	for _, c := range req.cookies {
		http.SetCookie(w, c)
	}
	return encode(v)
}

// setHeaders makes sure that no browser takes an answer for a page.
func setHeaders(h http.Header) {
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
}
