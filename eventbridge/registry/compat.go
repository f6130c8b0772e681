package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"nocturne/internal/record"
)

// Errors of Compat; each is wrapped with the name.
var (
	// ErrEnrolled means that an enrolled server has this name: nobody else
	// speaks for it.
	ErrEnrolled = errors.New("a server of this name is enrolled")
	// ErrRefused means that an administrator revoked or decommissioned it.
	ErrRefused = errors.New("the server was revoked or decommissioned")
	// ErrTooMany means that no further servers may be made this way.
	ErrTooMany = errors.New("too many servers are identified by the broker")
)

// compatID is the id of the server that a host name stands for. It follows from
// the name, so that two bridges, and a bridge before and after it lost its
// register, mean the same one. It is no secret and needs not be: no credential
// speaks for it.
func compatID(host string) record.ID {
	sum := sha256.Sum256([]byte("nocturne server identified by the broker\x00" + host))
	return record.ID(sum[:16])
}

// Compat returns the server that a host name stands for, and makes it when
// there is none and fewer than most. host is what HostKey made. What it returns has
// no credential and is marked as identified by the broker. The error wraps one
// of ErrEnrolled, ErrRefused and ErrTooMany; any other error may pass.
func (r *Registry) Compat(ctx context.Context, host string, most int) (record.ID, error) {
	id := compatID(host)
	if err := checkText("host", host, maxName); err != nil {
		return id, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if other := r.enrolled(host); other != nil {
		if err := r.retire(ctx, host, other); err != nil {
			return id, err
		}
		return id, fmt.Errorf("host %s: %w as %s", host, ErrEnrolled, other.ID)
	}
	e := r.find(id)
	if e == nil {
		if e = r.lookUp(ctx, id); e == nil {
			return id, r.admitCompat(ctx, id, host, most)
		}
	}
	if s := e.server.Load(); s.State != Active {
		return id, fmt.Errorf("host %s is %s: %w", host, s.State, ErrRefused)
	}
	return id, nil
}

func (r *Registry) admitCompat(ctx context.Context, id record.ID, host string, most int) error {
	defer r.lock("compat")()
	if n := r.compatServers(); n >= most {
		return fmt.Errorf("host %s: %w: %d", host, ErrTooMany, n)
	}
	now := r.now().UTC()
	s := &Server{ID: id, Name: host, State: Active, Created: now, IdentifiedBy: record.IdentifiedByBroker}
	s.promise(r.bridge, record.NameEnrolled, "known by messages of the old agent; identified by the broker", now)
	rev, err := r.kv.Create(ctx, serverKey+id.String(), encode(s))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return nil // another bridge was faster
	}
	if err != nil {
		return fmt.Errorf("write server %s: %w: %w", id, ErrBusy, err)
	}
	r.putServer(s, rev)
	r.log.Info("server is known by messages of the old agent", "host", host, "server_id", id)
	return errors.Join(r.announce(ctx, id), r.retireExpected(ctx, host, s))
}

// HostKey makes one name of the names that a Windows machine gives itself: the
// first label, in lower case. Addresses stay as they are.
func HostKey(name string) string {
	name = strings.ToLower(name)
	if net.ParseIP(name) != nil {
		return name
	}
	label, _, _ := strings.Cut(name, ".")
	return label
}

// netbios is how long a machine's short name is at most, where it is cut.
const netbios = 15

// nameKey is equal for all names that may mean one machine.
func nameKey(name string) string {
	key := HostKey(name)
	return key[:min(len(key), netbios)]
}

// sameHost tells whether a key of HostKey may mean a server's name.
func sameHost(host, name string) bool {
	key := HostKey(name)
	return host == key || len(host) == netbios && strings.HasPrefix(key, host)
}

// enrolled returns a server of this name that enrolled and was not taken out of
// service. A revoked one counts: whoever revoked it did not mean to hear it
// another way.
func (r *Registry) enrolled(host string) *Server {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for id := range r.names[nameKey(host)] {
		s := r.servers[id].server.Load()
		if s.IdentifiedBy == "" && sameHost(host, s.Name) && (s.State == Active || s.State == Revoked) {
			return s
		}
	}
	return nil
}

func (r *Registry) compatServers() int {
	n := 0
	for _, s := range r.all() {
		if s.IdentifiedBy == record.IdentifiedByBroker && s.State == Active {
			n++
		}
	}
	return n
}

// retireCompat ends what the old agent's messages, and who expected it, made of a
// server that has just enrolled, under the full name and under the cut one.
func (r *Registry) retireCompat(ctx context.Context, s *Server) error {
	host := HostKey(s.Name)
	err := errors.Join(r.retire(ctx, host, s), r.retireExpected(ctx, host, s))
	if short := nameKey(s.Name); short != host {
		err = errors.Join(err, r.retire(ctx, short, s))
	}
	return err
}

// retire ends the server that the old agent's messages made, once the real one
// is enrolled: its silence is nobody's concern then.
func (r *Registry) retire(ctx context.Context, host string, by *Server) error {
	return r.end(ctx, compatID(host), by)
}

// end takes a stand-in out of service.
func (r *Registry) end(ctx context.Context, id record.ID, by *Server) error {
	e := r.find(id)
	if e == nil || e.server.Load().State != Active {
		return nil
	}
	return r.change(ctx, id, func(s *Server) error {
		if s.State != Active {
			return errUnchanged
		}
		s.State = Decommissioned
		s.promise(r.bridge, record.NameDecommissioned, "the server is enrolled as "+by.ID.String(), r.now())
		return nil
	})
}
