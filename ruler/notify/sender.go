package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Source is the stored table. It must be safe for concurrent use.
type Source interface {
	// Desired returns every open notification that people are to be told of, and
	// those that were resolved since, each with what targets accepted of it. Of
	// older ones it returns those whose end some target has not accepted. Muted,
	// folded and held ones are left out.
	Desired(ctx context.Context, resolvedSince time.Time) ([]Desired, error)
	// Delivered notes results. Losing one costs a repeated request, no message.
	Delivered(ctx context.Context, results []Delivery) error
}

// Desired is a notification and what is known of its deliveries.
type Desired struct {
	Notification
	// Accepted are the states that targets accepted before; at most one entry
	// per target and state.
	Accepted []Delivery
}

// Delivery is the result of handing one state of a notification to a target.
type Delivery struct {
	Notification string
	Target       string // URL without credentials
	State        State  // Firing, Resolved or an EscalatedState
	Version      uint64
	First        time.Time // first attempt at this state
	At           time.Time // last attempt
	Attempts     int
	Error        string // empty = accepted
}

// Config of a Sender.
type Config struct {
	// Targets are base URLs of Alertmanagers: "http://127.0.0.1:9093".
	Targets []string `yaml:"targets"`
	// ConsoleURL is put in front of "/notifications/<id>" for links in messages.
	ConsoleURL string `yaml:"console_url"`
}

// Validate says what to write instead.
func (c *Config) Validate() error {
	for _, t := range c.Targets {
		u, err := url.Parse(t)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return fmt.Errorf("alertmanager target %.200q: write http://HOST:PORT or https://HOST:PORT, with a path prefix if it has one", t)
		}
	}
	return nil
}

// The Sender's times. They fit alerts/alertmanager.yml: what was accepted has
// left Alertmanager after settle.
const (
	round       = time.Minute      // everything that fires is sent again
	horizon     = 24 * time.Hour   // endsAt of what fires: an outage of ours must not resolve
	resolvedFor = 15 * time.Minute // how long the end is repeated
	settle      = 10 * time.Second // group_wait and flush; an end that comes sooner waits
	probeEvery  = 5 * time.Second  // is it still the same Alertmanager?
	watchdogFor = 5 * time.Minute  // endsAt of the Watchdog: an outage of ours must show
	timeout     = 10 * time.Second // of one request
	maxBatch    = 64               // notifications in one request
	minBackoff  = 100 * time.Millisecond
	maxBackoff  = 5 * time.Second
)

// Options are what a Sender is built from.
type Options struct {
	Config Config
	Source Source
	// Silences may be nil: nobody silences anything.
	Silences Silencer
	Log      *slog.Logger
	// Stuck says why nothing can be stored, "" = all is well; nil = always. The
	// sender tells people itself, as no notification can.
	Stuck func() string
	// Owns tells whether this process is to send; nil = always.
	Owns func() bool
	// Transport is http.DefaultTransport when nil.
	Transport http.RoundTripper
	// Registerer may be nil.
	Registerer prometheus.Registerer
}

// Sender makes every Alertmanager agree with the stored table.
type Sender struct {
	opts    Options
	targets []*target
	metrics *metrics

	mu      sync.Mutex
	running bool
}

// NewSender checks the options. It starts nothing.
func NewSender(o Options) (*Sender, error) {
	if err := o.Config.Validate(); err != nil {
		return nil, err
	}
	if o.Source == nil {
		return nil, errors.New("notify: a sender needs a source")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Owns == nil {
		o.Owns = func() bool { return true }
	}
	if o.Stuck == nil {
		o.Stuck = func() string { return "" }
	}
	if o.Transport == nil {
		o.Transport = http.DefaultTransport
	}
	s := &Sender{opts: o, metrics: newMetrics(o.Registerer)}
	for _, raw := range o.Config.Targets {
		s.targets = append(s.targets, newTarget(raw, s))
	}
	return s, nil
}

// Changed hands over notifications that were just stored. It never blocks; of
// one notification the newest version counts.
func (s *Sender) Changed(rows ...Notification) {
	if !s.opts.Owns() {
		return
	}
	for _, t := range s.targets {
		for i := range rows {
			t.put(Desired{Notification: rows[i]}, true)
		}
		t.wakeUp()
	}
}

// Trouble is a target that does not take notifications.
type Trouble struct {
	Target  string // URL without credentials
	Error   string // of the last attempt
	Waiting int    // notifications that it has to hear of
}

// Troubles lists the targets whose last request or probe failed.
func (s *Sender) Troubles() []Trouble {
	var out []Trouble
	for _, t := range s.targets {
		if v, ok := t.trouble(); ok {
			out = append(out, v)
		}
	}
	return out
}

// Run sends until ctx ends.
func (s *Sender) Run(ctx context.Context) error {
	s.mu.Lock()
	if s.running {
		s.mu.Unlock()
		return errors.New("notify: the sender runs already")
	}
	s.running = true
	s.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range s.targets {
		g.Go(func() error { return t.run(ctx) })
		g.Go(func() error { return t.probe(ctx) })
		g.Go(func() error { return t.silence(ctx) })
	}
	g.Go(func() error { return s.rounds(ctx) })
	return g.Wait()
}

// rounds puts the whole desired state into every queue, every minute.
func (s *Sender) rounds(ctx context.Context) error {
	tick := time.NewTicker(round)
	defer tick.Stop()
	for {
		if s.opts.Owns() {
			if err := s.refresh(ctx); err != nil && ctx.Err() == nil {
				s.opts.Log.Warn("read desired notifications", "err", err)
			}
			s.stuck()
			s.outliveSilences(ctx)
		} else {
			for _, t := range s.targets {
				t.clear()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// stuck has people told that nothing can be stored, also when nothing can be read.
func (s *Sender) stuck() {
	why := s.opts.Stuck()
	if why != "" {
		s.opts.Log.Error("the ruler is stuck: records are not judged", "reason", why)
	}
	for _, t := range s.targets {
		t.setStuck(why)
	}
}

// outliveSilences lets acknowledgements end with their problems where no
// Alertmanager asks for them.
func (s *Sender) outliveSilences(ctx context.Context) {
	if len(s.targets) > 0 || s.opts.Silences == nil {
		return
	}
	if _, err := s.opts.Silences.Silences(ctx); err != nil && ctx.Err() == nil {
		s.opts.Log.Warn("read silences", "err", err)
	}
}

func (s *Sender) refresh(ctx context.Context) error {
	rows, err := s.opts.Source.Desired(ctx, time.Now().Add(-resolvedFor))
	if err != nil {
		return fmt.Errorf("read desired notifications: %w", err)
	}
	for _, t := range s.targets {
		t.refresh(rows)
	}
	return nil
}
