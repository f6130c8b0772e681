package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"nocturne/eventbridge/series"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// decodedBytes bounds what is decoded and not yet written, over all partitions.
const decodedBytes = 96 << 20

// lateAfter is how long a record waits at its producer before the log sink asks
// whether it was stored in an earlier life of the stream.
const lateAfter = 30 * time.Second

// pass is one reading of the stream from the saved position on. All of it but
// the readers runs in one goroutine.
type pass struct {
	d        *Driver
	ledger   *record.Ledger
	state    *series.State
	instance string // of the store, as this pass found it

	pos     Positions // written up to here
	repeat  Positions // rows up to here may be in the store already
	saved   Positions
	pending []pendingChange // taken, but not old enough to be saved
	taken   Positions       // positions of the last one taken
	newest  time.Time
	room    *semaphore.Weighted
}

// pendingChange is a checkpoint that waits until it is Trail old.
type pendingChange struct {
	at time.Time
	Change
}

// chunk is one decoded entry.
type chunk struct {
	partition int
	pos       stream.Position
	time      time.Time
	frames    []chunkFrame
	records   int // counted in
	weight    int64
}

type chunkFrame struct {
	record.Frame
	received time.Time
	skew     time.Duration
	err      error
}

func (f *chunkFrame) records() int {
	if f.err == nil {
		return len(f.Records)
	}
	return max(1, int(f.Count))
}

// pass reads until something ends it: ctx, a restart of the store (errReread),
// the loss of the stream (errReread), or an error.
func (d *Driver) pass(ctx context.Context) error {
	p, err := d.begin(ctx)
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	chunks := make(chan chunk, 4*stream.Partitions)
	for i := range stream.Partitions {
		from := p.pos[i]
		g.Go(func() error { return p.read(gctx, i, from, chunks) })
	}
	g.Go(func() error { return p.write(gctx, chunks) })
	err = g.Wait()
	// What was read and not written is given back: the next pass counts it in again.
	close(chunks)
	for c := range chunks {
		d.count(DropReread, c.records)
	}
	if errors.Is(err, stream.ErrIncarnation) && ctx.Err() == nil {
		return fmt.Errorf("%w: %w", errReread, err)
	}
	return err
}

// begin loads the checkpoint and holds it against the stream and the store.
func (d *Driver) begin(ctx context.Context) (*pass, error) {
	cp, err := d.cfg.Store.Load(ctx)
	if err != nil {
		return nil, err
	}
	p := &pass{d: d, ledger: record.NewLedger(), state: series.NewState(), room: semaphore.NewWeighted(decodedBytes)}
	if err := p.restore(cp.Items); err != nil {
		return nil, err
	}
	p.pos, p.saved = cp.Positions, cp.Positions
	var heads Positions
	for i := range stream.Partitions {
		if heads[i], err = p.locate(ctx, i); err != nil {
			return nil, err
		}
	}
	p.taken = p.pos
	p.repeat = heads
	if d.started {
		// Rows that this process did not write yet are in no store.
		for i := range p.repeat {
			if d.written[i].Incarnation == heads[i].Incarnation {
				p.repeat[i].Entry = min(heads[i].Entry, d.written[i].Entry)
			}
		}
	}
	for attempt := 0; ; attempt++ {
		p.instance, err = d.cfg.Sink.Instance(ctx)
		d.setStore(err)
		if err == nil {
			break
		}
		if attempt == 0 {
			d.cfg.Log.Warn("store cannot be reached, waiting for it", "sink", d.cfg.Name, "err", err)
		}
		if !d.wait(ctx, attempt) {
			return nil, ctx.Err()
		}
	}
	if d.started {
		d.cfg.Log.Info("store is there", "sink", d.cfg.Name, "instance", p.instance)
	}
	d.started = true
	d.mu.Lock()
	d.stat.Positions, d.stat.Saved, d.stat.Heads = p.pos, p.saved, heads
	d.mu.Unlock()
	return p, nil
}

