package sinktest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"nocturne/eventbridge/sink"
	"nocturne/internal/stream"
)

// Saved is what a MemStore keeps; several MemStores of one Saved stand for
// several bridges on one bucket.
type Saved struct {
	mu       sync.Mutex
	holder   string
	until    time.Time
	cp       sink.Checkpoint
	version  int
	poisoned []sink.Poisoned
	saves    int
}

// MemStore is a sink.Store in memory.
type MemStore struct {
	*Saved
	loaded int
}

var _ sink.Store = (*MemStore)(nil)

// NewStore returns a store on what is saved.
func (s *Saved) NewStore() *MemStore { return &MemStore{Saved: s} }

// Acquire implements sink.Store.
func (s *MemStore) Acquire(_ context.Context, holder string, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder != "" && s.holder != holder && time.Now().Before(s.until) {
		return fmt.Errorf("%w: %s", sink.ErrLease, s.holder)
	}
	s.holder, s.until = holder, time.Now().Add(ttl)
	return nil
}

// Renew implements sink.Store.
func (s *MemStore) Renew(_ context.Context, holder string, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.holder != holder {
		return fmt.Errorf("%w: %s", sink.ErrLease, s.holder)
	}
	s.until = time.Now().Add(ttl)
	return nil
}

// Load implements sink.Store.
func (s *MemStore) Load(context.Context) (sink.Checkpoint, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = s.version
	return sink.Checkpoint{Positions: s.cp.Positions, Items: maps.Clone(s.cp.Items)}, nil
}

// Save implements sink.Store.
func (s *MemStore) Save(_ context.Context, d sink.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded != s.version {
		return fmt.Errorf("save: %w", sink.ErrLease)
	}
	if s.cp.Items == nil {
		s.cp.Items = map[string][]byte{}
	}
	for k, v := range d.Items {
		if len(v) == 0 {
			delete(s.cp.Items, k)
			continue
		}
		s.cp.Items[k] = v
	}
	s.cp.Positions = d.Positions
	s.version++
	s.loaded = s.version
	s.saves++
	return nil
}

// Poison implements sink.Store.
func (s *MemStore) Poison(_ context.Context, p sink.Poisoned) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poisoned = append(s.poisoned, p)
	return nil
}

// Poisoned returns what was set aside.
func (s *Saved) Poisoned() []sink.Poisoned {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]sink.Poisoned(nil), s.poisoned...)
}

// Saves returns how often something was saved.
func (s *Saved) Saves() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

// Steal gives the lease to another holder, as if this one had been paused too long.
func (s *Saved) Steal(holder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holder, s.until = holder, time.Now().Add(time.Hour)
	s.version++
}

// Release lets the lease run out.
func (s *Saved) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until = time.Time{}
}

// RunStore holds a Store to its contract. open returns one more Store on the
// same bucket.
func RunStore(t *testing.T, open func(t *testing.T) func() sink.Store) {
	ctx := t.Context()
	pos := func(n uint64) (p sink.Positions) {
		p[3] = stream.Position{Incarnation: "i", Entry: n}
		return p
	}
	t.Run("nothing saved", func(t *testing.T) {
		s := open(t)()
		cp, err := s.Load(ctx)
		if err != nil || cp.Positions != (sink.Positions{}) || len(cp.Items) != 0 {
			t.Errorf("got %+v, %v", cp, err)
		}
	})
	t.Run("changes add up, across many and a restart", func(t *testing.T) {
		again := open(t)
		s := again()
		if _, err := s.Load(ctx); err != nil {
			t.Fatal(err)
		}
		want := map[string][]byte{}
		for i := range 150 {
			items := map[string][]byte{fmt.Sprint("k", i%40): {byte(i)}, fmt.Sprint("gone", i): {1}}
			if i > 0 {
				items[fmt.Sprint("gone", i-1)] = nil
			}
			if err := s.Save(ctx, sink.Change{Positions: pos(uint64(i + 1)), Items: items}); err != nil {
				t.Fatalf("save %d: %v", i, err)
			}
			want[fmt.Sprint("k", i%40)] = []byte{byte(i)}
			if i%50 == 49 {
				s = again()
				cp, err := s.Load(ctx)
				if err != nil || cp.Positions != pos(uint64(i+1)) || len(cp.Items) != len(want)+1 {
					t.Fatalf("after %d: %d items, want %d; positions %v; %v", i, len(cp.Items), len(want)+1, cp.Positions[3], err)
				}
				for k, v := range want {
					if string(cp.Items[k]) != string(v) {
						t.Fatalf("item %s: %v, want %v", k, cp.Items[k], v)
					}
				}
			}
		}
	})
	t.Run("large items", func(t *testing.T) {
		again := open(t)
		s := again()
		if _, err := s.Load(ctx); err != nil {
			t.Fatal(err)
		}
		big := make([]byte, 3<<20)
		for i := range big {
			big[i] = byte(i * i >> 7)
		}
		if err := s.Save(ctx, sink.Change{Positions: pos(1), Items: map[string][]byte{"big": big}}); err != nil {
			t.Fatal(err)
		}
		cp, err := again().Load(ctx)
		if err != nil || string(cp.Items["big"]) != string(big) {
			t.Errorf("got %d bytes, %v", len(cp.Items["big"]), err)
		}
	})
	t.Run("a saver that was overtaken is refused", func(t *testing.T) {
		again := open(t)
		a, b := again(), again()
		for _, s := range []sink.Store{a, b} {
			if _, err := s.Load(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Save(ctx, sink.Change{Positions: pos(5)}); err != nil {
			t.Fatal(err)
		}
		if err := b.Save(ctx, sink.Change{Positions: pos(4)}); !errors.Is(err, sink.ErrLease) {
			t.Errorf("got %v, want ErrLease", err)
		}
		if cp, err := again().Load(ctx); err != nil || cp.Positions != pos(5) {
			t.Errorf("got %v, %v", cp.Positions[3], err)
		}
	})
	t.Run("lease", func(t *testing.T) {
		again := open(t)
		a, b := again(), again()
		if err := a.Acquire(ctx, "a", time.Hour); err != nil {
			t.Fatal(err)
		}
		if err := b.Acquire(ctx, "b", time.Hour); !errors.Is(err, sink.ErrLease) {
			t.Errorf("b got %v, want ErrLease", err)
		}
		if err := a.Renew(ctx, "a", time.Nanosecond); err != nil {
			t.Fatal(err)
		}
		if err := b.Acquire(ctx, "b", time.Hour); err != nil {
			t.Errorf("b after it ran out: %v", err)
		}
		if err := a.Renew(ctx, "a", time.Hour); !errors.Is(err, sink.ErrLease) {
			t.Errorf("a got %v, want ErrLease", err)
		}
		if err := again().Acquire(ctx, "b", time.Hour); err != nil {
			t.Errorf("the holder itself after a restart: %v", err)
		}
	})
	t.Run("poison is kept", func(t *testing.T) {
		s := open(t)()
		for i := range 100 {
			if err := s.Poison(ctx, sink.Poisoned{Reason: "r", RecordID: fmt.Sprint(i)}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
