package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"time"

	"nocturne/internal/record"
)

// makeRoom frees space by the policy of the package comment. Callers hold mu
// and the writer role; mu is released while the log is rolled.
func (s *Spool) makeRoom(need int64) error {
	for s.bytes+need > s.cfg.MaxBytes {
		if err := s.secure(); err != nil {
			return fmt.Errorf("make room: %w", err)
		}
		if s.removeAnswered(1, time.Time{}) > 0 {
			continue
		}
		if n := len(s.segments); n == 1 {
			if g := s.segments[0]; g.end == g.first {
				return nil // nothing left to drop
			}
			if err := s.rollUnlocked(); err != nil {
				return err
			}
			continue
		}
		done, err := s.dropOldest()
		if err != nil {
			return fmt.Errorf("make room: %w", err)
		}
		if !done {
			if g := s.segments[len(s.segments)-1]; g.live == 0 {
				return nil
			}
			if err := s.rollUnlocked(); err != nil {
				return err
			}
		}
	}
	return nil
}

// trim removes the oldest segments that every output has had an answer for
// since before. It returns the bytes freed. Callers hold mu and the writer role;
// mu may be released meanwhile.
func (s *Spool) trim(before time.Time) int64 {
	if s.secure() != nil {
		return 0 // the next round tries again
	}
	return s.removeAnswered(len(s.segments), before)
}

// removeAnswered removes up to n segments; a zero time means at once.
func (s *Spool) removeAnswered(n int, before time.Time) int64 {
	freed := int64(0)
	for ; n > 0 && len(s.segments) > 1; n-- {
		g := s.segments[0]
		for _, o := range s.outputs {
			if o.position < g.end {
				return freed
			}
		}
		if g.consumed.IsZero() {
			g.consumed = s.now()
		}
		if !before.IsZero() && g.consumed.After(before) {
			return freed
		}
		if err := s.discard(g); err != nil {
			s.log.Warn("segment stays behind", "segment", g.name(), "err", err)
			return freed
		}
		freed += g.size
		s.segments = s.segments[1:]
		s.swaps++
	}
	return freed
}

// discard closes and removes a segment's file. Callers hold mu.
func (s *Spool) discard(g *segment) error {
	s.bytes -= g.size
	if err := g.f.Close(); err != nil {
		return err
	}
	return ignoreMissing(s.fs.Remove(g.name()))
}

// dropOldest drops the heartbeats of the oldest sealed segment that has some,
// or else everything in the oldest sealed segment that has anything. It tells
// whether there was something to drop. Callers hold mu and the writer role.
func (s *Spool) dropOldest() (bool, error) {
	sealed := s.segments[:len(s.segments)-1]
	for i, g := range sealed {
		if g.heartbeats > 0 && g.heartbeats < g.live {
			return true, s.rewrite(i, i, func(h *header) bool { return h.category == record.Heartbeat })
		}
		if g.heartbeats > 0 {
			return true, s.rewrite(s.emptyBefore(i), i, func(*header) bool { return true })
		}
	}
	for i, g := range sealed {
		if g.live > 0 {
			return true, s.rewrite(s.emptyBefore(i), i, func(*header) bool { return true })
		}
	}
	return false, nil
}

// emptyBefore returns the first of the segments before i that hold only drops,
// so that they are merged and do not pile up.
func (s *Spool) emptyBefore(i int) int {
	for i > 0 && s.segments[i-1].live == 0 {
		i--
	}
	return i
}

// rewrite replaces the segments i..j by one without the commits that drop
// names, but with entries that say which records those were.
func (s *Spool) rewrite(i, j int, drop func(*header) bool) error {
	d := dropper{points: s.points()}
	var head []byte
	for k := i; k <= j; k++ {
		if err := s.collect(s.segments[k], &d, &head, drop); err != nil {
			return fmt.Errorf("rewrite segment %s: %w", s.segments[k].name(), err)
		}
	}
	if err := s.replace(i, j, head, d.items); err != nil {
		return err
	}
	for _, r := range d.runs {
		s.countDropped(r.at, r.at+r.n)
	}
	s.log.Warn("spool full, records dropped", "records", d.records())
	return nil
}

// collect sorts a segment's entries into kept and dropped.
func (s *Spool) collect(g *segment, d *dropper, head *[]byte, drop func(*header) bool) error {
	sc := scanner{f: g.f, limit: g.size}
	for off := int64(fileHeader); ; {
		h, b, err := sc.entry(off)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		off += h.size()
		switch {
		case h.kind == kindCheckpoint && *head == nil:
			*head = settled(b)
		case h.kind == kindDrop && h.flags&flagKnown != 0:
			d.items = append(d.items, item{at: h.at, entry: settled(b)})
		case h.kind == kindDrop:
			list, err := decodeDrop(b[entryHeader:])
			if err != nil {
				return err
			}
			d.add(h.at, list)
		case h.kind != kindCommit || h.count == 0:
			// State that the checkpoint of the next segment repeats.
		case drop(&h):
			if err := d.commit(&h, b[entryHeader:]); err != nil {
				return err
			}
		default:
			d.items = append(d.items, item{at: h.at, entry: settled(b)})
		}
	}
}

