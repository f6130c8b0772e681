package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"nocturne/internal/record"
)

// Expectation is a server that people say there is, and that has not enrolled.
type Expectation struct {
	Labels
	Name string `json:"name"`
	// Since tells one expectation of a name from a later one, so that what an
	// administrator decommissioned stays so while the same one is repeated. Unix
	// seconds.
	Since int64  `json:"since"`
	By    string `json:"by"`
}

const maxExpected = 20_000

// expectedID follows from the name and the time, so that two bridges, and a
// bridge before and after it lost its register, mean the same server.
func expectedID(host string, since int64) record.ID {
	sum := sha256.Sum256([]byte("nocturne server expected by the register\x00" + host + "\x00" + strconv.FormatInt(since, 10)))
	return record.ID(sum[:16])
}

// Expect states a server to the stream that is in the register of people and has
// not enrolled, so that whoever judges silence knows that it is expected. It has no
// credential. Once a server of that name enrols it is decommissioned by itself.
// Where there is a server of that name already, that one is returned.
func (r *Registry) Expect(ctx context.Context, x Expectation) (*Server, error) {
	if err := errors.Join(checkText("name", x.Name, maxName), x.Labels.Validate()); err != nil {
		return nil, err
	}
	host := HostKey(x.Name)
	if host == "" {
		return nil, errors.New("name: want the name of a server")
	}
	if s := r.enrolled(host); s != nil {
		return s, nil
	}
	id := expectedID(host, x.Since)
	for _, known := range []record.ID{compatID(host), id} {
		e := r.find(known)
		if e == nil {
			e = r.lookUp(ctx, known)
		}
		if e != nil && (known == id || e.server.Load().State == Active) {
			return e.server.Load(), nil
		}
	}
	return r.admitExpected(ctx, id, &x)
}

func (r *Registry) admitExpected(ctx context.Context, id record.ID, x *Expectation) (*Server, error) {
	defer r.lock("expect")()
	if n := len(r.Expected()); n >= maxExpected {
		return nil, fmt.Errorf("server %s: %d servers are expected already: %w", x.Name, n, ErrConflict)
	}
	now := r.now().UTC()
	s := &Server{ID: id, Name: x.Name, State: Active, Created: now, IdentifiedBy: record.IdentifiedByRegister, Labels: x.Labels}
	s.Labels.Simulated = false
	r.place(s, FromRegister)
	s.promise(r.bridge, record.NameEnrolled, "expected: it is in the register"+byWhom(x.By), now)
	rev, err := r.kv.Create(ctx, serverKey+id.String(), encode(s))
	if errors.Is(err, jetstream.ErrKeyExists) {
		return s, nil // another bridge was faster
	}
	if err != nil {
		return nil, fmt.Errorf("write server %s: %w: %w", id, ErrBusy, err)
	}
	r.putServer(s, rev)
	r.log.Info("server is expected", "server", x.Name, "server_id", id)
	return s, r.announce(ctx, id)
}

// Expected lists the servers that are expected and have not enrolled.
func (r *Registry) Expected() []*Server {
	var out []*Server
	for _, s := range r.Servers() {
		if s.IdentifiedBy == record.IdentifiedByRegister && s.State == Active {
			out = append(out, s)
		}
	}
	return out
}

// retireExpected ends the expectations of a name, once there is such a server.
func (r *Registry) retireExpected(ctx context.Context, host string, by *Server) error {
	var ids []record.ID
	r.mu.RLock()
	for id := range r.names[nameKey(host)] {
		if s := r.servers[id].server.Load(); s.IdentifiedBy == record.IdentifiedByRegister && s.State == Active && sameHost(host, s.Name) {
			ids = append(ids, id)
		}
	}
	r.mu.RUnlock()
	var errs []error
	for _, id := range ids {
		errs = append(errs, r.end(ctx, id, by))
	}
	return errors.Join(errs...)
}

func (r *Registry) adminExpected(w http.ResponseWriter, _ *http.Request) {
	out := []serverView{}
	for _, s := range r.Expected() {
		out = append(out, r.viewServer(s))
	}
	answer(w, http.StatusOK, map[string]any{"servers": out})
}

func (r *Registry) adminExpect(w http.ResponseWriter, req *http.Request) {
	var x Expectation
	if !readBody(w, req, &x) {
		return
	}
	s, err := r.Expect(req.Context(), x)
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, r.viewServer(s))
}
