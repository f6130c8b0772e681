package api

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"nocturne/ruler/store"
)

// How long a login lasts: unused, and at all.
const (
	sessionIdle = 12 * time.Hour
	sessionLife = 30 * 24 * time.Hour
)

// viaLoopback is the door of who is on this machine, ViaSession of who is logged
// in, viaLink of who chose a password by a link.
const (
	viaLoopback = "loopback"
	ViaSession  = "session"
	viaLink     = "link"
)

// The cookies. A browser takes one with the prefix only over TLS, from us, and
// for every path, so that no neighbour can plant one.
const (
	cookieSession = "nocturne_session"
	cookieSecure  = "__Host-nocturne_session"
	cookieDevice  = "nocturne_device"
	deviceLife    = 365 * 24 * time.Hour
)

const secretBytes = 32

// newSecret makes 256 random bits as text, and what is kept of them.
func newSecret() (text string, hash [32]byte) {
	b := make([]byte, secretBytes)
	_, _ = rand.Read(b) // never fails
	text = base64.RawURLEncoding.EncodeToString(b)
	return text, sha256.Sum256([]byte(text))
}

// secretHash is what is kept of a secret; ok tells whether it can be one.
func secretHash(text string) (hash [32]byte, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return sha256.Sum256([]byte(text)), err == nil && len(b) == secretBytes
}

// newSession makes one and what the cookie holds.
func newSession(user string, now time.Time) (store.Session, string) {
	text, hash := newSecret()
	return store.Session{Hash: hash, User: user, Created: now.UTC(), Used: now.UTC(), Expires: now.UTC().Add(sessionLife)}, text
}

// bySession tells who is logged in. found without err: he is.
func (s *server) bySession(r *http.Request) (c caller, found bool, err error) {
	text, ok := sessionCookie(r)
	if !ok || s.cfg.Users == nil {
		return caller{}, false, nil
	}
	hash, ok := secretHash(text)
	if !ok {
		return caller{}, false, nil
	}
	v, u, err := s.cfg.Users.SessionByHash(r.Context(), hash)
	now := s.now()
	switch {
	case errors.Is(err, store.ErrNotFound):
		return caller{}, false, nil
	case err != nil:
		return caller{}, false, err
	case !now.Before(v.Expires), now.Sub(v.Used) >= sessionIdle:
		return caller{}, false, nil
	}
	s.used.note(r.Context(), s, "session "+string(hash[:]), "use of a session not noted", func(ctx context.Context, at time.Time) error {
		return s.cfg.Users.SessionUsed(ctx, hash, at)
	})
	return caller{name: u.Name, via: ViaSession, role: roleOf(u.Role), user: u.ID, session: hash}, true, nil
}

func sessionCookie(r *http.Request) (string, bool) {
	names := []string{cookieSecure, cookieSession}
	if saysTLS(r) { // there a neighbour could have planted the other one
		names = names[:1]
	}
	for _, name := range names {
		if c, err := r.Cookie(name); err == nil {
			return c.Value, true
		}
	}
	return "", false
}

// overTLS tells whether the browser speaks TLS, to us or to the proxy before us.
// Who lies gets a cookie that his own browser does not send.
func overTLS(r *http.Request) bool {
	return saysTLS(r) || strings.HasPrefix(r.Header.Get("Origin"), "https://")
}

// saysTLS is the same without the browser's own word.
func saysTLS(r *http.Request) bool {
	return r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
}

// logIn makes the browser keep a session, and a mark that it had one.
func (r *request) logIn(u *store.User, session string) {
	secure := overTLS(r.http)
	name := cookieSession
	if secure {
		name = cookieSecure
	}
	r.cookie(name, session, "/", sessionLife, secure)
	r.cookie(cookieDevice, deviceMark(u), Prefix+"/login", deviceLife, secure)
}

// logOut makes the browser forget its session.
func (r *request) logOut() {
	for _, name := range []string{cookieSecure, cookieSession} {
		if _, err := r.http.Cookie(name); err == nil {
			r.cookie(name, "", "/", 0, name == cookieSecure)
		}
	}
}

// cookie answers with one; life 0 takes it away.
func (r *request) cookie(name, value, path string, life time.Duration, secure bool) {
	age := int(life / time.Second)
	if age == 0 {
		age = -1
	}
	r.cookies = append(r.cookies, &http.Cookie{Name: name, Value: value, Path: path, MaxAge: age, Secure: secure, HttpOnly: true, SameSite: http.SameSiteStrictMode})
}

// deviceMark says that its browser was logged in as a user. It is signed with
// the hash of his password, so it ends with that, and there is no key to keep.
func deviceMark(u *store.User) string {
	nonce, _ := newSecret()
	return nonce + "." + deviceSum(u, nonce)
}

func deviceSum(u *store.User, nonce string) string {
	m := hmac.New(sha256.New, []byte(u.Password))
	m.Write([]byte("nocturne device\x00" + u.ID + "\x00" + nonce))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

// device is the nonce of the browser's mark, where it has one for this user.
func device(r *http.Request, u *store.User) (string, bool) {
	c, err := r.Cookie(cookieDevice)
	if err != nil || u.Password == "" {
		return "", false
	}
	nonce, sum, _ := strings.Cut(c.Value, ".")
	return nonce, hmac.Equal([]byte(sum), []byte(deviceSum(u, nonce)))
}
