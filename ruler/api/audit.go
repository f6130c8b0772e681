package api

import (
	"context"
	"encoding/json"

	"nocturne/ruler/store"
)

func (s *server) adminRoutes() []route {
	return []route{
		{method: "POST", path: "/join-tokens", name: "join_tokens", summary: "Make a join token and the lines to paste on a new server",
			body: JoinRequest{}, result: JoinAnswer{}, role: roleAdmin, handle: s.join},
		{method: "GET", path: "/join-tokens", name: "join_token_list", summary: "Join tokens of the eventbridge, ended ones too, the newest first",
			params: []param{limitParam(), offsetParam()}, result: JoinTokenList{}, role: roleAdmin, handle: s.joinList},
		{method: "DELETE", path: "/join-tokens/{id}", name: "join_token_revoke", summary: "Revoke a join token. Servers that joined with it stay",
			params: []param{{name: "id", kind: kindText, max: 64, path: true, doc: "join token id"}}, result: JoinToken{}, role: roleAdmin, handle: s.joinRevoke},
		{method: "GET", path: "/audit", name: "audit", summary: "What was changed, by whom",
			params: []param{
				text("actor", "exactly this caller"), text("action", `exactly, or all below it: "token" finds "token.create"`), text("subject", "exactly this id"),
				text("search", "part of anything"), {name: "since", kind: kindTime, doc: "not before"}, {name: "before", kind: kindTime, doc: "only before"},
				beforeID(), limitParam(),
			}, result: AuditList{}, handle: s.auditLog},
		{method: "GET", path: "/openapi.json", name: "openapi", summary: "This document",
			result: json.RawMessage{}, handle: func(*request) (any, error) { return json.RawMessage(s.openapi), nil }},
	}
}

// auditor is a Reader that also keeps the audit log. Every store.Store is one.
type auditor interface {
	Audit(ctx context.Context, e store.AuditEntry) error
}

// audit notes a change that was made. The change stands when noting it fails:
// the log then says both.
func (s *server) audit(r *request, action, subject string, detail map[string]any) {
	a, ok := s.reader.(auditor)
	if !ok {
		return
	}
	e := s.entry(r, action, subject, detail)
	if err := a.Audit(context.WithoutCancel(r.ctx), e); err != nil {
		s.log.Error("change not in the audit log", "action", action, "subject", subject, "err", err)
	}
}

// entry is a line for the audit log: for stores that write it together with
// the change. Details that were something else before say so as
// {"before": …, "after": …}.
func (s *server) entry(r *request, action, subject string, detail map[string]any) store.AuditEntry {
	raw, err := json.Marshal(detail)
	if err != nil {
		s.log.Error("detail of a change is not in the audit log", "action", action, "subject", subject, "err", err)
	}
	return store.AuditEntry{At: s.now(), Actor: r.who.name, Via: r.who.via, Action: action, Subject: subject, Detail: raw}
}

func (s *server) auditLog(r *request) (any, error) {
	q := store.AuditQuery{
		Actor: r.text("actor"), Action: r.text("action"), Subject: r.text("subject"), Text: r.text("search"),
		Since: r.time("since"), Before: r.time("before"), BeforeID: int64(r.int("before_id")), Limit: r.int("limit"),
	}
	list, err := s.reader.AuditLog(r.ctx, q)
	if err != nil {
		return nil, err
	}
	out := AuditList{Limit: q.Limit, Items: mapSlice(list, func(e store.AuditEntry) AuditEntry {
		return AuditEntry{ID: e.ID, At: at(e.At), Actor: clip(e.Actor, maxName), Via: clip(e.Via, maxName), Action: clip(e.Action, maxName), Subject: clip(e.Subject, maxName), Detail: objectFacts(e.Detail)}
	})}
	if len(list) == q.Limit {
		out.NextBeforeID = list[len(list)-1].ID
	}
	return out, nil
}
