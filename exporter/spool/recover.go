package spool

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"nocturne/internal/record"
)

// wound is a segment to be rewritten, and the tracker as it was before it.
type wound struct {
	g     *segment
	track tracker
}

// recover reads the whole log and puts state, segments and counts together. It
// returns the segments that need mending once the new epoch is durable.
func (s *Spool) recover(file *epochFile) ([]wound, error) {
	segments, err := s.list()
	if err != nil {
		return nil, err
	}
	s.segments = segments
	e := exam{state: checkpoint{sources: map[string][]byte{}}, track: tracker{sequences: map[record.Category]sequence{}}}
	var wounds []wound
	var gaps []gap
	for i, g := range segments {
		before := tracker{sequences: maps.Clone(e.track.sequences), complete: e.track.complete}
		last := i == len(segments)-1
		if err := e.segment(g, last, s.log.Error); err != nil {
			return nil, fmt.Errorf("segment %s: %w", g.name(), err)
		}
		g.sealed = !last
		if e.bad || len(e.gaps) > 0 {
			wounds = append(wounds, wound{g, before})
			gaps = append(gaps, e.gaps...)
		} else if err := cutTail(g); err != nil {
			return nil, fmt.Errorf("segment %s: %w", g.name(), err)
		}
		s.bytes += g.size
	}
	s.next, s.sources = e.state.next, e.state.sources
	known := file.sequences()
	if len(segments) > 0 {
		gaps = append(gaps, e.behind(known)...)
	}
	if len(segments) == 0 && len(known) > 0 {
		s.metrics.lose()
		s.log.Error("spool lost: its directory is empty although records were numbered; what was not sent is gone")
	}
	s.sequences = newer(known, e.track.sequences)
	s.recoverOutputs(e.state.outputs, gaps)
	return wounds, nil
}

// behind returns what the epoch file knows of and the log does not: its end was
// damaged, and nothing behind it says so.
func (e *exam) behind(known map[record.Category]sequence) []gap {
	var gaps []gap
	for _, c := range record.Categories() {
		k, ok := known[c]
		if q := e.track.sequences[c]; ok && q.epoch.EpochRef == k.epoch.EpochRef && q.last < k.last {
			list := e.track.observe(c, k.epoch, k.last+1, k.last)
			gaps = append(gaps, gap{upper: math.MaxUint64, list: list})
		}
	}
	return gaps
}

// recoverOutputs puts the outputs where they stood; each owes a declaration of
// what is missing and was not yet answered.
func (s *Spool) recoverOutputs(states []outputState, gaps []gap) {
	for _, st := range states {
		o := &output{outputState: st}
		if len(s.segments) > 0 {
			o.position = max(o.position, s.segments[0].first) // only what is answered is removed
		}
		for _, g := range gaps {
			if o.position < g.upper {
				o.owe(g.list)
			}
		}
		s.outputs = append(s.outputs, o)
	}
	for _, g := range gaps {
		for _, l := range g.list {
			s.metrics.damaged(l.records())
		}
	}
}

// owe adds what the output does not owe yet: a crash may find the same again.
func (o *output) owe(list []lost) {
	for _, l := range list {
		if !slices.Contains(o.owed, l) {
			o.owed = append(o.owed, l)
		}
	}
}

// cutTail removes what is behind the last whole entry.
func cutTail(g *segment) error {
	size, err := g.f.Size()
	if err != nil || size <= g.size {
		return err
	}
	if err := g.f.Truncate(g.size); err != nil {
		return err
	}
	return g.f.Sync()
}

// list opens the newest generation of every segment, ascending, and removes
// what was replaced or never finished.
func (s *Spool) list() ([]*segment, error) {
	names, err := s.fs.List()
	if err != nil {
		return nil, err
	}
	var all []*segment
	for _, name := range names {
		if strings.HasSuffix(name, tmpSuffix) {
			if err := ignoreMissing(s.fs.Remove(name)); err != nil {
				return nil, err
			}
		}
		if number, generation, ok := parseSegmentName(name); ok {
			all = append(all, &segment{number: number, from: number, generation: generation, began: s.now()})
		}
	}
	var out []*segment
	for i := len(all) - 1; i >= 0; i-- { // newest first
		g := all[i]
		if n := len(out); n > 0 && g.number >= out[n-1].from {
			if err := ignoreMissing(s.fs.Remove(g.name())); err != nil {
				return nil, err
			}
			continue
		}
		if g.f, err = s.fs.Open(g.name()); err != nil {
			return nil, err
		}
		out = append(out, g)
		if err := g.readFileHeader(); err != nil && !errors.Is(err, errDamaged) {
			return nil, err
		}
	}
	slices.Reverse(out)
	return out, nil
}

