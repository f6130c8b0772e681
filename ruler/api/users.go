package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"nocturne/ruler/store"
)

func (s *server) userRoutes() []route {
	id := []param{{name: "id", kind: kindText, max: 64, path: true, doc: "user id"}}
	return []route{
		{method: "GET", path: "/users", name: "users", summary: "Who may log in", result: UserList{}, role: roleAdmin, handle: s.users},
		{method: "POST", path: "/users", name: "user_add", summary: "Invite a user. The link is told this once", body: UserRequest{}, result: UserLink{}, role: roleAdmin, handle: s.userAdd},
		{method: "POST", path: "/users/{id}/link", name: "user_link", summary: "Make a link by which a user chooses a new password; the one before ends", params: id, body: UserLinkRequest{}, result: UserLink{}, role: roleAdmin, handle: s.userLink},
		{method: "PUT", path: "/users/{id}/role", name: "user_role", summary: "Give a user another role. Their sessions end", params: id, body: RoleRequest{}, result: UserInfo{}, role: roleAdmin, handle: s.userRole},
		{method: "DELETE", path: "/users/{id}", name: "user_remove", summary: "Remove a user. Their sessions end", params: id, result: UserInfo{}, role: roleAdmin, handle: s.userRemove},
	}
}

// UserList is everybody who may log in.
type UserList struct {
	Items []UserInfo `json:"items"`
}

// UserInfo is a user without secrets.
type UserInfo struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Role      string     `json:"role" doc:"viewer, editor or admin"`
	State     string     `json:"state" doc:"active, invited (chose no password yet) or expired (the link has ended before)"`
	CreatedBy string     `json:"created_by"`
	CreatedAt *time.Time `json:"created_at"`
	ChosenAt  *time.Time `json:"password_chosen_at"`
	LoginAt   *time.Time `json:"login_at" doc:"the last login"`
	LinkUntil *time.Time `json:"link_until" doc:"until when a link to choose a password can be used; null = there is none"`
}

// UserRequest invites somebody.
type UserRequest struct {
	Name string `json:"name" doc:"1 to 64 letters, digits and . _ - @, unique whatever the case"`
	Role string `json:"role" doc:"viewer, editor or admin"`
}

// UserLinkRequest is empty.
type UserLinkRequest struct{}

// RoleRequest is another role.
type RoleRequest struct {
	Role string `json:"role" doc:"viewer, editor or admin"`
}

