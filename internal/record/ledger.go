package record

import (
	"encoding/binary"
	"fmt"
	"iter"
	"strings"
)

// Bounds of a ledger's memory per sequence.
const (
	MaxHoles  = 32 // open holes of one epoch; further ones are counted as lost for good
	MaxEpochs = 8  // epochs remembered; older ones are closed
)

// SequenceKey names a sequence: records numbered one after the other.
type SequenceKey struct {
	Producer string
	Subject  ID
	Category Category
}

// Range is seqs From..To, both included.
type Range struct{ From, To uint64 }

// Len returns how many seqs the range holds.
func (r Range) Len() uint64 { return r.To - r.From + 1 }

// Sequence is what a ledger knows of one sequence, in records.
type Sequence struct {
	Key       SequenceKey
	Unassured bool
	Received  uint64 // records taken, each once, late ones among them
	Duplicate uint64 // records seen again and not taken
	Late      uint64 // records that filled an open hole
	Declared  uint64 // records that the producer declared lost
	Closed    uint64 // records missing for good: their hole was merged away
	Rejected  uint64 // records received in a frame that could not be decoded
	Epochs    []EpochState

	dirty bool
}

// EpochState is what is known of one epoch of a sequence.
type EpochState struct {
	Ref   EpochRef
	Next  uint64  // every seq below is received, declared or in a hole
	Holes []Range // ascending, apart
}

// Open returns how many records are missing and may still arrive.
func (s *Sequence) Open() uint64 {
	var n uint64
	for i := range s.Epochs {
		for _, h := range s.Epochs[i].Holes {
			n += h.Len()
		}
	}
	return n
}

// Missing returns how many records were sent, as their neighbours' numbers
// say, but neither received nor declared lost. Unassured sequences cannot tell.
func (s *Sequence) Missing() uint64 { return s.Closed + s.Open() }

// Totals sums a ledger up, in records.
type Totals struct {
	Sequences, Received, Duplicate, Late, Declared, Missing, Rejected uint64
}

// Observation says what one frame meant. Fresh is valid until the next call.
type Observation struct {
	Fresh     []Range // seqs never seen before: only these are to be stepped
	Duplicate uint64
	Late      uint64
	Declared  uint64
	Missing   int64 // change in missing records: opened less filled
	NewEpoch  bool
}

