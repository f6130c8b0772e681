package api

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"nocturne/ruler/store"
)

func (s *server) tokenRoutes() []route {
	return []route{
		{method: "GET", path: "/me", name: "me", summary: "Who you are here, and what you may", result: Me{}, handle: func(r *request) (any, error) {
			return s.meOf(r.who), nil
		}},
		{method: "GET", path: "/tokens", name: "tokens", summary: "Tokens of callers, revoked ones too", result: TokenList{}, role: roleAdmin, handle: s.tokens},
		{method: "POST", path: "/tokens", name: "token_add", summary: "Make a token. It is told this once", body: TokenRequest{}, result: TokenAnswer{}, role: roleAdmin, handle: s.tokenAdd},
		{method: "DELETE", path: "/tokens/{id}", name: "token_revoke", summary: "Revoke a token",
			params: []param{{name: "id", kind: kindText, max: 64, path: true, doc: "token id"}}, result: TokenInfo{}, role: roleAdmin, handle: s.tokenRevoke},
	}
}

// Me says who asked.
type Me struct {
	Name string `json:"name"`
	Via  string `json:"via" doc:"by which door: loopback, session (logged in by a password), api.token_file, token or plugin with the token's id"`
	Role string `json:"role" doc:"viewer, editor or admin"`
	// Version is here because whoever asks who he is also has to know whom he asks.
	Version string `json:"version" doc:"the ruler's: its module's, or the commit it was built from"`
}

func (s *server) meOf(c caller) Me {
	return Me{Name: clip(c.name, maxName), Via: c.via, Role: c.role.String(), Version: s.cfg.Version}
}

// TokenList is every token.
type TokenList struct {
	Items []TokenInfo `json:"items"`
}

