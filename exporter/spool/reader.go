package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"nocturne/internal/record"
)

// Limits bound one batch.
type Limits struct {
	Frames  int // frames
	Records int // records of one frame
	Bytes   int // bytes of all records before packing; one record may exceed it
}

// DefaultLimits suit an HTTP request of at most 8 MiB.
func DefaultLimits() Limits { return Limits{Frames: 64, Records: 4096, Bytes: 2 << 20} }

// maxFrameRaw is what surely fits a frame, even if it does not pack.
const maxFrameRaw = record.MaxPacked - 1<<10

// Frame is a frame to be handed to an output.
type Frame struct {
	Header record.Header
	Raw    []byte // records as record.AppendRecords wrote them; nil in a bare frame

	from, end uint64 // ordinals: where an answer moves the position to
	debt      bool   // from the output's owed list
}

// Encode returns the frame as it travels.
func (f *Frame) Encode() ([]byte, error) {
	if f.Header.Kind == record.FrameData {
		return record.EncodeRaw(f.Header, f.Raw, int(f.Header.Count))
	}
	return record.EncodeBare(f.Header)
}

// Records decodes the records.
func (f *Frame) Records() ([]record.Record, error) {
	if f.Header.Kind != record.FrameData {
		return nil, nil
	}
	recs, _, err := record.DecodeRecords(f.Raw)
	return recs, err
}

// Verdict is what became of one frame.
type Verdict uint8

// The verdicts. Only a prefix of a batch is settled: it ends at the first Retry.
const (
	Retry   Verdict = iota // not taken; present it again
	Stored                 // taken, durably
	Refused                // will never be taken: skip it, count it, declare it lost
)

// Reader reads the spool for one output. One batch is out at a time.
type Reader struct {
	s  *Spool
	o  *output
	sc scanner
	// Where the next entry to look at is, valid while no segment was replaced.
	g      *segment
	off    int64
	endG   *segment // where the batch that is out ends
	endOff int64
	swaps  uint64
	out    []Frame // the batch that is out
}

// Reader returns the reader of an output named to Open.
func (s *Spool) Reader(output string) (*Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.outputs {
		if o.name == output {
			return &Reader{s: s, o: o}, nil
		}
	}
	return nil, fmt.Errorf("output %q is not known to the spool", output)
}

