package sink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"nocturne/eventbridge/series"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// Config of a Driver. Zero values take the defaults.
type Config struct {
	Name   string // of the sink: "victoriametrics", "victorialogs"
	Holder string // of the lease: the bridge's id, the same after a restart
	Stream stream.Log
	Sink   Sink
	Store  Store
	Log    *slog.Logger
	Reg    prometheus.Registerer

	// Samples makes series of the rows; rows that become none are irrelevant.
	Samples bool
	// Ledger drops what producers sent twice. Without it repeats are written
	// again, which is right for a store that deduplicates.
	Ledger bool
	// Lookup asks the registry for a server whose registry record is no longer
	// in the stream; may be nil.
	Lookup func(record.ID) (series.Server, bool)

	MaxRows    int           // of a batch; default 5000
	Linger     time.Duration // wait for more rows before writing; default 100 ms
	Trail      time.Duration // how far the saved position stays behind; default 60 s
	Checkpoint time.Duration // between two savings, and checks of the store; default 5 s
	Lease      time.Duration // default 10 s
	MinWait    time.Duration // before the first retry; default 200 ms
	MaxWait    time.Duration // between retries; default 15 s
}

func (c *Config) defaults() {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.MaxRows == 0 {
		c.MaxRows = 5000
	}
	set(&c.Linger, 100*time.Millisecond)
	set(&c.Trail, time.Minute)
	set(&c.Checkpoint, 5*time.Second)
	set(&c.Lease, 10*time.Second)
	set(&c.MinWait, 200*time.Millisecond)
	set(&c.MaxWait, 15*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Reg == nil {
		c.Reg = prometheus.NewRegistry()
	}
}

// Driver feeds one Sink from all partitions of the stream.
type Driver struct {
	cfg Config
	met *metrics

	mu   sync.Mutex
	stat Status

	// written is how far rows were acknowledged in this process's life: what
	// is read again up to there may be in the store. started says whether it
	// is known at all.
	written Positions
	started bool
}

// New returns a driver; Run drives.
func New(cfg Config) *Driver {
	cfg.defaults()
	return &Driver{cfg: cfg, met: newMetrics(cfg.Reg, cfg.Name), stat: Status{Name: cfg.Name}}
}

// errReread ends a pass: the store or the stream is another one than before,
// and everything after the saved position must be read again.
var errReread = errors.New("read again from the saved position")

// Run drives the sink until ctx ends, and then returns nil. It returns an error
// that wraps ErrStop when the sink cannot go on.
func (d *Driver) Run(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		err := d.hold(ctx, func() { attempt = 0 })
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrStop):
			return err
		}
		if errors.Is(err, ErrLease) {
			d.cfg.Log.Info("another bridge drives this sink", "sink", d.cfg.Name, "err", err)
		} else {
			d.cfg.Log.Warn("sink starts over", "sink", d.cfg.Name, "err", err)
		}
		if !d.wait(ctx, attempt) {
			return nil
		}
	}
}

// hold takes the lease and passes over the stream while it is held.
func (d *Driver) hold(ctx context.Context, ok func()) error {
	if err := d.cfg.Store.Acquire(ctx, d.cfg.Holder, d.cfg.Lease); err != nil {
		return err
	}
	ok()
	d.started = false // another one may have written since this one did
	d.met.leader.Set(1)
	defer d.met.leader.Set(0)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		t := time.NewTicker(d.cfg.Lease / 3)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-t.C:
			}
			if err := d.renew(ctx); err != nil {
				return err
			}
		}
	})
	g.Go(func() error {
		for {
			err := d.pass(ctx)
			if !errors.Is(err, errReread) {
				return err
			}
			d.met.restarts.Inc()
			d.cfg.Log.Warn("sink reads again from the saved position", "sink", d.cfg.Name, "err", err)
		}
	})
	return g.Wait()
}

// renew extends the lease; an unreachable bucket is given until it runs out.
func (d *Driver) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, d.cfg.Lease/2)
	defer cancel()
	err := d.cfg.Store.Renew(ctx, d.cfg.Holder, d.cfg.Lease)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("renew lease of %s: %w", d.cfg.Name, err)
	}
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("renew lease of %s in time: %w", d.cfg.Name, err)
	}
	return nil
}

// wait backs off with jitter and tells whether to go on.
func (d *Driver) wait(ctx context.Context, attempt int) bool {
	w := d.cfg.MaxWait
	if attempt < 16 {
		w = min(w, d.cfg.MinWait<<attempt)
	}
	w = w/2 + rand.N(w/2+1)
	t := time.NewTimer(w)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Status is what a person asks for: where the sink is.
type Status struct {
	Name      string    `json:"name"`
	Positions Positions `json:"positions"` // written up to here
	Saved     Positions `json:"saved"`     // and a restart goes on from here
	Heads     Positions `json:"heads"`     // of the stream, when last asked
	Lag       uint64    `json:"lag_entries"`
	In        uint64    `json:"in_records"`
	Out       uint64    `json:"out_records"`
	Waiting   uint64    `json:"waiting_records"`

	Dropped map[string]uint64 `json:"dropped_records"` // by reason
	Ledger  record.Totals     `json:"ledger"`
	Store   string            `json:"store"`  // "up", or the last error
	Newest  time.Time         `json:"newest"` // stream time of the newest entry written
	// Poison are the last rows that were set aside since the start; the Store
	// has more of them.
	Poison []Poisoned `json:"poison,omitempty"`
}

// Status returns where the sink is. Safe for concurrent use.
func (d *Driver) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stat
	s.Poison = slices.Clone(d.stat.Poison)
	s.Dropped = make(map[string]uint64, len(d.stat.Dropped))
	for k, v := range d.stat.Dropped {
		s.Dropped[k] = v
	}
	return s
}

// count moves n records out of waiting.
func (d *Driver) count(reason string, n int) {
	if n == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stat.Waiting -= uint64(n)
	d.met.waiting.Set(float64(d.stat.Waiting))
	if reason == "" {
		d.stat.Out += uint64(n)
		d.met.out.Add(float64(n))
		return
	}
	if d.stat.Dropped == nil {
		d.stat.Dropped = map[string]uint64{}
	}
	d.stat.Dropped[reason] += uint64(n)
	d.met.drop(reason, n)
}

func (d *Driver) countIn(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stat.In += uint64(n)
	d.stat.Waiting += uint64(n)
	d.met.in.Add(float64(n))
	d.met.waiting.Set(float64(d.stat.Waiting))
}

func (d *Driver) setStore(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stat.Store = "up"
	d.met.up.Set(1)
	if err != nil {
		d.stat.Store = err.Error()
		d.met.up.Set(0)
	}
}
