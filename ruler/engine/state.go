package engine

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/store"
)

// The working state of a partition, as stored: a version, how it is packed, and
// sections, each a tag, a length and a body. A delta holds what changed, a base
// everything; loading is the base and then every delta over it. Sections of an
// unknown tag are an error: an older program must not lose what it cannot read.
//
//	1  2026-11: first.
const stateVersion = 1

const (
	packedRaw  = 0
	packedZstd = 1

	tagClock    = 'C'
	tagIdentity = 'I'
	tagLedger   = 'L'
	tagOperator = 'O'
	tagHeld     = 'H'
	tagSeen     = 'S' // since 2026-11; states without it load
)

const packFrom = 256 // bytes below which packing does not pay

// encode writes the state, or what changed of it.
func (p *partition) encode(dirtyOnly bool) []byte {
	b := section(nil, tagClock, p.encodeClock())
	if p.heldDirty || !dirtyOnly {
		b = section(b, tagHeld, p.encodeHeld())
		p.heldDirty = false
	}
	for _, id := range p.identities(dirtyOnly) {
		b = section(b, tagIdentity, p.encodeIdentity(id))
	}
	for _, s := range p.seenServers(dirtyOnly) {
		b = section(b, tagSeen, p.encodeSeen(s))
	}
	if dirtyOnly {
		for s := range p.ledger.Dirty() {
			b = appendSequence(b, s)
		}
	} else {
		for s := range p.ledger.All() {
			b = appendSequence(b, s)
		}
	}
	p.ledger.Clean()
	for _, s := range p.set.Save(dirtyOnly) {
		b = section(b, tagOperator, encodeOperator(&s))
	}
	if len(b) < packFrom {
		return append([]byte{stateVersion, packedRaw}, b...)
	}
	return packer().EncodeAll(b, []byte{stateVersion, packedZstd})
}

func (p *partition) identities(dirtyOnly bool) []*identity {
	var out []*identity
	if dirtyOnly {
		for id := range p.out.dirty {
			out = append(out, id)
		}
	} else {
		for key, s := range p.lines {
			if key == s.root.root {
				out = append(out, s.root)
			}
		}
	}
	slices.SortFunc(out, func(a, b *identity) int { return slices.Compare(a.root[:], b.root[:]) })
	return out
}

// seenServers lists the servers of which it is known when snapshots came.
func (p *partition) seenServers(dirtyOnly bool) []*server {
	var out []*server
	if dirtyOnly {
		for id := range p.out.seen {
			if s := p.lines[id]; s != nil {
				out = append(out, s)
			}
		}
	} else {
		for _, s := range p.lines {
			if len(s.current) > 0 {
				out = append(out, s)
			}
		}
	}
	slices.SortFunc(out, func(a, b *server) int { return slices.Compare(a.id[:], b.id[:]) })
	return out
}

func section(b []byte, tag byte, body []byte) []byte {
	b = append(b, tag)
	b = binary.AppendUvarint(b, uint64(len(body)))
	return append(b, body...)
}

func appendSequence(b []byte, s *record.Sequence) []byte {
	body, err := s.AppendBinary(nil)
	if err != nil {
		return b // it never fails: AppendBinary has encoding.BinaryAppender's form
	}
	return section(b, tagLedger, body)
}

func (p *partition) encodeClock() []byte {
	c := &p.clock
	var b []byte
	for _, v := range []int64{c.now, c.stream - c.now, c.ticked, c.turned, int64(c.grace), int64(c.fleet), p.rejects} {
		b = binary.AppendVarint(b, v)
	}
	b = append(b, flag(p.ledger.Truncated))
	b = appendText(b, c.frozen)
	var ids []string
	for id := range c.bridges {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	b = binary.AppendUvarint(b, uint64(len(ids)))
	for _, id := range ids {
		v := c.bridges[id]
		b = appendText(b, id)
		for _, n := range []int64{v.tick, v.used, v.since, v.quiet, v.bad, v.well, int64(v.bit)} {
			b = binary.AppendVarint(b, n)
		}
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v.gap))
		b = appendText(b, v.why)
	}
	return b
}

func (p *partition) decodeClock(r *decoder) {
	c := &p.clock
	c.now = r.int()
	c.stream = c.now + r.int()
	c.ticked, c.turned, c.grace, c.fleet, p.rejects = r.int(), r.int(), time.Duration(r.int()), int(r.int()), r.int()
	p.ledger.Truncated = r.byte() == 1
	c.frozen = r.text()
	c.bridges = map[string]*bridge{}
	for range r.count() {
		id := r.text()
		c.bridges[id] = &bridge{tick: r.int(), used: r.int(), since: r.int(), quiet: r.int(), bad: r.int(), well: r.int(), bit: uint16(r.int()), gap: math.Float64frombits(r.fixed()), why: r.text()}
	}
}

