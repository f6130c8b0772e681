package metricrule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"golang.org/x/sync/errgroup"

	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// Config is where metrics are.
type Config struct {
	// URL of VictoriaMetrics; "" = no metric rule is evaluated.
	URL string `yaml:"url"`
	// RemoteWrite takes what rules record; "" = /api/v1/write below URL.
	RemoteWrite string `yaml:"remote_write"`
	// Link is URL as people reach it, for links in evidence; "" = URL.
	Link string `yaml:"link"`
	// Interval of groups that name none.
	Interval time.Duration `yaml:"interval"`
	// Offset is how far in the past queries ask, so that all servers' samples of
	// a moment are there; groups can say query_offset.
	Offset time.Duration `yaml:"query_offset"`
}

// DefaultConfig fits the default stack.
func DefaultConfig() Config {
	return Config{URL: "http://127.0.0.1:8428", Interval: time.Minute, Offset: 5 * time.Second}
}

// Validate says what to write instead.
func (c *Config) Validate() error {
	var errs []error
	for _, v := range []struct{ key, url string }{{"metrics.url", c.URL}, {"metrics.remote_write", c.RemoteWrite}, {"metrics.link", c.Link}} {
		u, err := url.Parse(v.url)
		if v.url != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			errs = append(errs, fmt.Errorf("%s %.200q: want http://HOST:PORT or https://HOST:PORT", v.key, v.url))
		}
	}
	if c.Interval < time.Second || c.Interval > 24*time.Hour {
		errs = append(errs, fmt.Errorf("metrics.interval %s: want 1s to 24h", c.Interval))
	}
	if c.Offset < 0 || c.Offset > time.Hour {
		errs = append(errs, fmt.Errorf("metrics.query_offset %s: want 0s to 1h", c.Offset))
	}
	return errors.Join(errs...)
}

// Options are what an Evaluator is built from.
type Options struct {
	Config Config
	Pack   *Pack
	Store  store.Store
	// Owner names this process among rulers of one store.
	Owner string
	// Changed is told of what was just committed and people are to be told of;
	// nil = nobody. It must not block.
	Changed func(...notify.Notification)
	// ConsoleURL is what templates know as the external URL.
	ConsoleURL string
	Now        func() time.Time // nil = time.Now
	Log        *slog.Logger
	Registerer prometheus.Registerer
}

// Evaluator owns all groups of a ruler.
type Evaluator struct {
	opts      Options
	client    *Client
	metrics   *metrics
	restoring sync.Mutex // one group at a time reads back, so that a failure is its own

	mu       sync.Mutex
	pack     *Pack
	health   map[place]Health // after the last evaluation
	reloaded chan struct{}

	groups map[string]*group // belongs to Run
	built  *Pack             // that groups are of
}

// group is one group of rules, and whether it knows since when alerts are pending.
type group struct {
	*rules.Group
	pack     *Pack // it was built of
	restored bool
}

// New checks the rules. It starts nothing.
func New(o Options) (*Evaluator, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Changed == nil {
		o.Changed = func(...notify.Notification) {}
	}
	e := &Evaluator{opts: o, metrics: newMetrics(o.Registerer), pack: o.Pack, health: map[place]Health{}, reloaded: make(chan struct{})}
	e.client = newClient(o.Config.URL, o.Config.RemoteWrite, e.metrics)
	if _, err := e.build(context.Background(), o.Pack, nil); err != nil {
		return nil, err
	}
	return e, nil
}

// Reload changes the rules. A rule that stays keeps its alerts, also pending ones.
func (e *Evaluator) Reload(p *Pack) error {
	if _, err := e.build(context.Background(), p, nil); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pack, e.health = p, map[place]Health{} // places may be others' now
	close(e.reloaded)
	e.reloaded = make(chan struct{})
	return nil
}

func (e *Evaluator) generation() (*Pack, <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pack, e.reloaded
}

