package engine

import (
	"errors"
	"fmt"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// Replay carries rules out over what is stored of one partition, with the same
// pipeline and without a store of its own: what it finds is handed out and
// forgotten. It belongs to one goroutine.
type Replay struct {
	p *partition
	// kept are the snapshots that it met, by content.
	kept map[store.Hash][]byte
}

// stepOld is how far time passes at once where the ticks are not kept any more: a
// bridge ticks as often.
const stepOld = 5 * time.Second

// NewReplay begins with what the register says of the partition's servers. load
// finds snapshots of the store; it may be nil.
func NewReplay(number int, rules []*rule.Rule, servers []store.Server, load func(store.Hash) ([]byte, error)) (*Replay, error) {
	r := &Replay{kept: map[store.Hash][]byte{}}
	find := func(h store.Hash) ([]byte, error) {
		if b, ok := r.kept[h]; ok {
			return b, nil
		}
		if load == nil {
			return nil, fmt.Errorf("snapshot %s: %w", h, store.ErrNotFound)
		}
		return load(h)
	}
	var err error
	if r.p, err = newPartition(number, newRuleset(Generation{Rules: rules}), find); err != nil {
		return nil, err
	}
	r.p.ledger.Truncated = true
	r.p.clock.fleet = 0
	for i := range servers {
		v := &servers[i]
		if v.CloneOf != "" || stream.Partition(v.ID) != number {
			continue
		}
		id := r.p.owner(v.ID)
		s := r.p.lines[v.ID]
		id.registered, s.name = true, v.Name
		s.about = r.p.share(about{site: v.Site, rack: v.Rack, role: v.Role, owner: v.Owner, os: v.OSType, simulated: v.Simulated})
	}
	r.p.reset()
	return r, nil
}

// Fleet says how many servers should be heard from, of all partitions; 0 until
// then.
func (r *Replay) Fleet(n int) { r.p.clock.fleet = n }

// Snapshot says what a server's configuration was before the replay begins.
func (r *Replay) Snapshot(server record.ID, c record.Category, h store.Hash) {
	if s := r.p.lines[server]; s != nil {
		s.setCurrent(c, h)
	}
}

// Entry takes an entry of the stream; the first may stand anywhere.
func (r *Replay) Entry(m stream.Message) error {
	if r.p.pos == (store.Position{}) {
		r.p.pos = store.Position{Incarnation: m.Position.Incarnation, Entry: m.Position.Entry - 1}
	}
	return r.p.apply(m)
}

// Old is a record that is kept elsewhere than in the stream.
type Old struct {
	ID     string // of the record; "" = what Header and Seq say
	Header *record.Header
	Seq    uint64
	Record *record.Record
}

// Record takes a record that is kept elsewhere than in the stream, and that came
// and happened at a time. It moves time itself, and takes no heartbeats: they
// would be judged by ticks.
func (r *Replay) Record(at time.Time, o Old) error {
	h, rec := o.Header, o.Record
	if h.Category == record.Heartbeat || stream.Partition(h.Subject) != r.p.number {
		return nil
	}
	r.Pass(at)
	p := r.p
	id := p.owner(h.Subject)
	s := p.lines[id.root]
	in := &input{header: h, record: rec, seq: o.Seq, id: o.ID}
	c := operator.Context{Now: p.now(), Server: s.serverFacts()}
	i := operator.Input{Record: rec, Header: h, Seq: o.Seq, RecordID: in.recordID(), Event: at}
	if rec.Snapshot != nil {
		if err := p.snapshot(s, in, &c, &i); err != nil {
			return err
		}
	}
	for _, v := range p.set.Step(c, i) {
		p.verdict(v, &i)
	}
	return nil
}

// Configuration takes a snapshot that the store kept.
func (r *Replay) Configuration(at time.Time, server record.ID, c record.Category, recordID string, h store.Hash) error {
	b, err := r.p.snapshots.load(h)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	snap, err := Unpack(b)
	if err != nil {
		return err
	}
	hd := &record.Header{Producer: record.ExporterProducer(server), Subject: server, Category: c}
	return r.Record(at, Old{ID: recordID, Header: hd, Seq: uint64(at.UnixNano()), Record: &record.Record{Time: at, Observed: at, Name: record.NameSnapshot, Snapshot: snap}})
}

// Pass lets time pass where no ticks are kept.
func (r *Replay) Pass(to time.Time) {
	p := r.p
	if p.clock.now == 0 {
		p.clock.advance(to)
	}
	for p.clock.now < to.UnixNano() {
		p.clock.now = min(p.clock.now+int64(stepOld), to.UnixNano())
		p.clock.advance(p.now()) // what happens now is not told as of later
		for _, v := range p.set.Tick(p.now()) {
			p.verdict(v, nil)
		}
	}
	p.clock.advance(to)
	p.entryAt, p.clock.ticked = to.UnixNano(), to.UnixNano()
}

// Found is what the rules said since the last call.
type Found struct {
	Notifications []store.Notification // the newest form of each that changed
	Evidence      []store.Evidence
	Records       int64
}

// Found hands out what was found and forgets it.
func (r *Replay) Found() Found {
	p := r.p
	out := Found{Notifications: p.out.commit.Notifications, Evidence: p.out.commit.Evidence, Records: p.counts.received}
	for i := range p.out.commit.Snapshots {
		w := &p.out.commit.Snapshots[i]
		r.kept[w.Hash] = w.Bytes
	}
	p.snapshots.stored(p.out.commit.Snapshots)
	p.set.Save(true) // forgets what is dirty
	p.ledger.Clean()
	p.reset()
	return out
}