// UserLink holds a link, a secret.
type UserLink struct {
	User      UserInfo   `json:"user"`
	Path      string     `json:"path" doc:"of the page, behind its address; it is told this once"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// How long links are good for.
const (
	firstLinkLife = 24 * time.Hour
	linkLife      = 3 * 24 * time.Hour
)

// NewUser makes a user who has no password yet.
func NewUser(name, roleName string, now time.Time) (store.User, error) {
	_, known := parseRole(roleName)
	switch {
	case !fitsName(name):
		return store.User{}, fmt.Errorf("name: %.80q does not fit, write 1 to 64 letters, digits and . _ - @", name)
	case name == actorLocal || name == actorToken || name == "ruler":
		return store.User{}, fmt.Errorf("name: %q means somebody else in the audit log", name)
	case !known:
		return store.User{}, fmt.Errorf("role: %.80q does not fit, write viewer, editor or admin", roleName)
	}
	id := make([]byte, 6)
	_, _ = rand.Read(id) // never fails
	return store.User{ID: hex.EncodeToString(id), Name: name, Role: roleName, Created: now.UTC()}, nil
}

// NewLink makes a one-time link for a user, "" = the first admin; path is where
// the page takes it. The secret stands behind #, which no browser sends: it is in
// no log of a proxy.
func NewLink(user string, now time.Time) (l store.LoginLink, path string) {
	life := linkLife
	if user == "" {
		life = firstLinkLife
	}
	text, hash := newSecret()
	return store.LoginLink{Hash: hash, User: user, Created: now.UTC(), Expires: now.UTC().Add(life)}, "/welcome#" + text
}

func userInfo(u store.User, now time.Time) UserInfo {
	out := UserInfo{ID: u.ID, Name: clip(u.Name, maxName), Role: u.Role, State: "active", CreatedBy: clip(u.CreatedBy, maxName), CreatedAt: at(u.Created), ChosenAt: at(u.Chosen), LoginAt: at(u.Login)}
	if now.Before(u.Invited) {
		out.LinkUntil = at(u.Invited)
	}
	switch {
	case u.Password != "":
	case out.LinkUntil != nil:
		out.State = "invited"
	default:
		out.State = "expired"
	}
	return out
}

func (s *server) users(r *request) (any, error) {
	users, err := s.userStore()
	if err != nil {
		return nil, err
	}
	list, err := users.Users(r.ctx)
	if err != nil {
		return nil, err
	}
	return UserList{Items: mapSlice(list, func(u store.User) UserInfo { return userInfo(u, s.now()) })}, nil
}

// userByID finds one; there are few.
func (s *server) userByID(ctx context.Context, id string) (store.UserStore, store.User, error) {
	users, err := s.userStore()
	if err != nil {
		return nil, store.User{}, err
	}
	list, err := users.Users(ctx)
	if err != nil {
		return nil, store.User{}, err
	}
	for _, u := range list {
		if u.ID == id {
			return users, u, nil
		}
	}
	return nil, store.User{}, fmt.Errorf("user: %w", store.ErrNotFound)
}

func (s *server) userAdd(r *request) (any, error) {
	users, err := s.userStore()
	if err != nil {
		return nil, err
	}
	var q UserRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	u, err := NewUser(q.Name, q.Role, s.now())
	if err != nil {
		return nil, badRequest("see "+Prefix+"/openapi.json for what fits", "%s", err.Error())
	}
	u.CreatedBy = r.who.name
	l, path := NewLink(u.ID, s.now())
	switch err := users.AddUser(r.ctx, u, l, s.entry(r, "user.create", u.Name, map[string]any{"role": u.Role, "link_until": l.Expires})); {
	case errors.Is(err, store.ErrConflict):
		return nil, &problem{status: http.StatusConflict, msg: "there is a user of this name", hint: "choose another name, or make that one a new link"}
	case err != nil:
		return nil, err
	}
	u.Invited = l.Expires
	return UserLink{User: userInfo(u, s.now()), Path: path, ExpiresAt: at(l.Expires)}, nil
}

func (s *server) userLink(r *request) (any, error) {
	if err := r.decode(&UserLinkRequest{}); err != nil {
		return nil, err
	}
	users, u, err := s.userByID(r.ctx, r.text("id"))
	if err != nil {
		return nil, err
	}
	l, path := NewLink(u.ID, s.now())
	if err := users.AddLink(r.ctx, l, s.entry(r, "user.link", u.Name, map[string]any{"link_until": l.Expires})); err != nil {
		return nil, err
	}
	u.Invited = l.Expires
	return UserLink{User: userInfo(u, s.now()), Path: path, ExpiresAt: at(l.Expires)}, nil
}

func (s *server) userRole(r *request) (any, error) {
	var q RoleRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	if _, known := parseRole(q.Role); !known {
		return nil, badRequest("viewer, editor or admin", "role: %.80q does not fit", q.Role)
	}
	users, u, err := s.userByID(r.ctx, r.text("id"))
	if err != nil {
		return nil, err
	}
	if u.Role == q.Role {
		return nil, &problem{status: http.StatusConflict, msg: "this is the user's role already", hint: "nothing is left to do"}
	}
	detail := map[string]any{"role": map[string]string{"before": u.Role, "after": q.Role}}
	if u, err = users.SetRole(r.ctx, u.ID, q.Role, s.entry(r, "user.role", u.Name, detail)); err != nil {
		return nil, lastAdmin(err)
	}
	return userInfo(u, s.now()), nil
}

func (s *server) userRemove(r *request) (any, error) {
	users, u, err := s.userByID(r.ctx, r.text("id"))
	if err != nil {
		return nil, err
	}
	if u, err = users.RemoveUser(r.ctx, u.ID, s.entry(r, "user.remove", u.Name, map[string]any{"role": u.Role})); err != nil {
		return nil, lastAdmin(err)
	}
	return userInfo(u, s.now()), nil
}

// lastAdmin words the refusal to take the last one away.
func lastAdmin(err error) error {
	var c *store.ConflictError
	if errors.As(err, &c) {
		return &problem{status: http.StatusConflict, msg: c.Detail, hint: "make another user admin first"}
	}
	return err
}
