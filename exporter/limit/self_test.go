package limit

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatch(t *testing.T) {
	const limit = 1000
	for _, c := range []struct {
		name string
		held func(after time.Duration) int64
		ends time.Duration // 0 = not
	}{
		{"below", func(time.Duration) int64 { return limit }, 0},
		{"above", func(time.Duration) int64 { return limit + 1 }, 35 * time.Second},
		{"above for a while", func(d time.Duration) int64 {
			if d < 30*time.Second {
				return 2 * limit
			}
			return 1
		}, 0},
		{"above again", func(d time.Duration) int64 {
			if d == 30*time.Second {
				return 1
			}
			return 2 * limit
		}, 65 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				began := time.Now()
				err := watch(ctx, limit, slog.New(slog.DiscardHandler), func() int64 { return c.held(time.Since(began)) })
				took := time.Since(began)
				if c.ends == 0 && (err != nil || took != time.Hour) || c.ends != 0 && (!errors.Is(err, ErrMemory) || took != c.ends) {
					t.Errorf("after %s: %v", took, err)
				}
			})
		})
	}
}

func TestHeldGrowsWithTheHeap(t *testing.T) {
	before := held()
	b := make([]byte, 64<<20)
	for i := range b {
		b[i] = 1
	}
	if after := held(); before <= 0 || after-before < 60<<20 {
		t.Errorf("%d bytes, and %d with 64 MiB more", before, after)
	}
	runtime.KeepAlive(b)
}