// Next returns the next frames, oldest first, and waits until there are some.
// They stay out until Settle or Release; calling Next before is an error.
func (r *Reader) Next(ctx context.Context, l Limits) ([]Frame, error) {
	for {
		r.s.mu.Lock()
		if r.out != nil {
			r.s.mu.Unlock()
			return nil, errors.New("read spool: a batch is out already")
		}
		if r.s.closed {
			r.s.mu.Unlock()
			return nil, ErrClosed
		}
		c := cutter{s: r.s, limits: l, at: r.o.position}
		frames, err := r.cut(&c)
		changed := r.s.changed
		if err == nil && len(frames) > max(l.Frames, 1) {
			r.oweDrop(frames)
			r.s.mu.Unlock()
			continue
		}
		if err == nil && len(frames) > 0 {
			r.take(frames)
			r.endG, r.endOff = c.g, c.off
			r.s.mu.Unlock()
			return frames, nil
		}
		r.s.mu.Unlock()
		if errors.Is(err, errDamaged) {
			if err = r.s.mendLive(r.g); err == nil {
				continue
			}
		}
		if err != nil {
			return nil, fmt.Errorf("read spool for %s: %w", r.o.name, err)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// oweDrop makes debts of the ranges of one drop, which are more than a batch may
// have: an answer for some of a drop cannot be noted, one for some debts can.
// Callers hold mu.
func (r *Reader) oweDrop(frames []Frame) {
	o := r.o
	for i := range frames {
		h := &frames[i].Header
		o.owed = append(o.owed, lost{category: h.Category, kind: h.Kind, reason: h.Reason, epoch: h.Epoch, first: h.First, last: h.Last})
	}
	o.position = max(o.position, frames[len(frames)-1].end)
	o.debts++
	o.dirty = true
}

// Pending tells whether there is anything to hand out.
func (r *Reader) Pending() bool {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.s.closed {
		return false
	}
	if r.o.waiting > 0 || len(r.o.owed) > 0 {
		return true
	}
	frames, err := r.cut(&cutter{s: r.s, limits: Limits{Frames: 1, Records: 1, Bytes: 1}, at: r.o.position})
	return err == nil && len(frames) > 0
}

// take notes what is out. Callers hold mu.
func (r *Reader) take(frames []Frame) {
	r.out = frames
	r.o.inflight = r.o.inflight[:0]
	for i := range frames {
		f := &frames[i]
		if f.debt {
			continue
		}
		r.o.inflight = append(r.o.inflight, flight{from: f.from, end: f.end, records: uint64(f.Header.Count)})
	}
}

// cut reads entries from the output's position on and cuts frames from them.
// Callers hold mu.
func (r *Reader) cut(c *cutter) ([]Frame, error) {
	l := c.limits
	for i := range r.o.owed {
		if len(c.frames) < l.Frames {
			c.bare(&r.o.owed[i], r.o.position, r.o.position, true)
		}
	}
	if len(c.frames) >= l.Frames {
		return c.frames, nil
	}
	g, off := r.seek()
	for g != nil {
		if r.sc.f != g.f {
			r.sc = scanner{f: g.f, buf: r.sc.buf[:0]}
		}
		r.sc.limit = g.size
		h, b, err := r.sc.entry(off)
		if errors.Is(err, io.EOF) {
			next := r.s.after(g)
			if next == nil {
				break
			}
			g, off = next, fileHeader
			if len(c.frames) == 0 {
				r.g, r.off = g, off
			}
			continue
		}
		if err != nil {
			r.g = g
			if len(c.frames) > 0 {
				break // hand out what is there; the next call meets it first
			}
			r.off = off
			return nil, fmt.Errorf("segment %s at %d: %w", g.name(), off, err)
		}
		more, err := c.entry(&h, b[entryHeader:])
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		off += h.size()
		if len(c.frames) == 0 {
			r.g, r.off = g, off
		}
	}
	c.g, c.off = g, off
	return c.frames, nil
}

// seek returns where to read on: behind everything that is answered.
func (r *Reader) seek() (*segment, int64) {
	if r.g != nil && r.swaps == r.s.swaps {
		return r.g, r.off
	}
	r.swaps, r.sc = r.s.swaps, scanner{buf: r.sc.buf[:0]}
	for _, g := range r.s.segments {
		if g.end > r.o.position || !g.sealed {
			r.g, r.off = g, fileHeader
			return r.g, r.off
		}
	}
	return nil, 0
}

// after returns the segment behind g; nil when it is the last.
func (s *Spool) after(g *segment) *segment {
	if i := slices.Index(s.segments, g); i >= 0 && i+1 < len(s.segments) {
		return s.segments[i+1]
	}
	return nil
}

// cutter makes frames of entries.
type cutter struct {
	s      *Spool
	limits Limits
	at     uint64 // records below are answered, or in a frame already
	frames []Frame
	bytes  int
	g      *segment // where the first entry stands that is not wholly in frames
	off    int64
}

// bare adds a gap or base frame.
func (c *cutter) bare(l *lost, from, end uint64, debt bool) {
	c.frames = append(c.frames, Frame{Header: c.header(l.kind, l.category, l.epoch, l.first, l.last, l.reason), from: from, end: end, debt: debt})
}

func (c *cutter) header(kind record.FrameKind, category record.Category, e record.Epoch, first, last uint64, reason record.GapReason) record.Header {
	return record.Header{
		Kind: kind, Producer: c.s.producer, Subject: c.s.subject, Category: category,
		Epoch: e, First: first, Last: last, Reason: reason,
	}
}

// entry adds what an entry holds beyond at; false when the batch is full.
func (c *cutter) entry(h *header, payload []byte) (bool, error) {
	switch {
	case h.kind == kindDrop && h.flags&flagKnown == 0 && h.at >= c.at:
		list, err := decodeDrop(payload)
		if err != nil {
			return false, err
		}
		if len(c.frames) > 0 && len(c.frames)+len(list) > c.limits.Frames {
			return false, nil
		}
		for i := range list {
			end := h.at // moved past only by the last one
			if i == len(list)-1 {
				end = h.at + 1
			}
			c.bare(&list[i], h.at, end, false)
		}
		c.at = h.at + 1
	case h.kind == kindCommit && h.at+uint64(h.count) > c.at:
		return c.commit(h, payload)
	}
	return true, nil
}

func (c *cutter) commit(h *header, payload []byte) (bool, error) {
	m, b, err := decodeCommit(payload)
	if err != nil {
		return false, err
	}
	for i := uint64(0); i < uint64(h.count); i++ {
		raw, rest, err := nextRecord(b)
		if err != nil {
			return false, err
		}
		b = rest
		at := h.at + i
		if at < c.at {
			continue
		}
		if len(raw) == 0 {
			l := lost{category: h.category, kind: record.FrameGap, reason: record.GapUnreadable, epoch: m.epoch, first: m.first + i, last: m.first + i}
			if len(c.frames) >= c.limits.Frames {
				return false, nil
			}
			c.bare(&l, at, at+1, false)
		} else if !c.add(h, &m, m.first+i, at, raw) {
			return false, nil
		}
		c.at = at + 1
	}
	return true, nil
}

// add appends a record to the last frame, or begins another one.
func (c *cutter) add(h *header, m *commit, seq, at uint64, raw []byte) bool {
	if c.bytes > 0 && c.bytes+len(raw) > c.limits.Bytes {
		return false
	}
	var f *Frame
	if n := len(c.frames); n > 0 {
		f = &c.frames[n-1]
	}
	if f == nil || f.Header.Kind != record.FrameData || f.Header.Category != h.category || f.Header.Epoch.EpochRef != m.epoch.EpochRef ||
		f.Header.First+uint64(f.Header.Count) != seq || int(f.Header.Count) >= c.limits.Records || len(f.Raw)+len(raw) > maxFrameRaw {
		if len(c.frames) >= c.limits.Frames {
			return false
		}
		c.frames = append(c.frames, Frame{Header: c.header(record.FrameData, h.category, m.epoch, seq, 0, record.GapNone), from: at})
		f = &c.frames[len(c.frames)-1]
	}
	f.Raw = append(f.Raw, raw...)
	f.Header.Count++
	f.Header.Last = seq
	f.end = at + 1
	c.bytes += len(raw)
	return true
}

// Settle says what became of the batch and keeps the output's own note on the
// last answer (nil = no new one). Frames from the first Retry on are handed out
// again.
func (r *Reader) Settle(verdicts []Verdict, answer []byte) error {
	s, o := r.s, r.o
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(verdicts) > len(r.out) {
		return fmt.Errorf("settle %d frames, %d are out", len(verdicts), len(r.out))
	}
	out := len(r.out)
	n, debts, flights := 0, 0, 0
	for n < len(verdicts) && verdicts[n] != Retry {
		f := &r.out[n]
		if f.debt {
			debts++
		} else {
			r.settleFlight(f, verdicts[n], &o.inflight[flights])
			flights++
		}
		n++
	}
	o.owed = append([]lost(nil), o.owed[debts:]...)
	for i := range r.out[:n] {
		f := &r.out[i]
		if verdicts[i] == Refused && f.Header.Kind == record.FrameData {
			o.owed = append(o.owed, lost{category: f.Header.Category, kind: record.FrameGap, reason: record.GapUnreadable,
				epoch: f.Header.Epoch, first: f.Header.First, last: f.Header.Last})
			o.debts++
		}
	}
	for ; flights < len(o.inflight); flights++ { // dropped while it was out, and not taken
		r.loseFlight(&o.inflight[flights])
	}
	o.inflight, r.out = o.inflight[:0], nil
	if answer != nil {
		o.answer = slices.Clone(answer)
	}
	if n > 0 && n == out && r.swaps == s.swaps && r.endG != nil {
		r.g, r.off = r.endG, r.endOff
	}
	if o.recount {
		if err := s.recount(o); err != nil {
			return err
		}
	}
	if n == 0 && answer == nil {
		return nil
	}
	o.dirty = true
	if s.busy || s.closed || s.broken != nil {
		return nil // the writer takes it along, or Close
	}
	s.busy = true
	s.mu.Unlock()
	err := s.flushAcks()
	s.mu.Lock()
	s.yield()
	if err != nil && s.broken == nil { // the next append takes it along
		s.log.Debug("answer not written yet", "output", o.name, "err", err)
		err = nil
	}
	return err
}

func (r *Reader) settleFlight(f *Frame, v Verdict, fl *flight) {
	o := r.o
	o.position = max(o.position, f.end)
	if f.Header.Kind != record.FrameData {
		return
	}
	o.waiting -= fl.records
	if v == Stored {
		r.s.metrics.delivered(o.name, fl.records)
	} else {
		r.s.metrics.refused(o.name, fl.records)
	}
}

// loseFlight counts what was dropped under a frame that was not taken.
func (r *Reader) loseFlight(fl *flight) {
	r.o.waiting -= fl.gone
	r.s.metrics.dropped(r.o.name, record.GapOverflow, fl.gone)
}

// Release takes the batch back: none of it was taken.
func (r *Reader) Release() error { return r.Settle(nil, nil) }

// Answer returns the output's note on its last answer.
func (r *Reader) Answer() []byte {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return slices.Clone(r.o.answer)
}

// Rewind presents everything again that is still here, because the receiver
// lost what it had answered for. It returns how many records that adds. The
// step back is durable when it returns: were it forgotten in a crash, ranges
// dropped since would look answered. note, when not nil, replaces the output's
// note on the last answer.
func (r *Reader) Rewind(note []byte) (uint64, error) {
	s, o := r.s, r.o
	if r.out != nil {
		return 0, errors.New("rewind: a batch is out")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.lead(); err != nil {
		return 0, fmt.Errorf("rewind: %w", err)
	}
	defer s.yield()
	to := s.segments[0].first
	n, err := s.countLive(to)
	if err != nil {
		return 0, fmt.Errorf("rewind: %w", err)
	}
	again := n - o.waiting
	o.position, o.waiting, o.dirty = to, n, true
	if note != nil {
		o.answer = slices.Clone(note)
	}
	r.g = nil
	for _, g := range s.segments {
		g.consumed = time.Time{} // Keep begins anew
	}
	s.metrics.rewound(o.name, again)
	s.mu.Unlock()
	err = s.syncAcks()
	s.mu.Lock()
	s.wake()
	if err != nil {
		return again, fmt.Errorf("rewind: %w", err)
	}
	return again, nil
}
