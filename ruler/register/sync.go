package register

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"time"

	"nocturne/ruler/store"
)

// Syncer carries the register to the bridge, from where everybody learns of it: the
// labels to the servers that it means, those that were there already and those that
// enrol later; and which servers are expected and nobody has heard of yet.
type Syncer struct {
	Store  Store
	Bridge Bridge
	Log    *slog.Logger
	// Every is how often it looks; 0 = 30 s.
	Every time.Duration
}

// Store is what a Syncer needs.
type Store interface {
	store.Register
	Audit(ctx context.Context, e store.AuditEntry) error
}

const (
	syncEvery = 30 * time.Second
	syncMost  = 500 // servers at a time
	actor     = "register"
)

// Run looks until ctx ends.
func (s *Syncer) Run(ctx context.Context) error {
	tick := time.NewTicker(cmp.Or(s.Every, syncEvery))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if n, err := s.Sync(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("labels of the register not carried over, trying again", "servers", n, "err", err)
		}
		if err := s.Expect(ctx); err != nil && ctx.Err() == nil {
			s.Log.Warn("expected servers of the register not carried over, trying again", "err", err)
		}
	}
}

// Sync looks once and says how many servers got other labels.
func (s *Syncer) Sync(ctx context.Context) (int, error) {
	page, err := s.Store.Register(ctx, store.RegisterQuery{Drift: true, Limit: syncMost})
	if err != nil {
		return 0, err
	}
	var errs []error
	n := 0
	for i := range page.Entries {
		e := &page.Entries[i]
		was := LabelsOf(&e.Server)
		to := was.With(e)
		switch err := s.Bridge.SetLabels(ctx, e.Server.ID, to, was, actor); {
		case errors.Is(err, ErrChanged):
			continue // the store has not heard of a change yet
		case err != nil:
			var refused *Refused
			if !errors.As(err, &refused) {
				return n, err // the bridge is away: so it will be for the next one
			}
			errs = append(errs, err)
			continue
		}
		n++
		errs = append(errs, s.Store.Audit(ctx, Entry(time.Now(), actor, e.Server.ID.String(), was, to)))
	}
	return n, errors.Join(errs...)
}

// Expect looks once: entries that mean no server are expected, and those that are
// in the register no more are not.
func (s *Syncer) Expect(ctx context.Context) error {
	standing, err := s.Bridge.Expected(ctx)
	if err != nil {
		return err
	}
	names := make([]string, 0, len(standing))
	for _, x := range standing {
		names = append(names, x.Name)
	}
	entries := map[string]*store.RegisterEntry{}
	if len(names) > 0 {
		page, err := s.Store.Register(ctx, store.RegisterQuery{Names: names, Limit: MaxLines})
		if err != nil {
			return err
		}
		for i := range page.Entries {
			entries[strings.ToLower(page.Entries[i].Name)] = &page.Entries[i]
		}
	}
	for _, x := range standing {
		e := entries[strings.ToLower(x.Name)]
		if e == nil || e.Server.ID != x.ID && !e.Server.LastSeen.IsZero() { // or it came under another name
			if err := s.Bridge.Decommission(ctx, x.ID, actor); err != nil {
				return err
			}
		}
	}
	missing := true
	page, err := s.Store.Register(ctx, store.RegisterQuery{Missing: &missing, Limit: MaxLines})
	if err != nil {
		return err
	}
	said := 0
	for i := range page.Entries {
		e := &page.Entries[i]
		if !e.Server.ID.IsZero() || entries[strings.ToLower(e.Name)] != nil {
			continue
		}
		if err := s.Bridge.Expect(ctx, e.Name, Labels{}.With(e), e.Created, actor); err != nil {
			return err
		}
		if said++; said == syncMost {
			return nil // the rest next time
		}
	}
	return nil
}

// LabelsOf are the labels of a server.
func LabelsOf(s *store.Server) Labels { return Labels{s.Site, s.Rack, s.Role, s.Owner} }

// With lays what an entry says over labels.
func (l Labels) With(e *store.RegisterEntry) Labels {
	return Labels{cmp.Or(e.Site, l.Site), cmp.Or(e.Rack, l.Rack), cmp.Or(e.Role, l.Role), cmp.Or(e.Owner, l.Owner)}
}

// Entry is a change of labels in the audit log.
func Entry(at time.Time, who, server string, was, to Labels) store.AuditEntry {
	detail := map[string]string{}
	for _, f := range [...]struct{ name, was, to string }{{"site", was.Site, to.Site}, {"rack", was.Rack, to.Rack}, {"role", was.Role, to.Role}, {"owner", was.Owner, to.Owner}} {
		if f.was != f.to {
			detail[f.name] = f.was + " → " + f.to
		}
	}
	raw, err := json.Marshal(detail)
	if err != nil {
		raw = nil // texts always marshal
	}
	return store.AuditEntry{At: at.UTC(), Actor: who, Action: "server.labels", Subject: server, Detail: raw}
}
