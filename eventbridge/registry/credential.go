package registry

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"nocturne/internal/record"
)

const (
	credentialPrefix = "noc1."
	tokenPrefix      = "nocj1."
	secretBytes      = 32
	secretChars      = 43 // of base64url without padding
	tokenIDChars     = 12
)

// Reason says why somebody was refused. The reasons are a closed set for
// labels.
type Reason string

// Why a credential or a join token was refused.
const (
	ReasonMissing        Reason = "missing"
	ReasonMalformed      Reason = "malformed"
	ReasonUnknown        Reason = "unknown"
	ReasonWrongSecret    Reason = "wrong_secret"
	ReasonRevoked        Reason = "revoked"
	ReasonDecommissioned Reason = "decommissioned"
	ReasonExpired        Reason = "expired"
	ReasonUsedUp         Reason = "used_up"
	ReasonBadRequest     Reason = "bad_request"
	ReasonRateLimited    Reason = "rate_limited"
	ReasonBusy           Reason = "busy"
)

// CredentialReasons are why a credential can be refused.
func CredentialReasons() []Reason {
	return []Reason{ReasonMissing, ReasonMalformed, ReasonUnknown, ReasonWrongSecret, ReasonRevoked, ReasonDecommissioned}
}

// EnrolReasons are why an enrolment can be refused.
func EnrolReasons() []Reason {
	return []Reason{ReasonMalformed, ReasonUnknown, ReasonWrongSecret, ReasonRevoked, ReasonExpired, ReasonUsedUp, ReasonBadRequest, ReasonRateLimited, ReasonBusy}
}

// Denied is a refusal with what to do about it.
type Denied struct {
	Reason Reason
	Status int // HTTP status to answer with
	Text   string
	Hint   string
}

func (d *Denied) Error() string { return d.Text }

// Principal is who a credential speaks for.
type Principal struct {
	Server *Server // read only
	// Alias is an id of the same server before it was merged into this one;
	// the credential may still speak for it. Usually zero.
	Alias record.ID
}

// SpeaksFor tells whether the credential may send frames about the server.
func (p Principal) SpeaksFor(id record.ID) bool {
	return id == p.Server.ID || (!p.Alias.IsZero() && id == p.Alias)
}

// MaySend tells whether the credential may send a frame with this header: about
// a server that it speaks for, from that server's exporter.
func (p Principal) MaySend(h *record.Header) bool {
	return p.SpeaksFor(h.Subject) && h.Producer == record.ExporterProducer(h.Subject)
}

// Authenticate finds out who a bearer credential speaks for. The error is a
// *Denied.
func (r *Registry) Authenticate(ctx context.Context, authorization string) (Principal, error) {
	p, err := r.authenticate(ctx, authorization)
	var d *Denied
	if errors.As(err, &d) {
		r.Metrics.denied[d.Reason].Inc()
	}
	return p, err
}

func (r *Registry) authenticate(ctx context.Context, authorization string) (Principal, error) {
	if authorization == "" {
		return Principal{}, &Denied{ReasonMissing, http.StatusUnauthorized, "no credential", "send the header Authorization: Bearer <credential>; the credential comes from enrolment"}
	}
	scheme, text, _ := strings.Cut(authorization, " ")
	id, hash, ok := parseCredential(text)
	if !strings.EqualFold(scheme, "bearer") || !ok {
		return Principal{}, &Denied{ReasonMalformed, http.StatusUnauthorized, "this is not a credential", "want Authorization: Bearer noc1.<server id>.<secret>; a join token only works for enrolment"}
	}
	e := r.find(id)
	if e == nil {
		e = r.lookUp(ctx, id)
	}
	if e == nil {
		return Principal{}, &Denied{ReasonUnknown, http.StatusUnauthorized, "no such server", "enrol this server again with a new join token"}
	}
	s := e.server.Load()
	match, revoked := s.has(hash)
	return r.principal(s, match, revoked)
}

// principal is who a credential of a server speaks for: match tells whether it
// is one of its credentials.
func (r *Registry) principal(s *Server, match, revoked bool) (Principal, error) {
	switch {
	case !match:
		return Principal{}, &Denied{ReasonWrongSecret, http.StatusUnauthorized, "wrong credential", "enrol this server again with a new join token"}
	case s.State == Decommissioned:
		return Principal{}, &Denied{ReasonDecommissioned, http.StatusForbidden, "this server was decommissioned", "enrol it with a new join token to take it back into service"}
	case revoked || s.State == Revoked:
		return Principal{}, &Denied{ReasonRevoked, http.StatusForbidden, "this credential was revoked", "enrol this server again with a new join token"}
	}
	if s.State == Merged {
		if old := r.find(s.Successor); old != nil {
			t := old.server.Load()
			if t.State == Active {
				return Principal{Server: t, Alias: s.ID}, nil
			}
		}
		return Principal{}, &Denied{ReasonRevoked, http.StatusForbidden, "the server that this one was merged into is not active", "enrol this server again with a new join token"}
	}
	return Principal{Server: s}, nil
}

// Signer finds out who a key id speaks for, and the key: the SHA-256 of the
// credential's secret. A signature made with it proves as much as showing the
// credential. The error is a *Denied, or wraps ErrBusy when the register could
// not be asked: then it says nothing of the key.
func (r *Registry) Signer(ctx context.Context, keyID string) (Principal, []byte, error) {
	p, key, err := r.signer(ctx, keyID)
	var d *Denied
	if errors.As(err, &d) {
		r.Metrics.denied[d.Reason].Inc()
	}
	return p, key, err
}

