package engine

import (
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

// pending gathers what entries changed, one row per thing, until take.
type pending struct {
	commit  store.PartitionCommit
	servers map[record.ID]*store.ServerWrite
	order   []record.ID
	notes   map[string]int
	dirty   map[*identity]struct{}
	seen    map[record.ID]struct{} // servers with a snapshot
	clock   bool                   // the clock or a bridge moved
	news    bool                   // the fleet operator hears of it, or asks the store for it
	urgent  bool                   // somebody waits for it
}

func (p *partition) reset() {
	p.out = pending{servers: map[record.ID]*store.ServerWrite{}, notes: map[string]int{}, dirty: map[*identity]struct{}{}, seen: map[record.ID]struct{}{}}
	p.counts = counts{rejected: map[record.Reject]int64{}, effects: map[notify.Effect]int64{}}
}

// server returns the write of a server's row, to be filled in.
func (o *pending) server(id record.ID) *store.ServerWrite {
	w := o.servers[id]
	if w == nil {
		w = &store.ServerWrite{ID: id}
		o.servers[id] = w
		o.order = append(o.order, id)
	}
	return w
}

// maxWas bounds the states that are kept of one server in one commit.
const maxWas = 64

// state changes a server's state; those that it had since the last commit are
// kept.
func (o *pending) state(id record.ID, to store.StateWrite) {
	w := o.server(id)
	if w.State != nil && len(w.Was) < maxWas {
		w.Was = append(w.Was, *w.State)
	}
	w.State = &to
	o.news = true
}

// notification keeps the newest form of a row; that it is held stays.
func (o *pending) notification(n store.Notification) {
	if at, ok := o.notes[n.ID]; ok {
		n.Held = o.commit.Notifications[at].Held
		o.commit.Notifications[at] = n
		return
	}
	o.notes[n.ID] = len(o.commit.Notifications)
	o.commit.Notifications = append(o.commit.Notifications, n)
}

// idle tells whether a commit would only move position and clock.
func (p *partition) idle() bool {
	return !p.out.urgent && len(p.out.dirty) == 0 && !p.heldDirty && len(p.out.order) == 0 && p.ledger.Changed() == 0
}

const (
	foldBytes = 512 << 10 // of deltas, at least
	foldAfter = 5 * time.Minute
)

// take hands out all that changed since the last take as one commit.
func (p *partition) take(wall time.Time) store.PartitionCommit {
	c := p.out.commit
	c.Partition, c.Epoch, c.From, c.To = p.number, p.epoch, p.from, p.pos
	c.StreamTime, c.Clock, c.Committed, c.Frozen = p.streamTime(), p.now(), wall, p.clock.trouble()
	t := p.ledger.Totals()
	c.Ledger = store.LedgerTotals{Received: int64(t.Received), Duplicate: int64(t.Duplicate), Late: int64(t.Late), Declared: int64(t.Declared),
		Missing: int64(t.Missing), Rejected: p.rejects, Sequences: int64(t.Sequences)}
	c.Losses = p.losses
	for _, id := range p.out.order {
		w := p.out.servers[id]
		w.Partition = p.number
		c.Servers = append(c.Servers, *w)
	}
	p.save(&c)
	p.from = p.pos
	p.reset()
	return c
}

// save writes the working state: what changed, or now and then all of it.
func (p *partition) save(c *store.PartitionCommit) {
	old := p.clock.stream-p.folded >= int64(foldAfter) && p.deltas > 16<<10
	if p.deltas >= max(foldBytes, p.base) || old {
		c.Base = p.encode(false)
		p.base, p.deltas, p.folded = len(c.Base), 0, p.clock.stream
		return
	}
	c.Delta = p.encode(true)
	p.deltas += len(c.Delta)
}
