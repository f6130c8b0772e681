package api

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"

	"nocturne/ruler/password"
	"nocturne/ruler/store"
)

func (s *server) loginRoutes() []route {
	return []route{
		{method: "GET", path: "/login", name: "login_state", summary: "Whether this ruler asks you for a login", result: LoginState{}, public: true, handle: s.loginState},
		{method: "POST", path: "/login", name: "login", summary: "Log in. The answer sets the cookie of the session", body: LoginRequest{}, result: Me{}, public: true, handle: s.login},
		{method: "POST", path: "/logout", name: "logout", summary: "End the session of this browser", body: LogoutRequest{}, result: LoginState{}, public: true, handle: s.logout},
		{method: "POST", path: "/login/link", name: "login_link", summary: "What a one-time link is for", body: LinkRequest{}, result: LinkAnswer{}, public: true, handle: s.link},
		{method: "POST", path: "/login/welcome", name: "login_welcome", summary: "Choose a password by a one-time link, and log in", body: WelcomeRequest{}, result: Me{}, public: true, handle: s.welcome},
		{method: "POST", path: "/password", name: "password", summary: "Change your own password. Your other sessions end", body: PasswordRequest{}, result: Me{}, handle: s.changePassword},
	}
}

// LoginState says whether there is anything to do before looking.
type LoginState struct {
	Required bool `json:"required" doc:"false: here the page opens without a login"`
	First    bool `json:"first" doc:"nobody can log in yet: the first admin's link is in the ruler's log, or ruler users link makes one"`
}

// LoginRequest is a name and a password.
type LoginRequest struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// LogoutRequest is empty: it is there because a body of JSON cannot be sent by
// another site's form.
type LogoutRequest struct{}

// LinkRequest holds the secret of a one-time link.
type LinkRequest struct {
	Token string `json:"token" doc:"what stands behind # in the link"`
}

