package metricrule

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

const everySecond = `groups:
  - name: quick
    interval: 1s
    rules:
      - {alert: Quick, expr: quick, labels: {severity: warning}, annotations: {summary: "x", runbook_url: "a#b"}}
`

// A clock that is set back stops no rule: they are asked again within an
// interval, not when the clock is where it was.
func TestClockSetBack(t *testing.T) {
	r := newRig(t, everySecond)
	var back atomic.Int64
	r.e.opts.Now = func() time.Time { return time.Now().Add(-time.Duration(back.Load())) }
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	found := make(chan finding)
	for _, g := range r.e.groups {
		go func() { _ = r.e.drive(ctx, g, found) }()
	}
	<-found
	back.Store(int64(time.Hour))
	late := time.NewTimer(time.Minute)
	defer late.Stop()
	for range 2 {
		select {
		case f := <-found:
			if ahead := f.at.Sub(time.Now().Add(-time.Hour)); ahead <= time.Second {
				return
			}
		case <-late.C:
			t.Fatal("not asked within a minute")
		}
	}
	t.Error("asked for times that are ahead of the clock")
}

// What was found under rules that are no more says nothing of those that stand
// at their places now.
func TestHealthOfTheNeighbour(t *testing.T) {
	r := newRig(t, disks)
	r.pack = packOf(t, everySecond)
	if err := r.e.Reload(r.pack); err != nil {
		t.Fatal(err)
	}
	for _, g := range r.e.groups { // of the rules before: the evaluation was on its way
		r.e.evaluate(t.Context(), g, r.now)
	}
	if n := len(r.e.health); n > 0 {
		t.Errorf("health of %d rules that are no more was kept: %v", n, r.e.health)
	}
	var err error
	if r.e.groups, err = r.e.build(t.Context(), r.pack, r.e.groups); err != nil {
		t.Fatal(err)
	}
	for _, g := range r.e.groups {
		r.e.evaluate(t.Context(), g, r.now)
	}
	if n := len(r.e.health); n != 1 {
		t.Errorf("health of %d rules, want one", n)
	}
}