func (r *Registry) signer(ctx context.Context, keyID string) (Principal, []byte, error) {
	id, err := record.KeyOwner(keyID)
	if err != nil {
		return Principal{}, nil, &Denied{ReasonMalformed, http.StatusUnauthorized, err.Error(), "sign with the credential that enrolment gave"}
	}
	e := r.find(id)
	p, key, err := r.signs(e, keyID)
	if err == nil || e != nil && time.Duration(r.now().UnixNano()-e.asked.Load()).Abs() < askAgain {
		return p, key, err
	}
	// The cache may be behind another bridge, which enrolled the server a moment
	// ago, and who is refused is refused for good.
	if e, err = r.ask(ctx, id); err != nil {
		return Principal{}, nil, fmt.Errorf("look up server %s: %w: %w", id, ErrBusy, err)
	}
	return r.signs(e, keyID)
}

// signs looks for the key among a server's credentials; nil = no such server.
func (r *Registry) signs(e *entry, keyID string) (Principal, []byte, error) {
	if e == nil {
		return Principal{}, nil, &Denied{ReasonUnknown, http.StatusUnauthorized, "no such server", "enrol this server again with a new join token"}
	}
	s := e.server.Load()
	for i := range s.Credentials {
		key, err := hex.DecodeString(s.Credentials[i].Hash)
		if err == nil && record.KeyID(s.ID, key) == keyID {
			p, err := r.principal(s, true, s.Credentials[i].Revoked)
			return p, key, err
		}
	}
	p, err := r.principal(s, false, false)
	return p, nil, err
}

// askAgain is how long the bucket's word on a server holds against a signer: a
// revoked one may have a queue full of frames.
const askAgain = time.Second

var errManyAsk = errors.New("too many look-ups at once")

// ask reads a server from the bucket into the cache; nil = there is none. An
// error means that nobody knows now.
func (r *Registry) ask(ctx context.Context, id record.ID) (*entry, error) {
	now := r.now()
	if !r.asks.allow(now) {
		return nil, errManyAsk
	}
	kve, err := r.kv.Get(ctx, serverKey+id.String())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r.apply(kve)
	e := r.find(id)
	if e == nil {
		return nil, errors.New("its entry cannot be read")
	}
	e.asked.Store(now.UnixNano())
	return e, nil
}

// has tells whether one of the server's credentials has this hash. It looks at
// all of them whatever it finds.
func (s *Server) has(hash [sha256.Size]byte) (match, revoked bool) {
	want := []byte(hex.EncodeToString(hash[:]))
	for i := range s.Credentials {
		if subtle.ConstantTimeCompare([]byte(s.Credentials[i].Hash), want) == 1 {
			match, revoked = true, s.Credentials[i].Revoked
		}
	}
	return match, revoked
}

// lookUp asks the bucket for a server that the cache does not know: another
// bridge may have enrolled it a moment ago. Rare by design, so bounded.
func (r *Registry) lookUp(ctx context.Context, id record.ID) *entry {
	if !r.miss.allow(r.now()) {
		return nil
	}
	e, err := r.kv.Get(ctx, serverKey+id.String())
	if err != nil {
		if !errors.Is(err, jetstream.ErrKeyNotFound) {
			r.log.Warn("registry look-up failed", "server_id", id, "err", err)
		}
		return nil
	}
	r.apply(e)
	return r.find(id)
}

// newCredential makes a credential for a server: the text for it, the hash for us.
func newCredential(id record.ID) (text, hash string) {
	secret := newSecret()
	sum := sha256.Sum256([]byte(secret))
	return credentialPrefix + id.String() + "." + secret, hex.EncodeToString(sum[:])
}

func parseCredential(text string) (id record.ID, hash [sha256.Size]byte, ok bool) {
	rest, found := strings.CutPrefix(text, credentialPrefix)
	if !found || len(rest) != 32+1+secretChars || rest[32] != '.' {
		return id, hash, false
	}
	id, err := record.ParseID(rest[:32])
	if err != nil || id.IsZero() || !isSecret(rest[33:]) {
		return id, hash, false
	}
	return id, sha256.Sum256([]byte(rest[33:])), true
}

func parseToken(text string) (id string, hash [sha256.Size]byte, ok bool) {
	rest, found := strings.CutPrefix(strings.TrimSpace(text), tokenPrefix)
	if !found || len(rest) != tokenIDChars+1+secretChars || rest[tokenIDChars] != '.' {
		return "", hash, false
	}
	id, secret := rest[:tokenIDChars], rest[tokenIDChars+1:]
	if _, err := hex.DecodeString(id); err != nil || strings.ToLower(id) != id || !isSecret(secret) {
		return "", hash, false
	}
	return id, sha256.Sum256([]byte(secret)), true
}

func isSecret(s string) bool {
	b, err := base64.RawURLEncoding.DecodeString(s)
	return err == nil && len(b) == secretBytes
}

func newSecret() string {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	return base64.RawURLEncoding.EncodeToString(b)
}

func newID() record.ID {
	var id record.ID
	_, _ = rand.Read(id[:]) // never fails
	return id
}

func randomUint64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}

func badRequest(format string, args ...any) *Denied {
	return &Denied{ReasonBadRequest, http.StatusBadRequest, fmt.Sprintf(format, args...), "correct the request; the exporter's `enrol` command sends a right one"}
}
