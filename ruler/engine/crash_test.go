package engine

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/store"
)

// errCrash is what a crashing store answers; the caller cannot know whether the
// commit is in.
var errCrash = errors.New("crash")

// crashing fails commits before or after they are in, as fail says.
type crashing struct {
	store.Store
	fail    func() (before, after bool)
	crashes int
}

func (c *crashing) Commit(ctx context.Context, commits []store.PartitionCommit) error {
	before, after := c.fail()
	if before {
		c.crashes++
		return errCrash
	}
	if err := c.Store.Commit(ctx, commits); err != nil {
		return err
	}
	if after {
		c.crashes++
		return errCrash
	}
	return nil
}

// busyNight is everything at once: a drive fails and is replaced, a server falls
// silent and comes back, another says goodbye, a rack falls silent, a disk was
// cloned, frames arrive twice, late and torn, one is declared lost.
func busyNight(t testing.TB) *world {
	w := newWorld(t)
	for i := range 12 {
		w.add(i+1, fmt.Sprintf("srv%02d", i+1), "fra", fmt.Sprintf("r%d", i/4))
	}
	a, b, c, d := w.sims[0], w.sims[1], w.sims[2], w.sims[3]
	var clone *sim
	var kept []byte
	w.run(4*time.Minute, func(second int) {
		switch second {
		case 20:
			a.raid([3]string{"c0/e252/s0", "S0", "Onln"}, [3]string{"c0/e252/s1", "S1", "Onln"})
			kept = d.beat()
		case 31:
			a.raid([3]string{"c0/e252/s0", "S0", "Onln"}, [3]string{"c0/e252/s1", "", "Failed"})
			b.event("disk", 7)
			b.event("disk", 7)
			d.deliver(kept) // once more
		case 40:
			b.silent = true
			c.bye()
		case 45:
			clone = &sim{w: w, id: d.id, name: d.name, site: d.site, rack: d.rack, machine: d.machine, board: "other", epoch: d.epoch}
			clone.start()
			w.sims = append(w.sims, clone)
		case 50:
			d.deliver(kept[:len(kept)-3]) // torn
			h := record.Header{Kind: record.FrameGap, Producer: record.ExporterProducer(a.id), Subject: a.id, Category: record.EventLog, Epoch: a.epoch, First: a.seq[record.EventLog] + 1, Last: a.seq[record.EventLog] + 5, Reason: record.GapOverflow}
			f, err := record.EncodeBare(h)
			if err != nil {
				t.Fatal(err)
			}
			a.seq[record.EventLog] += 5
			a.deliver(f)
			a.seq[record.EventLog]++ // never arrives
			a.event("disk", 11)
		case 90:
			a.raid([3]string{"c0/e252/s0", "S0", "Onln"}, [3]string{"c0/e252/s1", "S9", "Onln"})
		case 100:
			b.silent, c.silent = false, false
			c.start()
			for _, s := range w.sims[4:8] {
				s.silent = true
			}
		case 180:
			for _, s := range w.sims[4:8] {
				s.silent = false
			}
		}
	})
	return w
}

func reference(t testing.TB, w *world) string {
	s := openStore(t)
	newDriver(t, w.log, s).must()
	return dump(t, s)
}

func TestBusyNight(t *testing.T) {
	w := busyNight(t)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	got := strings.Join(told(t, s), "\n")
	for _, want := range []string{"srv01 drive physical_drive c0/e252/s1 resolved", "srv02 silence resolved", "rack r1 at fra", "srv05 silence resolved folded", "identity"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "held") || strings.Contains(got, "srv03 silence") {
		t.Errorf("held, or false, in\n%s", got)
	}
	p, err := s.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if l := p.Ledger; l.Duplicate != 1 || l.Declared != 5 || l.Missing != 1 || l.Rejected != 1 {
		t.Errorf("ledger %+v", l)
	}
}

// A crash at any commit, before or after it is in, changes nothing in the end.
func TestCrashAtEveryCommit(t *testing.T) {
	crashAtEveryCommit(t, busyNight(t), 97)
}

