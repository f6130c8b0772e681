package spool

import (
	"fmt"
	"slices"

	"nocturne/internal/record"
)

// mendLive rewrites a segment that turned out damaged while it was read.
func (s *Spool) mendLive(g *segment) error {
	s.mu.Lock()
	if err := s.lead(); err != nil {
		s.mu.Unlock()
		return err
	}
	defer func() {
		s.yield()
		s.mu.Unlock()
	}()
	i := slices.Index(s.segments, g)
	if i < 0 {
		return nil // replaced meanwhile
	}
	if !g.sealed {
		if err := s.rollUnlocked(); err != nil {
			return err
		}
	}
	return s.repair(i)
}

// repair declares what a segment lost and rewrites it. Callers hold mu and the
// writer role; the segment is sealed.
func (s *Spool) repair(i int) error {
	g := s.segments[i]
	s.log.Error("spool damaged while it was read", "segment", g.name())
	e := exam{keep: true, track: tracker{sequences: map[record.Category]sequence{}}, state: checkpoint{next: g.first, sources: map[string][]byte{}}}
	size := g.size
	if err := e.segment(g, false, s.log.Debug); err != nil {
		return fmt.Errorf("repair segment %s: %w", g.name(), err)
	}
	g.size = size // replace subtracts it
	next, err := s.segments[i+1].firstCheckpoint()
	if err != nil {
		return fmt.Errorf("repair segment %s: %w", g.name(), err)
	}
	e.miss(next.next, e.track.until(next.sequences))
	for _, gap := range e.gaps {
		for _, l := range gap.list {
			s.metrics.damaged(l.records())
		}
		for _, o := range s.outputs {
			if o.position < gap.upper {
				o.dirty = true
				o.owe(gap.list)
			}
		}
	}
	s.mu.Unlock()
	err = s.syncAcks() // the debts first: a crash may repeat them, not forget them
	s.mu.Lock()
	if err != nil {
		return fmt.Errorf("repair segment %s: %w", g.name(), err)
	}
	if err := s.replace(i, i, e.head, e.items); err != nil {
		return fmt.Errorf("repair segment %s: %w", g.name(), err)
	}
	for _, o := range s.outputs {
		if len(o.inflight) > 0 {
			o.recount = true
		} else if err := s.recount(o); err != nil {
			return err
		}
	}
	return nil
}

// recount counts what waits for an output after damage; what is gone was
// dropped. Callers hold mu, and nothing of the output is in flight.
func (s *Spool) recount(o *output) error {
	n, err := s.countLive(o.position)
	if err != nil {
		return err
	}
	if n < o.waiting {
		s.metrics.dropped(o.name, record.GapUnreadable, o.waiting-n)
	}
	o.waiting, o.recount = n, false
	return nil
}

// firstCheckpoint reads the state at the start of a segment.
func (g *segment) firstCheckpoint() (checkpoint, error) {
	sc := scanner{f: g.f, limit: g.size}
	_, b, err := sc.entry(fileHeader)
	if err != nil {
		return checkpoint{}, err
	}
	return decodeCheckpoint(b[entryHeader:])
}
