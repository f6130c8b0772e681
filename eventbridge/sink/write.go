package sink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// store writes a batch until it is in the store, halving it around rows that
// the store refuses. It returns how many rows it did not come to.
func (p *pass) store(ctx context.Context, b Batch) (left int, err error) {
	if len(b.Rows) == 0 {
		return 0, nil
	}
	err = p.retry(ctx, b)
	switch {
	case err == nil:
		p.d.count("", len(b.Rows))
		return 0, nil
	case !errors.Is(err, ErrRefused):
		return len(b.Rows), err
	}
	p.d.met.batches[resultRefused].Inc()
	if len(b.Rows) == 1 {
		return p.setAside(ctx, &b.Rows[0], err)
	}
	half := len(b.Rows) / 2
	left, err = p.store(ctx, Batch{Rows: b.Rows[:half], Repeat: true})
	if err != nil {
		return left + len(b.Rows) - half, err
	}
	return p.store(ctx, Batch{Rows: b.Rows[half:], Repeat: true})
}

// retry writes a batch as long as the store does not refuse it. It ends with
// errReread when the store was started again meanwhile.
func (p *pass) retry(ctx context.Context, b Batch) error {
	d := p.d
	for attempt := 0; ; attempt++ {
		start := time.Now()
		err := d.cfg.Sink.Write(ctx, b)
		d.met.seconds.Observe(time.Since(start).Seconds())
		if err == nil {
			d.met.batches[resultWritten].Inc()
			d.setStore(nil)
			return nil
		}
		if errors.Is(err, ErrRefused) || errors.Is(err, ErrStop) || ctx.Err() != nil {
			return err
		}
		d.met.batches[resultRetry].Inc()
		d.setStore(err)
		if attempt == 0 {
			d.cfg.Log.Warn("store did not take a batch, trying again", "sink", d.cfg.Name, "records", len(b.Rows), "err", err)
		}
		b.Repeat = true
		if !d.wait(ctx, attempt) {
			return ctx.Err()
		}
		if err := p.sameStore(ctx); errors.Is(err, errReread) {
			return err
		}
	}
}

// sameStore asks the store who it is; errReread when it was started again.
func (p *pass) sameStore(ctx context.Context) error {
	now, err := p.d.cfg.Sink.Instance(ctx)
	if err != nil {
		return err
	}
	if now != p.instance {
		return fmt.Errorf("store was started again (%s, before %s): %w", now, p.instance, errReread)
	}
	return nil
}

// poisonShown is how many rows that were set aside the status shows.
const poisonShown = 8

// setAside keeps one refused row as poison and goes on.
func (p *pass) setAside(ctx context.Context, r *Row, why error) (left int, err error) {
	d := p.d
	text := r.Record.Body
	bad := Poisoned{
		At: time.Now().UTC(), Reason: why.Error(), RecordID: r.ID(), Partition: r.Partition, Entry: r.Entry,
		Category: r.Header.Category.String(), Name: r.Record.Name, Text: text[:min(len(text), 512)],
	}
	if err := d.cfg.Store.Poison(ctx, bad); err != nil {
		d.cfg.Log.Warn("poisoned record could not be kept", "sink", d.cfg.Name, "record_id", bad.RecordID, "err", err)
	}
	d.cfg.Log.Error("store refuses a record; it is set aside", "sink", d.cfg.Name, "record_id", bad.RecordID, "partition", r.Partition, "entry", r.Entry, "err", why)
	d.met.poisoned.Inc()
	d.mu.Lock()
	d.stat.Poison = append(d.stat.Poison, bad)
	if over := len(d.stat.Poison) - poisonShown; over > 0 {
		d.stat.Poison = slices.Delete(d.stat.Poison, 0, over)
	}
	d.mu.Unlock()
	d.count(DropRefused, 1)
	return 0, nil
}
