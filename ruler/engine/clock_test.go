package engine

import (
	"strings"
	"testing"
	"time"

	"nocturne/internal/stream"
	"nocturne/ruler/store"
)

// tickAll appends a second of ticks without heartbeats.
func (w *world) quiet(d time.Duration) {
	for range int(d / time.Second) {
		w.tick()
	}
}

func fleet12(t *testing.T) *world {
	w := newWorld(t)
	for i := range 12 {
		w.add(i+1, "srv"+string(rune('a'+i)), "fra", "r"+string(rune('a'+i)))
	}
	w.run(7 * time.Minute) // long enough to know the inflow
	return w
}

// The ruler was down for ten minutes: ticks and heartbeats are both in the log.
func TestRulerDownMakesNobodySilent(t *testing.T) {
	w := fleet12(t)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	d.crash()
	w.run(10 * time.Minute)
	d.must()
	if got := told(t, s); len(got) != 0 {
		t.Errorf("notifications %q", got)
	}
}

// The bridge was down for ten minutes: the clock stood still, and exporters
// that wait a while before they try again are not silent.
func TestBridgeDownMakesNobodySilent(t *testing.T) {
	w := fleet12(t)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	before := d.parts[0].clock.now
	w.down = true
	w.run(10 * time.Minute)
	d.must()
	if moved := d.parts[0].clock.now - before; moved != 0 {
		t.Errorf("the clock moved %s while there was no bridge", time.Duration(moved))
	}
	w.down = false
	w.quiet(45 * time.Second) // back-off of the exporters
	for _, v := range w.sims {
		v.flush()
	}
	w.run(time.Minute)
	d.must()
	if got := told(t, s); len(got) != 0 {
		t.Errorf("notifications %q", got)
	}
	// From then on silence is seen as before.
	w.sims[3].silent = true
	w.run(2 * time.Minute)
	d.must()
	if got := told(t, s); len(got) != 1 || !strings.Contains(got[0], "srvd silence firing") {
		t.Errorf("notifications %q", got)
	}
	// And its time is shown in the stream's time, not in the clock that stood still.
	n, err := s.Notifications(ctx, store.NotificationQuery{})
	if err != nil {
		t.Fatal(err)
	}
	if at := n.Notifications[0].Opened; at.After(w.now) || w.now.Sub(at) > 2*time.Minute {
		t.Errorf("opened %s, now %s", at, w.now)
	}
}

// An expired certificate: the bridge ticks, but says that its probe fails.
func TestFailedProbeFreezesTheClock(t *testing.T) {
	w := fleet12(t)
	w.probe = false
	for _, v := range w.sims {
		v.silent = true
	}
	w.run(10 * time.Minute)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	if got := told(t, s); len(got) != 0 {
		t.Errorf("notifications %q", got)
	}
	p, err := s.Pipeline(ctx)
	if err != nil || p.Partitions[0].Frozen != frozenProbe {
		t.Errorf("frozen %q %v", p.Partitions[0].Frozen, err)
	}
}

// All inflow stops though the bridge is well: it is about the network, not
// about twelve servers.
func TestStoppedInflowFreezesTheClock(t *testing.T) {
	w := fleet12(t)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must() // tells the partitions how many servers there are
	w.run(5 * time.Second)
	d.must()
	for _, v := range w.sims {
		v.silent = true
	}
	w.run(10 * time.Minute)
	d.must()
	if got := told(t, s); len(got) != 0 {
		t.Errorf("notifications %q", got)
	}
	if f := d.parts[3].clock.frozen; f != frozenInflow {
		t.Errorf("frozen %q", f)
	}
	for _, v := range w.sims {
		v.silent = false
	}
	w.run(3 * time.Minute)
	d.must()
	if got := told(t, s); len(got) != 0 || d.parts[3].clock.frozen != "" {
		t.Errorf("notifications %q, frozen %q", got, d.parts[3].clock.frozen)
	}
}

