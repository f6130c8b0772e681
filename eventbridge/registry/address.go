package registry

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"nocturne/internal/record"
)

// moveEvery bounds how often another address of one server is stated: behind a
// pool of translated addresses every connection may have another one.
const moveEvery = time.Hour

// placed reads the address of a connection. What names no machine beyond this
// one, or none for certain, is not known.
func placed(remote string) netip.Addr {
	p, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	a := p.Addr().Unmap().WithZone("")
	if !a.IsGlobalUnicast() { // loopback, link-local, multicast, unspecified
		return netip.Addr{}
	}
	return a
}

// moved states the servers that connect from elsewhere now: the ruler folds
// silences by subnet and looks whether a silent machine still answers.
func (r *Registry) moved(ctx context.Context) {
	var g errgroup.Group
	g.SetLimit(announcers)
	r.mu.RLock()
	var moved []*entry
	for _, e := range r.servers {
		if e.address.Load() != nil {
			moved = append(moved, e)
		}
	}
	r.mu.RUnlock()
	for _, e := range moved {
		s, to := e.server.Load(), e.address.Load()
		if ctx.Err() != nil {
			break
		}
		if r.now().Sub(s.Moved) < moveEvery && *to != s.Address {
			continue // next time
		}
		e.address.CompareAndSwap(to, nil)
		g.Go(func() error {
			return r.change(ctx, s.ID, func(s *Server) error { return s.move(r.bridge, *to, r.now()) })
		})
	}
	if err := g.Wait(); err != nil && ctx.Err() == nil {
		r.log.Warn("addresses of some servers could not be noted, trying again at their next connection", "err", err)
	}
}

func (s *Server) move(bridge string, to netip.Addr, now time.Time) error {
	if s.Address == to || s.State != Active {
		return errUnchanged
	}
	changed := s.Changed // by people
	s.Address, s.Moved = to, now.UTC()
	s.promise(bridge, record.NameLabels, "connects from "+to.String(), now)
	s.Changed = changed
	return nil
}