// TokenInfo is a token without its secret, which nobody keeps.
type TokenInfo struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Kind      string     `json:"kind" doc:"token, or plugin: it names the person for whom it asks"`
	Role      string     `json:"role" doc:"viewer, editor or admin"`
	CreatedBy string     `json:"created_by"`
	CreatedAt *time.Time `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	UsedAt    *time.Time `json:"used_at" doc:"to a minute"`
	RevokedAt *time.Time `json:"revoked_at"`
	RevokedBy string     `json:"revoked_by"`
}

// TokenRequest asks for a token.
type TokenRequest struct {
	Name       string `json:"name" doc:"whose it is: 1 to 64 letters, digits and . _ - @, unique"`
	Role       string `json:"role" doc:"viewer, editor or admin"`
	Kind       string `json:"kind" doc:"token (default) or plugin"`
	TTLSeconds int    `json:"ttl_seconds" doc:"60 to 315360000; 0 = no end"`
}

// TokenAnswer holds the token, a secret.
type TokenAnswer struct {
	Token TokenInfo `json:"token"`
	Value string    `json:"value" doc:"the token itself: it is told this once"`
}

func tokenInfo(t store.Token) TokenInfo {
	return TokenInfo{
		ID: t.ID, Name: clip(t.Name, maxName), Kind: t.Kind, Role: t.Role, CreatedBy: clip(t.CreatedBy, maxName), CreatedAt: at(t.Created),
		ExpiresAt: at(t.Expires), UsedAt: at(t.Used), RevokedAt: at(t.Revoked), RevokedBy: clip(t.RevokedBy, maxName),
	}
}

// tokenStore is where tokens are, or why there is none.
func (s *server) tokenStore() (store.TokenStore, error) {
	if s.cfg.Tokens == nil {
		return nil, &problem{status: http.StatusServiceUnavailable, msg: "this ruler keeps no tokens", hint: "use api.token_file"}
	}
	return s.cfg.Tokens, nil
}

func (s *server) tokens(r *request) (any, error) {
	tokens, err := s.tokenStore()
	if err != nil {
		return nil, err
	}
	list, err := tokens.Tokens(r.ctx)
	if err != nil {
		return nil, err
	}
	return TokenList{Items: mapSlice(list, tokenInfo)}, nil
}

func (s *server) tokenAdd(r *request) (any, error) {
	tokens, err := s.tokenStore()
	if err != nil {
		return nil, err
	}
	var q TokenRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	t, value, err := NewToken(q.Name, q.Kind, q.Role, time.Duration(q.TTLSeconds)*time.Second, s.now())
	if err != nil {
		return nil, badRequest("see "+Prefix+"/openapi.json for what fits", "%s", err.Error())
	}
	t.CreatedBy = r.who.name
	switch err := tokens.AddToken(r.ctx, t, s.entry(r, "token.create", t.ID, TokenDetail(t))); {
	case errors.Is(err, store.ErrConflict):
		return nil, &problem{status: http.StatusConflict, msg: "there is a token of this name", hint: "choose another name, or revoke that one first"}
	case err != nil:
		return nil, err
	}
	s.log.Info("token made", "token_id", t.ID, "name", t.Name, "role", t.Role, "kind", t.Kind)
	return TokenAnswer{Token: tokenInfo(t), Value: value}, nil
}

func (s *server) tokenRevoke(r *request) (any, error) {
	tokens, err := s.tokenStore()
	if err != nil {
		return nil, err
	}
	t, err := tokens.RevokeToken(r.ctx, r.text("id"), s.entry(r, "token.revoke", r.text("id"), nil))
	switch {
	case errors.Is(err, store.ErrConflict):
		return nil, &problem{status: http.StatusConflict, msg: "this token is revoked already", hint: "nothing is left to do"}
	case err != nil:
		return nil, err
	}
	s.log.Info("token revoked", "token_id", t.ID, "name", t.Name)
	return tokenInfo(t), nil
}

// TokenDetail is what the audit log keeps of a new token.
func TokenDetail(t store.Token) map[string]any {
	return map[string]any{"name": t.Name, "kind": t.Kind, "role": t.Role, "expires": t.Expires}
}

const (
	tokenPrefix = "nocturne_" // so that scanners for leaked secrets can know it
	tokenBytes  = 32
	maxTokenTTL = 10 * 365 * 24 * time.Hour
)

// NewToken makes a token and its secret, which is in nothing that is stored.
// ttl 0 = no end.
func NewToken(name, kind, roleName string, ttl time.Duration, now time.Time) (t store.Token, value string, err error) {
	if kind == "" {
		kind = store.TokenPerson
	}
	_, known := parseRole(roleName)
	switch {
	case !fitsName(name):
		return t, "", fmt.Errorf("name: %.80q does not fit, write 1 to 64 letters, digits and . _ - @", name)
	case name == actorLocal || name == actorToken || name == "ruler":
		return t, "", fmt.Errorf("name: %q means somebody else in the audit log", name)
	case kind != store.TokenPerson && kind != store.TokenPlugin:
		return t, "", fmt.Errorf("kind: %.80q does not fit, write token or plugin", kind)
	case !known:
		return t, "", fmt.Errorf("role: %.80q does not fit, write viewer, editor or admin", roleName)
	case ttl != 0 && (ttl < time.Minute || ttl > maxTokenTTL):
		return t, "", fmt.Errorf("it would end after %s: a minute to ten years, or 0 for no end", ttl)
	}
	secret := make([]byte, tokenBytes)
	_, _ = rand.Read(secret) // never fails
	value = tokenPrefix + base64.RawURLEncoding.EncodeToString(secret)
	hash := sha256.Sum256([]byte(value))
	t = store.Token{ID: hex.EncodeToString(hash[:6]), Name: name, Kind: kind, Role: roleName, Hash: hash, Created: now.UTC()}
	if ttl > 0 {
		t.Expires = t.Created.Add(ttl)
	}
	return t, value, nil
}

func fitsName(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for _, c := range name {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("._-@", c)) {
			return false
		}
	}
	return true
}

// wellFormed tells whether a text can be a token of the store at all.
func wellFormed(token string) bool {
	return strings.HasPrefix(token, tokenPrefix) && len(token) == len(tokenPrefix)+base64.RawURLEncoding.EncodedLen(tokenBytes)
}