func (p *partition) encodeIdentity(id *identity) []byte {
	b := append([]byte(nil), id.root[:]...)
	b = append(b, flag(id.registered)|flag(id.retired)<<1|flag(id.clones)<<2)
	b = binary.AppendUvarint(b, uint64(len(id.all)))
	for _, l := range id.all {
		s := p.lines[l.key]
		if l.key == id.root {
			b = append(b, 0)
		} else {
			b = append(append(b, 1), l.key[:]...)
		}
		b = append(b, flag(l.waiting)|flag(l.goodbye)<<1|flag(s.overdue)<<2|flag(s.silent)<<3|flag(l.reverted)<<4)
		b = binary.LittleEndian.AppendUint64(b, l.machine)
		b = binary.LittleEndian.AppendUint64(b, l.board)
		for _, v := range []int64{l.lastBeat, l.observed - l.lastBeat, int64(l.interval), int64(s.used), int64(s.usedBefore)} {
			b = binary.AppendVarint(b, v)
		}
		b = binary.AppendUvarint(b, uint64(len(l.epochs)))
		for _, e := range l.epochs {
			b = binary.LittleEndian.AppendUint64(b, uint64(e.ref.Start))
			b = binary.LittleEndian.AppendUint64(b, e.ref.Random)
			b = binary.AppendVarint(b, e.first)
			b = append(b, e.alive)
		}
	}
	return b
}

func (p *partition) decodeIdentity(r *decoder) {
	var root record.ID
	copy(root[:], r.bytes(len(root)))
	f := r.byte()
	if old := p.lines[root]; old != nil {
		for _, l := range old.root.all {
			delete(p.lines, l.key)
		}
	}
	id, s := newIdentity(root)
	id.registered, id.retired, id.clones = f&1 != 0, f&2 != 0, f&4 != 0
	for n := range r.count() {
		if r.byte() == 1 {
			s = &server{root: id, line: &line{}}
			copy(s.line.key[:], r.bytes(len(s.id)))
			s.id = s.line.key
			id.all = append(id.all, s.line)
		} else if n > 0 {
			r.bad = true // the first line comes first
			return
		}
		l := s.line
		f := r.byte()
		l.waiting, l.goodbye, l.reverted = f&1 != 0, f&2 != 0, f&16 != 0
		l.machine, l.board = r.fixed(), r.fixed()
		l.lastBeat = r.int()
		l.observed, l.interval = r.int()+l.lastBeat, time.Duration(r.int())
		s.used, s.usedBefore = uint16(r.int()), uint16(r.int())
		s.overdue, s.silent, s.about = f&4 != 0, f&8 != 0, p.share(about{})
		for range r.count() {
			l.epochs = append(l.epochs, lineEpoch{ref: record.EpochRef{Start: int64(r.fixed()), Random: r.fixed()}, first: r.int(), alive: r.byte()})
		}
		p.lines[l.key] = s
	}
	if p.lines[root] == nil {
		r.bad = true
	}
}

func encodeOperator(s *operator.KeyedState) []byte {
	b := appendText(nil, s.RuleID)
	b = appendText(b, s.Shape)
	b = append(b, s.Server[:]...)
	b = appendText(b, s.Key)
	b = append(b, flag(s.Data != nil))
	return append(b, s.Data...)
}

func decodeOperator(r *decoder) operator.KeyedState {
	s := operator.KeyedState{RuleID: r.text(), Shape: r.text()}
	copy(s.Server[:], r.bytes(len(s.Server)))
	s.Key = r.text()
	if r.byte() == 1 {
		s.Data = append([]byte{}, r.b...)
	}
	r.b = nil
	return s
}

// restore puts a claim back into a new partition.
func (p *partition) restore(c *store.Claim) error {
	p.epoch, p.pos, p.from, p.losses = c.Epoch, c.Position, c.Position, c.Losses
	states := operatorStates{seen: map[record.ID]map[record.Category]uint32{}}
	for i, b := range append([][]byte{c.Base}, c.Deltas...) {
		if i == 0 && b == nil {
			continue
		}
		if err := p.decode(b, &states); err != nil {
			return fmt.Errorf("partition %d: working state %d of %d: %w", p.number, i, len(c.Deltas), err)
		}
		if i == 0 {
			p.base, p.folded = len(b), p.clock.stream
		} else {
			p.deltas += len(b)
		}
	}
	left, err := p.set.Load(states.list())
	if err != nil {
		return fmt.Errorf("partition %d: %w", p.number, err)
	}
	p.counts.statesLeft += int64(left)
	if left > 0 {
		// The next base drops them: a rule that comes back must not go on from what
		// it knew before it was away.
		p.deltas = max(p.deltas, foldBytes, p.base)
	}
	p.restoreRows(c)
	for id, seen := range states.seen {
		if s := p.lines[id]; s != nil {
			for i := range s.current {
				s.current[i].seen = seen[s.current[i].category]
			}
		}
	}
	p.restoreTable(c)
	if err := p.begin(p.rules.fresh(c)); err != nil {
		return fmt.Errorf("partition %d: let new rules judge what is known: %w", p.number, err)
	}
	p.retireRules()
	if p.rules.number != 0 && p.rules.number != c.Generation {
		p.out.commit.Generation, p.out.urgent = p.rules.number, true
	}
	return nil
}