// Nor for a ruler that lost its store and reads all of it again, before anybody
// counted servers.
func TestStoppedInflowFreezesTheClockOfAReplay(t *testing.T) {
	w := fleet12(t)
	for _, v := range w.sims {
		v.silent = true
	}
	w.run(10 * time.Minute)
	for _, v := range w.sims {
		v.silent = false
	}
	w.run(3 * time.Minute)
	s := openStore(t)
	e, err := New(Config{Log: w.log, Store: s, Rules: testRules(t), Owner: "test"})
	if err != nil {
		t.Fatal(err)
	}
	d := &driver{t: t, log: w.log, store: s, engine: e}
	e.count(ctx)
	if n := e.servers.Load(); n != -1 {
		t.Errorf("an empty store has %d servers", n)
	}
	d.must()
	if got := told(t, s); len(got) != 0 {
		t.Errorf("notifications %q", got)
	}
	e.count(ctx)
	if n := e.servers.Load(); n != 12 {
		t.Errorf("%d servers, want 12", n)
	}
}

// A tick cannot move the clock by more than two of its periods.
func TestTicksMoveTheClockByTwoPeriods(t *testing.T) {
	c := newClock()
	at := t0
	step := func(d time.Duration) time.Duration {
		at = at.Add(d)
		c.advance(at)
		before := c.now
		c.tick("b1", stream.Tick{Period: time.Second, ProbeOK: true, Accepted: 1})
		return time.Duration(c.now - before)
	}
	step(0)
	for _, x := range []struct{ gap, want time.Duration }{{time.Second, time.Second}, {1500 * time.Millisecond, 1500 * time.Millisecond}, {2 * time.Second, 2 * time.Second}} {
		if got := step(x.gap); got != x.want {
			t.Errorf("after %s the clock moved %s, want %s", x.gap, got, x.want)
		}
	}
	if got := step(time.Hour); got != 0 {
		t.Errorf("after an hour the clock moved %s, want none: servers get time to come back", got)
	}
	var moved time.Duration
	for range 120 {
		moved += step(time.Second)
	}
	if moved < 50*time.Second || moved > 65*time.Second {
		t.Errorf("moved %s in the two minutes after, want one minute of grace", moved)
	}
	// A busy machine that ticks late slows the clock and does not stop it.
	moved = 0
	for range 20 {
		moved += step(4 * time.Second)
	}
	if moved != 40*time.Second {
		t.Errorf("with late ticks the clock moved %s, want two periods a tick", moved)
	}
	c.advance(at.Add(-clockSlack))
	if c.stream != at.UnixNano() {
		t.Error("stream time went back")
	}
}

// Two bridges tick one clock, not twice as fast; and one that dies does not
// freeze the servers of the other.
func TestTwoBridges(t *testing.T) {
	c := newClock()
	at := t0
	both := true
	for i := range 400 {
		at = at.Add(500 * time.Millisecond)
		c.advance(at)
		c.bridge("b1").used, c.bridge("b2").used = c.stream, c.stream
		if i%2 == 0 {
			c.tick("b1", stream.Tick{Period: time.Second, ProbeOK: true, Accepted: 1})
		} else if both {
			c.tick("b2", stream.Tick{Period: time.Second, ProbeOK: true, Accepted: 1})
		}
		if i == 200 {
			both = false
		}
	}
	if lag := time.Duration(c.stream - c.now); lag > 2*time.Second {
		t.Errorf("the clock is %s behind", lag)
	}
}