// LinkAnswer says what a link is for. Looking does not use it up.
type LinkAnswer struct {
	Kind      string     `json:"kind" doc:"first (it makes the first admin), invite or reset"`
	Name      string     `json:"name" doc:"empty of the first admin, who chooses one"`
	Role      string     `json:"role"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// WelcomeRequest uses a link up.
type WelcomeRequest struct {
	Token    string `json:"token"`
	Name     string `json:"name" doc:"of the first admin; the others have one"`
	Password string `json:"password" doc:"12 characters or more, of any kind"`
}

// PasswordRequest changes one's own password.
type PasswordRequest struct {
	Current  string `json:"current"`
	Password string `json:"password" doc:"12 characters or more, of any kind"`
}

// userStore is where users are, or why there is none.
func (s *server) userStore() (store.UserStore, error) {
	if s.cfg.Users == nil {
		return nil, &problem{status: http.StatusServiceUnavailable, msg: "this ruler keeps no users", hint: "use a token"}
	}
	return s.cfg.Users, nil
}

func (s *server) loginState(r *request) (any, error) {
	out := LoginState{Required: !s.opens(r.http)}
	if s.cfg.Users == nil {
		return out, nil
	}
	list, err := s.cfg.Users.Users(r.ctx)
	out.First = true
	for i := range list {
		out.First = out.First && list[i].Password == ""
	}
	return out, err
}

func (s *server) login(r *request) (any, error) {
	users, err := s.userStore()
	if err != nil {
		return nil, err
	}
	var q LoginRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	u := store.User{}
	if fitsName(q.Name) {
		if u, err = users.UserByName(r.ctx, q.Name); err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	tries := triesOf(r.http, &q, &u)
	if wait := s.throttle.take(s.now(), tries...); wait > 0 {
		s.metrics.logins(loginLimited)
		return nil, tooMany(wait)
	}
	// As long for a name that there is not.
	switch err := password.Verify(r.ctx, u.Password, q.Password); {
	case errors.Is(err, password.ErrWrong):
		s.metrics.logins(loginWrong)
		s.log.Warn("login refused", "name", inline(clip(q.Name, 64)), "address", addressOf(r.http))
		return nil, &problem{status: http.StatusUnauthorized, msg: "name or password is wrong", hint: "an admin can make a link to choose another password"}
	case err != nil:
		return nil, err
	}
	s.throttle.back(s.now(), tries...)
	v, text := newSession(u.ID, s.now())
	r.who = caller{name: u.Name, via: ViaSession, role: roleOf(u.Role), user: u.ID, session: v.Hash}
	if err := users.AddSession(r.ctx, v, s.entry(r, "login", u.Name, nil)); err != nil {
		return nil, err
	}
	s.metrics.logins(loginOK)
	s.log.Info("logged in", "name", u.Name, "address", addressOf(r.http))
	r.logIn(&u, text)
	return s.meOf(r.who), nil
}

// triesOf are the buckets that a try to log in is taken from.
func triesOf(r *http.Request, q *LoginRequest, u *store.User) []attempt {
	if nonce, ok := device(r, u); ok {
		return []attempt{{"device", u.ID + " " + nonce, rateDevice}}
	}
	name, address := strings.ToLower(clip(q.Name, 64)), addressOf(r)
	return []attempt{{"address", address, rateAddress}, {"pair", address + " " + name, ratePair}, {"name", name, rateName}}
}

func tooMany(wait time.Duration) error {
	seconds := int(math.Ceil(wait.Seconds()))
	return &problem{status: http.StatusTooManyRequests, msg: "that was wrong too often", hint: fmt.Sprintf("try again in %d s", seconds), retry: seconds}
}

func (s *server) logout(r *request) (any, error) {
	if err := r.decode(&LogoutRequest{}); err != nil {
		return nil, err
	}
	who, found, err := s.bySession(r.http)
	if err != nil {
		return nil, err
	}
	if found {
		r.who = who
		if err := s.cfg.Users.EndSession(r.ctx, who.session, s.entry(r, "logout", who.name, nil)); err != nil {
			return nil, err
		}
	}
	r.logOut()
	return s.loginState(r)
}

// errLink is the answer to every link that does nothing (any more).
func errLink() error {
	return &problem{status: http.StatusNotFound, msg: "this link was used, has expired, or another one took its place", hint: "ask an admin for a new one; on the ruler's machine, ruler users link makes one"}
}

// linkOf finds the link of a secret.
func (s *server) linkOf(r *request, token string) (hash [32]byte, l store.LoginLink, u store.User, err error) {
	users, err := s.userStore()
	if err != nil {
		return hash, l, u, err
	}
	hash, ok := secretHash(token)
	if !ok {
		s.metrics.logins(loginLinkBad)
		return hash, l, u, errLink()
	}
	l, u, err = users.LinkByHash(r.ctx, hash, s.now())
	if errors.Is(err, store.ErrNotFound) {
		s.metrics.logins(loginLinkBad)
		err = errLink()
	}
	return hash, l, u, err
}

func (s *server) link(r *request) (any, error) {
	var q LinkRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	_, l, u, err := s.linkOf(r, q.Token)
	if err != nil {
		return nil, err
	}
	out := LinkAnswer{Kind: "reset", Name: u.Name, Role: u.Role, ExpiresAt: at(l.Expires)}
	switch {
	case l.User == "":
		out.Kind, out.Role = "first", roleAdmin.String()
	case u.Password == "":
		out.Kind = "invite"
	}
	return out, nil
}

func (s *server) welcome(r *request) (any, error) {
	var q WelcomeRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	hash, l, u, err := s.linkOf(r, q.Token)
	if err != nil {
		return nil, err
	}
	action := "user.password"
	if l.User == "" {
		if u, err = NewUser(q.Name, roleAdmin.String(), s.now()); err != nil {
			return nil, badRequest("letters, digits and . _ - @", "%s", err.Error())
		}
		u.CreatedBy, action = u.Name, "user.create"
	}
	if u.Password, err = s.newPassword(r, q.Password, u.Name); err != nil {
		return nil, err
	}
	v, text := newSession(u.ID, s.now())
	u.Chosen, u.Login = v.Created, v.Created
	r.who = caller{name: u.Name, via: viaLink, role: roleOf(u.Role), user: u.ID, session: v.Hash}
	switch err := s.cfg.Users.UseLink(r.ctx, hash, u, v, s.entry(r, action, u.Name, map[string]any{"role": u.Role})); {
	case errors.Is(err, store.ErrNotFound):
		return nil, errLink()
	case errors.Is(err, store.ErrConflict):
		return nil, &problem{status: http.StatusConflict, msg: "this name is taken, or somebody was first admin before you", hint: "choose another name, or log in"}
	case err != nil:
		return nil, err
	}
	s.metrics.logins(loginLink)
	s.log.Info("password chosen by a link", "name", u.Name, "address", addressOf(r.http))
	r.who.via = ViaSession
	r.logIn(&u, text)
	return s.meOf(r.who), nil
}

// newPassword checks and hashes one.
func (s *server) newPassword(r *request, text, name string) (string, error) {
	if err := password.Check(text, name); err != nil {
		return "", badRequest("several words in a row are easy to keep in mind", "this password is not taken: %s", err.Error())
	}
	return password.Hash(r.ctx, s.hashing, text)
}

func (s *server) changePassword(r *request) (any, error) {
	users, err := s.userStore()
	if err != nil {
		return nil, err
	}
	var q PasswordRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	if r.who.via != ViaSession {
		return nil, &problem{status: http.StatusForbidden, msg: "you are not logged in by a password", hint: "log in first"}
	}
	u, err := users.UserByName(r.ctx, r.who.name)
	if err != nil {
		return nil, err
	}
	tries := attempt{"person", u.ID, ratePerson}
	if wait := s.throttle.take(s.now(), tries); wait > 0 {
		s.metrics.logins(loginLimited)
		return nil, tooMany(wait)
	}
	switch err := password.Verify(r.ctx, u.Password, q.Current); {
	case errors.Is(err, password.ErrWrong):
		s.metrics.logins(loginWrong)
		return nil, badRequest("the one with which you logged in", "the current password is wrong")
	case err != nil:
		return nil, err
	}
	s.throttle.back(s.now(), tries)
	if u.Password, err = s.newPassword(r, q.Password, u.Name); err != nil {
		return nil, err
	}
	v, text := newSession(u.ID, s.now())
	if err := users.SetPassword(r.ctx, u.ID, u.Password, v, s.entry(r, "user.password", u.Name, nil)); err != nil {
		return nil, err
	}
	r.who.session = v.Hash
	r.logIn(&u, text)
	return s.meOf(r.who), nil
}
