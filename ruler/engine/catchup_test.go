package engine

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// dice may be thrown by several goroutines.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func (d *dice) of(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.IntN(n)
}

// upTo is a random while, mostly none.
func (d *dice) upTo(most time.Duration) time.Duration {
	if d.of(4) > 0 {
		return 0
	}
	return time.Duration(d.of(int(most)))
}

// bursts is a log whose readers get what is in it with pauses in between.
type bursts struct {
	stream.Log
	dice *dice
	rare int // one entry in so many waits
}

func (b *bursts) Read(ctx context.Context, p int, from stream.Position, fn func(stream.Message) error) error {
	return b.Log.Read(ctx, p, from, func(m stream.Message) error {
		if b.dice.of(b.rare) == 0 {
			select {
			case <-time.After(time.Duration(b.dice.of(int(time.Second)))):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return fn(m)
	})
}

// moody is a store that is slow, and fails before or after something is in.
type moody struct {
	store.Store
	dice    *dice
	slow    time.Duration
	often   int // one call in so many fails; 0 = none
	mu      sync.Mutex
	crashes int
}

func (m *moody) fails() bool {
	if m.often == 0 || m.dice.of(m.often) > 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.crashes++
	return true
}

func (m *moody) Commit(ctx context.Context, c []store.PartitionCommit) error {
	time.Sleep(m.dice.upTo(m.slow))
	if m.fails() {
		return errCrash
	}
	if err := m.Store.Commit(ctx, c); err != nil {
		return err
	}
	time.Sleep(m.dice.upTo(m.slow))
	if m.fails() {
		return errCrash
	}
	return nil
}

func (m *moody) Claim(ctx context.Context, partition int, owner string) (store.Claim, error) {
	time.Sleep(m.dice.upTo(m.slow))
	if m.fails() {
		return store.Claim{}, errCrash
	}
	return m.Store.Claim(ctx, partition, owner)
}

func (m *moody) Facts(ctx context.Context, after uint64, limit int) ([]store.Fact, error) {
	if m.fails() {
		return nil, errCrash
	}
	return m.Store.Facts(ctx, after, limit)
}

// randomPace is tiny, huge or usual.
func randomPace(d *dice) pace {
	p := usualPace
	if d.of(3) > 0 {
		p.ahead = []int{0, 1, 2, 7, 400}[d.of(5)]
	}
	if d.of(3) > 0 {
		p.batch = []int{1, 2, 3, 8, 9, 64, 1000}[d.of(7)]
	}
	if d.of(2) > 0 {
		p.hold = []int64{0, 1, 1000, 20_000}[d.of(4)]
	}
	p.idle = []time.Duration{0, 50 * time.Millisecond, 2 * time.Second}[d.of(3)]
	p.facts = time.Hour // however slow the store is, partitions wait for each other
	return p
}

// TestChaosCatchUp has the real engine, with all its goroutines, read a random
// night: in bursts, in batches of any size, over a store that is slow and fails,
// with new rules and new starts in between. The store must hold what the driver
// makes of the same night, and nothing is called lost.
func TestChaosCatchUp(t *testing.T) {
	rules := nightlyRules(t)
	points, seed := chaos(t)
	crashes, runs, reloads := 0, 0, 0
	if _, err := unpacker().DecodeAll(packer().EncodeAll(nil, nil), nil); err != nil { // its channels are made here, outside the bubbles
		t.Fatal(err)
	}
	for runs < max(1, points/100) {
		w := randomNight(t, seed)
		model := openStore(t)
		newDriver(t, w.log, model, rules...).must()
		want := dump(t, model)
		for again := range uint64(rounds(3, 1)) {
			synctest.Test(t, func(t *testing.T) {
				c, r := catchUp(t, w, want, rules, seed, again)
				crashes, reloads = crashes+c, reloads+r
			})
			if t.Failed() {
				t.FailNow()
			}
			runs++
		}
		seed++
	}
	t.Logf("%d crashes, %d new sets of rules in %d runs", crashes, reloads, runs)
}

// copied returns a log with the same entries, of the same bubble as its readers.
func copied(t *testing.T, w *world) *streamtest.Log {
	t.Helper()
	out := streamtest.New(t0)
	for p := range stream.Partitions {
		head, err := w.log.Head(ctx, p)
		if err != nil || head.Entry == 0 {
			t.Fatalf("partition %d is empty, or %v", p, err)
		}
		err = w.log.Read(ctx, p, stream.Position{}, func(m stream.Message) error {
			out.SetTime(m.Time)
			if _, err := out.Append(ctx, p, m.Data); err != nil || m.Position == head {
				return cmp.Or(err, errCaughtUp)
			}
			return nil
		})
		if !errors.Is(err, errCaughtUp) {
			t.Fatal(err)
		}
	}
	return out
}

func catchUp(t *testing.T, w *world, want string, rules []*rule.Rule, seed, run uint64) (crashes, reloads int) {
	d := &dice{r: rand.New(rand.NewPCG(seed, 7+run))}
	inner := openStore(t)
	s := &moody{Store: inner, dice: d, slow: []time.Duration{1, time.Second, 8 * time.Second}[d.of(3)], often: []int{20, 4, 0}[run%3]}
	log := &bursts{copied(t, w), d, 1 + d.of(200)}
	through := func() bool { // what the last tick found waits for the next one
		facts, err := inner.Facts(ctx, 0, factsMost)
		return err == nil && !slices.ContainsFunc(facts, func(f store.Fact) bool { return f.At.Before(w.now) }) && atHead(t, inner, log)
	}
	began := time.Now()
	generation := uint64(1)
	for !through() {
		e, err := New(Config{Log: log, Store: s, Rules: rules, Generation: generation, Owner: "test", Now: func() time.Time { return w.now.Add(time.Since(began)) }})
		if err != nil {
			t.Fatal(err)
		}
		e.pace = randomPace(d)
		alive, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- e.Run(alive) }()
		for life := 1 + d.of(60); life > 0 && !through(); life-- {
			time.Sleep(time.Duration(d.of(int(2 * time.Second))))
			if d.of(6) == 0 {
				generation++
				reloads++
				if err := e.Reload(Generation{Number: generation, Rules: rules}); err != nil {
					t.Fatal(err)
				}
			}
		}
		stop()
		if err := <-done; err != nil && !errors.Is(err, errCrash) {
			t.Fatalf("seed %d, run %d: %v", seed, run, err)
		}
		if time.Since(began) > 6*time.Hour {
			t.Fatalf("seed %d, run %d: not through after %s", seed, run, time.Since(began))
		}
	}
	if got := dump(t, inner); got != want {
		t.Fatalf("seed %d, run %d, %d crashes:\n%s", seed, run, s.crashes, difference(want, got))
	}
	p, err := inner.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p.Partitions {
		if v.Losses.LogTruncated != 0 || v.Losses.VolumeLost != 0 {
			t.Fatalf("seed %d, run %d: partition %d lost %+v", seed, run, v.Partition, v.Losses)
		}
	}
	return s.crashes, reloads
}