// locate holds a saved position against the stream as it is now.
func (p *pass) locate(ctx context.Context, i int) (head stream.Position, err error) {
	log := p.d.cfg.Log
	first, err := p.d.cfg.Stream.First(ctx, i)
	if err != nil {
		return head, err
	}
	if head, err = p.d.cfg.Stream.Head(ctx, i); err != nil {
		return head, err
	}
	was := p.pos[i]
	switch {
	case was.Incarnation == "" && was.Entry == 0:
		p.pos[i] = first
		// A sink that starts in the middle of a log cannot call missing what
		// came before.
		p.ledger.Truncated = p.ledger.Truncated || first.Entry > 0
	case was.Incarnation != head.Incarnation || was.Entry > head.Entry:
		log.Error("the stream is another one than before: its volume was lost; starting with its first entry", "sink", p.d.cfg.Name,
			"partition", i, "was", was.Incarnation, "entry", was.Entry, "is", head.Incarnation, "head", head.Entry)
		p.pos[i] = first
	case was.Entry < first.Entry:
		n := first.Entry - was.Entry
		p.d.met.lost.Add(float64(n))
		log.Error("entries left the stream before this sink read them", "sink", p.d.cfg.Name, "partition", i, "entries", n, "from", was.Entry+1, "to", first.Entry)
		p.pos[i] = first
	}
	p.pos[i].Incarnation = head.Incarnation
	return head, nil
}

// read decodes one partition's entries into chunks.
func (p *pass) read(ctx context.Context, i int, from stream.Position, chunks chan<- chunk) error {
	return p.d.cfg.Stream.Read(ctx, i, from, func(m stream.Message) error {
		weight := min(rawWeight(m.Data), decodedBytes)
		if err := p.room.Acquire(ctx, weight); err != nil {
			return err
		}
		c := decode(m, weight)
		p.d.countIn(c.records)
		select {
		case chunks <- c:
			return nil
		case <-ctx.Done():
			p.d.count(DropReread, c.records)
			return ctx.Err()
		}
	})
}

// rawWeight guesses the memory of an entry once decoded, from its headers.
func rawWeight(data []byte) int64 {
	e, err := stream.DecodeEntry(data)
	n := int64(len(data))
	if err != nil {
		return n
	}
	for i := range e.Frames {
		if h, _, err := record.DecodeHeader(e.Frames[i].Frame); err == nil {
			n += 2 * int64(h.RawLen)
		}
	}
	return n
}

func decode(m stream.Message, weight int64) chunk {
	c := chunk{partition: m.Partition, pos: m.Position, time: m.Time, weight: weight}
	e, err := stream.DecodeEntry(m.Data)
	if err != nil {
		c.frames = []chunkFrame{{err: err}}
		c.records = 1
		return c
	}
	for i := range e.Frames {
		f := &e.Frames[i]
		cf := chunkFrame{received: time.Unix(0, f.Received).UTC(), skew: time.Duration(f.Skew)}
		cf.Frame, cf.err = record.DecodeFrame(f.Frame)
		c.frames = append(c.frames, cf)
		c.records += cf.records()
	}
	return c
}

// write gathers chunks, writes them and takes checkpoints.
func (p *pass) write(ctx context.Context, chunks <-chan chunk) error {
	tick := time.NewTicker(p.d.cfg.Checkpoint)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			if err := p.checkpoint(ctx, time.Now()); err != nil {
				return err
			}
		case c := <-chunks:
			if err := p.gather(ctx, c, chunks); err != nil {
				return err
			}
		}
	}
}

// gather writes one batch: the chunk and what follows within Linger.
func (p *pass) gather(ctx context.Context, c chunk, chunks <-chan chunk) error {
	var group []chunk
	rows := 0
	linger := time.NewTimer(p.d.cfg.Linger)
	defer linger.Stop()
	for full := false; !full; {
		group = append(group, c)
		if rows += c.records; rows >= p.d.cfg.MaxRows {
			break
		}
		select {
		case c = <-chunks:
		case <-linger.C:
			full = true
		case <-ctx.Done():
			full = true
		}
	}
	defer func() {
		for i := range group {
			p.room.Release(group[i].weight)
		}
	}()
	return p.put(ctx, group)
}

// put turns a group of chunks into rows, writes them and moves the position.
func (p *pass) put(ctx context.Context, group []chunk) error {
	var b Batch
	for i := range group {
		n := len(b.Rows)
		b.Rows = p.rows(b.Rows, &group[i])
		p.again(b.Rows[n:], &group[i])
	}
	left, err := p.store(ctx, b)
	if err != nil {
		p.d.count(DropReread, left)
		return err
	}
	for i := range group {
		p.pos[group[i].partition] = group[i].pos
		if group[i].time.After(p.newest) {
			p.newest = group[i].time
		}
	}
	for i := range p.pos {
		if w := &p.d.written[i]; w.Incarnation != p.pos[i].Incarnation || w.Entry < p.pos[i].Entry {
			*w = p.pos[i]
		}
	}
	p.publish()
	return nil
}

