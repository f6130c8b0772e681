package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"nocturne/ruler/store"
)

const userColumns = "u.id, u.name, u.role, u.password, u.created_by, u.created, u.chosen, u.login"

// userFields are where a row of userColumns goes; done turns it into u.
func userFields(u *store.User) (into []any, done func()) {
	var created, chosen, login int64
	return []any{&u.ID, &u.Name, &u.Role, &u.Password, &u.CreatedBy, &created, &chosen, &login}, func() {
		u.Created, u.Chosen, u.Login = moment(created), moment(chosen), moment(login)
	}
}

// Users implements store.UserStore.
func (s *Store) Users(ctx context.Context) ([]store.User, error) {
	out := []store.User{}
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var u store.User
		var invited int64
		into, done := userFields(&u)
		err := rows.Scan(append(into, &invited)...)
		done()
		u.Invited = moment(invited)
		out = append(out, u)
		return err
	}, "SELECT "+userColumns+", coalesce(l.expires, 0) FROM users u LEFT JOIN login_links l ON l.user = u.id ORDER BY u.name")
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return out, nil
}

// UserByName implements store.UserStore.
func (s *Store) UserByName(ctx context.Context, name string) (store.User, error) {
	return oneUser(ctx, s.read, "u.name = ?", name)
}

func oneUser(ctx context.Context, q querier, where string, args ...any) (store.User, error) {
	u, found := store.User{}, false
	err := each(ctx, q, func(rows *sql.Rows) error {
		found = true
		into, done := userFields(&u)
		err := rows.Scan(into...)
		done()
		return err
	}, "SELECT "+userColumns+" FROM users u WHERE "+where, args...)
	switch {
	case err != nil:
		return u, fmt.Errorf("find user: %w", err)
	case !found:
		return u, fmt.Errorf("user: %w", store.ErrNotFound)
	}
	return u, nil
}

// user reads one within the transaction.
func (w *writer) user(where string, args ...any) store.User {
	if w.err != nil {
		return store.User{}
	}
	u, err := oneUser(w.ctx, w.tx, where, args...)
	w.err = err
	return u
}

// free refuses a name that somebody has.
func (w *writer) free(name string) {
	switch w.user("u.name = ?", name); {
	case w.err == nil:
		w.err = fmt.Errorf("the name %.80q is taken: %w", name, store.ErrConflict)
	case errors.Is(w.err, store.ErrNotFound):
		w.err = nil
	}
}

