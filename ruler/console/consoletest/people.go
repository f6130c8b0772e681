package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"nocturne/ruler/api"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// phc is the hash of "correct horse battery", the password of ada and bob; cheap,
// so that the browser does not wait.
const phc = "$argon2id$v=19$m=64,t=1,p=1$Dw73MJTEcXTmEgcCChRWZQ$+CFd38imIrMbxqUcYvsE538EhLflA6LEjvAJjjf4ZOA"

// people fills the store with users, tokens and what they did.
func people(ctx context.Context, s *sqlite.Store) error {
	now := time.Now().UTC()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	for i, u := range []struct {
		name, role string
		login      time.Duration // 0 = never came
		invited    time.Duration
	}{{"ada", "admin", 2 * time.Hour, 90 * day}, {"bob", "viewer", 3 * day, 80 * day}, {"carol", "editor", 0, time.Hour}, {"dan.from-the-other-site@example.org", "editor", 0, 20 * day}} {
		user, err := api.NewUser(u.name, u.role, ago(u.invited))
		if err != nil {
			return err
		}
		user.CreatedBy = "local"
		l, _ := api.NewLink(user.ID, ago(u.invited))
		if u.name == "carol" {
			l.Hash = sha256.Sum256([]byte(strings.Repeat("A", 43))) // a link that specs know
		}
		if err := s.AddUser(ctx, user, l, line(ago(u.invited), "local", "user.create", u.name, fmt.Sprintf(`{"role":%q}`, u.role))); err != nil {
			return err
		}
		if u.login == 0 {
			continue
		}
		v := store.Session{Hash: [32]byte{byte(i + 1)}, User: user.ID, Created: ago(u.login), Used: ago(u.login), Expires: now.Add(day)}
		if err := s.SetPassword(ctx, user.ID, phc, v, line(ago(u.login), u.name, "user.password", u.name, "")); err != nil {
			return err
		}
	}
	for _, k := range []struct {
		name, kind, role string
		ttl              time.Duration
	}{{"grafana", store.TokenPlugin, "editor", 0}, {"prometheus", store.TokenPerson, "viewer", 90 * day}, {"old-script", store.TokenPerson, "admin", 10 * day}} {
		t, _, err := api.NewToken(k.name, k.kind, k.role, k.ttl, ago(30*day))
		if err != nil {
			return err
		}
		t.CreatedBy = "ada"
		if err := s.AddToken(ctx, t, line(ago(30*day), "ada", "token.create", t.ID, fmt.Sprintf(`{"name":%q,"role":%q}`, k.name, k.role))); err != nil {
			return err
		}
	}
	for _, e := range []store.AuditEntry{
		line(ago(5*time.Hour), "ada", "user.role", "bob", `{"role":{"before":"editor","after":"viewer"}}`),
		line(ago(3*time.Hour), "ada", "rule.update", "disk-bad-block", `{"before":{"severity":"warning","for":"5m"},"after":{"severity":"critical","for":"5m"},"comment":"it was too late last time"}`),
		line(ago(time.Hour), "ada", "join_token.create", "5f2c91aa07", `{"site":"north","uses":5}`),
	} {
		if err := s.Audit(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func line(at time.Time, actor, action, subject, detail string) store.AuditEntry {
	via := api.ViaSession
	if actor == "local" {
		via = "loopback"
	}
	return store.AuditEntry{At: at, Actor: actor, Via: via, Action: action, Subject: subject, Detail: []byte(detail)}
}

// firstLink answers with the path of a link for the first admin.
func (w *world) firstLink(rw http.ResponseWriter, r *http.Request) {
	l, path := api.NewLink("", time.Now())
	if err := w.fresh.AddLink(r.Context(), l, store.AuditEntry{At: time.Now(), Actor: "ruler", Action: "user.link"}); err != nil {
		http.Error(rw, err.Error(), http.StatusConflict)
		return
	}
	answer(rw, path)
}

// joinTokens plays the bridge's list of them.
func (w *world) joinTokens(mux *http.ServeMux) {
	type token struct {
		ID      string            `json:"id"`
		Labels  map[string]string `json:"labels"`
		Uses    int               `json:"uses"`
		Left    int               `json:"left"`
		Created time.Time         `json:"created"`
		Expires time.Time         `json:"expires"`
		Revoked bool              `json:"revoked"`
	}
	now := time.Now()
	var mu sync.Mutex
	tokens := []*token{
		{"5f2c91aa07", map[string]string{"site": "north", "rack": "n02", "role": "sql", "owner": "ops"}, 5, 3, now.Add(-time.Hour), now.Add(23 * time.Hour), false},
		{"77aa00cc12", map[string]string{}, 1, 0, now.Add(-48 * time.Hour), now.Add(-47 * time.Hour), false},
		{"90bb11dd34", map[string]string{"site": "south"}, 100, 40, now.Add(-72 * time.Hour), now.Add(-time.Hour), false},
	}
	mux.HandleFunc("GET /neighbour/admin/v1/tokens", func(rw http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		answer(rw, map[string]any{"tokens": tokens})
	})
	mux.HandleFunc("DELETE /neighbour/admin/v1/tokens/{id}", func(rw http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for _, t := range tokens {
			if t.ID == r.PathValue("id") {
				t.Revoked = true
				answer(rw, t)
				return
			}
		}
		http.Error(rw, `{"error":"no such token"}`, http.StatusNotFound)
	})
}
