package output

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// Source is what a driver reads from; *spool.Reader is one.
type Source interface {
	Next(ctx context.Context, l spool.Limits) ([]spool.Frame, error)
	Settle(verdicts []spool.Verdict, note []byte) error
	Rewind(note []byte) (uint64, error)
	Answer() []byte
	Pending() bool
}

// Driver moves frames from the spool to one output.
type Driver struct {
	name    string
	cfg     Config
	source  Source
	out     Output
	log     *slog.Logger
	metrics *driverMetrics

	greeted bool
	since   time.Time     // when the session began
	wait    time.Duration // of the last failure; 0 = the last request went well
	last    Kind          // of it
	limits  spool.Limits
	pace    float64 // frames per second while rewinding; 0 = no limit
}

// NewDriver returns a driver. Metrics are registered when reg is not nil.
func NewDriver(name string, cfg Config, source Source, out Output, log *slog.Logger, reg prometheus.Registerer) (*Driver, error) {
	d := &Driver{name: name, cfg: cfg, source: source, out: out, log: log, metrics: newDriverMetrics(name)}
	d.limits = d.full()
	if reg != nil {
		if err := reg.Register(d.metrics); err != nil {
			return nil, fmt.Errorf("output %s: %w", name, err)
		}
	}
	return d, nil
}

func (d *Driver) full() spool.Limits {
	return spool.Limits{Frames: d.cfg.Batch.Frames, Records: d.cfg.Batch.Records, Bytes: d.cfg.Batch.Bytes}
}

// Run delivers until ctx ends; then it goes on with what is in the spool until
// drain ends or nothing is left, so that a goodbye arrives. It returns an error
// when the spool fails.
func (d *Driver) Run(ctx, drain context.Context) error {
	for {
		work := ctx
		if ctx.Err() != nil {
			if work = drain; drain.Err() != nil || !d.source.Pending() {
				return nil
			}
		}
		err := d.step(work, drain)
		switch {
		case err == nil:
		case errors.Is(err, spool.ErrClosed):
			return nil
		case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			// Decided above.
		default:
			return fmt.Errorf("output %s: %w", d.name, err)
		}
	}
}

// maxSession is when hello is said again although nothing failed: a receiver
// may have learned something about us, or lost what it had.
const maxSession = 10 * time.Minute

// step waits for frames on ctx and delivers one batch; the request itself is
// cut off only by drain.
func (d *Driver) step(ctx, drain context.Context) error {
	if !d.greeted {
		if err := d.hello(ctx, drain); err != nil {
			return err
		}
	}
	frames, err := d.source.Next(ctx, d.limits)
	if err != nil {
		return err
	}
	answer, err := d.send(drain, frames)
	if err != nil {
		if serr := d.source.Settle(nil, nil); serr != nil {
			return serr
		}
		return d.failed(ctx, err)
	}
	d.count(frames, answer)
	if err := d.source.Settle(answer.Verdicts, answer.Note); err != nil {
		return err
	}
	d.greeted = !answer.Hello && time.Since(d.since) < maxSession
	if len(answer.Verdicts) == 0 && !answer.Hello {
		return d.failed(ctx, &Failure{Kind: Busy, Err: errors.New("the receiver took no frame")})
	}
	d.recovered()
	return d.paced(ctx, len(answer.Verdicts))
}

func (d *Driver) send(ctx context.Context, frames []spool.Frame) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Timeout)
	defer cancel()
	start := time.Now()
	a, err := d.out.Send(ctx, frames)
	d.metrics.requests.Inc()
	d.metrics.seconds.Add(time.Since(start).Seconds())
	var f *Failure
	if errors.As(err, &f) && f.Kind == TooLarge {
		return d.tooLarge(frames, err)
	}
	if err == nil && len(a.Verdicts) > len(frames) {
		return Answer{}, fmt.Errorf("%d verdicts about %d frames", len(a.Verdicts), len(frames))
	}
	return a, err
}

// tooLarge makes the next requests smaller; a frame that is too large by
// itself is refused.
func (d *Driver) tooLarge(frames []spool.Frame, err error) (Answer, error) {
	if len(frames) > 1 {
		d.limits.Frames = max(1, len(frames)/2)
		return Answer{}, err
	}
	d.limits = d.full()
	return Answer{Verdicts: []spool.Verdict{spool.Refused}, Reasons: []string{err.Error()}}, nil
}

func (d *Driver) hello(ctx, drain context.Context) error {
	hctx, cancel := context.WithTimeout(drain, d.cfg.Timeout)
	g, err := d.out.Hello(hctx, d.source.Answer())
	cancel()
	if err != nil {
		return d.failed(ctx, err)
	}
	d.greeted, d.since = true, time.Now()
	d.metrics.sessions.Inc()
	if !g.Rewind {
		return nil
	}
	n, err := d.source.Rewind(g.Note)
	if err != nil {
		return err
	}
	d.pace = g.FramesPerSecond
	d.metrics.rewinds.Inc()
	d.log.Warn("receiver lost what it had answered for, sending again", "reason", g.Reason, "records", n, "frames_per_s", g.FramesPerSecond)
	return nil
}

