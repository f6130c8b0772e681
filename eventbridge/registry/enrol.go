package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strings"
	"unicode"

	"github.com/nats-io/nats.go/jetstream"

	"nocturne/internal/record"
)

// EnrolRequest is what a new installation says.
type EnrolRequest struct {
	Token           string   `json:"token"`
	Name            string   `json:"name"`
	OS              string   `json:"os"`
	ExporterVersion string   `json:"exporter_version"`
	Evidence        Evidence `json:"evidence"`
	// Reported is where the machine's own files say that it belongs. It is kept
	// and announced as a claim; the labels are the token's.
	Reported Place `json:"reported"`
}

// EnrolAnswer is what it gets.
type EnrolAnswer struct {
	ServerID   record.ID `json:"server_id"`
	Credential string    `json:"credential"`
	Server     string    `json:"server"`
	Labels     Place     `json:"labels"`
}

// Place is where the server belongs, as it is told.
type Place struct {
	Site  string `json:"site"`
	Rack  string `json:"rack"`
	Role  string `json:"role"`
	Owner string `json:"owner"`
}

// Ways in which an enrolment ends well, a closed set for labels.
const (
	enrolNew        = "new"
	enrolAgain      = "again"      // the answer was lost and asked for again
	enrolProposed   = "proposed"   // new id, a succession is proposed
	enrolSuccession = "succession" // the old id, by rule
)

func enrolResults() []string {
	return []string{enrolNew, enrolAgain, enrolProposed, enrolSuccession}
}

// Enrol lets a server join. It answers after the register and the stream have
// the server. The error is a *Denied.
func (r *Registry) Enrol(ctx context.Context, address string, q EnrolRequest) (EnrolAnswer, error) {
	now := r.now()
	if r.Metrics.failures.blocked(address, now) {
		return EnrolAnswer{}, r.refuse(address, &Denied{ReasonRateLimited, http.StatusTooManyRequests, "too many failed attempts from this address", "wait a minute, then try again with a valid join token"})
	}
	answer, err := r.enrol(ctx, q)
	var d *Denied
	switch {
	case err == nil:
		return answer, nil
	case errors.As(err, &d):
	default:
		r.log.Warn("enrolment could not be finished", "host", q.Name, "err", err)
		d = &Denied{ReasonBusy, http.StatusServiceUnavailable, "the register or the stream did not answer", "try again in a few seconds; the join token is not used up by it"}
	}
	return EnrolAnswer{}, r.refuse(address, d)
}

func (r *Registry) refuse(address string, d *Denied) error {
	r.Metrics.enrolRefused[d.Reason].Inc()
	if d.Reason != ReasonBusy && d.Reason != ReasonRateLimited {
		r.Metrics.failures.failed(address, r.now())
	}
	r.log.Warn("enrolment refused", "address", address, "reason", d.Reason)
	return d
}

// check refuses a name that cannot be one. Firmware says strange things: the
// rest is cleaned, not refused.
func (q *EnrolRequest) check() error {
	q.Name = strings.TrimSpace(q.Name)
	if q.Name == "" {
		return badRequest("name is empty: send the server's host name")
	}
	if err := checkText("name", q.Name, maxName); err != nil {
		return badRequest("%v", err)
	}
	for _, f := range [...]*string{&q.OS, &q.ExporterVersion, &q.Evidence.MachineID, &q.Evidence.SMBIOSUUID, &q.Evidence.Serial,
		&q.Reported.Site, &q.Reported.Rack, &q.Reported.Role, &q.Reported.Owner} {
		*f = clean(*f)
	}
	return nil
}

// clean keeps the printable beginning of a text.
func clean(s string) string {
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxLabel {
		s = strings.ToValidUTF8(s[:maxLabel], "")
	}
	return strings.TrimSpace(s)
}

func (r *Registry) enrol(ctx context.Context, q EnrolRequest) (EnrolAnswer, error) {
	tokenID, hash, ok := parseToken(q.Token)
	if !ok {
		return EnrolAnswer{}, tokenDenied(ReasonMalformed, "this is not a join token", "copy the whole line again; a join token begins with "+tokenPrefix)
	}
	if err := q.check(); err != nil {
		return EnrolAnswer{}, err
	}
	who := sha256.Sum256([]byte(strings.Join([]string{q.Name, q.Evidence.MachineID, q.Evidence.SMBIOSUUID, q.Evidence.Serial}, "\x00")))
	token, id, err := r.spend(ctx, tokenID, hash, hex.EncodeToString(who[:16]))
	if err != nil {
		return EnrolAnswer{}, err
	}
	old := r.sameMachine(q.Evidence, id)
	if old != nil && r.succeeds(old, token) {
		// The use is for the old id: asked for again, it is that id again.
		if _, err := r.updateToken(ctx, tokenID, func(t *Token) error {
			for i := range t.Grants {
				if t.Grants[i].Server == id {
					t.Grants[i].Server = old.ID
				}
			}
			return nil
		}); err != nil {
			return EnrolAnswer{}, err
		}
		return r.succeed(ctx, old.ID, q, token)
	}
	return r.admit(ctx, id, q, token, old)
}

