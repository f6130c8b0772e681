package registry

import (
	"context"
	"errors"
	"fmt"

	"nocturne/internal/record"
)

// errUnchanged is what a mutation returns when there is nothing to change.
var errUnchanged = errors.New("unchanged")

// change updates a server and answers when the stream knows of it.
func (r *Registry) change(ctx context.Context, id record.ID, mutate func(*Server) error) error {
	if _, err := r.update(ctx, id, mutate); err != nil && !errors.Is(err, errUnchanged) {
		return err
	}
	return r.announce(ctx, id)
}

// Revoke refuses every credential of a server from now on. It may enrol again.
func (r *Registry) Revoke(ctx context.Context, id record.ID, by string) (*Server, error) {
	return r.administer(ctx, id, "revoked", by, func(s *Server) error {
		switch s.State {
		case Revoked:
			return errUnchanged
		case Decommissioned, Merged:
			return fmt.Errorf("server %s is %s: %w", id, s.State, ErrConflict)
		}
		s.State = Revoked
		s.revokeCredentials()
		s.promise(r.bridge, record.NameRevoked, "revoked"+byWhom(by), r.now())
		return nil
	})
}

// Decommission takes a server out of service for good: its credentials are
// refused and its absence is nobody's concern.
func (r *Registry) Decommission(ctx context.Context, id record.ID, by string) (*Server, error) {
	return r.administer(ctx, id, "decommissioned", by, func(s *Server) error {
		switch s.State {
		case Decommissioned:
			return errUnchanged
		case Merged:
			return fmt.Errorf("server %s continues as %s, decommission that: %w", id, s.Successor, ErrConflict)
		}
		s.State = Decommissioned
		s.revokeCredentials()
		s.promise(r.bridge, record.NameDecommissioned, "decommissioned"+byWhom(by), r.now())
		return nil
	})
}

// SetLabels changes where a server belongs; an empty label is given by a
// pattern of the name, or by none. Whether it is simulated is decided by its
// join token and stays. Where expect is given, the labels must still be those.
func (r *Registry) SetLabels(ctx context.Context, id record.ID, l Labels, expect *Labels, by string) (*Server, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	return r.administer(ctx, id, "labels set", by, func(s *Server) error {
		l.Simulated = s.Labels.Simulated
		now := s.Labels
		if expect != nil && (now.Site != expect.Site || now.Rack != expect.Rack || now.Role != expect.Role || now.Owner != expect.Owner) {
			return fmt.Errorf("the labels of server %s are others by now: %w", id, ErrConflict)
		}
		next := *s
		next.Labels = l
		r.place(&next, FromRegister)
		next.From = s.From.kept(now, next.Labels, next.From)
		if now == next.Labels && s.From == next.From {
			return errUnchanged
		}
		s.Labels, s.From = next.Labels, next.From
		s.promise(r.bridge, record.NameLabels, "labels set"+byWhom(by), r.now())
		return nil
	})
}

// ApproveSuccession says that a new server is an old one installed again: it
// continues under the old id. The old installation's credentials are revoked,
// the new one's speaks for both ids. It returns the old server.
func (r *Registry) ApproveSuccession(ctx context.Context, newer record.ID, by string) (*Server, error) {
	n, err := r.Server(newer)
	if err != nil {
		return nil, err
	}
	if n.State == Merged {
		return r.Server(n.Successor) // approved before
	}
	if n.SuccessionOf.IsZero() || n.State != Active {
		return nil, fmt.Errorf("server %s: no succession is proposed: %w", newer, ErrConflict)
	}
	older := n.SuccessionOf
	// The old server first: were we killed in between, the proposal still
	// stands and can be approved again.
	if _, err := r.administer(ctx, older, "succession approved", by, func(o *Server) error {
		if o.State == Decommissioned || o.State == Merged {
			return fmt.Errorf("server %s is %s: %w", older, o.State, ErrConflict)
		}
		o.revokeCredentials()
		o.Name, o.OS, o.ExporterVersion, o.Evidence, o.State, o.SuccessionBy = n.Name, n.OS, n.ExporterVersion, n.Evidence, Active, record.ID{}
		o.promise(r.bridge, record.NameLabels, "continues "+newer.String()+byWhom(by), r.now())
		return nil
	}); err != nil {
		return nil, err
	}
	if _, err := r.administer(ctx, newer, "merged", by, func(s *Server) error {
		s.State, s.Successor, s.SuccessionOf = Merged, older, record.ID{}
		s.promise(r.bridge, record.NameDecommissioned, "continues as "+older.String()+byWhom(by), r.now())
		return nil
	}); err != nil {
		return nil, err
	}
	return r.Server(older)
}

// RejectSuccession says that two servers are two machines.
func (r *Registry) RejectSuccession(ctx context.Context, newer record.ID, by string) (*Server, error) {
	n, err := r.Server(newer)
	if err != nil {
		return nil, err
	}
	if n.SuccessionOf.IsZero() {
		return nil, fmt.Errorf("server %s: no succession is proposed: %w", newer, ErrConflict)
	}
	reject := func(s *Server) error {
		s.SuccessionBy, s.SuccessionOf = record.ID{}, record.ID{}
		s.promise(r.bridge, record.NameLabels, "succession rejected"+byWhom(by), r.now())
		return nil
	}
	if _, err := r.administer(ctx, n.SuccessionOf, "succession rejected", by, reject); err != nil {
		return nil, err
	}
	return r.administer(ctx, newer, "succession rejected", by, reject)
}

func (r *Registry) administer(ctx context.Context, id record.ID, what, by string, mutate func(*Server) error) (*Server, error) {
	if err := checkText("by", by, maxLabel); err != nil {
		return nil, err
	}
	if err := r.change(ctx, id, mutate); err != nil {
		return nil, err
	}
	s, err := r.Server(id)
	if err == nil {
		r.log.Info("server changed", "host", s.Name, "server_id", id, "change", what, "by", by)
	}
	return s, err
}

func byWhom(by string) string {
	if by == "" {
		return ""
	}
	return " by " + by
}
