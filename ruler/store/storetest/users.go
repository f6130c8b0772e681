package storetest

import (
	"errors"
	"testing"
	"time"

	"nocturne/ruler/store"
)

func line(action string) store.AuditEntry {
	return store.AuditEntry{At: at(0), Actor: "root", Via: "loopback", Action: action}
}

func session(hash byte, user string, from time.Duration) store.Session {
	return store.Session{Hash: [32]byte{hash}, User: user, Created: at(from), Used: at(from), Expires: at(from + time.Hour)}
}

func link(hash byte, user string) store.LoginLink {
	return store.LoginLink{Hash: [32]byte{hash}, User: user, Created: at(0), Expires: at(time.Hour)}
}

// The first admin makes himself by a link that works once.
func firstAdmin(t *testing.T, f *fixture) {
	ok := func(err error) { t.Helper(); is(t, err, nil) }
	ok(f.AddLink(ctx, link(1, ""), line("link")))
	ok(f.AddLink(ctx, link(2, ""), line("link"))) // in the place of the other
	_, _, err := f.LinkByHash(ctx, [32]byte{1}, at(0))
	is(t, err, store.ErrNotFound)
	l, u, err := f.LinkByHash(ctx, [32]byte{2}, at(0))
	if err != nil || l != link(2, "") || u.ID != "" {
		t.Errorf("link %+v of %+v: %v", l, u, err)
	}
	_, _, err = f.LinkByHash(ctx, [32]byte{2}, at(time.Hour))
	is(t, err, store.ErrNotFound)
	ada := store.User{ID: "a", Name: "Ada", Role: "admin", Password: "phc", CreatedBy: "link", Created: at(1), Chosen: at(1), Login: at(1)}
	is(t, f.UseLink(ctx, [32]byte{1}, ada, session(1, "a", 1), line("use")), store.ErrNotFound)
	ok(f.UseLink(ctx, [32]byte{2}, ada, session(1, "a", 1), line("use")))
	is(t, f.UseLink(ctx, [32]byte{2}, ada, session(2, "a", 1), line("use")), store.ErrNotFound)
	is(t, f.AddLink(ctx, link(3, ""), line("link")), store.ErrConflict)
	f.reopen()
	if got := must[[]store.User](t)(f.Users(ctx)); len(got) != 1 || got[0] != ada {
		t.Errorf("users %+v, want %+v", got, ada)
	}
	if got := must[store.User](t)(f.UserByName(ctx, "aDA")); got != ada {
		t.Errorf("by name %+v", got)
	}
	_, err = f.UserByName(ctx, "bob")
	is(t, err, store.ErrNotFound)
	v, u, err := f.SessionByHash(ctx, [32]byte{1})
	if err != nil || v != session(1, "a", 1) || u != ada {
		t.Errorf("session %+v of %+v: %v", v, u, err)
	}
	_, err = f.SetRole(ctx, "a", "editor", line("role"))
	is(t, err, store.ErrConflict)
	_, err = f.RemoveUser(ctx, "a", line("remove"))
	is(t, err, store.ErrConflict)
	if log := must[[]store.AuditEntry](t)(f.AuditLog(ctx, store.AuditQuery{})); len(log) != 3 {
		t.Errorf("refused changes are in the audit log, or others are not: %+v", log)
	}
}

func is(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) || want == nil && err != nil {
		t.Errorf("answered %v, want %v", err, want)
	}
}

// Whatever changes a user ends his sessions, and nobody else's.
func sessionsEnd(t *testing.T, f *fixture) {
	ok := func(err error) { t.Helper(); is(t, err, nil) }
	for i, name := range []string{"ada", "bob"} {
		id := name[:1]
		ok(f.AddUser(ctx, store.User{ID: id, Name: name, Role: "admin", CreatedBy: "root", Created: at(0)}, link(byte(i+1), id), line("user")))
	}
	is(t, f.AddUser(ctx, store.User{ID: "c", Name: "ADA", Role: "viewer"}, link(9, "c"), line("user")), store.ErrConflict)
	_, _, err := f.LinkByHash(ctx, [32]byte{9}, at(0))
	is(t, err, store.ErrNotFound)
	if got := must[[]store.User](t)(f.Users(ctx)); len(got) != 2 || !got[0].Invited.Equal(at(time.Hour)) {
		t.Errorf("invited %+v", got)
	}
	is(t, f.UseLink(ctx, [32]byte{1}, store.User{ID: "b", Password: "phc"}, session(9, "b", 0), line("use")), store.ErrNotFound)
	ok(f.UseLink(ctx, [32]byte{1}, store.User{ID: "a", Password: "phc"}, session(1, "a", 0), line("use")))
	ok(f.UseLink(ctx, [32]byte{2}, store.User{ID: "b", Password: "phc"}, session(2, "b", 0), line("use")))
	alive := func(want ...byte) {
		t.Helper()
		for _, h := range []byte{1, 2, 3, 4, 5, 6} {
			_, _, err := f.SessionByHash(ctx, [32]byte{h})
			expect := store.ErrNotFound
			for _, w := range want {
				if w == h {
					expect = nil
				}
			}
			is(t, err, expect)
		}
	}
	ok(f.AddSession(ctx, session(3, "a", time.Minute), line("login")))
	is(t, f.AddSession(ctx, session(4, "x", 0), line("login")), store.ErrNotFound)
	alive(1, 2, 3)
	ok(f.SessionUsed(ctx, [32]byte{3}, at(20*time.Minute)))
	ok(f.SessionUsed(ctx, [32]byte{3}, at(10*time.Minute)))
	if v, _, err := f.SessionByHash(ctx, [32]byte{3}); err != nil || !v.Used.Equal(at(20*time.Minute)) {
		t.Errorf("used %v, %v", v.Used, err)
	}
	ok(f.EndSession(ctx, [32]byte{3}, line("logout")))
	ok(f.EndSession(ctx, [32]byte{3}, line("logout")))
	alive(1, 2)
	ok(f.AddLink(ctx, link(5, "a"), line("link")))
	is(t, f.AddLink(ctx, link(6, "x"), line("link")), store.ErrNotFound)
	alive(1, 2)
	ok(f.SetPassword(ctx, "a", "another", session(4, "a", time.Minute), line("password")))
	alive(2, 4)
	_, _, err = f.LinkByHash(ctx, [32]byte{5}, at(0))
	is(t, err, store.ErrNotFound)
	if u := must[store.User](t)(f.UserByName(ctx, "ada")); u.Password != "another" || !u.Chosen.Equal(at(time.Minute)) {
		t.Errorf("password of %+v", u)
	}
	is(t, f.SetPassword(ctx, "x", "another", session(9, "x", 0), line("password")), store.ErrNotFound)
	if u := must[store.User](t)(f.SetRole(ctx, "b", "viewer", line("role"))); u.Role != "viewer" || u.Name != "bob" {
		t.Errorf("role of %+v", u)
	}
	alive(4)
	ok(f.AddSession(ctx, session(5, "b", 2*time.Hour), line("login"))) // by then the other has expired
	alive(5)
	if u := must[store.User](t)(f.RemoveUser(ctx, "b", line("remove"))); u.Name != "bob" {
		t.Errorf("removed %+v", u)
	}
	alive()
	_, err = f.RemoveUser(ctx, "b", line("remove"))
	is(t, err, store.ErrNotFound)
}