// count notes what became of frames.
func (d *Driver) count(frames []spool.Frame, a Answer) {
	refused := 0
	for i, v := range a.Verdicts {
		switch v {
		case spool.Stored:
			d.metrics.frames.Inc()
			if frames[i].Header.Kind == record.FrameData {
				d.metrics.records.Add(float64(frames[i].Header.Count))
			}
		case spool.Refused:
			refused++
			d.metrics.refused.Inc()
		}
	}
	if a.Rejected > 0 {
		d.metrics.rejected.Add(float64(a.Rejected))
		d.log.Error("receiver rejected records of frames that it took", "records", a.Rejected, "reasons", a.Reasons)
	}
	if refused > 0 {
		d.log.Error("receiver refused frames; they are skipped", "frames", refused, "reasons", a.Reasons)
	}
}

// failed waits after a failure, as long as its kind asks for.
func (d *Driver) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f := failureOf(err)
	d.metrics.failures[f.Kind].Inc()
	d.metrics.up.Set(0)
	if f.Kind == Unreachable || f.Kind == Denied {
		d.greeted = false
	}
	first := d.wait == 0 || d.last != f.Kind
	least := d.cfg.MinBackoff
	if f.Kind == Denied {
		least = d.cfg.DeniedBackoff
	}
	if f.Kind == TooLarge { // nothing to wait for: the next request is smaller
		return nil
	}
	d.wait = min(max(2*d.wait, least), max(d.cfg.MaxBackoff, least))
	d.last = f.Kind
	wait := d.wait/2 + rand.N(d.wait/2+1)
	if f.After > wait { // a fleet that was told the same must not come back at once
		wait = f.After + rand.N(f.After/4+1)
	}
	switch {
	case f.Kind == Denied:
		d.log.Error("receiver denies access; enrol this server again, or check url and credential", "err", err, "wait", wait.Round(time.Millisecond))
	case first:
		d.log.Warn("receiver takes nothing, records wait in the spool", "kind", f.Kind.String(), "err", err)
	default:
		d.log.Debug("receiver still takes nothing", "kind", f.Kind.String(), "err", err, "wait", wait.Round(time.Millisecond))
	}
	return sleep(ctx, wait)
}

func (d *Driver) recovered() {
	if d.wait > 0 {
		d.log.Info("receiver takes records again")
	}
	d.wait = 0
	d.metrics.up.Set(1)
	d.metrics.last.SetToCurrentTime()
	if d.limits.Frames < d.cfg.Batch.Frames {
		d.limits.Frames = min(2*d.limits.Frames, d.cfg.Batch.Frames)
	}
}

// paced waits as the receiver asked for while everything is sent again.
func (d *Driver) paced(ctx context.Context, frames int) error {
	if d.pace <= 0 {
		return nil
	}
	if !d.source.Pending() {
		d.pace = 0
		return nil
	}
	return sleep(ctx, time.Duration(float64(frames)/d.pace*float64(time.Second)))
}

func sleep(ctx context.Context, wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

type driverMetrics struct {
	up, last                             prometheus.Gauge
	requests, seconds, sessions, rewinds prometheus.Counter
	frames, records, refused, rejected   prometheus.Counter
	failures                             [len(kinds)]prometheus.Counter
	all                                  []prometheus.Collector
}

func newDriverMetrics(name string) *driverMetrics {
	m := &driverMetrics{}
	labels := prometheus.Labels{"output": name}
	counter := func(n, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "exporter_output_" + n, Help: help, ConstLabels: labels})
		m.all = append(m.all, c)
		return c
	}
	m.up = prometheus.NewGauge(prometheus.GaugeOpts{Name: "exporter_output_up", Help: "Whether the last request was answered well.", ConstLabels: labels})
	m.last = prometheus.NewGauge(prometheus.GaugeOpts{Name: "exporter_output_last_answer_timestamp_seconds", Help: "When a request was last answered well; 0 = never.", ConstLabels: labels})
	m.all = append(m.all, m.up, m.last)
	m.requests = counter("requests_total", "Requests with frames.")
	m.seconds = counter("request_seconds_total", "Time spent waiting for their answers.")
	m.sessions = counter("sessions_total", "Sessions begun.")
	m.rewinds = counter("rewinds_total", "Times the receiver had lost what it had answered for.")
	m.frames = counter("frames_total", "Frames that the receiver has.")
	m.records = counter("records_total", "Records in them, repeats included.")
	m.refused = counter("refused_frames_total", "Frames that the receiver will never take.")
	m.rejected = counter("rejected_records_total", "Records that the receiver did not take of frames that it took (plain OTLP).")
	for k := range m.failures {
		m.failures[k] = prometheus.NewCounter(prometheus.CounterOpts{Name: "exporter_output_failures_total", Help: "Requests that failed, by what to do about it.",
			ConstLabels: prometheus.Labels{"output": name, "kind": Kind(k).String()}})
		m.all = append(m.all, m.failures[k])
	}
	return m
}

// Describe implements prometheus.Collector.
func (m *driverMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *driverMetrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all {
		c.Collect(ch)
	}
}
