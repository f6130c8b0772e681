package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"

	"nocturne/internal/record"
)

// A segment is a file header and entries. An entry is a header of 32 bytes,
// little endian, and a payload:
//
//	0  magic "NS"        8  CRC32C of all other bytes     24 count
//	2  kind             12  durable: bytes of this file   28 category
//	3  flags                known synced when this entry  29 zero
//	4  payload length   16  at: ordinal of first record
//
// Every record in the spool has an ordinal: it rises by one per record over all
// categories and epochs and is never used twice. "durable" is how recovery
// tells a torn tail (never answered for: cut off) from damage to what had been
// on disk (declared lost).
const (
	entryHeader = 32
	entryMagic  = 'N' | 'S'<<8

	maxPayload = 4 << 20 // of one entry; far more than the writer makes

	flagMore  = 1 // the commit goes on in the next entry
	flagKnown = 2 // a drop that is not handed out: every output declares it already
)

type entryKind uint8

const (
	kindCheckpoint entryKind = 1 // all state as of here
	kindCommit     entryKind = 2 // records of one sequence and a source's position
	kindDrop       entryKind = 3 // ranges lost here
	kindAck        entryKind = 4 // one output's state
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errDamaged marks bytes that are not what was written.
var errDamaged = errors.New("damaged")

type header struct {
	kind     entryKind
	flags    uint8
	category record.Category
	length   uint32
	crc      uint32
	durable  uint32
	at       uint64
	count    uint32
}

// size is the length of the whole entry.
func (h *header) size() int64 { return entryHeader + int64(h.length) }

func parseHeader(b []byte) (header, error) {
	le := binary.LittleEndian
	if len(b) < entryHeader {
		return header{}, fmt.Errorf("entry header of %d bytes: %w", len(b), errDamaged)
	}
	h := header{
		kind: entryKind(b[2]), flags: b[3], length: le.Uint32(b[4:]), crc: le.Uint32(b[8:]), durable: le.Uint32(b[12:]),
		at: le.Uint64(b[16:]), count: le.Uint32(b[24:]), category: record.Category(b[28]),
	}
	switch {
	case le.Uint16(b) != entryMagic:
		return header{}, fmt.Errorf("entry magic %#x: %w", b[:2], errDamaged)
	case h.kind < kindCheckpoint || h.kind > kindAck:
		return header{}, fmt.Errorf("entry kind %d: %w", h.kind, errDamaged)
	case h.length > maxPayload || h.count > maxPayload:
		return header{}, fmt.Errorf("entry of %d bytes: %w", h.length, errDamaged)
	}
	return h, nil
}

// checkEntry checks one whole entry.
func checkEntry(b []byte) (header, error) {
	h, err := parseHeader(b)
	if err != nil {
		return h, err
	}
	if int64(len(b)) != h.size() {
		return h, fmt.Errorf("entry of %d bytes, want %d: %w", len(b), h.size(), errDamaged)
	}
	if entryCRC(b) != h.crc {
		return h, fmt.Errorf("entry checksum: %w", errDamaged)
	}
	return h, nil
}

func entryCRC(b []byte) uint32 {
	c := crc32.Update(0, castagnoli, b[:8])
	return crc32.Update(c, castagnoli, b[12:])
}

// beginEntry appends room for a header; finishEntry fills it.
func beginEntry(b []byte) ([]byte, int) {
	return append(b, make([]byte, entryHeader)...), len(b)
}

func finishEntry(b []byte, start int, h header) {
	e := b[start:]
	le := binary.LittleEndian
	le.PutUint16(e, entryMagic)
	e[2], e[3], e[28] = byte(h.kind), h.flags, byte(h.category)
	le.PutUint32(e[4:], uint32(len(e)-entryHeader))
	le.PutUint32(e[12:], h.durable)
	le.PutUint64(e[16:], h.at)
	le.PutUint32(e[24:], h.count)
	le.PutUint32(e[8:], entryCRC(e))
}

// commit is the payload of a commit, but for the records, which follow it:
// each a length and what AppendRecords wrote for it; length 0 is a record that
// could not be taken.
type commit struct {
	epoch       record.Epoch
	first       uint64 // seq of the first record
	time        int64  // of the append, Unix nanoseconds
	source      string
	hasPosition bool
	position    []byte
}

func appendCommit(b []byte, c *commit) []byte {
	b = appendEpoch(b, c.epoch)
	b = binary.AppendUvarint(b, c.first)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.time))
	b = appendBytes(b, c.source)
	if !c.hasPosition {
		return append(b, 0)
	}
	return appendBytes(append(b, 1), string(c.position))
}

// decodeCommit returns the records' part too. Bytes of the result alias b.
func decodeCommit(b []byte) (commit, []byte, error) {
	r := reader{b: b}
	c := commit{epoch: r.epoch(), first: r.uvarint(), time: int64(r.uint64()), source: string(r.text())}
	if r.byte() == 1 {
		c.hasPosition, c.position = true, r.text()
	}
	if r.bad || c.first == 0 || c.epoch.IsZero() {
		return commit{}, nil, fmt.Errorf("commit: %w", errDamaged)
	}
	return c, r.b, nil
}

// nextRecord splits one record off; raw is empty for one that was not taken.
func nextRecord(b []byte) (raw, rest []byte, err error) {
	r := reader{b: b}
	raw = r.text()
	if r.bad {
		return nil, nil, fmt.Errorf("record: %w", errDamaged)
	}
	return raw, r.b, nil
}

