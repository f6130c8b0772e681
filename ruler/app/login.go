package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"nocturne/ruler/api"
	"nocturne/ruler/store"
)

// exposed tells whether others than this machine reach the listener.
func (a *App) exposed() bool {
	at, err := netip.ParseAddrPort(a.Addr())
	return err != nil || !at.Addr().Unmap().IsLoopback()
}

// firstAdmin prints the link that makes the first admin, at every start as long as
// a login is required and nobody has a password. The one before ends.
func (a *App) firstAdmin(ctx context.Context) error {
	cfg := a.cfg.API
	cfg.Exposed = a.exposed()
	if !cfg.LoginRequired() {
		return nil
	}
	if cfg.Exposed && a.shown == nil {
		a.log.Warn("others reach the page and the API without TLS (tls.plain): passwords and tokens can be read on the way", "address", a.Addr())
	}
	now := time.Now()
	l, path := api.NewLink("", now)
	err := a.store.AddLink(ctx, l, store.AuditEntry{At: now, Actor: "ruler", Action: "user.link", Detail: []byte(`{"for":"the first admin"}`)})
	switch {
	case errors.Is(err, store.ErrConflict):
		return nil // somebody can log in
	case err != nil:
		return fmt.Errorf("make the first admin's link: %w", err)
	}
	a.log.Warn("nobody can log in yet: whoever opens this link first is admin; it works once", "link", a.cfg.PageURL()+path, "until", l.Expires.Format(time.RFC3339))
	return nil
}
