package engine

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nocturne/ruler/store"
)

// refusing is a store on a disk that is full.
type refusing struct{ store.Store }

func (refusing) Claim(context.Context, int, string) (store.Claim, error) {
	return store.Claim{}, errors.New("disk is full")
}

// What cannot be stored nobody is told of, so the ruler has to say that.
func TestStuckRulerSaysSo(t *testing.T) {
	w := newWorld(t)
	s := &watched{refusing{openStore(t)}, make(chan struct{}, 1)}
	var passed atomic.Int64
	r := start(t, Config{Log: w.log, Store: s, Now: func() time.Time { return t0.Add(time.Duration(passed.Load())) }})
	failing := func() bool {
		for i := range r.engine.health {
			h := &r.engine.health[i]
			h.mu.Lock()
			yes := !h.failing.IsZero()
			h.mu.Unlock()
			if !yes {
				return false
			}
		}
		return true
	}
	s.until(t, "all fail", failing)
	if why := r.engine.Stuck(); why != "" {
		t.Errorf("at once: %s", why)
	}
	passed.Store(int64(stuckAfter))
	if why := r.engine.Stuck(); !strings.Contains(why, "17 of 17 parts") || !strings.HasSuffix(why, "disk is full") {
		t.Errorf("minutes later: %q", why)
	}
	r.end(t)
}

func TestHealth(t *testing.T) {
	full := errors.New("disk is full")
	at := func(s int) time.Time { return t0.Add(time.Duration(s) * time.Second) }
	stuck := func(h *health, s int) bool { _, why := h.stuck(at(s)); return why != "" }

	var h health
	h.ask(at(0))
	if stuck(&h, 119) || !stuck(&h, 120) {
		t.Error("a store that does not answer")
	}
	h.claim(at(121))
	if stuck(&h, 1000) {
		t.Error("it answered, and nothing is to be written")
	}
	h = health{}
	for s := range 200 { // every claim is well, every commit fails
		h.ask(at(s))
		h.claim(at(s))
		h.ask(at(s))
		h.commit(full)
		h.fail(at(s), full)
		if got := stuck(&h, s); got != (s >= 120) {
			t.Fatalf("after %d s of failing: stuck %v", s, got)
		}
	}
	h.claim(at(200))
	if !stuck(&h, 229) || stuck(&h, 230) {
		t.Error("a claim that lasts is recovery")
	}
	h.fail(at(300), full)
	if stuck(&h, 301) || !stuck(&h, 420) {
		t.Error("a new failure begins anew")
	}
	h.commit(nil)
	if stuck(&h, 1000) {
		t.Error("a commit is recovery")
	}
}