func (p *partition) restoreRows(c *store.Claim) {
	for i := range c.Servers {
		row := &c.Servers[i]
		s := p.lines[row.ID]
		if s == nil {
			continue // a line that was retired
		}
		s.name, s.state = row.Name, codeOf(row.State)
		s.about = p.share(about{site: row.Site, rack: row.Rack, role: row.Role, owner: row.Owner, from: row.LabelsFrom, os: row.OSType, simulated: row.Simulated})
		s.address = placeOf(row.Address)
		s.saved, s.told = nanos(row.LastSeen), int64(row.Skew)
		f := store.ServerFacts{OSName: row.OSName, OSType: row.OSType, OSVersion: row.OSVersion, OSBuild: row.OSBuild, ExporterVersion: row.ExporterVersion,
			ReportedName: row.ReportedName, MachineID: row.MachineID, SMBIOSUUID: row.SMBIOSUUID, Interval: row.Interval, BootTime: row.BootTime}
		s.boot, s.facts = row.BootTime.Unix(), factsHash(&f, row.BootTime)
	}
	for _, cur := range c.Current {
		if s := p.lines[cur.Server]; s != nil {
			s.setCurrent(cur.Category, cur.Hash)
		}
	}
}

func (p *partition) restoreTable(c *store.Claim) {
	rows := c.Notifications
	open := make([]notify.Notification, 0, len(rows))
	for i := range rows {
		n, err := saved(&rows[i])
		if err != nil {
			p.counts.unreadable = append(p.counts.unreadable, err)
		}
		open = append(open, n)
	}
	p.table.Load(open)
}

// operatorStates keeps the last state of each key, and what else waits for rows.
type operatorStates struct {
	all []operator.KeyedState
	at  map[[2]string]int
	// seen is when snapshots came last.
	seen map[record.ID]map[record.Category]uint32
}

func (o *operatorStates) add(s operator.KeyedState) {
	if o.at == nil {
		o.at = map[[2]string]int{}
	}
	k := [2]string{s.RuleID, s.Key}
	if i, ok := o.at[k]; ok {
		o.all[i] = s
		return
	}
	o.at[k] = len(o.all)
	o.all = append(o.all, s)
}

func (o *operatorStates) list() []operator.KeyedState {
	return slices.DeleteFunc(o.all, func(s operator.KeyedState) bool { return s.Data == nil })
}

func (p *partition) decode(b []byte, states *operatorStates) error {
	if len(b) < 2 || b[0] != stateVersion {
		return fmt.Errorf("not of version %d: %w", stateVersion, record.ErrMalformed)
	}
	body := b[2:]
	if b[1] == packedZstd {
		var err error
		if body, err = unpacker().DecodeAll(body, nil); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
	r := &decoder{b: body}
	for len(r.b) > 0 && !r.bad {
		tag := r.byte()
		in := &decoder{b: r.bytes(r.count())}
		switch tag {
		case tagClock:
			p.decodeClock(in)
		case tagIdentity:
			p.decodeIdentity(in)
		case tagLedger:
			s, _, err := record.DecodeSequence(in.b)
			if err != nil {
				return err
			}
			p.ledger.Restore(s)
		case tagHeld:
			p.decodeHeld(in)
		case tagSeen:
			p.decodeSeen(in, states.seen)
		case tagOperator:
			states.add(decodeOperator(in))
		default:
			return fmt.Errorf("section %q: %w", tag, record.ErrMalformed)
		}
		if in.bad {
			return fmt.Errorf("section %q: %w", tag, record.ErrMalformed)
		}
	}
	if r.bad {
		return fmt.Errorf("sections: %w", record.ErrMalformed)
	}
	return nil
}

func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// decoder reads fields until one is not there; then it returns zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (r *decoder) bytes(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *decoder) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *decoder) fixed() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *decoder) int() int64 {
	v, n := binary.Varint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// count reads a length or a number of things, each of which takes a byte at least.
func (r *decoder) count() int {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 || v > uint64(len(r.b)-n) {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

func (r *decoder) text() string { return string(r.bytes(r.count())) }
