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
		{method: "GET", path: "/audit", name: "audit", summary: "What was changed, by whom",
			params: []param{limitParam()}, result: AuditList{}, handle: s.auditLog},
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
	raw, err := json.Marshal(detail)
	if err == nil {
		err = a.Audit(context.WithoutCancel(r.ctx), store.AuditEntry{At: s.now(), Actor: r.actor, Action: action, Subject: subject, Detail: raw})
	}
	if err != nil {
		s.log.Error("change not in the audit log", "action", action, "subject", subject, "err", err)
	}
}

func (s *server) auditLog(r *request) (any, error) {
	list, err := s.reader.AuditLog(r.ctx, r.int("limit"))
	if err != nil {
		return nil, err
	}
	return AuditList{Limit: r.int("limit"), Items: mapSlice(list, func(e store.AuditEntry) AuditEntry {
		return AuditEntry{ID: e.ID, At: at(e.At), Actor: clip(e.Actor, maxName), Action: clip(e.Action, maxName), Subject: clip(e.Subject, maxName), Detail: objectFacts(e.Detail)}
	})}, nil
}
