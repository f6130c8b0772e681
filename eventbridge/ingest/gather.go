package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// Statuses of a frame in an answer.
const (
	StatusStored  = "stored"  // the stream has it on disk
	StatusRefused = "refused" // will never be taken; do not send it again
	StatusBusy    = "busy"    // not stored; send it again later
)

// Outcome is what became of one frame.
type Outcome struct {
	Stored   bool
	Position stream.Position
}

// Frame is a checked frame on its way into the stream.
type Frame struct {
	Bytes    []byte // not changed, not kept after the outcome is known
	Received int64  // Unix nanoseconds
	Skew     int64
	Records  uint64
}

// Gatherer puts frames into the stream: one appender per partition, one append
// in flight each. What arrives meanwhile becomes the next entry, so that a
// fsync is shared by all that waited for it.
type Gatherer struct {
	cfg    GathererConfig
	log    stream.Log
	logger *slog.Logger
	m      *Metrics
	parts  [stream.Partitions]*partition
	// accepted counts frames from outside that are stored; ticks tell it.
	accepted atomic.Uint64
	probe    func() bool
}

// GathererConfig says how.
type GathererConfig struct {
	Bridge        string
	QueueBytes    int64 // per partition
	QueueWait     time.Duration
	AppendTimeout time.Duration
	TickPeriod    time.Duration // default 1 s
}

// partition is the queue in front of one appender.
type partition struct {
	number int
	space  *semaphore.Weighted
	wake   chan struct{} // size 1: something waits, or a tick is due

	mu      sync.Mutex
	queue   []item
	tickDue bool
	closed  bool

	// Of the appender alone.
	entry  []byte
	ticked uint64 // accepted, as the last stored tick told

	failing atomic.Int64 // Unix nanoseconds since when appends fail; 0 = they do not
}

type item struct {
	Frame
	job   *job
	index int
}

// job is one submission; its frames may end up in several entries.
type job struct {
	outcomes []Outcome
	left     int  // of the appender alone
	failed   bool // of the appender alone until done
	done     chan struct{}
}

// NewGatherer returns a Gatherer that tells in its ticks what probe says. It
// takes frames once Run runs.
func NewGatherer(cfg GathererConfig, log stream.Log, probe func() bool, m *Metrics, logger *slog.Logger) *Gatherer {
	if cfg.TickPeriod == 0 {
		cfg.TickPeriod = time.Second
	}
	g := &Gatherer{cfg: cfg, log: log, logger: logger, m: m, probe: probe}
	for p := range g.parts {
		g.parts[p] = &partition{number: p, space: semaphore.NewWeighted(cfg.QueueBytes), wake: make(chan struct{}, 1)}
	}
	return g
}

// Run appends until ctx ends; then it appends what is queued, answers those
// who wait and returns.
func (g *Gatherer) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, p := range g.parts {
		wg.Go(func() { g.appender(ctx, p) })
	}
	ticker := time.NewTicker(g.cfg.TickPeriod)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			for _, p := range g.parts {
				p.mu.Lock()
				p.tickDue = true
				p.mu.Unlock()
				p.poke()
			}
		}
	}
	wg.Wait()
	return nil
}

func (p *partition) poke() {
	select {
	case p.wake <- struct{}{}:
	default: // it knows already
	}
}

var errStopping = errors.New("the bridge is stopping")

// Submit hands frames of one partition over, in order, and returns when each
// is stored or known not to be. After a frame that was not stored none of the
// later ones is, so that order holds. The error tells why some were not.
func (g *Gatherer) Submit(ctx context.Context, number int, frames []Frame) ([]Outcome, error) {
	var bytes int64 // more than the queue can hold wait for all of it
	var records uint64
	for i := range frames {
		bytes += int64(len(frames[i].Bytes))
		records += frames[i].Records
	}
	bytes = min(bytes, g.cfg.QueueBytes)
	p, j := g.parts[number], &job{outcomes: make([]Outcome, len(frames)), left: len(frames), done: make(chan struct{})}
	if len(frames) == 0 {
		return nil, nil
	}
	g.m.Append.In(records)
	if err := g.enter(ctx, p, j, frames, bytes); err != nil {
		g.m.Append.Drop(dropBusy, records)
		return j.outcomes, err
	}
	// From here on the appender answers, whatever becomes of the caller.
	<-j.done
	p.space.Release(bytes)
	g.m.queued.Sub(float64(bytes))
	if j.failed {
		return j.outcomes, fmt.Errorf("the stream did not store partition %d", number)
	}
	return j.outcomes, nil
}

func (g *Gatherer) enter(ctx context.Context, p *partition, j *job, frames []Frame, bytes int64) error {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.QueueWait)
	defer cancel()
	if err := p.space.Acquire(ctx, bytes); err != nil {
		return fmt.Errorf("the queue of partition %d is full", p.number)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.space.Release(bytes)
		return errStopping
	}
	for i := range frames {
		p.queue = append(p.queue, item{Frame: frames[i], job: j, index: i})
	}
	g.m.queued.Add(float64(bytes))
	p.poke()
	return nil
}

// appender appends what is queued, one entry at a time.
func (g *Gatherer) appender(ctx context.Context, p *partition) {
	// An append that has begun is finished, even when the bridge stops.
	appending := context.WithoutCancel(ctx)
	stopping := false
	for {
		batch, tick := p.take(EntryLimit(g.cfg.Bridge))
		switch {
		case tick && !stopping:
			g.tick(appending, p)
		case len(batch) == 0 && stopping:
			return
		case len(batch) == 0:
			select {
			case <-p.wake:
			case <-ctx.Done():
				stopping = true
				p.mu.Lock()
				p.closed = true
				p.mu.Unlock()
			}
		}
		if len(batch) > 0 {
			g.store(appending, p, batch)
		}
	}
}