func (w *writer) addUser(u *store.User) {
	w.free(u.Name)
	w.run(`INSERT INTO users (id, name, role, password, created_by, created, chosen, login) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		u.ID, u.Name, u.Role, u.Password, u.CreatedBy, unix(u.Created), unix(u.Chosen), unix(u.Login))
}

func (w *writer) addLink(l *store.LoginLink) {
	w.run("REPLACE INTO login_links (user, hash, created, expires) VALUES (?, ?, ?, ?)", l.User, l.Hash[:], unix(l.Created), unix(l.Expires))
}

func (w *writer) endSessions(user string) { w.run("DELETE FROM sessions WHERE user = ?", user) }

func (w *writer) addSession(v *store.Session) {
	w.run("DELETE FROM sessions WHERE expires <= ?", unix(v.Created))
	w.run("INSERT INTO sessions (hash, user, created, used, expires) VALUES (?, ?, ?, ?, ?)", v.Hash[:], v.User, unix(v.Created), unix(v.Used), unix(v.Expires))
	w.run("UPDATE users SET login = ? WHERE id = ?", unix(v.Created), v.User)
}

// spare refuses what would leave nobody who can log in as admin.
func (w *writer) spare(u *store.User) {
	if w.err != nil || u.Role != "admin" || u.Password == "" {
		return
	}
	w.user("u.role = 'admin' AND u.password <> '' AND u.id <> ? LIMIT 1", u.ID)
	if errors.Is(w.err, store.ErrNotFound) {
		w.err = &store.ConflictError{Detail: "this is the last admin who can log in"}
	}
}

// AddUser implements store.UserStore.
func (s *Store) AddUser(ctx context.Context, u store.User, l store.LoginLink, e store.AuditEntry) error {
	return s.update(ctx, "add user", func(w *writer) {
		w.addUser(&u)
		w.addLink(&l)
		w.audit(&e)
	})
}

// SetRole implements store.UserStore.
func (s *Store) SetRole(ctx context.Context, id, role string, e store.AuditEntry) (store.User, error) {
	var u store.User
	err := s.update(ctx, "set role of user", func(w *writer) {
		u = w.user("u.id = ?", id)
		if role != "admin" {
			w.spare(&u)
		}
		w.run("UPDATE users SET role = ? WHERE id = ?", role, id)
		w.endSessions(id)
		w.audit(&e)
		u.Role = role
	})
	return u, err
}

// RemoveUser implements store.UserStore.
func (s *Store) RemoveUser(ctx context.Context, id string, e store.AuditEntry) (store.User, error) {
	var u store.User
	err := s.update(ctx, "remove user", func(w *writer) {
		u = w.user("u.id = ?", id)
		w.spare(&u)
		w.run("DELETE FROM users WHERE id = ?", id)
		w.run("DELETE FROM login_links WHERE user = ?", id)
		w.endSessions(id)
		w.audit(&e)
	})
	return u, err
}

// password sets one, ends what was open and begins a session.
func (w *writer) password(id, phc string, v *store.Session) {
	w.run("UPDATE users SET password = ?, chosen = ? WHERE id = ?", phc, unix(v.Created), id)
	w.run("DELETE FROM login_links WHERE user = ?", id)
	w.endSessions(id)
	w.addSession(v)
}

// SetPassword implements store.UserStore.
func (s *Store) SetPassword(ctx context.Context, id, phc string, v store.Session, e store.AuditEntry) error {
	return s.update(ctx, "set password", func(w *writer) {
		w.user("u.id = ?", id)
		w.password(id, phc, &v)
		w.audit(&e)
	})
}

// AddLink implements store.UserStore.
func (s *Store) AddLink(ctx context.Context, l store.LoginLink, e store.AuditEntry) error {
	return s.update(ctx, "add login link", func(w *writer) {
		if l.User != "" {
			w.user("u.id = ?", l.User)
		} else {
			w.nobody()
		}
		w.addLink(&l)
		w.audit(&e)
	})
}

// nobody refuses once somebody has a password.
func (w *writer) nobody() {
	switch w.user("u.password <> '' LIMIT 1"); {
	case w.err == nil:
		w.err = fmt.Errorf("somebody has a password already: %w", store.ErrConflict)
	case errors.Is(w.err, store.ErrNotFound):
		w.err = nil
	}
}

func oneLink(ctx context.Context, q querier, h [32]byte, now time.Time) (store.LoginLink, store.User, error) {
	l, u, found := store.LoginLink{Hash: h}, store.User{}, false
	err := each(ctx, q, func(rows *sql.Rows) error {
		found = true
		var created, expires int64
		err := rows.Scan(&l.User, &created, &expires)
		l.Created, l.Expires = moment(created), moment(expires)
		return err
	}, "SELECT user, created, expires FROM login_links WHERE hash = ? AND expires > ?", h[:], unix(now))
	switch {
	case err != nil:
		return l, u, fmt.Errorf("find login link: %w", err)
	case !found:
		return l, u, fmt.Errorf("login link: %w", store.ErrNotFound)
	case l.User != "":
		u, err = oneUser(ctx, q, "u.id = ?", l.User)
	}
	return l, u, err
}

// LinkByHash implements store.UserStore.
func (s *Store) LinkByHash(ctx context.Context, h [32]byte, now time.Time) (store.LoginLink, store.User, error) {
	return oneLink(ctx, s.read, h, now)
}

// UseLink implements store.UserStore.
func (s *Store) UseLink(ctx context.Context, h [32]byte, u store.User, v store.Session, e store.AuditEntry) error {
	return s.update(ctx, "use login link", func(w *writer) {
		l, _, err := oneLink(ctx, w.tx, h, v.Created)
		switch {
		case err != nil:
			w.err = err
		case l.User != "" && l.User != u.ID:
			w.err = fmt.Errorf("login link: %w", store.ErrNotFound) // made anew for another one
		case l.User == "":
			w.nobody()
			w.addUser(&u)
		}
		w.run("DELETE FROM login_links WHERE hash = ?", h[:])
		w.password(u.ID, u.Password, &v)
		w.audit(&e)
	})
}

// AddSession implements store.UserStore.
func (s *Store) AddSession(ctx context.Context, v store.Session, e store.AuditEntry) error {
	return s.update(ctx, "add session", func(w *writer) {
		w.user("u.id = ?", v.User)
		w.addSession(&v)
		w.audit(&e)
	})
}

// SessionByHash implements store.UserStore.
func (s *Store) SessionByHash(ctx context.Context, h [32]byte) (store.Session, store.User, error) {
	v, u, found := store.Session{Hash: h}, store.User{}, false
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		found = true
		var created, used, expires int64
		into, done := userFields(&u)
		err := rows.Scan(append(into, &created, &used, &expires)...)
		done()
		v.User, v.Created, v.Used, v.Expires = u.ID, moment(created), moment(used), moment(expires)
		return err
	}, "SELECT "+userColumns+", s.created, s.used, s.expires FROM sessions s JOIN users u ON u.id = s.user WHERE s.hash = ?", h[:])
	switch {
	case err != nil:
		return v, u, fmt.Errorf("find session: %w", err)
	case !found:
		return v, u, fmt.Errorf("session: %w", store.ErrNotFound)
	}
	return v, u, nil
}

// SessionUsed implements store.UserStore.
func (s *Store) SessionUsed(ctx context.Context, h [32]byte, at time.Time) error {
	return s.update(ctx, "note use of session", func(w *writer) {
		w.run("UPDATE sessions SET used = max(used, ?) WHERE hash = ?", unix(at), h[:])
	})
}

// EndSession implements store.UserStore.
func (s *Store) EndSession(ctx context.Context, h [32]byte, e store.AuditEntry) error {
	return s.update(ctx, "end session", func(w *writer) {
		if w.run("DELETE FROM sessions WHERE hash = ?", h[:]) > 0 {
			w.audit(&e)
		}
	})
}
