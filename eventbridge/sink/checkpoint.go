package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nocturne/eventbridge/series"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// checkpoint notes where the sink is now, and saves what it noted Trail ago.
// The store is asked who it is first: what it acknowledged counts as durable
// only when the same process still runs Trail later.
func (p *pass) checkpoint(ctx context.Context, now time.Time) error {
	p.lag(ctx)
	if err := p.note(now); err != nil {
		return err
	}
	err := p.sameStore(ctx)
	if errors.Is(err, errReread) {
		return err
	}
	p.d.setStore(err)
	if err != nil {
		return nil // it does not answer: save nothing, try at the next checkpoint
	}
	var due Change
	n := 0
	for n < len(p.pending) && now.Sub(p.pending[n].at) >= p.d.cfg.Trail {
		due.Positions = p.pending[n].Positions
		due.Items = merge(due.Items, p.pending[n].Items)
		n++
	}
	if n == 0 {
		return nil
	}
	if err := p.d.cfg.Store.Save(ctx, due); err != nil {
		return err
	}
	p.pending = append(p.pending[:0], p.pending[n:]...)
	p.saved = due.Positions
	p.publish()
	return nil
}

// note takes down position, ledger and state as they are now.
func (p *pass) note(now time.Time) error {
	if p.pos == p.taken {
		return nil
	}
	c := pendingChange{at: now, Change: Change{Positions: p.pos, Items: map[string][]byte{}}}
	for s := range p.ledger.Dirty() {
		b, err := s.AppendBinary(nil)
		if err != nil {
			return fmt.Errorf("encode ledger: %w", err)
		}
		c.Items[sequenceItem(s.Key)] = b
	}
	p.ledger.Clean()
	servers, err := p.state.Save(true)
	if err != nil {
		return err
	}
	for _, s := range servers {
		c.Items[serverItem(s.Server)] = s.Data
	}
	p.pending = append(p.pending, c)
	p.taken = p.pos
	return nil
}

// restore puts back what note took down.
func (p *pass) restore(items map[string][]byte) error {
	for k, v := range items {
		switch {
		case len(k) > 2 && k[:2] == itemSequence:
			s, _, err := record.DecodeSequence(v)
			if err != nil {
				return fmt.Errorf("saved ledger %s: %w", k, err)
			}
			p.ledger.Restore(s)
		case len(k) > 2 && k[:2] == itemServer:
			id, err := record.ParseID(k[2:])
			if err != nil {
				return fmt.Errorf("saved state %s: %w", k, err)
			}
			if err := p.state.Load(series.Saved{Server: id, Data: v}); err != nil {
				return err
			}
		}
	}
	return nil
}

// lag measures how far behind the stream's heads the sink is.
func (p *pass) lag(ctx context.Context) {
	var heads Positions
	var lag uint64
	for i := range stream.Partitions {
		head, err := p.d.cfg.Stream.Head(ctx, i)
		if err != nil {
			return // the readers say so
		}
		heads[i] = head
		if head.Incarnation == p.pos[i].Incarnation && head.Entry > p.pos[i].Entry {
			lag += head.Entry - p.pos[i].Entry
		}
	}
	p.d.met.lag.Set(float64(lag))
	p.d.mu.Lock()
	p.d.stat.Heads, p.d.stat.Lag = heads, lag
	p.d.mu.Unlock()
}
