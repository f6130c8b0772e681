package storetest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"nocturne/ruler/store"
)

func tokens(t *testing.T, f *fixture) {
	made := func(id, name string, hash byte) store.Token {
		return store.Token{ID: id, Name: name, Kind: store.TokenPerson, Role: "editor", Hash: [32]byte{hash}, CreatedBy: "root", Created: at(time.Duration(hash) * time.Minute), Expires: at(time.Hour)}
	}
	line := func(action, subject string) store.AuditEntry {
		return store.AuditEntry{At: at(30 * time.Minute), Actor: "root", Via: "loopback", Action: action, Subject: subject}
	}
	a, b := made("a", "alice", 1), made("b", "bob", 2)
	for _, v := range []store.Token{a, b} {
		if err := f.AddToken(ctx, v, line("token.create", v.ID)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.AddToken(ctx, made("c", "alice", 3), line("token.create", "c")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("a name twice: %v", err)
	}
	for _, used := range []time.Duration{20 * time.Minute, 10 * time.Minute} {
		if err := f.TokenUsed(ctx, "b", at(used)); err != nil {
			t.Fatal(err)
		}
	}
	gone := must[store.Token](t)(f.RevokeToken(ctx, "a", line("token.revoke", "a")))
	if gone.Revoked != at(30*time.Minute) || gone.RevokedBy != "root" {
		t.Errorf("revoked: %+v", gone)
	}
	if _, err := f.RevokeToken(ctx, "a", line("token.revoke", "a")); !errors.Is(err, store.ErrConflict) {
		t.Errorf("revoked twice: %v", err)
	}
	if _, err := f.RevokeToken(ctx, "x", line("token.revoke", "x")); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown one revoked: %v", err)
	}
	if err := f.AddToken(ctx, made("d", "alice", 4), line("token.create", "d")); err != nil {
		t.Errorf("the name of a revoked one: %v", err)
	}
	f.reopen()
	b.Used = at(20 * time.Minute)
	if got := must[[]store.Token](t)(f.Tokens(ctx)); len(got) != 3 || !reflect.DeepEqual(got[1], b) || got[2].ID != "a" || got[0].ID != "d" {
		t.Errorf("tokens %+v", got)
	}
	if got := must[store.Token](t)(f.TokenByHash(ctx, b.Hash)); got.ID != "b" {
		t.Errorf("by hash %+v", got)
	}
	if _, err := f.TokenByHash(ctx, [32]byte{9}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("by an unknown hash: %v", err)
	}
	if log := must[[]store.AuditEntry](t)(f.AuditLog(ctx, store.AuditQuery{})); len(log) != 4 {
		t.Errorf("refused changes are in the audit log, or others are not: %+v", log)
	}
}

func auditLog(t *testing.T, f *fixture) {
	for i, e := range []store.AuditEntry{
		{Actor: "alice", Via: "token 1", Action: "token.create", Subject: "n1", Detail: []byte(`{"name":"x"}`)},
		{Actor: "bob", Action: "tokens", Subject: "n1"},
		{Actor: "alice", Action: "notification.comment", Subject: "n2"},
	} {
		e.At = at(time.Duration(i) * time.Minute)
		if err := f.Audit(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		q    store.AuditQuery
		want []int64
	}{
		{store.AuditQuery{}, []int64{3, 2, 1}},
		{store.AuditQuery{Actor: "alice"}, []int64{3, 1}},
		{store.AuditQuery{Action: "token"}, []int64{1}},
		{store.AuditQuery{Action: "token.create"}, []int64{1}},
		{store.AuditQuery{Subject: "n1"}, []int64{2, 1}},
		{store.AuditQuery{Text: `"NAME"`}, []int64{1}},
		{store.AuditQuery{Since: at(time.Minute)}, []int64{3, 2}},
		{store.AuditQuery{Before: at(time.Minute)}, []int64{1}},
		{store.AuditQuery{BeforeID: 3, Limit: 1}, []int64{2}},
	} {
		got := []int64{}
		for _, e := range must[[]store.AuditEntry](t)(f.AuditLog(ctx, c.q)) {
			got = append(got, e.ID)
			if e.ID == 1 && e.Via != "token 1" {
				t.Errorf("via %q", e.Via)
			}
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: got %v, want %v", c.q, got, c.want)
		}
	}
}
