// Package machine gathers the metrics of the operating system: node_exporter's
// collectors on Linux, windows_exporter's on Windows.
//
// They run in a child process of the same program (Subcommand), because they
// can crash, leak and hang, and the exporter has better things to do than to go
// with them. The child is asked over its standard input and output, one answer
// to one request, with a deadline; a child that gives none is ended and started
// anew after a growing wait. What it says is not trusted: bounded, decoded
// strictly, checked by Prometheus' rules.
//
// Gather never waits for a slow collector. It asks for a fresh answer and gives
// it FreshTime, but only if none is overdue already; otherwise it returns the
// last one, whose age is a metric, and after StaleAfter none at all.
//
// Gather may be called by many goroutines, Run by one.
// To test: go test ./exporter/metrics/machine.
package machine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

const (
	// FreshTime is how long Gather waits for an answer that is not overdue.
	FreshTime = time.Second
	// StaleAfter is the age at which an answer is no longer given.
	StaleAfter = 2 * time.Minute

	shareTime = time.Second      // an answer this young serves everybody who asks
	firstTime = time.Minute      // for the first answer of a child: counters load slowly after a boot
	askTime   = 20 * time.Second // for the others

	backoffMin = time.Second
	backoffMax = 5 * time.Minute
)

// Kinds of failures.
var (
	errStart    = errors.New("cannot be started")
	errTimeout  = errors.New("no answer in time")
	errEnded    = errors.New("ended")
	errProtocol = errors.New("not understood")
)

// failures are the values of the label reason.
var failures = []struct {
	err    error
	reason string
}{{errStart, "start"}, {errTimeout, "timeout"}, {errEnded, "ended"}, {errProtocol, "protocol"}, {errChild, "unusable"}}

// Options are what New needs.
type Options struct {
	Settings
	// Command starts the child; empty = this program with Subcommand.
	Command []string
	Log     *slog.Logger

	start func(command []string) (asker, error) // nil = a process
}

// Machine is a prometheus.Gatherer of the operating system's metrics.
type Machine struct {
	o      Options
	began  time.Time
	own    *prometheus.Registry
	asking chan struct{} // a request waits; size 1

	up, age, took   prometheus.Gauge
	answers, starts prometheus.Counter
	failed, left    *prometheus.CounterVec

	mu       sync.Mutex
	families []*dto.MetricFamily
	at       time.Time     // of families
	fresh    chan struct{} // closed when what is asked for is there, or failed; nil while nothing is
	overdue  bool          // somebody waited FreshTime for it in vain
	resting  bool          // a child failed, and the next is not there yet
}

// New returns a Machine that has nothing to say before Run.
func New(o Options) (*Machine, error) {
	o.Settings = o.complete(runtime.GOOS)
	if o.start == nil {
		o.start = start
	}
	if len(o.Command) == 0 {
		exe, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("machine metrics: %w", err)
		}
		o.Command = []string{exe, Subcommand}
	}
	m := &Machine{o: o, began: time.Now(), own: prometheus.NewRegistry(), asking: make(chan struct{}, 1)}
	return m, m.register()
}

func (m *Machine) register() error {
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: "exporter", Subsystem: "machine", Name: name, Help: help}
	}
	m.up = prometheus.NewGauge(prometheus.GaugeOpts(opts("up", "Whether the child that collects gave its last answer in time.")))
	m.age = prometheus.NewGauge(prometheus.GaugeOpts(opts("age_seconds", "Age of the operating system's metrics beside this one; while there were none, time since the start.")))
	m.took = prometheus.NewGauge(prometheus.GaugeOpts(opts("duration_seconds", "How long the last answer took.")))
	m.answers = prometheus.NewCounter(prometheus.CounterOpts(opts("answers_total", "Answers of the child.")))
	m.starts = prometheus.NewCounter(prometheus.CounterOpts(opts("starts_total", "Times the child was started.")))
	m.failed = prometheus.NewCounterVec(prometheus.CounterOpts(opts("failures_total", "Times the child failed and was ended, by reason.")), []string{"reason"})
	m.left = prometheus.NewCounterVec(prometheus.CounterOpts(opts("families_dropped_total", "Metric families of answers that were left out, by reason.")), []string{"reason"})
	for _, f := range failures {
		m.failed.WithLabelValues(f.reason)
	}
	for _, r := range reasons {
		m.left.WithLabelValues(r)
	}
	for _, c := range []prometheus.Collector{m.up, m.age, m.took, m.answers, m.starts, m.failed, m.left} {
		if err := m.own.Register(c); err != nil {
			return fmt.Errorf("machine metrics: %w", err)
		}
	}
	return nil
}

