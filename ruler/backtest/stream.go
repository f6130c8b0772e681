package backtest

import (
	"context"
	"errors"
	"time"

	"nocturne/internal/stream"
	"nocturne/ruler/engine"
)

// begins finds the stream's first entry, and when it was stored; an empty
// stream begins now.
func (r *run) begins(ctx context.Context, n int) (first stream.Position, at time.Time, err error) {
	if first, err = r.cfg.Stream.First(ctx, n); err != nil {
		return first, r.to, err
	}
	head, err := r.cfg.Stream.Head(ctx, n)
	if err != nil || head.Entry <= first.Entry {
		return first, r.to, err
	}
	at = r.to
	err = r.cfg.Stream.Read(ctx, n, first, func(m stream.Message) error {
		at = m.Time.UTC()
		return errDone
	})
	if errors.Is(err, errDone) {
		err = nil
	}
	return first, at, err
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
