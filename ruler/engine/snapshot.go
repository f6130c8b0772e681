package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// snapshot compares a snapshot with what was known and writes down what is new.
// Kept is the merged state without what is volatile, so that a server whose
// temperatures vary has one configuration; the operators see everything.
func (p *partition) snapshot(s *server, in *input, c *operator.Context, i *operator.Input) error {
	cat := in.header.Category
	p.counts.snapshot++
	prev, err := p.snapshots.get(s.currentHash(cat))
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, record.ErrMalformed) {
		// It will not come back: go on as if this were the first.
		p.audit("previous snapshot lost", s.id.String(), fmt.Sprintf(`{"category":%q,"hash":%q}`, cat, s.currentHash(cat)))
		prev, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("server %s: previous %s snapshot: %w", s.id, cat, err)
	}
	cur := in.record.Snapshot
	seen := p.seenAt(s, cat)
	c.Previous = prev
	i.Changes, i.Current = diff.Compare(prev, cur)
	kept := diff.Stable(i.Current)
	hash, bytes := Pack(kept)
	if hash == s.currentHash(cat) {
		return nil
	}
	p.snapshots.put(hash, kept, bytes)
	s.setCurrent(cat, hash)
	p.seenAt(s, cat)
	at := eventTime(in.record, in.skew, p.entryAt)
	out := &p.out.commit
	out.Snapshots = append(out.Snapshots, store.SnapshotWrite{Server: s.id, Category: cat, At: at, Hash: hash, Bytes: bytes})
	changes := diff.Significant(i.Changes)
	for _, ch := range changes {
		row := ChangeRow(&ch)
		row.Server, row.Category, row.At, row.Stream, row.RecordID, row.Hash = s.id, cat, at, p.streamTime(), in.recordID(), hash
		out.Changes = append(out.Changes, row)
	}
	p.counts.changes += int64(len(changes))
	out.History = append(out.History, store.HistoryEntry{Server: s.id, Category: cat, At: at, Hash: hash, RecordID: in.recordID(), Changes: len(changes)})
	if p.devices(s, cat, prev, kept) {
		p.partsFact(s, cat, seen, in.recordID())
	}
	p.out.urgent = true
	return nil
}

// planned writes down with a change that it was planned, as a rule says. Rows are
// those of the changes that are significant, if any were written.
func planned(rows []store.Change, changes []diff.Change, v *operator.Verdict) {
	row := 0
	for i := range changes {
		if changes[i].Class == diff.Volatile {
			continue
		}
		if row == len(rows) {
			return
		}
		if &changes[i] == v.Change {
			rows[row].Muted, rows[row].Plan = v.Reason, planOf(v.Window)
		}
		row++
	}
}

// planOf is planned work in the store's words.
func planOf(w *rule.Window) store.Plan {
	if w == nil {
		return store.Plan{}
	}
	return store.Plan{ID: w.ID, Who: w.Who, Why: w.Why}
}

// ChangeRow is a difference in the store's words.
func ChangeRow(c *diff.Change) store.Change {
	return store.Change{Kind: c.Kind.String(), Type: c.Type, Place: c.Place, Field: c.Field, Before: before(c), After: after(c), From: c.From, Occupant: c.Occupant}
}

func before(c *diff.Change) string {
	if c.Kind == diff.Removed && c.Before.IsNull() {
		return c.Occupant
	}
	return c.Before.Text()
}

func after(c *diff.Change) string {
	if c.Kind == diff.Added && c.After.IsNull() {
		return c.Occupant
	}
	return c.After.Text()
}

// devices writes the rows of devices that are new, different or gone. It tells
// whether a serial number came or left.
func (p *partition) devices(s *server, cat record.Category, prev, kept *record.Snapshot) (parts bool) {
	type place struct{ typ, place string }
	was := map[place]*record.Device{}
	if prev != nil {
		for i := range prev.Devices {
			d := &prev.Devices[i]
			was[place{d.Type, d.Place}] = d
		}
	}
	now := p.streamTime()
	write := func(d *record.Device) store.DeviceWrite {
		return store.DeviceWrite{Server: s.id, Device: store.Device{Category: cat, Type: d.Type, Place: d.Place, Occupant: d.Occupant, State: d.Field(record.FieldState).Text(),
			Fields: record.AppendJSONAttrs(nil, d.Fields), First: now, Changed: now}}
	}
	for i := range kept.Devices {
		d := &kept.Devices[i]
		at := place{d.Type, d.Place}
		if o := was[at]; o == nil || !sameDevice(o, d) {
			p.out.commit.Devices = append(p.out.commit.Devices, write(d))
			parts = parts || o == nil && d.Occupant != "" || o != nil && o.Occupant != d.Occupant
		}
		delete(was, at)
	}
	if prev == nil {
		return parts
	}
	for i := range prev.Devices { // in order, so that a replay writes the same
		d := &prev.Devices[i]
		if was[place{d.Type, d.Place}] != nil {
			w := write(d)
			w.Removed = now
			p.out.commit.Devices = append(p.out.commit.Devices, w)
			parts = parts || d.Occupant != ""
		}
	}
	return parts
}