// One of two bridges dies: servers that used it are left out until it is back;
// the others are judged as ever.
func TestOneOfTwoBridgesDies(t *testing.T) {
	w := newWorld(t)
	w.bridges = []string{"b1", "b2"}
	for i := range 12 {
		s := w.add(i+1, "srv"+string(rune('a'+i)), "fra", "r"+string(rune('a'+i)))
		if i >= 8 {
			s.via = "b2"
		}
	}
	w.run(5 * time.Minute)
	w.dead["b2"] = true
	w.run(5 * time.Minute)
	w.sims[2].silent = true
	w.run(5 * time.Minute)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	if got := told(t, s); len(got) != 1 || !strings.Contains(got[0], "srvc silence firing") {
		t.Fatalf("notifications %q", got)
	}
	if got := d.parts[stream.Partition(w.sims[9].id)].clock.trouble(); got != "bridge b2: "+frozenGone {
		t.Errorf("trouble %q", got)
	}
	d.crash() // what is held is in the store
	// It comes back; one of its servers does not.
	delete(w.dead, "b2")
	w.sims[10].silent = true
	w.quiet(20 * time.Second)
	for _, v := range w.sims[8:] {
		if !v.silent {
			v.flush()
		}
	}
	w.run(30 * time.Second)
	d.must()
	if got := told(t, s); len(got) != 1 {
		t.Errorf("soon after: %q", got)
	}
	w.run(time.Minute)
	d.must()
	if got := told(t, s); len(got) != 2 || !strings.Contains(got[1], "srvk silence firing") {
		t.Errorf("after its time: %q", got)
	}
	w.sims[10].silent, w.sims[10].spool = false, nil
	w.run(30 * time.Second)
	d.must()
	if got := told(t, s); !strings.Contains(got[1], "srvk silence resolved") {
		t.Errorf("when it is back: %q", got)
	}
}

// The machine of the stream came up with its clock ahead, and was set right:
// the time of before must not be waited for until silence is seen again.
func TestStreamClockIsSetRight(t *testing.T) {
	for name, ahead := range map[string]time.Duration{"for a moment": 3 * time.Second, "for long": 3 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			w := fleet12(t)
			w.now = w.now.Add(2 * time.Hour)
			w.run(ahead)
			w.now = w.now.Add(-2 * time.Hour)
			w.run(time.Minute)
			s := openStore(t)
			d := newDriver(t, w.log, s)
			d.must()
			if got := told(t, s); len(got) != 0 {
				t.Errorf("notifications %q", got)
			}
			d.crash() // what was corrected is in the store
			w.sims[3].silent = true
			w.run(90 * time.Second)
			d.must()
			if got := told(t, s); len(got) != 1 || !strings.Contains(got[0], "srvd silence firing") {
				t.Errorf("notifications %q", got)
			}
			w.sims[3].silent = false
			w.run(90 * time.Second)
			d.must()
			if got := told(t, s); len(got) != 1 || !strings.Contains(got[0], "srvd silence resolved") {
				t.Errorf("notifications %q", got)
			}
			v, err := s.Server(ctx, w.sims[0].id)
			if err != nil || v.LastSeen.After(w.now) || w.now.Sub(v.LastSeen) > 2*time.Minute {
				t.Errorf("last seen %s, now %s, %v", v.LastSeen, w.now, err)
			}
		})
	}
}

// A bridge was replaced by another one, and a server died with it: the new
// bridge judges it once the old one is none of those that it used of late.
func TestServerOfABridgeThatIsNoMore(t *testing.T) {
	w := newWorld(t)
	w.bridges = []string{"old"}
	for i := range 12 {
		w.add(i+1, "srv"+string(rune('a'+i)), "fra", "r"+string(rune('a'+i))).via = "old"
	}
	w.run(5 * time.Minute)
	w.bridges, w.sims[10].silent = []string{"new"}, true
	for _, v := range w.sims {
		v.via = "new"
	}
	w.run(5 * time.Minute)
	s := openStore(t)
	d := newDriver(t, w.log, s)
	d.must()
	if got := told(t, s); len(got) != 0 {
		t.Fatalf("judged by a bridge that it did not use: %q", got)
	}
	c := &d.parts[stream.Partition(w.sims[10].id)].clock
	for _, b := range c.bridges {
		b.used -= int64(bridgeMemory)
	}
	for range 2 { // the memory of who used which is turned over twice a day
		c.turned = 0
		w.run(time.Minute)
		d.must()
	}
	w.run(time.Minute)
	d.must()
	if got := told(t, s); len(got) != 1 || !strings.Contains(got[0], "srvk silence firing") {
		t.Errorf("a day later: %q", got)
	}
}