// Gather implements prometheus.Gatherer.
func (m *Machine) Gather() ([]*dto.MetricFamily, error) {
	m.freshen()
	m.mu.Lock()
	families, since := m.families, m.began
	if families != nil {
		since = m.at
	}
	age := time.Since(since)
	m.mu.Unlock()
	m.age.Set(age.Seconds())
	own, err := m.own.Gather()
	if age > StaleAfter {
		families = nil
	}
	return slices.Concat(families, own), err // exporter_ and their names do not mix: see reserved
}

// freshen asks for an answer and waits for it, if that makes sense.
func (m *Machine) freshen() {
	m.mu.Lock()
	if m.resting || m.families != nil && time.Since(m.at) < shareTime {
		m.mu.Unlock()
		return
	}
	if m.fresh == nil {
		m.fresh = make(chan struct{})
		m.asking <- struct{}{} // has room: one is asked for at a time
	}
	fresh, overdue := m.fresh, m.overdue
	m.mu.Unlock()
	if overdue {
		return
	}
	t := time.NewTimer(FreshTime)
	defer t.Stop()
	select {
	case <-fresh:
	case <-t.C:
		m.mu.Lock()
		m.overdue = m.overdue || m.fresh == fresh
		m.mu.Unlock()
	}
}

// Run keeps a child until ctx ends.
func (m *Machine) Run(ctx context.Context) error {
	wait, told := backoffMin, false
	for {
		began := time.Now()
		answered, err := m.child(ctx, func() {
			if told {
				m.o.Log.Info("metrics of the operating system are collected again")
				told = false
			}
		})
		m.settle(true)
		if ctx.Err() != nil {
			return nil
		}
		m.up.Set(0)
		for _, f := range failures {
			if errors.Is(err, f.err) {
				m.failed.WithLabelValues(f.reason).Inc()
				break
			}
		}
		if answered && time.Since(began) > backoffMax {
			wait = backoffMin
		}
		level := slog.LevelWarn
		if told {
			level = slog.LevelDebug // the metrics count on
		}
		m.o.Log.Log(ctx, level, "metrics of the operating system: the collecting child failed, it is started again", "err", err, "wait", wait)
		told = true
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		wait = min(2*wait, backoffMax)
	}
}

// child starts a child and asks it until it fails.
func (m *Machine) child(ctx context.Context, well func()) (answered bool, err error) {
	m.starts.Inc()
	m.mu.Lock()
	m.resting = false
	m.mu.Unlock()
	c, err := m.o.start(slices.Concat(m.o.Command, m.o.args()))
	if err != nil {
		return false, fmt.Errorf("%w: %w", errStart, err)
	}
	defer func() {
		if words := c.Close(); errors.Is(err, errEnded) && words != "" {
			err = fmt.Errorf("%w: %s", err, words)
		}
	}()
	limit := firstTime
	for {
		// The first question is the child's own: whoever scrapes next need not wait.
		if err := m.ask(ctx, c, limit); err != nil {
			return answered, err
		}
		answered, limit = true, askTime
		well()
		select {
		case <-ctx.Done():
			return answered, ctx.Err()
		case <-m.asking:
		}
	}
}

// ask asks once and keeps the answer.
func (m *Machine) ask(ctx context.Context, c asker, limit time.Duration) error {
	began := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %s", errTimeout, limit))
	defer cancel()
	// A child that waits in the kernel cannot be ended either, and no other takes
	// its place before it is.
	late := context.AfterFunc(ctx, func() { m.up.Set(0) })
	defer late()
	payload, err := c.Ask(ctx)
	if err != nil {
		return err
	}
	families, left, err := decode(payload)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.families, m.at = families, began // older rather than younger than it is
	m.mu.Unlock()
	for reason, n := range left {
		m.left.WithLabelValues(reason).Add(float64(n))
	}
	m.answers.Inc()
	m.up.Set(1)
	m.took.Set(time.Since(began).Seconds())
	m.settle(false)
	return nil
}

// settle ends what Gather waits for.
func (m *Machine) settle(resting bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.resting, m.overdue = resting, false
	if m.fresh != nil {
		close(m.fresh)
		m.fresh = nil
	}
	select {
	case <-m.asking: // answered along, or in vain
	default:
	}
}
