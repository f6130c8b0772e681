package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"nocturne/internal/record"
)

// AdminHandler answers the administrators' calls about tokens and servers.
// The caller has authenticated the administrator.
func (r *Registry) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /admin/v1/tokens", r.adminCreateToken)
	mux.HandleFunc("GET /admin/v1/tokens", r.adminTokens)
	mux.HandleFunc("DELETE /admin/v1/tokens/{id}", r.adminRevokeToken)
	mux.HandleFunc("GET /admin/v1/servers", r.adminServers)
	mux.HandleFunc("GET /admin/v1/servers/{id}", r.adminServer)
	mux.HandleFunc("GET /admin/v1/expected", r.adminExpected)
	mux.HandleFunc("POST /admin/v1/expected", r.adminExpect)
	mux.HandleFunc("POST /admin/v1/servers/{id}/revoke", r.adminChange(func(req *http.Request, id record.ID, b changeBody) (*Server, error) {
		return r.Revoke(req.Context(), id, b.By)
	}))
	mux.HandleFunc("POST /admin/v1/servers/{id}/decommission", r.adminChange(func(req *http.Request, id record.ID, b changeBody) (*Server, error) {
		return r.Decommission(req.Context(), id, b.By)
	}))
	mux.HandleFunc("POST /admin/v1/servers/{id}/labels", r.adminChange(func(req *http.Request, id record.ID, b changeBody) (*Server, error) {
		return r.SetLabels(req.Context(), id, b.Labels, b.Expect, b.By)
	}))
	mux.HandleFunc("POST /admin/v1/servers/{id}/succession", r.adminChange(func(req *http.Request, id record.ID, b changeBody) (*Server, error) {
		switch b.Decision {
		case "approve":
			return r.ApproveSuccession(req.Context(), id, b.By)
		case "reject":
			return r.RejectSuccession(req.Context(), id, b.By)
		}
		return nil, fmt.Errorf("decision %.20q: want approve or reject", b.Decision)
	}))
	return mux
}

// changeBody is the body of every change of a server.
type changeBody struct {
	Labels
	Expect   *Labels `json:"expect"` // of labels: what they must be by now; null = no matter
	Decision string  `json:"decision"`
	By       string  `json:"by"` // who decided, for the audit
}

type tokenView struct {
	ID      string    `json:"id"`
	Labels  Labels    `json:"labels"`
	Uses    int       `json:"uses"`
	Left    int       `json:"left"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Revoked bool      `json:"revoked"`
	Usable  bool      `json:"usable"`
}

type serverView struct {
	ID              record.ID  `json:"server_id"`
	Name            string     `json:"server"`
	OS              string     `json:"os"`
	ExporterVersion string     `json:"exporter_version"`
	Evidence        Evidence   `json:"evidence"`
	Labels          Labels     `json:"labels"`
	State           State      `json:"state"`
	Token           string     `json:"token"`
	Created         time.Time  `json:"created"`
	Changed         time.Time  `json:"changed"`
	LastSeen        *time.Time `json:"last_seen,omitempty"` // by this bridge, since its start
	Credentials     int        `json:"credentials"`         // that are not revoked
	SuccessionOf    record.ID  `json:"succession_of,omitzero"`
	SuccessionBy    record.ID  `json:"succession_by,omitzero"`
	Successor       record.ID  `json:"successor,omitzero"`
	IdentifiedBy    string     `json:"identified_by,omitempty"` // who vouches for a server that never enrolled
	Owed            int        `json:"owed_records"`
}

func (r *Registry) viewToken(t *Token) tokenView {
	return tokenView{t.ID, t.Labels, t.Uses, t.Left, t.Created, t.Expires, t.Revoked, t.Usable(r.now())}
}

func (r *Registry) viewServer(s *Server) serverView {
	v := serverView{
		ID: s.ID, Name: s.Name, OS: s.OS, ExporterVersion: s.ExporterVersion, Evidence: s.Evidence, Labels: s.Labels, State: s.State,
		Token: s.Token, Created: s.Created, Changed: s.Changed, SuccessionOf: s.SuccessionOf, SuccessionBy: s.SuccessionBy,
		Successor: s.Successor, IdentifiedBy: s.IdentifiedBy, Owed: len(s.Owed),
	}
	if seen := r.LastSeen(s.ID); !seen.IsZero() {
		seen = seen.UTC()
		v.LastSeen = &seen
	}
	for _, c := range s.Credentials {
		if !c.Revoked {
			v.Credentials++
		}
	}
	return v
}

func (r *Registry) adminCreateToken(w http.ResponseWriter, req *http.Request) {
	var q TokenRequest
	if !readBody(w, req, &q) {
		return
	}
	text, t, err := r.CreateToken(req.Context(), q)
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"token": text, "id": t.ID, "expires": t.Expires})
}

func (r *Registry) adminTokens(w http.ResponseWriter, _ *http.Request) {
	out := []tokenView{}
	for _, t := range r.Tokens() {
		out = append(out, r.viewToken(t))
	}
	answer(w, http.StatusOK, map[string]any{"tokens": out})
}

func (r *Registry) adminRevokeToken(w http.ResponseWriter, req *http.Request) {
	t, err := r.RevokeToken(req.Context(), req.PathValue("id"))
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, r.viewToken(t))
}

func (r *Registry) adminServers(w http.ResponseWriter, _ *http.Request) {
	out := []serverView{}
	for _, s := range r.Servers() {
		out = append(out, r.viewServer(s))
	}
	answer(w, http.StatusOK, map[string]any{"servers": out})
}

func (r *Registry) adminServer(w http.ResponseWriter, req *http.Request) {
	id, err := record.ParseID(req.PathValue("id"))
	if err != nil {
		answerError(w, err)
		return
	}
	s, err := r.Server(id)
	if err != nil {
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, r.viewServer(s))
}

func (r *Registry) adminChange(do func(*http.Request, record.ID, changeBody) (*Server, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		id, err := record.ParseID(req.PathValue("id"))
		if err != nil {
			answerError(w, err)
			return
		}
		var b changeBody
		if !readBody(w, req, &b) {
			return
		}
		s, err := do(req, id, b)
		if err != nil {
			answerError(w, err)
			return
		}
		answer(w, http.StatusOK, r.viewServer(s))
	}
}

const maxAdminBody = 64 << 10

// readBody reads a JSON object strictly; no body at all is an empty object.
func readBody(w http.ResponseWriter, req *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, req.Body, maxAdminBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		answerError(w, fmt.Errorf("body: %w", err))
		return false
	}
	return true
}

func answerError(w http.ResponseWriter, err error) {
	code, hint := http.StatusBadRequest, "correct the request; docs/eventbridge.md lists the calls"
	switch {
	case errors.Is(err, ErrNotFound):
		code, hint = http.StatusNotFound, "list what there is: GET /admin/v1/servers or /admin/v1/tokens"
	case errors.Is(err, ErrConflict):
		code, hint = http.StatusConflict, "look at the server's state first: GET /admin/v1/servers/{id}"
	case errors.Is(err, ErrBusy):
		code, hint = http.StatusServiceUnavailable, "the register or the stream did not answer: try again in a few seconds"
		w.Header().Set("Retry-After", "2")
	}
	answer(w, code, map[string]string{"error": err.Error(), "hint": hint})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nothing to do about it
}