// outage is how long a ruler may have been down and still know since when
// alerts are pending.
const outage = time.Hour

// build makes Prometheus' groups of a pack. Those that were there before hand
// on what they know.
func (e *Evaluator) build(ctx context.Context, p *Pack, was map[string]*group) (map[string]*group, error) {
	files := map[string]*File{}
	var names []string
	for _, f := range p.files {
		files[f.Name] = f
		names = append(names, f.Name)
	}
	external, err := url.Parse(e.opts.ConsoleURL)
	if err != nil {
		external = &url.URL{}
	}
	m := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: e.client.Query, Appendable: e.client, Queryable: e.client, Context: ctx, ExternalURL: external,
		NotifyFunc:             func(context.Context, string, ...*rules.Alert) {}, // the book compares, nobody is told here
		OutageTolerance:        outage,
		DefaultRuleQueryOffset: func() time.Duration { return e.opts.Config.Offset },
		GroupLoader:            loader{files, newParser()},
		Logger:                 quiet(e.opts.Log),
	})
	loaded, errs := m.LoadGroups(e.opts.Config.Interval, labels.EmptyLabels(), e.opts.ConsoleURL, nil, false, names...)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	out := map[string]*group{}
	for name, g := range loaded {
		out[name] = &group{Group: g, pack: p}
		old := was[name]
		if old == nil {
			continue
		}
		g.CopyState(old.Group)
		if out[name].restored = old.restored; old.restored {
			out[name].known(true)
		}
	}
	return out, nil
}

// leave ends the series of groups that are no more, as Prometheus does: without
// that, what they recorded and their ALERTS would seem to go on for five minutes.
// A store that is away keeps them that long.
func (e *Evaluator) leave(ctx context.Context, was, now map[string]*group) {
	for name, old := range was {
		if now[name] != nil {
			continue // its next evaluation ends those of rules that it lost
		}
		g := rules.NewGroup(rules.GroupOptions{Name: old.Name(), File: old.File(), Interval: old.Interval(),
			Opts: &rules.ManagerOptions{Appendable: e.client, Context: ctx, Logger: quiet(e.opts.Log), DefaultRuleQueryOffset: func() time.Duration { return old.QueryOffset() }}})
		g.CopyState(old.Group)
		g.Eval(ctx, e.opts.Now())
	}
}

// known tells the engine whether it may write since when alerts are pending.
func (g *group) known(yes bool) {
	for _, r := range g.AlertingRules() {
		r.SetRestored(yes)
	}
}

// quiet keeps the engine's warnings for those who look closely: a rule that
// fails does so once a minute. The book's owner says it once.
func quiet(l *slog.Logger) *slog.Logger { return slog.New(levelled{l.Handler()}) }

// levelled makes debug lines of all but errors.
type levelled struct{ slog.Handler }

func (h levelled) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelError {
		if !h.Handler.Enabled(ctx, slog.LevelDebug) {
			return nil
		}
		r.Level = slog.LevelDebug
	}
	return h.Handler.Handle(ctx, r)
}

func (h levelled) WithAttrs(a []slog.Attr) slog.Handler { return levelled{h.Handler.WithAttrs(a)} }
func (h levelled) WithGroup(n string) slog.Handler      { return levelled{h.Handler.WithGroup(n)} }

// errReload says that the rules are to be taken anew.
var errReload = errors.New("metric rules were changed")

const againAfter = time.Second

// Run evaluates until ctx ends or another ruler takes over.
func (e *Evaluator) Run(ctx context.Context) error {
	for {
		err := e.run(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, store.ErrFenced):
			return fmt.Errorf("another ruler evaluates metric rules: %w", err)
		case errors.Is(err, errReload):
			continue
		}
		e.metrics.restarts.Inc()
		e.opts.Log.Error("metric rules start over", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(againAfter):
		}
	}
}

