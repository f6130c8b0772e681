package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"nocturne/internal/record"
)

const (
	chunkBytes  = 1 << 20 // records of one entry, but for the last one
	maxBatch    = 256 << 20
	maxPosition = 64 << 10
	maxSource   = 128
)

// request is one Append that waits for its fsync. Entries of a chunk hold the
// records as they go to disk; the writer numbers them.
type request struct {
	source   string
	category record.Category
	chunks   []chunk
	position []byte
	hasPos   bool
	mended   mended

	done bool
	err  error
}

type chunk struct {
	body  []byte // records, each with its length before it
	count uint32
	holes uint32
}

// Append numbers the records and commits them with the source's new position,
// in one durable step; nil means no new position. It returns when both are on
// disk. On an error neither is, and the same call may be repeated, unless the
// error is ErrTooLarge.
//
// A record over record.MaxRecord is cut down and marked, or, when that does not
// help, declared lost.
func (s *Spool) Append(ctx context.Context, source string, category record.Category, recs []record.Record, position []byte) error {
	if len(recs) == 0 && position == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := prepare(source, category, recs, position)
	if err != nil {
		return fmt.Errorf("append %d records of %s: %w", len(recs), source, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(s.queue, r)
	for !r.done {
		if s.busy {
			s.idle.Wait()
			continue
		}
		if err := s.lead(); err != nil {
			s.finish(s.take(), err)
			break
		}
		s.writeQueue()
		s.yield()
	}
	if r.err != nil {
		return fmt.Errorf("append %d records of %s: %w", len(recs), source, r.err)
	}
	return nil
}

func prepare(source string, category record.Category, recs []record.Record, position []byte) (*request, error) {
	if source == "" || len(source) > maxSource || !category.Valid() {
		return nil, fmt.Errorf("source %.40q, category %d: %w", source, category, ErrTooLarge)
	}
	if len(position) > maxPosition {
		return nil, fmt.Errorf("position of %d bytes, limit %d: %w", len(position), maxPosition, ErrTooLarge)
	}
	r := &request{source: source, category: category, position: position, hasPos: position != nil, chunks: make([]chunk, 1)}
	total := 0
	var scratch []byte
	for i := range recs {
		rec, what := fit(&recs[i])
		r.mended.add(what)
		c := &r.chunks[len(r.chunks)-1]
		if len(c.body) >= chunkBytes {
			r.chunks = append(r.chunks, chunk{})
			c = &r.chunks[len(r.chunks)-1]
		}
		c.count++
		if rec == nil {
			c.holes++
			c.body = append(c.body, 0)
			continue
		}
		scratch = record.AppendRecords(scratch[:0], []record.Record{*rec})
		c.body = binary.AppendUvarint(c.body, uint64(len(scratch)))
		c.body = append(c.body, scratch...)
		total += len(scratch)
	}
	if total > maxBatch {
		return nil, fmt.Errorf("%d bytes, limit %d: %w", total, maxBatch, ErrTooLarge)
	}
	return r, nil
}

// size is an upper bound of the request's bytes on disk.
func (r *request) size() int64 {
	n := int64(0)
	for i := range r.chunks {
		n += int64(len(r.chunks[i].body)) + entryHeader + 128 + int64(len(r.source))
	}
	return n + int64(len(r.position))
}

// take empties the queue. Callers hold mu.
func (s *Spool) take() []*request {
	q := s.queue
	s.queue = nil
	return q
}

// finish answers requests. Callers hold mu.
func (s *Spool) finish(group []*request, err error) {
	for _, r := range group {
		r.done, r.err = true, err
	}
	s.idle.Broadcast()
}

// groupBytes bounds what one fsync takes along, so that one waits no longer
// than a write of this size.
const groupBytes = 16 << 20

// writeQueue commits what waits, one group per fsync. Callers hold mu and the
// writer role; mu is released while the disk works.
func (s *Spool) writeQueue() {
	for len(s.queue) > 0 {
		n, size := 0, int64(0)
		for n < len(s.queue) && (n == 0 || size+s.queue[n].size() <= groupBytes) {
			size += s.queue[n].size()
			n++
		}
		group := s.queue[:n:n]
		s.queue = s.queue[n:]
		s.finish(group, s.commit(group, size))
	}
}

// plan is what a group changes once it is on disk.
type plan struct {
	buf       []byte
	headers   []header
	holes     []uint64
	next      uint64
	sequences map[record.Category]sequence
	acks      []*output
}

func (s *Spool) commit(group []*request, size int64) error {
	if size > s.cfg.MaxBytes/2 {
		return fmt.Errorf("%d bytes, limit %d: %w", size, s.cfg.MaxBytes/2, ErrTooLarge)
	}
	g := s.segments[len(s.segments)-1]
	if err := s.makeRoom(size); err != nil {
		return err
	}
	if last := s.segments[len(s.segments)-1]; last != g || g.size > fileHeader && g.size+size > s.cfg.SegmentBytes && g.end > g.first {
		if last == g {
			if err := s.rollUnlocked(); err != nil {
				return err
			}
		}
		g = s.segments[len(s.segments)-1]
	}
	for retry := true; ; retry = false {
		p := s.encode(group, uint32(g.synced))
		off := g.size
		s.mu.Unlock()
		start := s.now()
		err := s.write(g, off, p.buf)
		took := s.now().Sub(start)
		s.mu.Lock()
		if err == nil {
			s.apply(g, group, p, took)
			return nil
		}
		unwritten(p.acks)
		// The disk may be full of others' data: what is answered makes room.
		if !retry || errors.Is(err, ErrBroken) || s.trim(s.now()) == 0 {
			return err
		}
	}
}

// unwritten takes back that the state of these outputs was written. Callers
// hold mu.
func unwritten(outputs []*output) {
	for _, o := range outputs {
		o.dirty, o.written = true, o.durable
	}
}

// rollUnlocked is roll for callers that hold mu.
func (s *Spool) rollUnlocked() error {
	s.mu.Unlock()
	defer s.mu.Lock()
	return s.roll()
}

// write appends durably. A write that fails is undone, so that it can be tried
// again; after a sync that fails nothing is known. Callers hold the writer role.
func (s *Spool) write(g *segment, off int64, b []byte) error {
	if _, err := g.f.WriteAt(b, off); err != nil {
		err = fmt.Errorf("write segment %s: %w", g.name(), err)
		if undo := g.f.Truncate(off); undo != nil {
			return s.fail(errors.Join(err, undo))
		}
		return err
	}
	if err := g.f.Sync(); err != nil {
		return s.fail(fmt.Errorf("sync segment %s: %w", g.name(), err))
	}
	return nil
}

// encode numbers the records of a group. Callers hold mu.
func (s *Spool) encode(group []*request, durable uint32) *plan {
	p := &plan{next: s.next, sequences: map[record.Category]sequence{}}
	now := s.now().UnixNano()
	for _, r := range group {
		q, ok := p.sequences[r.category]
		if !ok {
			q = s.sequences[r.category]
		}
		for i := range r.chunks {
			c := &r.chunks[i]
			epoch, first := s.numbering(q)
			b, start := beginEntry(p.buf)
			last := i == len(r.chunks)-1
			body := commit{epoch: epoch, first: first, time: now, source: r.source}
			h := header{kind: kindCommit, category: r.category, durable: durable, at: p.next, count: c.count, flags: flagMore}
			if last {
				body.hasPosition, body.position, h.flags = r.hasPos, r.position, 0
			}
			b = append(appendCommit(b, &body), c.body...)
			finishEntry(b, start, h)
			p.buf = b
			p.headers = append(p.headers, h)
			p.holes = append(p.holes, uint64(c.holes))
			p.next += uint64(c.count)
			if c.count > 0 {
				q = sequence{epoch: epoch, last: first + uint64(c.count) - 1}
			}
		}
		if q.last > 0 {
			p.sequences[r.category] = q
		}
	}
	p.buf, p.acks = s.appendAcks(p.buf, durable)
	return p
}

// numbering returns the epoch and seq of the next record of a sequence.
func (s *Spool) numbering(q sequence) (record.Epoch, uint64) {
	if q.epoch.EpochRef == s.epoch {
		return q.epoch, q.last + 1
	}
	return record.Epoch{EpochRef: s.epoch, Prev: q.epoch.EpochRef, PrevLast: q.last}, 1
}

// appendAcks appends the state of the outputs that changed. Callers hold mu.
func (s *Spool) appendAcks(b []byte, durable uint32) ([]byte, []*output) {
	var taken []*output
	for _, o := range s.outputs {
		if !o.dirty {
			continue
		}
		o.dirty, o.written = false, o.debts
		taken = append(taken, o)
		var start int
		b, start = beginEntry(b)
		b = appendOutput(b, &o.outputState)
		finishEntry(b, start, header{kind: kindAck, at: o.position, durable: durable})
	}
	return b, taken
}

// apply makes a durable group visible. Callers hold mu.
func (s *Spool) apply(g *segment, group []*request, p *plan, took time.Duration) {
	g.size += int64(len(p.buf))
	g.synced = g.size
	s.bytes += int64(len(p.buf))
	fresh := uint64(0)
	for i := range p.headers {
		g.note(&p.headers[i], p.holes[i])
		n := uint64(p.headers[i].count) - p.holes[i]
		fresh += n
		s.metrics.taken(p.headers[i].category, n, p.holes[i])
	}
	s.next = p.next
	for c, q := range p.sequences {
		s.sequences[c] = q
	}
	for _, r := range group {
		if r.hasPos {
			s.sources[r.source] = append([]byte{}, r.position...)
		}
		s.metrics.mended(r.mended)
	}
	for _, o := range s.outputs {
		o.waiting += fresh
	}
	s.synced()
	s.epochDue = true
	s.metrics.commit(took, len(p.buf))
	s.wake()
}

// flushAcks writes the state of outputs that changed, without waiting for the
// disk: what a crash forgets is sent again, and recognised by its numbers.
// Callers hold the writer role, but not mu.
func (s *Spool) flushAcks() error {
	s.mu.Lock()
	g := s.segments[len(s.segments)-1]
	b, taken := s.appendAcks(nil, uint32(g.synced))
	off := g.size
	s.mu.Unlock()
	if len(b) == 0 {
		return nil
	}
	_, err := g.f.WriteAt(b, off)
	if err != nil {
		err = errors.Join(err, g.f.Truncate(off))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		unwritten(taken)
		return fmt.Errorf("write segment %s: %w", g.name(), err)
	}
	g.size += int64(len(b))
	s.bytes += int64(len(b))
	return nil
}

// syncAcks makes the state of the outputs durable. Callers hold the writer
// role, but not mu.
func (s *Spool) syncAcks() error {
	if err := s.flushAcks(); err != nil {
		return err
	}
	if g := s.segments[len(s.segments)-1]; g.synced < g.size {
		if err := g.f.Sync(); err != nil {
			return s.fail(fmt.Errorf("sync segment %s: %w", g.name(), err))
		}
		g.synced = g.size
	}
	s.mu.Lock()
	s.synced()
	s.mu.Unlock()
	return nil
}

// synced notes that all that was written is durable. Callers hold mu and the
// writer role.
func (s *Spool) synced() {
	for _, o := range s.outputs {
		o.durable = o.written
	}
}

// secure makes debts durable before what they stand for may leave the log: a
// crash that forgot both would leave a hole that nobody declares. Callers hold
// mu and the writer role; mu is released while the disk works.
func (s *Spool) secure() error {
	for _, o := range s.outputs {
		if o.durable != o.debts {
			s.mu.Unlock()
			defer s.mu.Lock()
			return s.syncAcks()
		}
	}
	return nil
}