// Ledger proves that nothing was lost and nothing is taken twice: every
// consumer runs one over the frames it reads and saves it with its position.
// Reordering, within the bounds above, is neither loss nor duplicate.
// It is not safe for concurrent use.
type Ledger struct {
	// Truncated says that the log was read from its middle: a sequence not
	// known yet then starts where it is first seen. Otherwise it starts at 1,
	// and what came before its first frame is missing.
	Truncated bool

	// Sequences of which nothing is missing are calm: they take a third of the
	// memory of the others. Every sequence is in one of the two.
	calm      map[ledgerKey]calm
	open      map[ledgerKey]*Sequence
	producers map[string]uint32 // those that are not the subject's own exporter, from 1
	names     []string          // of producers, by number less 1
	dirty     []ledgerKey
	fresh     []Range
	totals    Totals
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger {
	return &Ledger{calm: map[ledgerKey]calm{}, open: map[ledgerKey]*Sequence{}, producers: map[string]uint32{}}
}

// calm is a sequence without holes, in little memory.
type calm struct {
	head     pastEpoch // the last of its epochs
	received uint64    // and calmDirty
	rest     *calmRest // nil = all of it is zero
}

// calmDirty marks, in calm.received, what changed since Clean.
const calmDirty = 1 << 63

// calmRest is what most sequences do not have.
type calmRest struct {
	duplicate, late, declared, closed, rejected uint64
	past                                        []pastEpoch // before the head
}

// pastEpoch is an EpochState without holes.
type pastEpoch struct {
	ref  EpochRef
	next uint64
}

// calmed returns the short form of a sequence, if it has one.
func calmed(s *Sequence) (calm, bool) {
	n := len(s.Epochs) - 1
	if n < 0 || s.Unassured || s.Received >= calmDirty {
		return calm{}, false
	}
	for i := range s.Epochs {
		if len(s.Epochs[i].Holes) > 0 {
			return calm{}, false
		}
	}
	c := calm{head: pastEpoch{s.Epochs[n].Ref, s.Epochs[n].Next}, received: s.Received}
	if s.dirty {
		c.received |= calmDirty
	}
	if n > 0 || s.Duplicate|s.Late|s.Declared|s.Closed|s.Rejected != 0 {
		c.rest = &calmRest{duplicate: s.Duplicate, late: s.Late, declared: s.Declared, closed: s.Closed, rejected: s.Rejected}
		if n > 0 {
			c.rest.past = make([]pastEpoch, n)
			for i := range c.rest.past {
				c.rest.past[i] = pastEpoch{s.Epochs[i].Ref, s.Epochs[i].Next}
			}
		}
	}
	return c, true
}

// whole returns the long form of a calm sequence.
func (l *Ledger) whole(k ledgerKey, c *calm) *Sequence {
	s := &Sequence{Key: SequenceKey{Producer: l.producer(k), Subject: k.subject, Category: k.category}, Received: c.received &^ calmDirty, dirty: c.received&calmDirty != 0}
	if r := c.rest; r != nil {
		s.Duplicate, s.Late, s.Declared, s.Closed, s.Rejected = r.duplicate, r.late, r.declared, r.closed, r.rejected
		s.Epochs = make([]EpochState, 0, len(r.past)+1)
		for _, e := range r.past {
			s.Epochs = append(s.Epochs, EpochState{Ref: e.ref, Next: e.next})
		}
	}
	s.Epochs = append(s.Epochs, EpochState{Ref: c.head.ref, Next: c.head.next})
	return s
}

// ledgerKey is a SequenceKey in little memory: a ledger holds several sequences
// of every server, most of them of the server's own exporter, which is producer 0.
type ledgerKey struct {
	subject  ID
	producer uint32
	category Category
}

// key returns the short form of k; a producer that is new gets its number.
func (l *Ledger) key(k SequenceKey) ledgerKey {
	out := ledgerKey{subject: k.Subject, category: k.Category}
	if ownExporter(k.Producer, k.Subject) {
		return out
	}
	n, ok := l.producers[k.Producer]
	if !ok {
		name := strings.Clone(k.Producer)
		l.names = append(l.names, name)
		n = uint32(len(l.names))
		l.producers[name] = n
	}
	out.producer = n
	return out
}

// producer is the text that a key stands for.
func (l *Ledger) producer(k ledgerKey) string {
	if k.producer == 0 {
		return ExporterProducer(k.subject)
	}
	return l.names[k.producer-1]
}

// ownExporter tells whether a producer is ExporterProducer(subject), and makes
// no text for it.
func ownExporter(producer string, subject ID) bool {
	const prefix, digits = "exporter/", "0123456789abcdef"
	if len(producer) != len(prefix)+2*len(subject) || producer[:len(prefix)] != prefix {
		return false
	}
	for i, c := range subject {
		if producer[len(prefix)+2*i] != digits[c>>4] || producer[len(prefix)+2*i+1] != digits[c&15] {
			return false
		}
	}
	return true
}

// Totals returns the sums over all sequences.
func (l *Ledger) Totals() Totals { return l.totals }

// Sequence returns what is known of one sequence now. Read only.
func (l *Ledger) Sequence(k SequenceKey) (*Sequence, bool) { return l.at(l.key(k)) }

func (l *Ledger) at(k ledgerKey) (*Sequence, bool) {
	if c, ok := l.calm[k]; ok {
		return l.whole(k, &c), true
	}
	s, ok := l.open[k]
	return s, ok
}

// All yields every sequence, in no order. Read only.
func (l *Ledger) All() iter.Seq[*Sequence] {
	return func(yield func(*Sequence) bool) {
		for k, c := range l.calm {
			if !yield(l.whole(k, &c)) {
				return
			}
		}
		for _, s := range l.open {
			if !yield(s) {
				return
			}
		}
	}
}

// Changed tells how many sequences changed since Clean.
func (l *Ledger) Changed() int { return len(l.dirty) }

// Dirty yields the sequences that changed since Clean, in the order of their
// first change. Read only.
func (l *Ledger) Dirty() iter.Seq[*Sequence] {
	return func(yield func(*Sequence) bool) {
		for _, k := range l.dirty {
			if s, ok := l.at(k); ok && !yield(s) {
				return
			}
		}
	}
}

// muchDirty is from how many changes on their list is let go instead of used again.
const muchDirty = 1024

// Clean forgets what changed; call it once the changes are saved.
func (l *Ledger) Clean() {
	for _, k := range l.dirty {
		if c, ok := l.calm[k]; ok {
			c.received &^= calmDirty
			l.calm[k] = c
		} else if s := l.open[k]; s != nil {
			s.dirty = false
		}
	}
	if l.dirty = l.dirty[:0]; cap(l.dirty) > muchDirty {
		l.dirty = nil
	}
}

// Restore puts a saved sequence back, replacing what is known of it.
func (l *Ledger) Restore(s Sequence) {
	k := l.key(s.Key)
	l.forget(k)
	s.dirty = false
	l.open[k] = &s
	l.settle(k, &s)
	l.totals.Sequences++
	l.totals.Received += s.Received
	l.totals.Duplicate += s.Duplicate
	l.totals.Late += s.Late
	l.totals.Declared += s.Declared
	l.totals.Rejected += s.Rejected
	l.totals.Missing += s.Missing()
}

func (l *Ledger) forget(k ledgerKey) {
	s, ok := l.at(k)
	if !ok {
		return
	}
	delete(l.calm, k)
	delete(l.open, k)
	l.totals.Sequences--
	l.totals.Received -= s.Received
	l.totals.Duplicate -= s.Duplicate
	l.totals.Late -= s.Late
	l.totals.Declared -= s.Declared
	l.totals.Rejected -= s.Rejected
	l.totals.Missing -= s.Missing()
}

// CountRejected notes records whose frame Observe took, but whose payload could
// not be decoded.
func (l *Ledger) CountRejected(k SequenceKey, records uint64) {
	short := l.key(k)
	s := l.sequence(k, short)
	s.Rejected += records
	l.totals.Rejected += records
	l.settle(short, s)
}

// sequence opens the long form of a sequence, which is going to change. settle
// follows.
func (l *Ledger) sequence(k SequenceKey, short ledgerKey) *Sequence {
	s := l.open[short]
	if s == nil {
		if c, ok := l.calm[short]; ok {
			s = l.whole(short, &c)
			delete(l.calm, short)
		} else {
			s = &Sequence{Key: k}
			l.totals.Sequences++
		}
		l.open[short] = s
	}
	if !s.dirty {
		s.dirty = true
		l.dirty = append(l.dirty, short)
	}
	return s
}

// settle puts a sequence into its short form, if it has one.
func (l *Ledger) settle(k ledgerKey, s *Sequence) {
	if c, ok := calmed(s); ok {
		l.calm[k] = c
		delete(l.open, k)
	}
}

// Observe takes note of a frame that DecodeHeader accepted.
func (l *Ledger) Observe(h *Header) Observation {
	k := l.key(h.Key())
	if c, ok := l.calm[k]; ok && h.Kind == FrameData && !h.Unassured && h.Epoch.EpochRef == c.head.ref && h.First == c.head.next {
		return l.next(k, c, h)
	}
	s := l.sequence(h.Key(), k)
	defer l.settle(k, s)
	s.Unassured = s.Unassured || h.Unassured
	closed, open := s.Closed, s.Open()
	o := Observation{}
	l.fresh = l.fresh[:0]
	e := s.epoch(h.Epoch.EpochRef)
	if e == nil {
		if e = l.begin(s, h); e == nil { // older than everything remembered
			o.Duplicate = h.Len()
			s.Duplicate += o.Duplicate
			l.totals.Duplicate += o.Duplicate
			return o
		}
		o.NewEpoch = true
	}
	if h.Kind == FrameBase {
		e.Next = max(e.Next, h.First)
	} else {
		l.take(s, e, h, &o)
	}
	for len(e.Holes) > MaxHoles {
		s.Closed += e.Holes[0].Len()
		e.Holes = e.Holes[1:]
	}
	if o.Fresh != nil {
		l.fresh = o.Fresh // keep the space it may have grown to
	}
	o.Missing = int64(s.Closed+s.Open()) - int64(closed+open)
	l.totals.Missing += uint64(o.Missing) // wraps back for a negative change
	return o
}

// next takes the frame that comes next in a calm sequence, as nearly all do.
func (l *Ledger) next(k ledgerKey, c calm, h *Header) Observation {
	if c.received&calmDirty == 0 {
		l.dirty = append(l.dirty, k)
	}
	c.received, c.head.next = (c.received+h.Len())|calmDirty, h.Last+1
	l.calm[k] = c
	l.totals.Received += h.Len()
	l.fresh = append(l.fresh[:0], Range{h.First, h.Last})
	return Observation{Fresh: l.fresh}
}

func (s *Sequence) epoch(ref EpochRef) *EpochState {
	for i := range s.Epochs {
		if s.Epochs[i].Ref == ref {
			return &s.Epochs[i]
		}
	}
	return nil
}

// begin notes an epoch not seen before, and what its header says of the one
// before it. It returns nil for an epoch older than all that are remembered.
func (l *Ledger) begin(s *Sequence, h *Header) *EpochState {
	known := len(s.Epochs) > 0
	if len(s.Epochs) == MaxEpochs {
		oldest := s.Epochs[0]
		if h.Epoch.Start < oldest.Ref.Start {
			return nil
		}
		for _, hole := range oldest.Holes {
			s.Closed += hole.Len()
		}
		s.Epochs = append(s.Epochs[:0], s.Epochs[1:]...)
	}
	assured := !s.Unassured && h.Kind != FrameBase
	if assured && (known || !l.Truncated) {
		s.follow(h.Epoch.Prev, h.Epoch.PrevLast)
	}
	next := h.First
	if assured && (known || !l.Truncated) {
		next = 1
	}
	s.Epochs = append(s.Epochs, EpochState{Ref: h.Epoch.EpochRef, Next: next})
	return &s.Epochs[len(s.Epochs)-1]
}

// follow opens a hole for what the previous epoch sent and never arrived.
func (s *Sequence) follow(prev EpochRef, last uint64) {
	if prev.IsZero() || last == 0 {
		return
	}
	p := s.epoch(prev)
	if p == nil {
		if len(s.Epochs) >= MaxEpochs-1 {
			s.Closed += last
			return
		}
		s.Epochs = append(s.Epochs, EpochState{Ref: prev, Next: 1})
		p = &s.Epochs[len(s.Epochs)-1]
	}
	if last >= p.Next {
		p.Holes = append(p.Holes, Range{p.Next, last})
		p.Next = last + 1
	}
}

// take marks First..Last as known and collects the fresh part.
func (l *Ledger) take(s *Sequence, e *EpochState, h *Header, o *Observation) {
	fresh, late := l.fresh, uint64(0)
	total := h.Len()
	if h.First < e.Next { // may fill holes
		fresh, late = e.fill(Range{h.First, min(h.Last, e.Next-1)}, fresh)
	}
	taken := late
	if h.Last >= e.Next {
		from := max(h.First, e.Next)
		if from > e.Next && !s.Unassured {
			e.Holes = append(e.Holes, Range{e.Next, from - 1})
		}
		fresh = append(fresh, Range{from, h.Last})
		taken += h.Last - from + 1
		e.Next = h.Last + 1
	}
	o.Duplicate = total - taken
	s.Duplicate += o.Duplicate
	l.totals.Duplicate += o.Duplicate
	if h.Kind == FrameGap {
		o.Declared = taken
		s.Declared += taken
		l.totals.Declared += taken
		return
	}
	o.Fresh, o.Late = fresh, late
	s.Received += taken
	s.Late += late
	l.totals.Received += taken
	l.totals.Late += late
}

// fill removes r from the holes, appends what it filled to fresh and returns
// how many seqs that were.
func (e *EpochState) fill(r Range, fresh []Range) ([]Range, uint64) {
	var n uint64
	kept := make([]Range, 0, len(e.Holes)+1)
	for _, hole := range e.Holes {
		from, to := max(hole.From, r.From), min(hole.To, r.To)
		if from > to {
			kept = append(kept, hole)
			continue
		}
		fresh = append(fresh, Range{from, to})
		n += to - from + 1
		if hole.From < from {
			kept = append(kept, Range{hole.From, from - 1})
		}
		if hole.To > to {
			kept = append(kept, Range{to + 1, hole.To})
		}
	}
	e.Holes = kept
	return fresh, n
}

const sequenceVersion = 1

// AppendBinary appends the sequence in a form that DecodeSequence reads.
func (s *Sequence) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, sequenceVersion)
	b = binary.AppendUvarint(b, uint64(len(s.Key.Producer)))
	b = append(b, s.Key.Producer...)
	b = append(b, s.Key.Subject[:]...)
	flags := byte(0)
	if s.Unassured {
		flags = flagUnassured
	}
	b = append(b, byte(s.Key.Category), flags)
	for _, n := range [...]uint64{s.Received, s.Duplicate, s.Late, s.Declared, s.Closed, s.Rejected, uint64(len(s.Epochs))} {
		b = binary.AppendUvarint(b, n)
	}
	for i := range s.Epochs {
		e := &s.Epochs[i]
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Ref.Start))
		b = binary.LittleEndian.AppendUint64(b, e.Ref.Random)
		b = binary.AppendUvarint(b, e.Next)
		b = binary.AppendUvarint(b, uint64(len(e.Holes)))
		for _, h := range e.Holes {
			b = binary.AppendUvarint(b, h.From)
			b = binary.AppendUvarint(b, h.To)
		}
	}
	return b, nil
}