// EntryLimit is how many bytes of frames an entry of a bridge can hold.
func EntryLimit(bridge string) int { return record.MaxEntry - stream.EntrySpace(bridge) }

// take removes the frames of the next entry from the queue, and says whether a
// tick is due. Frames of a job that has failed are answered on the way.
func (p *partition) take(limit int) (batch []item, tick bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tick, p.tickDue = p.tickDue, false
	n := 0
	for ; n < len(p.queue) && len(batch) < stream.MaxFrames; n++ {
		it := &p.queue[n]
		need := stream.FrameSpace(len(it.Bytes))
		if need > limit {
			break
		}
		limit -= need
		batch = append(batch, *it)
	}
	rest := copy(p.queue, p.queue[n:])
	clear(p.queue[rest:])
	p.queue = p.queue[:rest]
	return batch, tick
}

// store appends one entry and answers for its frames.
func (g *Gatherer) store(ctx context.Context, p *partition, batch []item) {
	e := stream.Entry{Kind: stream.EntryFrames, Bridge: g.cfg.Bridge, Frames: make([]stream.EntryFrame, 0, len(batch))}
	for i := range batch {
		if !batch[i].job.failed { // only the appender sets it
			e.Frames = append(e.Frames, stream.EntryFrame{Received: batch[i].Received, Skew: batch[i].Skew, Frame: batch[i].Bytes})
		}
	}
	var pos stream.Position
	var err error
	if len(e.Frames) > 0 {
		pos, err = g.append(ctx, p, &e)
		g.m.entryFrames.Observe(float64(len(e.Frames)))
		countResult(g.m.appends, "stored", err)
	}
	var stored, busy uint64
	for i := range batch {
		it := &batch[i]
		if err != nil {
			it.job.failed = true
		}
		if it.job.failed {
			busy += it.Records
		} else {
			it.job.outcomes[it.index] = Outcome{Stored: true, Position: pos}
			stored += it.Records
		}
	}
	// Counted before it is answered: whoever has an answer finds it counted.
	g.m.Append.Out(stored)
	g.m.Append.Drop(dropBusy, busy)
	for i := range batch {
		if j := batch[i].job; j.left > 1 {
			j.left--
		} else {
			close(j.done)
		}
	}
}

func (g *Gatherer) append(ctx context.Context, p *partition, e *stream.Entry) (stream.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.AppendTimeout)
	defer cancel()
	b, err := stream.AppendEntry(p.entry[:0], e)
	if err != nil {
		g.logger.Error("entry could not be made", "partition", p.number, "err", err)
		return stream.Position{}, err
	}
	p.entry = b
	start := time.Now()
	pos, err := g.log.Append(ctx, p.number, b)
	g.m.appendTime.Observe(time.Since(start).Seconds())
	switch {
	case err == nil:
		g.m.entryBytes.Add(float64(len(b)))
		if p.failing.Swap(0) != 0 {
			g.logger.Info("stream takes entries again", "partition", p.number)
		}
	case p.failing.CompareAndSwap(0, start.UnixNano()):
		g.logger.Error("stream does not take entries; servers keep what they have", "partition", p.number, "err", err)
	}
	return pos, err
}

// Failing returns the partition whose appends fail for the longest time, and
// since when; the zero time when all succeed.
func (g *Gatherer) Failing() (number int, since time.Time) {
	for _, p := range g.parts {
		if ns := p.failing.Load(); ns != 0 && (since.IsZero() || ns < since.UnixNano()) {
			number, since = p.number, time.Unix(0, ns)
		}
	}
	return number, since
}

func countResult(by map[string]prometheus.Counter, good string, err error) {
	if err != nil {
		by["failed"].Inc()
		return
	}
	by[good].Inc()
}

// tick tells the partition that time passes.
func (g *Gatherer) tick(ctx context.Context, p *partition) {
	accepted := g.accepted.Load()
	_, err := g.append(ctx, p, &stream.Entry{Kind: stream.EntryTick, Bridge: g.cfg.Bridge, Tick: stream.Tick{
		Wall: time.Now().UnixNano(), Period: g.cfg.TickPeriod, Accepted: accepted - p.ticked, ProbeOK: g.probe(),
	}})
	countResult(g.m.ticks, "stored", err)
	if err == nil {
		p.ticked = accepted
	}
}

// Accepted notes that frames from outside were stored.
func (g *Gatherer) Accepted(frames uint64) { g.accepted.Add(frames) }

// AppendFrames implements registry.Appender.
func (g *Gatherer) AppendFrames(ctx context.Context, subject record.ID, frames ...[]byte) (stream.Position, error) {
	now := time.Now().UnixNano()
	in := make([]Frame, len(frames))
	for i, f := range frames {
		h, err := record.CheckFrame(f)
		if err != nil {
			return stream.Position{}, err
		}
		in[i] = Frame{Bytes: f, Received: now, Skew: now - h.Sent, Records: uint64(h.Count)}
	}
	out, err := g.Submit(ctx, stream.Partition(subject), in)
	if err != nil {
		return stream.Position{}, err
	}
	return out[len(out)-1].Position, nil
}

// Incarnation implements registry.Appender.
func (g *Gatherer) Incarnation(ctx context.Context, subject record.ID) (string, error) {
	pos, err := g.log.Head(ctx, stream.Partition(subject))
	return pos.Incarnation, err
}