// settled copies an entry into a file that is durable as a whole.
func settled(b []byte) []byte {
	c := slices.Clone(b)
	binary.LittleEndian.PutUint32(c[12:], 0)
	binary.LittleEndian.PutUint32(c[8:], entryCRC(c))
	return c
}

// replace puts one new segment in the place of i..j. Callers hold mu and the
// writer role, or are alone.
func (s *Spool) replace(i, j int, head []byte, items []item) error {
	old := s.segments[i : j+1]
	last := old[len(old)-1]
	g := &segment{number: last.number, from: old[0].from, subject: s.subject, generation: last.generation + 1, first: old[0].first, end: old[0].first, sealed: last.sealed}
	sort.SliceStable(items, func(a, b int) bool { return items[a].at < items[b].at })
	content := slices.Clone(head)
	for k := range items {
		it := &items[k]
		if it.entry == nil {
			b, start := beginEntry(nil)
			it.entry = appendLost(b, it.lost)
			h := header{kind: kindDrop, at: it.at}
			if it.known {
				h.flags = flagKnown
			}
			finishEntry(it.entry, start, h)
		}
		h, err := checkEntry(it.entry)
		if err != nil {
			return err
		}
		holes := uint64(0)
		if h.kind == kindCommit {
			if _, holes, err = countHoles(it.entry[entryHeader:]); err != nil {
				return err
			}
		}
		g.note(&h, holes)
		content = append(content, it.entry...)
	}
	if err := g.create(s.fs, content); err != nil {
		return err
	}
	s.bytes += g.size
	for _, o := range old {
		if err := s.discard(o); err != nil {
			s.log.Warn("segment stays behind", "segment", o.name(), "err", err)
		}
	}
	s.segments = slices.Replace(s.segments, i, j+1, g)
	s.swaps++
	return nil
}

// points returns the ordinals that lost ranges must not be merged across:
// where an output stands, or may stand after its next answer.
func (s *Spool) points() []uint64 {
	var p []uint64
	for _, o := range s.outputs {
		p = append(p, o.position)
		for _, f := range o.inflight {
			p = append(p, f.from, f.end)
		}
	}
	slices.Sort(p)
	return slices.Compact(p)
}

// countDropped moves the live records from..end-1 from waiting to dropped, for
// every output that has no answer for them. What is in flight is decided when
// it is settled.
func (s *Spool) countDropped(from, end uint64) {
	for _, o := range s.outputs {
		lo := max(from, o.position)
		if lo >= end {
			continue
		}
		n := end - lo
		for i := range o.inflight {
			f := &o.inflight[i]
			if a, b := max(lo, f.from), min(end, f.end); a < b {
				f.gone += b - a
				n -= b - a
			}
		}
		o.waiting -= n
		s.metrics.dropped(o.name, record.GapOverflow, n)
	}
}

// item is an entry of a segment to be written: as it was, or a drop.
type item struct {
	at    uint64
	entry []byte
	lost  []lost
	known bool // the outputs know already: not handed out
}

type run struct{ at, n uint64 }

// dropper gathers dropped records into drop entries. An output has either
// consumed all of a drop entry or nothing of it, so none reaches across a point.
type dropper struct {
	points []uint64
	items  []item
	open   int // 1 + index of the drop item that takes more
	runs   []run
}

func (d *dropper) records() uint64 {
	n := uint64(0)
	for _, r := range d.runs {
		n += r.n
	}
	return n
}

// commit drops the records of a commit; those that could not be taken keep
// their own reason.
func (d *dropper) commit(h *header, payload []byte) error {
	c, b, err := decodeCommit(payload)
	if err != nil {
		return err
	}
	for i := uint64(0); i < uint64(h.count); i++ {
		raw, rest, err := nextRecord(b)
		if err != nil {
			return err
		}
		b = rest
		l := lost{category: h.category, kind: record.FrameGap, reason: record.GapOverflow, epoch: c.epoch, first: c.first + i, last: c.first + i}
		at := h.at + i
		if len(raw) == 0 {
			l.reason = record.GapUnreadable
		} else if n := len(d.runs); n > 0 && d.runs[n-1].at+d.runs[n-1].n == at {
			d.runs[n-1].n++
		} else {
			d.runs = append(d.runs, run{at, 1})
		}
		d.add(at, []lost{l})
	}
	return nil
}

// add puts ranges lost at an ordinal into the open drop, or begins another.
func (d *dropper) add(at uint64, list []lost) {
	if d.open == 0 || d.cut(d.items[d.open-1].at, at) {
		d.items = append(d.items, item{at: at})
		d.open = len(d.items)
	}
	it := &d.items[d.open-1]
	for _, l := range list {
		it.lost = extend(it.lost, l)
	}
}

// cut tells whether a point lies in (from, to].
func (d *dropper) cut(from, to uint64) bool {
	i := sort.Search(len(d.points), func(i int) bool { return d.points[i] > from })
	return i < len(d.points) && d.points[i] <= to
}

// extend appends a range, or lengthens the last one of its category.
func extend(list []lost, l lost) []lost {
	for i := len(list) - 1; i >= 0; i-- {
		p := &list[i]
		if p.category != l.category {
			continue
		}
		if p.epoch == l.epoch && p.reason == l.reason && p.kind == l.kind && p.last+1 == l.first {
			p.last = l.last
			return list
		}
		break
	}
	return append(list, l)
}