// DecodeSequence reads one sequence and returns what follows it. An error
// wraps ErrMalformed.
func DecodeSequence(b []byte) (Sequence, []byte, error) {
	r := reader{b: b}
	var s Sequence
	if v := r.byte(); v != sequenceVersion && !r.bad {
		return s, nil, fmt.Errorf("ledger sequence version %d, this program knows %d: %w", v, sequenceVersion, ErrMalformed)
	}
	s.Key.Producer = string(r.bytes(r.limited(MaxProducer)))
	copy(s.Key.Subject[:], r.bytes(len(s.Key.Subject)))
	s.Key.Category = Category(r.byte())
	s.Unassured = r.byte()&flagUnassured != 0
	for _, p := range [...]*uint64{&s.Received, &s.Duplicate, &s.Late, &s.Declared, &s.Closed, &s.Rejected} {
		*p = r.uvarint()
	}
	for range r.limited(MaxEpochs) {
		var e EpochState
		e.Ref.Start, e.Ref.Random = int64(r.uint64()), r.uint64()
		e.Next = r.uvarint()
		for range r.limited(MaxHoles + 1) {
			h := Range{r.uvarint(), r.uvarint()}
			if h.To < h.From {
				r.bad = true
			}
			e.Holes = append(e.Holes, h)
		}
		s.Epochs = append(s.Epochs, e)
	}
	if r.bad {
		return Sequence{}, nil, fmt.Errorf("ledger sequence: %w", ErrMalformed)
	}
	return s, r.b, nil
}

// reader reads fields until one is not there; then it returns zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) bytes(n int) []byte {
	if r.bad || n > len(r.b) {
		r.bad = true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if r.bad || n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) limited(limit int) int {
	v := r.uvarint()
	if v > uint64(limit) {
		r.bad = true
		return 0
	}
	return int(v)
}