// mend rewrites a damaged segment: what could be read, and notes of what is
// missing, which the outputs already owe a declaration of.
func (s *Spool) mend(w wound) error {
	i := slices.Index(s.segments, w.g)
	if i < 0 {
		return nil
	}
	e := exam{keep: true, track: w.track, state: checkpoint{next: w.g.first, sources: map[string][]byte{}}}
	if err := e.segment(w.g, false, s.log.Debug); err != nil {
		return fmt.Errorf("mend segment %s: %w", w.g.name(), err)
	}
	return s.replace(i, i, e.head, e.items)
}

// adoptOutputs makes the outputs those of the configuration. A new one starts
// at the oldest record there is, and owes a base for every sequence that no
// longer starts at its first record.
func (s *Spool) adoptOutputs(file *epochFile, names []string) error {
	old := s.outputs
	s.outputs = nil
	var bases []lost
	for _, name := range names {
		i := slices.IndexFunc(old, func(o *output) bool { return o.name == name })
		if i >= 0 {
			s.outputs = append(s.outputs, old[i])
			continue
		}
		o := &output{outputState: outputState{name: name}}
		if len(s.segments) > 0 {
			o.position = s.segments[0].first
		}
		if !file.knows(name) {
			if bases == nil {
				var err error
				if bases, err = s.bases(); err != nil {
					return err
				}
			}
			o.owed = slices.Clone(bases)
		}
		s.outputs = append(s.outputs, o)
	}
	for _, o := range old {
		if !slices.Contains(names, o.name) {
			s.log.Warn("output is gone from the configuration, its position is forgotten", "output", o.name)
		}
	}
	for _, o := range s.outputs {
		n, err := s.countLive(o.position)
		if err != nil {
			return err
		}
		o.waiting = n
		s.metrics.recovered(o.name, n)
	}
	return nil
}

// bases returns, for every sequence, the first record that is still here, as a
// base; none for one that is here from its very beginning.
func (s *Spool) bases() ([]lost, error) {
	seen := map[record.Category]lost{}
	see := func(c record.Category, e record.Epoch, first uint64) {
		if _, ok := seen[c]; !ok {
			seen[c] = lost{category: c, kind: record.FrameBase, epoch: e, first: first, last: first}
		}
	}
	for _, g := range s.segments {
		err := g.each(func(h header, payload []byte) error {
			switch h.kind {
			case kindCommit:
				c, _, err := decodeCommit(payload)
				if err != nil {
					return err
				}
				if h.count > 0 {
					see(h.category, c.epoch, c.first)
				}
			case kindDrop:
				list, err := decodeDrop(payload)
				if err != nil {
					return err
				}
				for _, l := range list {
					see(l.category, l.epoch, l.first)
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errDamaged) {
			return nil, err
		}
	}
	var out []lost
	for _, c := range record.Categories() {
		q, numbered := s.sequences[c]
		l, here := seen[c]
		switch {
		case here && (l.first > 1 || !l.epoch.Prev.IsZero()):
			out = append(out, l)
		case !here && numbered:
			out = append(out, lost{category: c, kind: record.FrameBase, epoch: q.epoch, first: q.last + 1, last: q.last + 1})
		}
	}
	return out, nil
}

// countLive counts the records at and after an ordinal that can be handed out.
func (s *Spool) countLive(from uint64) (uint64, error) {
	n := uint64(0)
	for _, g := range s.segments {
		if g.end <= from {
			continue
		}
		if g.first >= from {
			n += g.live
			continue
		}
		err := g.each(func(h header, payload []byte) error {
			if h.kind != kindCommit || h.at+uint64(h.count) <= from {
				return nil
			}
			_, b, err := decodeCommit(payload)
			for i := uint64(0); err == nil && i < uint64(h.count); i++ {
				var raw []byte
				if raw, b, err = nextRecord(b); err == nil && len(raw) > 0 && h.at+i >= from {
					n++
				}
			}
			return err
		})
		if err != nil && !errors.Is(err, errDamaged) {
			return 0, err
		}
	}
	return n, nil
}

// each calls fn for every whole entry, skipping what is damaged.
func (g *segment) each(fn func(h header, payload []byte) error) error {
	sc := scanner{f: g.f, limit: g.size}
	for off := int64(fileHeader); ; {
		h, b, err := sc.entry(off)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, errDamaged):
			if off, err = sc.resync(off); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		if err := fn(h, b[entryHeader:]); err != nil {
			return err
		}
		off += h.size()
	}
}