func sameDevice(a, b *record.Device) bool {
	if a.Occupant != b.Occupant || len(a.Fields) != len(b.Fields) {
		return false
	}
	for i := range a.Fields { // both sorted
		if a.Fields[i].Key != b.Fields[i].Key || !a.Fields[i].Value.Equal(b.Fields[i].Value) {
			return false
		}
	}
	return true
}

var (
	packer = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic(err) // constant options
		}
		return e
	})
	unpacker = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			panic(err) // constant options
		}
		return d
	})
)

// Pack returns a snapshot's content hash and its bytes as stored.
func Pack(s *record.Snapshot) (store.Hash, []byte) {
	raw := record.AppendRecords(nil, []record.Record{{Name: record.NameSnapshot, Snapshot: s}})
	sum := sha256.Sum256(raw)
	return store.Hash(sum[:16]), packer().EncodeAll(raw, nil)
}

// Unpack reads a snapshot as stored.
func Unpack(b []byte) (*record.Snapshot, error) {
	raw, err := unpacker().DecodeAll(b, nil)
	if err != nil {
		return nil, fmt.Errorf("unpack snapshot: %w: %w", record.ErrMalformed, err)
	}
	recs, _, err := record.DecodeRecords(raw)
	if err != nil {
		return nil, fmt.Errorf("decode snapshot: %w", err)
	}
	if len(recs) != 1 || recs[0].Snapshot == nil {
		return nil, fmt.Errorf("decode snapshot: no snapshot in it: %w", record.ErrMalformed)
	}
	return recs[0].Snapshot, nil
}

const (
	cacheSnapshots = 128       // per partition and generation
	cacheBytes     = 256 << 10 // packed; a snapshot in memory is about ten times as big
)

// snapshots finds snapshots by content: those not committed yet, those used of
// late, the rest in the store.
type snapshots struct {
	load     func(store.Hash) ([]byte, error)
	young    map[store.Hash]cached
	old      map[store.Hash]cached
	bytes    int
	unstored map[store.Hash]cached // until the commit that holds them is in
}

type cached struct {
	snapshot *record.Snapshot
	bytes    int
}

func newSnapshots(load func(store.Hash) ([]byte, error)) *snapshots {
	return &snapshots{load: load, young: map[store.Hash]cached{}, old: map[store.Hash]cached{}, unstored: map[store.Hash]cached{}}
}

func (c *snapshots) get(h store.Hash) (*record.Snapshot, error) {
	if h.IsZero() {
		return nil, nil
	}
	for _, m := range []map[store.Hash]cached{c.young, c.unstored, c.old} {
		if v, ok := m[h]; ok {
			c.remember(h, v)
			return v.snapshot, nil
		}
	}
	b, err := c.load(h)
	if err != nil {
		return nil, err
	}
	s, err := Unpack(b)
	if err != nil {
		return nil, err
	}
	c.remember(h, cached{s, len(b)})
	return s, nil
}

func (c *snapshots) put(h store.Hash, s *record.Snapshot, bytes []byte) {
	v := cached{s, len(bytes)}
	c.unstored[h] = v
	c.remember(h, v)
}

// stored says that all that was put by now is in the store.
func (c *snapshots) stored(hs []store.SnapshotWrite) {
	for i := range hs {
		delete(c.unstored, hs[i].Hash)
	}
}

// remember keeps two generations: what was used since the last turn, and before.
func (c *snapshots) remember(h store.Hash, v cached) {
	if _, ok := c.young[h]; ok {
		return
	}
	if len(c.young) >= cacheSnapshots || c.bytes >= cacheBytes {
		c.old, c.young, c.bytes = c.young, map[store.Hash]cached{}, 0
	}
	c.young[h] = v
	c.bytes += v.bytes
}
