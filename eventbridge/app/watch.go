package app

import (
	"context"
	"fmt"
	"time"
)

// An embedded JetStream that met a full disk once stores nothing more until it
// is opened again, even when there is space (seen with 2.15.2: appends are
// never answered). So a stream that fails for long ends the bridge, and
// whoever supervises it starts it again; not while the disk is full, because
// that would not help.
const (
	watchEvery = 5 * time.Second
	failingFor = 45 * time.Second
	spaceToTry = 64 << 20
)

// watchStream looks after the embedded stream.
func (a *App) watchStream(ctx context.Context) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	said := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-t.C:
			partition, since := a.gatherer.Failing()
			free, err := diskFree(a.cfg.Data)
			if err != nil {
				free = spaceToTry // not known: as if there were some
			}
			full, err := streamVerdict(now, since, free)
			if err != nil {
				return fmt.Errorf("partition %d: %w", partition, err)
			}
			if full && !said {
				a.component("stream").Error("the disk is full: free some space; servers keep what they have", "data", a.cfg.Data, "free_bytes", free)
			}
			said = full
		}
	}
}

// streamVerdict tells whether a stream that fails since then should be opened
// again (an error), or has a full disk to wait for.
func streamVerdict(now, since time.Time, free uint64) (full bool, err error) {
	switch {
	case since.IsZero():
		return false, nil
	case free < spaceToTry:
		return true, nil
	case now.Sub(since) >= failingFor:
		return false, fmt.Errorf("the stream has stored nothing since %s: the bridge ends, so that the next start opens it again", since.UTC().Format(time.RFC3339))
	default:
		return false, nil
	}
}