// crashAtEveryCommit plays a log in one piece and in batches, with a crash at
// one commit after the other.
func crashAtEveryCommit(t *testing.T, w *world, batches int) {
	t.Helper()
	want := reference(t, w)
	for _, batch := range []int{0, batches} {
		for at := 0; ; at++ {
			inner := openStore(t)
			n := -1
			s := &crashing{Store: inner, fail: func() (bool, bool) { n++; return n == at, n == at+1 && at%2 == 0 }}
			d := newDriver(t, w.log, s)
			d.batch = batch
			for d.catchUp() != nil {
				d.crash()
			}
			if got := dump(t, inner); got != want {
				t.Fatalf("batch %d, crash at commit %d:\n%s", batch, at, difference(want, got))
			}
			if s.crashes == 0 {
				break // past the last commit
			}
			if at += batch / 10; at > rounds(math.MaxInt, 5) {
				break
			}
		}
	}
}

// rounds is how often something is tried by one goroutine, and how often under
// the race detector (-short), which takes seven times as long and finds nothing
// in it.
func rounds(whole, short int) int {
	if testing.Short() {
		return short
	}
	return whole
}

// untilCalm catches up in random batches of at most batch: mostly one partition, and
// spare times in 16 + spare all of them. It starts over after a crash and
// ends after so many rounds without one.
func (d *driver) untilCalm(r *rand.Rand, batch, spare, rounds int) {
	for calm := 0; calm < rounds; {
		d.batch = 1 + r.IntN(batch)
		if n := r.IntN(stream.Partitions + spare); n < stream.Partitions {
			if d.catchUpPart(n) != nil { // one partition runs ahead
				d.crash()
			}
			continue
		}
		if d.catchUp() != nil {
			d.crash()
			continue
		}
		calm++
	}
}

// Random batches, random crashes, while the log grows.
func TestCrashAtRandom(t *testing.T) {
	w := busyNight(t)
	want := reference(t, w)
	for seed := range uint64(rounds(12, 2)) {
		r := rand.New(rand.NewPCG(seed, 1))
		inner := openStore(t)
		s := &crashing{Store: inner, fail: func() (bool, bool) { return r.IntN(9) == 0, r.IntN(9) == 0 }}
		d := newDriver(t, w.log, s)
		d.untilCalm(r, 120, 4, 3)
		if got := dump(t, inner); got != want {
			t.Fatalf("seed %d, %d crashes:\n%s", seed, s.crashes, difference(want, got))
		}
		if s.crashes < 3 {
			t.Errorf("seed %d crashed %d times only", seed, s.crashes)
		}
	}
}

// What is computed live, second by second, is what a replay computes.
func TestReplayEqualsLive(t *testing.T) {
	live := openStore(t)
	var d *driver
	w := newWorld(t)
	for i := range 6 {
		w.add(i+1, fmt.Sprintf("srv%02d", i+1), "fra", fmt.Sprintf("r%d", i/3))
	}
	d = newDriver(t, w.log, live)
	w.run(150*time.Second, func(second int) {
		switch second {
		case 20:
			w.sims[0].raid([3]string{"c0/e252/s0", "S0", "Failed"})
		case 50:
			w.sims[1].silent = true
		case 110:
			w.sims[1].silent = false
		}
		d.must()
	})
	if want, got := dump(t, live), reference(t, w); got != want {
		t.Fatalf("replay differs:\n%s", difference(want, got))
	}
}

// Folding state into a base at any time changes nothing.
func TestFoldedStateIsTheSame(t *testing.T) {
	w := busyNight(t)
	want := reference(t, w)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.batch, d.fold = 40, 2
	for range stream.Partitions {
		d.crash()
		d.must()
	}
	c, err := s.Claim(ctx, stream.Partition(w.sims[0].id), "look")
	if err != nil || c.Base == nil || len(c.Deltas) > 1 {
		t.Fatalf("not folded: base of %d bytes, %d deltas, %v", len(c.Base), len(c.Deltas), err)
	}
	if got := dump(t, s); got != want {
		t.Fatalf("differs:\n%s", difference(want, got))
	}
}
