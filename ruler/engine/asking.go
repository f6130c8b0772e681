package engine

import (
	"context"
	"fmt"
	"sync"

	"nocturne/ruler/probe"
)

// answered is what one machine, or several, said.
type answered []struct {
	ask  ask
	said probe.Answer
}

// ask asks machines, beside everything else. Each answers in bounded time, and
// what waits for it is in the state: should the process end meanwhile, the next
// one asks again.
func (r *fleetRunner) ask(ctx context.Context, asks []ask) {
	if len(asks) == 0 {
		return
	}
	answers := r.answers
	go func() {
		out := make(answered, len(asks))
		var wg sync.WaitGroup
		for i, a := range asks {
			out[i].ask = a
			wg.Go(func() { out[i].said = r.engine.askMachine(ctx, a) })
		}
		wg.Wait()
		select {
		case answers <- out:
		case <-ctx.Done():
		}
	}()
}

// askMachine finds out whether a machine answers, unless its address names
// another one too.
func (e *Engine) askMachine(ctx context.Context, a ask) probe.Answer {
	if a.simulated {
		return probe.Not("a simulated server")
	}
	if a.address != "" {
		n, err := e.cfg.Store.Sharing(ctx, a.address)
		switch {
		case err != nil:
			e.cfg.Logger.Warn("count servers at an address", "err", err)
		case n > 1:
			return probe.Not(fmt.Sprintf("%d servers connect from %s: a proxy, or translated addresses", n, a.address))
		}
	}
	return e.cfg.Probe(ctx, a.address)
}

// answered lets go what waited for the answers.
func (r *fleetRunner) answered(ctx context.Context, all answered) error {
	var o outcome
	at := r.engine.through()
	for _, a := range all {
		r.fleet.answer(a.ask, a.said, at, &o)
	}
	if len(o.folds) == 0 {
		return nil
	}
	return r.commit(ctx, &o, nil, at)
}

// holds tells whether a fold's notification waits for answers.
func (f *fleet) holds(notification string) bool {
	for _, d := range f.Folds {
		if d.Notification.ID == notification {
			return d.Asking > 0
		}
	}
	return false
}
