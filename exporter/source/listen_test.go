package source

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"nocturne/internal/record"
)

// ears is a Listener that a test rings.
type ears struct {
	stub
	bell chan struct{}
	err  error
}

func (e ears) Listen(ctx context.Context, ring func()) error {
	if e.err != nil {
		return e.err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.bell:
			ring()
		}
	}
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began, at := time.Now(), []time.Duration{}
		e := ears{stub: stub{name: "hw", collect: func(context.Context) ([]record.Record, error) {
			at = append(at, time.Since(began))
			return nil, nil
		}}, bell: make(chan struct{})}
		ended := make(chan error)
		go func() {
			ended <- Scheduled(e, Schedule{Period: time.Hour, Deadline: time.Minute}).Run(ctx, func(context.Context, []record.Record, []byte) error { return nil })
		}()
		time.Sleep(10 * time.Minute)
		e.bell <- struct{}{}
		e.bell <- struct{}{} // a burst is one round
		time.Sleep(10 * time.Minute)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if len(at) != 2 || at[1] < 10*time.Minute+Settle || at[1] > 10*time.Minute+EarlyGap {
			t.Errorf("looked after %v", at)
		}
	})
}

// One that cannot hear says so once, and looks by its schedule.
func TestListenerThatIsDeaf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		looks, said := 0, []string{}
		e := ears{err: errors.New("no such socket"), stub: stub{name: "hw", collect: func(context.Context) ([]record.Record, error) {
			looks++
			return nil, nil
		}}}
		ended := make(chan error)
		go func() {
			ended <- Scheduled(e, Schedule{Period: time.Hour, Deadline: time.Minute}).Run(ctx, func(_ context.Context, recs []record.Record, _ []byte) error {
				said = append(said, recs[0].Body)
				return nil
			})
		}()
		time.Sleep(150 * time.Minute)
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if looks != 3 || len(said) != 1 || said[0] != "source hw: listen for changes: no such socket" {
			t.Errorf("%d looks, said %q", looks, said)
		}
	})
}