// lost is a range of one sequence that is not in the spool.
type lost struct {
	category    record.Category
	reason      record.GapReason
	kind        record.FrameKind // FrameGap, or FrameBase in an output's debt
	epoch       record.Epoch
	first, last uint64
}

func (l *lost) records() uint64 { return l.last - l.first + 1 }

func appendLost(b []byte, list []lost) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		l := &list[i]
		b = append(b, byte(l.category), byte(l.reason), byte(l.kind))
		b = appendEpoch(b, l.epoch)
		b = binary.AppendUvarint(b, l.first)
		b = binary.AppendUvarint(b, l.last)
	}
	return b
}

func (r *reader) lost() []lost {
	n := r.limited(maxPayload / 40)
	var list []lost
	for range n {
		if r.bad {
			return nil
		}
		l := lost{category: record.Category(r.byte()), reason: record.GapReason(r.byte()), kind: record.FrameKind(r.byte()),
			epoch: r.epoch(), first: r.uvarint(), last: r.uvarint()}
		if l.first == 0 || l.last < l.first || !l.category.Valid() || l.epoch.IsZero() || (l.kind != record.FrameGap && l.kind != record.FrameBase) {
			r.bad = true
		}
		list = append(list, l)
	}
	return list
}

func decodeDrop(b []byte) ([]lost, error) {
	r := reader{b: b}
	list := r.lost()
	if r.bad || len(r.b) > 0 || len(list) == 0 {
		return nil, fmt.Errorf("drop: %w", errDamaged)
	}
	return list, nil
}

// outputState is what the spool keeps for one output.
type outputState struct {
	name     string
	position uint64 // every record with a lower ordinal is answered or declared
	owed     []lost // bare frames to hand out before anything else
	answer   []byte // the output's own note on its last answer
}

func appendOutput(b []byte, o *outputState) []byte {
	b = appendBytes(b, o.name)
	b = binary.AppendUvarint(b, o.position)
	b = appendLost(b, o.owed)
	return appendBytes(b, string(o.answer))
}

func (r *reader) output() outputState {
	o := outputState{name: string(r.text()), position: r.uvarint(), owed: r.lost()}
	o.answer = append([]byte(nil), r.text()...)
	return o
}

func decodeAck(b []byte) (outputState, error) {
	r := reader{b: b}
	o := r.output()
	if r.bad || len(r.b) > 0 || o.name == "" {
		return outputState{}, fmt.Errorf("ack: %w", errDamaged)
	}
	return o, nil
}

// sequence is where the numbering of a category stands.
type sequence struct {
	epoch record.Epoch // in which its newest record is
	last  uint64       // seq of that record
}

// checkpoint is all state that is not records.
type checkpoint struct {
	next      uint64 // ordinal of the next record
	sequences map[record.Category]sequence
	sources   map[string][]byte
	outputs   []outputState
}

func appendCheckpoint(b []byte, c *checkpoint) []byte {
	b = binary.AppendUvarint(b, c.next)
	b = binary.AppendUvarint(b, uint64(len(c.sequences)))
	for _, category := range record.Categories() {
		if q, ok := c.sequences[category]; ok {
			b = append(b, byte(category))
			b = appendEpoch(b, q.epoch)
			b = binary.AppendUvarint(b, q.last)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(c.sources)))
	for _, name := range slices.Sorted(maps.Keys(c.sources)) {
		b = appendBytes(b, name)
		b = appendBytes(b, string(c.sources[name]))
	}
	b = binary.AppendUvarint(b, uint64(len(c.outputs)))
	for i := range c.outputs {
		b = appendOutput(b, &c.outputs[i])
	}
	return b
}

func decodeCheckpoint(b []byte) (checkpoint, error) {
	r := reader{b: b}
	c := checkpoint{next: r.uvarint(), sequences: map[record.Category]sequence{}, sources: map[string][]byte{}}
	for range r.limited(len(record.Categories())) {
		category := record.Category(r.byte())
		q := sequence{epoch: r.epoch(), last: r.uvarint()}
		if !category.Valid() || q.last == 0 || q.epoch.IsZero() {
			r.bad = true
		}
		c.sequences[category] = q
	}
	for range r.limited(maxPayload) {
		if r.bad {
			break
		}
		name := string(r.text())
		c.sources[name] = append([]byte{}, r.text()...)
	}
	for range r.limited(maxPayload) {
		if r.bad {
			break
		}
		c.outputs = append(c.outputs, r.output())
	}
	if r.bad || len(r.b) > 0 {
		return checkpoint{}, fmt.Errorf("checkpoint: %w", errDamaged)
	}
	return c, nil
}

func appendBytes(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendEpoch(b []byte, e record.Epoch) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, uint64(e.Start))
	b = le.AppendUint64(b, e.Random)
	b = le.AppendUint64(b, uint64(e.Prev.Start))
	b = le.AppendUint64(b, e.Prev.Random)
	return le.AppendUint64(b, e.PrevLast)
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

func (r *reader) text() []byte { return r.bytes(r.limited(maxPayload)) }

func (r *reader) epoch() record.Epoch {
	return record.Epoch{
		EpochRef: record.EpochRef{Start: int64(r.uint64()), Random: r.uint64()},
		Prev:     record.EpochRef{Start: int64(r.uint64()), Random: r.uint64()},
		PrevLast: r.uint64(),
	}
}
