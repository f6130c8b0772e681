package simulate

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"nocturne/deploy/nocturne/loopback"
)

// Server is a simulated server as the control listener shows it.
type Server struct {
	Name      string     `json:"name"`
	ServerID  string     `json:"server_id,omitempty"`
	Site      string     `json:"site"`
	Rack      string     `json:"rack"`
	Role      string     `json:"role"`
	OS        string     `json:"os"`
	Simulated bool       `json:"simulated"` // always true
	State     string     `json:"state"`     // enrolling, running, cut, off, refused
	Waiting   int        `json:"waiting_frames"`
	Incident  *Incident  `json:"incident,omitempty"`
	Drives    []Drive    `json:"drives"`
	Boot      *time.Time `json:"boot,omitempty"`
	Error     string     `json:"error,omitempty"`
}

// Servers returns every server as it is now.
func (s *Sim) Servers() []Server {
	out := make([]Server, len(s.agents))
	for i, a := range s.agents {
		a.mu.Lock()
		st := a.m.State()
		v := Server{
			Name: a.spec.Name, Site: a.spec.Site, Rack: a.spec.Rack, Role: a.spec.Role, OS: a.spec.OSName, Simulated: true,
			State: "running", Waiting: len(a.out), Incident: st.Incident, Drives: st.Drives,
		}
		if !st.Boot.IsZero() {
			v.Boot = &st.Boot
		}
		if !a.s.Server.IsZero() {
			v.ServerID = a.s.Server.String()
		}
		switch {
		case a.s.Credential == "":
			v.State = "enrolling"
		case a.refused:
			v.State = "refused"
		case st.Off:
			v.State = "off"
		case st.Cut:
			v.State = "cut"
		}
		if a.err != nil {
			v.Error = a.err.Error()
		}
		a.mu.Unlock()
		out[i] = v
	}
	return out
}

// handler answers on the control listener, to this machine only: who can reach
// it can break simulated servers, and nothing else.
func (s *Sim) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"status": "ok", "servers": len(s.agents)})
	})
	mux.HandleFunc("GET /servers", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"simulated": true, "servers": s.Servers()})
	})
	mux.HandleFunc("GET /totals", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Totals()) })
	mux.HandleFunc("POST /incident", s.incident)
	return loopback.Only(mux)
}

func (s *Sim) incident(w http.ResponseWriter, r *http.Request) {
	var q struct {
		Kind   string `json:"kind"`
		Server string `json:"server"`
	}
	// A page of another origin can post a form or text, but not this.
	if r.Header.Get("Content-Type") != "application/json" {
		answer(w, http.StatusUnsupportedMediaType, problem{"content type is not application/json", `send {"kind":"drive","server":"NAME"}`})
		return
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096)).Decode(&q); err != nil {
		answer(w, http.StatusBadRequest, problem{"read request: " + err.Error(), `send {"kind":"drive","server":"NAME"}`})
		return
	}
	b, err := s.Incident(q.Kind, q.Server)
	switch {
	case err == nil:
		answer(w, http.StatusAccepted, b)
	case errors.Is(err, errUnknown):
		answer(w, http.StatusNotFound, problem{err.Error(), "nocturne servers list shows them"})
	case errors.Is(err, errBusy):
		answer(w, http.StatusConflict, problem{err.Error(), "wait until it is over, replace what failed, or take another server"})
	default:
		answer(w, http.StatusBadRequest, problem{err.Error(), "kinds: " + strings.Join(Kinds(), ", ")})
	}
}

type problem struct {
	Error string `json:"error"`
	Hint  string `json:"hint"`
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client is gone: nothing to do about it
}
