package spool

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// exam carries the state through the log, segment by segment.
type exam struct {
	state checkpoint
	track tracker

	// Of the segment at hand.
	g       *segment
	bad     bool  // has bytes that were durable and cannot be read
	gaps    []gap // what is missing, not yet known before
	chain   int64 // offset where a commit began that goes on; 0 = none
	pending []part
	keep    bool // collect head and items, to rewrite the segment
	head    []byte
	items   []item
}

// gap is what is missing, and an ordinal that is above all of it.
type gap struct {
	upper uint64
	list  []lost
}

// part is one entry of a commit over several.
type part struct {
	h     header
	c     commit
	holes uint64
	entry []byte // when kept
}

// segment reads all of a segment. For the last one it tells a torn tail, which
// is left out, from damage.
func (e *exam) segment(g *segment, last bool, complain func(string, ...any)) error {
	size, err := g.f.Size()
	if err != nil {
		return err
	}
	if g.sealed {
		size = g.size
	}
	e.g, e.bad, e.gaps, e.chain, e.pending = g, g.readFileHeader() != nil, nil, 0, nil
	g.first, g.end, g.live, g.heartbeats = e.state.next, e.state.next, 0, 0
	sc := scanner{f: g.f, limit: size}
	off := int64(fileHeader)
	for {
		h, b, err := sc.entry(off)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			if err = e.visit(off, h, b); err == nil {
				off += h.size()
				continue
			}
		}
		if !errors.Is(err, errDamaged) {
			return err
		}
		next, durable, err := sc.after(off)
		if err != nil {
			return err
		}
		if last && durable <= off {
			break // a torn tail: nobody was told that it is safe
		}
		complain("spool damaged", "segment", g.name(), "offset", off, "bytes", next-off)
		e.bad = true
		e.settle()
		off = next
	}
	if e.chain > 0 && last && !e.bad {
		off = e.chain
	} else {
		e.settle()
	}
	g.size, g.synced = off, off
	return nil
}

// after finds the next whole entry behind a bad one, and how much of the file
// was durable when it, or any behind it, was written.
func (s *scanner) after(off int64) (next, durable int64, err error) {
	next, err = s.resync(off)
	for at := next; err == nil && at < s.limit; {
		h, _, err2 := s.entry(at)
		if err2 != nil {
			break
		}
		durable = max(durable, int64(h.durable))
		at += h.size()
	}
	return next, durable, err
}

// visit takes one whole entry into account.
func (e *exam) visit(off int64, h header, b []byte) error {
	payload := b[entryHeader:]
	switch h.kind {
	case kindCommit:
		c, holes, err := countHoles(payload)
		if err != nil {
			return err
		}
		if h.at < e.end() {
			return fmt.Errorf("commit at %d behind %d: %w", h.at, e.end(), errDamaged)
		}
		c.position = slices.Clone(c.position)
		p := part{h: h, c: c, holes: holes}
		if e.keep {
			p.entry = settled(b)
		}
		e.pending = append(e.pending, p)
		if h.flags&flagMore == 0 {
			e.settle()
		} else if e.chain == 0 {
			e.chain = off
		}
	case kindDrop:
		list, err := decodeDrop(payload)
		if err != nil {
			return err
		}
		if h.at < e.end() {
			return fmt.Errorf("drop at %d behind %d: %w", h.at, e.end(), errDamaged)
		}
		for _, l := range list {
			e.miss(h.at+1, e.track.observe(l.category, l.epoch, l.first, l.last))
		}
		e.g.note(&h, 0)
		e.state.next = max(e.state.next, e.g.end)
		if e.keep {
			e.items = append(e.items, item{at: h.at, entry: settled(b)})
		}
	case kindAck:
		st, err := decodeAck(payload)
		if err != nil {
			return err
		}
		e.state.put(st)
	case kindCheckpoint:
		c, err := decodeCheckpoint(payload)
		if err == nil && (h.at != c.next || h.at < e.end()) {
			err = fmt.Errorf("checkpoint at %d, next %d, behind %d: %w", h.at, c.next, e.end(), errDamaged)
		}
		if err != nil {
			return err
		}
		e.checkpoint(&h, &c, b)
	}
	return nil
}

// end is the lowest ordinal that the next entry can have.
func (e *exam) end() uint64 {
	if n := len(e.pending); n > 0 {
		return e.pending[n-1].h.at + uint64(e.pending[n-1].h.count)
	}
	return e.state.next
}

func (e *exam) checkpoint(h *header, c *checkpoint, b []byte) {
	if e.track.complete || len(e.track.sequences) > 0 {
		e.miss(c.next, e.track.until(c.sequences))
	}
	maps.Copy(e.track.sequences, c.sequences)
	e.track.complete = true
	if e.g.live == 0 && e.g.end == e.g.first {
		e.g.first, e.g.end = h.at, h.at
	}
	c.next = max(c.next, e.state.next)
	e.state = *c
	if e.keep && e.head == nil {
		e.head = settled(b)
	}
}

// settle takes the pending parts of a commit.
func (e *exam) settle() {
	for i := range e.pending {
		p := &e.pending[i]
		if n := uint64(p.h.count); n > 0 {
			e.miss(p.h.at, e.track.observe(p.h.category, p.c.epoch, p.c.first, p.c.first+n-1))
			e.state.next = max(e.state.next, p.h.at+n)
			if e.keep {
				e.items = append(e.items, item{at: p.h.at, entry: p.entry})
			}
		}
		e.g.note(&p.h, p.holes)
		if p.c.hasPosition {
			e.state.sources[p.c.source] = p.c.position
		}
	}
	e.chain, e.pending = 0, nil
}

// miss notes what is missing below an ordinal.
func (e *exam) miss(upper uint64, list []lost) {
	if len(list) == 0 {
		return
	}
	e.gaps = append(e.gaps, gap{upper, list})
	if e.keep {
		e.items = append(e.items, item{at: e.state.next, known: true, lost: list})
	}
}

func (c *checkpoint) put(st outputState) {
	for i := range c.outputs {
		if c.outputs[i].name == st.name {
			c.outputs[i] = st
			return
		}
	}
	c.outputs = append(c.outputs, st)
}