// run is one generation of rules under one claim.
func (e *Evaluator) run(ctx context.Context) error {
	p, stale := e.generation()
	if p != e.built {
		groups, err := e.build(ctx, p, e.groups)
		if err != nil {
			return err
		}
		e.leave(ctx, e.groups, groups)
		e.groups, e.built = groups, p
	}
	k := &keeper{e: e, pack: p}
	if err := k.claim(ctx); err != nil {
		return err
	}
	e.opts.Log.Info("metric rules claimed", "epoch", k.epoch, "groups", len(e.groups), "rules", len(p.alerts), "open", k.book.count)
	gctx, stop := context.WithCancel(ctx)
	g, gctx := errgroup.WithContext(gctx)
	found := make(chan finding)
	for _, v := range e.groups {
		g.Go(func() error { return e.drive(gctx, v, found) })
	}
	err := k.run(ctx, found, stale)
	stop()
	return errors.Join(err, g.Wait())
}

// drive evaluates one group at its times, the first time at once.
func (e *Evaluator) drive(ctx context.Context, g *group, out chan<- finding) error {
	next := g.EvalTimestamp(e.opts.Now().UnixNano())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		f := e.evaluate(ctx, g, next)
		select {
		case <-ctx.Done():
			return nil
		case out <- f:
		}
		now := e.opts.Now()
		next = next.Add(g.Interval())
		if missed := now.Sub(next) / g.Interval(); missed > 0 {
			e.metrics.missed.Add(float64(missed))
			next = next.Add(missed * g.Interval())
		}
		if next.Sub(now) > g.Interval() { // the clock was set back
			next = g.EvalTimestamp(now.UnixNano()).Add(g.Interval())
		}
		timer.Reset(max(next.Sub(now), 0))
	}
}

// finding is what one evaluation of a group found.
type finding struct {
	group *group
	at    time.Time
	rules []ruleFinding // those that could be judged
	bad   map[string]string
	away  error // nothing could be asked
}

type ruleFinding struct {
	place  place
	alerts []*rules.Alert
}

// evaluate asks for all rules of a group. Those whose query failed are left
// out: nothing is known of them.
func (e *Evaluator) evaluate(ctx context.Context, g *group, at time.Time) finding {
	start := time.Now()
	rules.DefaultEvalIterationFunc(ctx, g.Group, at)
	f := finding{group: g, at: at, bad: map[string]string{}}
	asked, whole := false, true
	for i, r := range g.Rules() {
		err := r.LastError()
		judged := err == nil || errors.Is(err, ErrWrite)
		e.metrics.evaluations.WithLabelValues(result(err)).Inc()
		switch {
		case judged:
			asked = true
		case isAway(err):
			f.away, whole = err, false
		default:
			asked = true
		}
		if err != nil && !isAway(err) {
			f.bad[fmt.Sprintf("%d %s", i, r.Name())] = err.Error()
		}
		e.examined(g, i, r)
		if a, ok := r.(*rules.AlertingRule); ok && judged {
			f.rules = append(f.rules, ruleFinding{place{g.File(), g.Name(), i}, a.ActiveAlerts()})
		}
	}
	if asked {
		f.away = nil
	}
	if !g.restored && whole {
		e.restore(ctx, g, at)
	}
	e.metrics.passes.Observe(time.Since(start).Seconds())
	return f
}

// restore reads back since when alerts are pending. When that fails it is tried
// again after the next evaluation.
func (e *Evaluator) restore(ctx context.Context, g *group, at time.Time) {
	e.restoring.Lock()
	defer e.restoring.Unlock()
	e.client.restoreFailed = nil
	g.RestoreForState(at)
	if err := e.client.restoreFailed; err != nil {
		g.known(false)
		if ctx.Err() == nil {
			e.opts.Log.Warn("since when alerts are pending is not known yet", "group", g.Name(), "err", err)
		}
		return
	}
	g.restored = true
}
