package backtest

import (
	"context"
	"errors"
	"time"

	"nocturne/internal/stream"
	"nocturne/ruler/engine"
)

// held is what the stream has: the entries after first, up to head.
type held struct{ first, head stream.Position }

// has tells whether the stream still has an entry. The log store does not know of
// which incarnation of the stream an entry was.
func (h held) has(entry uint64) bool { return entry > h.first.Entry && entry <= h.head.Entry }

// begins finds what the stream has, and when the first of it was stored; an
// empty stream begins now.
func (r *run) begins(ctx context.Context, n int) (h held, at time.Time, err error) {
	if h.first, err = r.cfg.Stream.First(ctx, n); err != nil {
		return h, r.to, err
	}
	if h.head, err = r.cfg.Stream.Head(ctx, n); err != nil || h.head.Entry <= h.first.Entry {
		return h, r.to, err
	}
	at = r.to
	err = r.cfg.Stream.Read(ctx, n, h.first, func(m stream.Message) error {
		at = m.Time.UTC()
		return errDone
	})
	if errors.Is(err, errDone) {
		err = nil
	}
	return h, at, err
}

// stream reads what the stream has since the time asked for.
func (r *run) stream(ctx context.Context, n int, replays []*engine.Replay, first stream.Position) error {
	head, err := r.cfg.Stream.Head(ctx, n)
	if err != nil || head.Entry <= first.Entry {
		return r.find(replays, err)
	}
	count := 0
	err = r.cfg.Stream.Read(ctx, n, first, func(m stream.Message) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !m.Time.Before(r.from) {
			for _, rp := range replays {
				if err := rp.Entry(m); err != nil {
					return err
				}
			}
			if count++; count%findEvery == 0 {
				if err := r.find(replays, nil); err != nil {
					return err
				}
			}
			r.tell(m.Time)
		}
		if m.Position.Entry >= head.Entry {
			return errDone
		}
		return nil
	})
	if errors.Is(err, errDone) {
		err = nil
	}
	return r.find(replays, err)
}
