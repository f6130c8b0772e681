package backtest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/engine"
	"nocturne/ruler/store"
)

// older reads what is kept elsewhere of the time before the stream begins.
func (r *run) older(ctx context.Context, n int, replays []*engine.Replay, h held, until time.Time) error {
	events, snapshots := looksAt(r.rules)
	configurations, err := r.configurations(ctx, n, replays, snapshots, until)
	if err != nil {
		return err
	}
	next := 0
	feed := func(to time.Time) error {
		for ; next < len(configurations) && configurations[next].At.Before(to); next++ {
			c := &configurations[next]
			for _, rp := range replays {
				if err := rp.Configuration(c.At, c.Server, c.Category, c.RecordID, c.Hash); err != nil {
					return err
				}
			}
			r.tell(c.At)
		}
		return nil
	}
	if !until.After(r.from) {
		return nil
	}
	if events && r.cfg.Events != nil {
		if !r.looked {
			r.looked = true
			if r.events, r.away = r.cfg.Events.Oldest(ctx, r.from, r.to); ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	if events && r.cfg.Events != nil && r.away == nil {
		count := 0
		err := r.cfg.Events.Events(ctx, n, r.from, until, r.rules, func(e *Event) error {
			if h.has(e.Entry) {
				return nil
			}
			if err := feed(e.At); err != nil {
				return err
			}
			for _, rp := range replays {
				if err := rp.Record(e.At, engine.Old{ID: e.ID, Header: &e.Header, Seq: e.Seq, Record: &e.Record}); err != nil {
					return err
				}
			}
			r.progress.Records++
			r.result.Records++
			if count++; count%findEvery == 0 {
				if err := r.find(replays, nil); err != nil {
					return err
				}
			}
			r.tell(e.At)
			return ctx.Err()
		})
		if err != nil {
			return fmt.Errorf("read the log store: %w", err)
		}
	}
	if err := feed(until); err != nil {
		return err
	}
	for _, rp := range replays {
		rp.Pass(until)
	}
	return r.find(replays, nil)
}

// configurations lists what the store kept of a partition's servers before the
// stream begins, oldest first, and puts in place what was there before.
func (r *run) configurations(ctx context.Context, n int, replays []*engine.Replay, wanted bool, until time.Time) ([]store.HistoryEntry, error) {
	if !wanted {
		return nil, nil
	}
	begin := r.from
	var out []store.HistoryEntry
	for i := range r.known[n] {
		id := r.known[n][i].ID
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		list, err := r.cfg.State.History(ctx, store.HistoryQuery{Server: id, Before: maxTime(until, begin), Limit: 1000})
		if err != nil {
			return nil, err
		}
		seen := map[record.Category]bool{}
		for _, h := range list { // newest first
			if !h.At.Before(begin) {
				out = append(out, h)
				r.history = true
			} else if !seen[h.Category] {
				seen[h.Category] = true
				for _, rp := range replays {
					rp.Snapshot(id, h.Category, h.Hash)
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b store.HistoryEntry) int {
		return cmp.Or(a.At.Compare(b.At), slices.Compare(a.Server[:], b.Server[:]))
	})
	return out, nil
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