// again marks the rows that may be in the store already.
func (p *pass) again(rows []Row, c *chunk) {
	i := c.partition
	here := Not
	if r := p.repeat[i]; c.pos.Entry <= r.Entry && c.pos.Incarnation == r.Incarnation {
		here = SameEntry
	}
	for k := range rows {
		rows[k].Again = here
		// After the loss of the stream's volume producers send again what they
		// kept: the same records in other entries, for a while all of them,
		// later those that waited long in a spool.
		seen := rows[k].Record.Observed
		waited := !seen.IsZero() && rows[k].Header.Sent-seen.UnixNano() > int64(lateAfter)
		if waited || p.saved[i].Incarnation != c.pos.Incarnation {
			rows[k].Again = AnyEntry
		}
	}
}

func (p *pass) publish() {
	d := p.d
	totals := p.ledger.Totals()
	d.met.missing.Set(float64(totals.Missing))
	if !p.newest.IsZero() {
		d.met.behind.Set(time.Since(p.newest).Seconds())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stat.Positions, d.stat.Saved, d.stat.Ledger, d.stat.Newest = p.pos, p.saved, totals, p.newest
}

// rows appends the rows of a chunk; the rest of its records is counted as dropped.
func (p *pass) rows(dst []Row, c *chunk) []Row {
	for i := range c.frames {
		f := &c.frames[i]
		if f.err != nil {
			p.reject(c, f)
			continue
		}
		if !p.d.cfg.Ledger {
			if len(f.Records) > 0 {
				dst = p.rowsOf(dst, c, f, f.First, f.Last)
			}
			continue
		}
		o := p.ledger.Observe(&f.Header)
		if f.Kind == record.FrameData {
			p.d.count(DropDuplicate, int(o.Duplicate))
			for _, r := range o.Fresh {
				dst = p.rowsOf(dst, c, f, r.From, r.To)
			}
		}
	}
	return dst
}

func (p *pass) rowsOf(dst []Row, c *chunk, f *chunkFrame, from, to uint64) []Row {
	for seq := from; seq <= to; seq++ {
		r := &f.Records[seq-f.First]
		row := Row{Partition: c.partition, Entry: c.pos.Entry, Received: f.received, Skew: f.skew, Header: &f.Header, Seq: seq, Record: r}
		row.Server = p.state.Learn(&f.Header, r)
		if row.Server.Name == "" && p.d.cfg.Lookup != nil {
			if srv, ok := p.d.cfg.Lookup(f.Subject); ok {
				srv.OS = row.Server.OS
				row.Server = srv
			}
		}
		if _, moved := series.SampleTime(r, f.skew); moved {
			p.d.met.movedTimes.Inc()
		}
		gone := series.Gone(&f.Header, r)
		if p.d.cfg.Samples {
			var cut int
			row.Samples, cut = series.Append(nil, row.Server, &f.Header, r, f.skew)
			p.d.met.cutSamples.Add(float64(cut))
			row.Samples = p.state.Ends(row.Samples, &f.Header, r, row.Samples)
		}
		if gone {
			p.state.Forget(f.Subject)
		}
		if p.d.cfg.Samples && len(row.Samples) == 0 {
			p.d.count(DropIrrelevant, 1)
			continue
		}
		dst = append(dst, row)
	}
	return dst
}

// reject counts a frame that cannot be decoded. Its seqs are noted where its
// header could be trusted.
func (p *pass) reject(c *chunk, f *chunkFrame) {
	reason := record.RejectOf(f.err)
	if m := p.d.met.rejects[reason]; m != nil {
		m.Inc()
	}
	n := f.records()
	if p.d.cfg.Ledger && !f.Subject.IsZero() && (reason == record.RejectPayload || reason == record.RejectCount) {
		o := p.ledger.Observe(&f.Header)
		p.ledger.CountRejected(f.Key(), f.Len()-o.Duplicate)
	}
	p.d.cfg.Log.Warn("frame cannot be decoded", "sink", p.d.cfg.Name, "partition", c.partition, "entry", c.pos.Entry, "records", n, "err", f.err)
	p.d.count(DropMalformed, n)
}
