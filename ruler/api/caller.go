package api

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"nocturne/ruler/store"
)

// caller is who asks, and what he may.
type caller struct {
	name string // for the audit log: a token's name, or the person a plugin named
	via  string // by which door: "loopback", "api.token_file", "session", "token <id>", "plugin <id>"
	role role
	// token is the id of his token, "" = none.
	token string
	// user and session are those of somebody who is logged in.
	user    string
	session [32]byte
}

// The names of callers that have no token of their own.
const (
	actorLocal = "local" // somebody on this machine
	actorToken = "token" // somebody with the content of api.token_file
)

// identify finds out who has sent a request. Nothing is answered to nobody.
func (s *server) identify(r *http.Request) (caller, error) {
	c, plugin, err := s.credential(r)
	if err != nil {
		return caller{}, err
	}
	named := len(r.Header.Values(HeaderUser))+len(r.Header.Values(HeaderRole)) > 0
	switch {
	case plugin:
		return s.onBehalf(r, c)
	case named:
		s.metrics.denied(deniedIdentity)
		return caller{}, &problem{status: http.StatusForbidden, msg: HeaderUser + " and " + HeaderRole + " are taken from a plugin only",
			hint: "leave them out, or send the token of kind plugin that was made for this plugin"}
	}
	return c, nil
}

// credential says what the connection itself proves.
func (s *server) credential(r *http.Request) (c caller, plugin bool, err error) {
	if r.Header.Get("Authorization") != "" {
		return s.byToken(r)
	}
	if err := s.checkHost(r); err != nil {
		return caller{}, false, err
	}
	if c, found, err := s.bySession(r); found || err != nil {
		return c, false, err
	}
	if s.opens(r) {
		return caller{name: actorLocal, via: viaLoopback, role: roleAdmin}, false, nil
	}
	refuse := func(reason, msg, hint string) (caller, bool, error) {
		s.metrics.denied(reason)
		return caller{}, false, &problem{status: http.StatusUnauthorized, msg: msg, hint: hint}
	}
	if _, had := sessionCookie(r); had {
		return refuse(deniedSession, "your login has ended", "log in again")
	}
	if s.required {
		return refuse(deniedNoToken, "this ruler asks for a login", "log in on its page (/login), or send Authorization: Bearer with a token (ruler tokens add makes one)")
	}
	return refuse(deniedNoToken, "only callers on this machine are answered without a login or a token",
		"log in on the page (/login), send Authorization: Bearer with a token (ruler tokens add makes one), or forward the port with ssh -L")
}

// byToken tells whose token a request has; a wrong one is an error.
func (s *server) byToken(r *http.Request) (caller, bool, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	refuse := func(reason, msg string) (caller, bool, error) {
		s.metrics.denied(reason)
		return caller{}, false, &problem{status: http.StatusUnauthorized, msg: msg, hint: "ruler tokens list shows the tokens, ruler tokens add makes one; on the ruler's own machine none is needed"}
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return refuse(deniedToken, "this token is not known")
	}
	if s.cfg.Tokens != nil && wellFormed(token) {
		t, err := s.cfg.Tokens.TokenByHash(r.Context(), sha256.Sum256([]byte(token)))
		switch {
		case errors.Is(err, store.ErrNotFound): // it may be that of the file
		case err != nil:
			return caller{}, false, err
		case !t.Revoked.IsZero():
			return refuse(deniedRevoked, "this token is revoked")
		case !t.Expires.IsZero() && !s.now().Before(t.Expires):
			return refuse(deniedRevoked, "this token has expired")
		default:
			s.used.note(r.Context(), s, t.ID, "use of a token not noted", func(ctx context.Context, at time.Time) error { return s.cfg.Tokens.TokenUsed(ctx, t.ID, at) })
			return caller{name: t.Name, via: t.Kind + " " + t.ID, role: roleOf(t.Role), token: t.ID}, t.Kind == store.TokenPlugin, nil
		}
	}
	if s.cfg.TokenFile == "" {
		return refuse(deniedToken, "this token is not known")
	}
	want, err := readToken(s.cfg.TokenFile)
	if err != nil {
		return caller{}, false, &problem{status: http.StatusInternalServerError, msg: "the API token cannot be read", hint: "look at api.token_file and at the ruler's log", cause: err}
	}
	a, b := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(want))
	if subtle.ConstantTimeCompare(a[:], b[:]) != 1 {
		return refuse(deniedToken, "this token is not known")
	}
	return caller{name: actorToken, via: "api.token_file", role: roleAdmin}, false, nil
}

// The headers by which a plugin says for whom it asks.
const (
	HeaderUser = "X-Nocturne-User"
	HeaderRole = "X-Nocturne-Role"
)

// onBehalf is the person for whom a plugin asks, with never more rights than
// the plugin's token has. Where nobody is named nobody stands for a change, so
// the plugin itself may only look.
func (s *server) onBehalf(r *http.Request, plugin caller) (caller, error) {
	user, userOK := single(r.Header, HeaderUser)
	name, roleOK := single(r.Header, HeaderRole)
	refuse := func(msg, hint string) (caller, error) {
		s.metrics.denied(deniedIdentity)
		return caller{}, &problem{status: http.StatusForbidden, msg: msg, hint: hint}
	}
	asked, known := parseRole(name)
	switch {
	case !userOK || !roleOK:
		return refuse(HeaderUser+" or "+HeaderRole+" is given more than once", "send each of them once")
	case user == "" && name != "":
		return refuse(HeaderRole+" without "+HeaderUser, "name the person whose role it is")
	case len(user) > maxUser || inline(user) != user:
		return refuse(HeaderUser+" does not fit", "at most 128 bytes of plain text")
	case name != "" && !known:
		return refuse(HeaderRole+" does not fit", "viewer, editor or admin")
	case user == "":
		plugin.role = roleViewer
		return plugin, nil
	}
	if asked > plugin.role {
		s.metrics.denied(deniedCapped)
	}
	plugin.name, plugin.role = user, min(asked, plugin.role) // no role named: viewer
	return plugin, nil
}

const maxUser = 128

// single is the value of a header that must not be repeated.
func single(h http.Header, name string) (string, bool) {
	v := h.Values(name)
	if len(v) == 0 {
		return "", true
	}
	return strings.TrimSpace(v[0]), len(v) == 1
}

func (r role) String() string {
	switch r {
	case roleAdmin:
		return "admin"
	case roleEditor:
		return "editor"
	default:
		return "viewer"
	}
}

func parseRole(name string) (role, bool) {
	for _, r := range []role{roleViewer, roleEditor, roleAdmin} {
		if r.String() == name {
			return r, true
		}
	}
	return roleViewer, false
}

// roleOf reads a stored role; what a later version wrote is the least.
func roleOf(name string) role {
	r, _ := parseRole(name)
	return r
}

// lastUsed notes the use of a token or a session at most once a minute.
type lastUsed struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

// maxUsed bounds the memory; what is forgotten is noted again.
const maxUsed = 10_000

func (l *lastUsed) note(ctx context.Context, s *server, id, failed string, save func(context.Context, time.Time) error) {
	now := s.now()
	l.mu.Lock()
	if len(l.seen) > maxUsed {
		clear(l.seen)
	}
	due := now.Sub(l.seen[id]) >= time.Minute
	if due {
		l.seen[id] = now
	}
	l.mu.Unlock()
	if !due {
		return
	}
	if err := save(ctx, now); err != nil {
		s.log.Warn(failed, "err", err)
	}
}