// admit enters a new server. old is the server that it may be the successor
// of, or nil.
func (r *Registry) admit(ctx context.Context, id record.ID, q EnrolRequest, token *Token, old *Server) (EnrolAnswer, error) {
	now, result := r.now().UTC(), enrolNew
	text, hash := newCredential(id)
	s := &Server{
		ID: id, Name: q.Name, OS: q.OS, ExporterVersion: q.ExporterVersion, Evidence: q.Evidence, Reported: q.Reported,
		Labels: token.Labels, State: Active, Token: token.ID, Created: now,
		Credentials: []Credential{{Hash: hash, Created: now}},
	}
	r.place(s, FromEnrolment)
	note := "enrolled"
	if old != nil {
		result, note, s.SuccessionOf = enrolProposed, "enrolled; the machine looks like "+old.Name+" ("+old.ID.String()+")", old.ID
	}
	s.promise(r.bridge, record.NameEnrolled, note, now)
	rev, err := r.kv.Create(ctx, serverKey+id.String(), encode(s))
	switch {
	case err == nil:
		r.putServer(s, rev)
	case errors.Is(err, jetstream.ErrKeyExists):
		// The answer to the first attempt was lost: nobody holds its secret.
		result = enrolAgain
		s, err = r.update(ctx, id, func(s *Server) error {
			s.revokeCredentials()
			s.addCredential(Credential{Hash: hash, Created: now})
			return nil
		})
	}
	if err != nil {
		return EnrolAnswer{}, err
	}
	if old != nil {
		if err := r.change(ctx, old.ID, func(o *Server) error {
			if o.SuccessionBy == id {
				return errUnchanged
			}
			o.SuccessionBy = id
			o.promise(r.bridge, record.NameLabels, "a succession by "+id.String()+" is proposed", r.now())
			return nil
		}); err != nil {
			return EnrolAnswer{}, err
		}
	}
	return r.welcome(ctx, s, text, result)
}

// succeed gives a new installation the id of the server that it succeeds.
func (r *Registry) succeed(ctx context.Context, id record.ID, q EnrolRequest, token *Token) (EnrolAnswer, error) {
	now := r.now().UTC()
	text, hash := newCredential(id)
	s, err := r.update(ctx, id, func(s *Server) error {
		s.revokeCredentials()
		s.addCredential(Credential{Hash: hash, Created: now})
		s.Name, s.OS, s.ExporterVersion, s.Evidence, s.Reported, s.Token, s.State = q.Name, q.OS, q.ExporterVersion, q.Evidence, q.Reported, token.ID, Active
		s.promise(r.bridge, record.NameEnrolled, "enrolled again: the same machine, by rule", now)
		return nil
	})
	if err != nil {
		return EnrolAnswer{}, err
	}
	return r.welcome(ctx, s, text, enrolSuccession)
}

func (r *Registry) welcome(ctx context.Context, s *Server, credential, result string) (EnrolAnswer, error) {
	if err := r.announce(ctx, s.ID); err != nil {
		return EnrolAnswer{}, err
	}
	if err := r.retireCompat(ctx, s); err != nil {
		r.log.Warn("the server that the old agent's messages made is not ended yet; its next message does it", "host", s.Name, "err", err)
	}
	r.Metrics.enrolled[result].Inc()
	r.log.Info("server enrolled", "host", s.Name, "server_id", s.ID, "result", result, "site", s.Labels.Site, "token", s.Token)
	return EnrolAnswer{ServerID: s.ID, Credential: credential, Server: s.Name, Labels: Place{s.Labels.Site, s.Labels.Rack, s.Labels.Role, s.Labels.Owner}}, nil
}

// succeeds is the rule of an automatic succession: the token is for the same
// site and the old installation is silent. Evidence can be made up, so a token
// must not reach further than its labels.
func (r *Registry) succeeds(old *Server, token *Token) bool {
	if r.cfg.Succession != Automatic || old.Labels.Site != token.Labels.Site || old.Labels.Simulated != token.Labels.Simulated {
		return false
	}
	seen := r.LastSeen(old.ID)
	return seen.IsZero() || r.now().Sub(seen) > r.cfg.LiveFor
}

// sameMachine returns the server that shows the same evidence, nil when there
// is none or several (cloned machines: nobody can tell which one).
func (r *Registry) sameMachine(e Evidence, not record.ID) *Server {
	key := machineKey(e)
	if key == "" {
		return nil
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	var found *Server
	for id := range r.machines[key] {
		s := r.servers[id].server.Load()
		if id == not || s.State == Decommissioned || s.State == Merged || !s.Evidence.Matches(e) {
			continue
		}
		if found != nil {
			return nil
		}
		found = s
	}
	return found
}

// machineKey is equal where evidence matches, "" where it cannot.
func machineKey(e Evidence) string {
	if !known(e.MachineID) || !known(e.SMBIOSUUID) {
		return ""
	}
	return strings.ToLower(e.MachineID) + "\x00" + strings.ToLower(e.SMBIOSUUID)
}
