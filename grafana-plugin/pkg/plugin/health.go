package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/grafana/grafana-plugin-sdk-go/backend"

	"github.com/nocturne/fleet/pkg/ruler"
)

// Health is what the settings page shows of a test.
type Health struct {
	OK      bool   `json:"ok"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
	// Version, servers, role: known when the ruler answered.
	Version string `json:"version"`
	Servers int    `json:"servers"`
	// Role is the most that anybody gets through this token.
	Role     string   `json:"role"`
	Warnings []string `json:"warnings"` // null = none
}

// CheckHealth tries the saved settings.
func (a *App) CheckHealth(ctx context.Context, req *backend.CheckHealthRequest) (*backend.CheckHealthResult, error) {
	h := a.health(ctx, req.PluginContext.User)
	status := backend.HealthStatusOk
	message := h.Message
	if !h.OK {
		status = backend.HealthStatusError
		message += ": " + h.Hint
	}
	for _, w := range h.Warnings {
		message += ". " + w
	}
	details, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode health: %w", err)
	}
	return &backend.CheckHealthResult{Status: status, Message: message, JSONDetails: details}, nil
}

// me is what the ruler says of whoever asks.
type me struct {
	Name    string `json:"name"`
	Via     string `json:"via"`
	Role    string `json:"role"`
	Version string `json:"version"`
}

// health finds the first thing that is wrong.
func (a *App) health(ctx context.Context, user *backend.User) Health {
	if a.wrong != nil {
		return Health{Message: a.wrong.Msg, Hint: a.wrong.Hint}
	}
	var self me
	if err := a.ruler.Get(ctx, "/api/v1/me", ruler.Caller{}, &self); err != nil {
		return unhealthy(err)
	}
	switch {
	case self.Via == "" || self.Role == "":
		return Health{Message: "this is not the ruler's API", Hint: "write the address that the ruler's own page has, and nothing behind it"}
	case self.Version == "":
		return Health{Message: "this ruler is too old for the app", Hint: "update the ruler"}
	case !strings.HasPrefix(self.Via, "plugin "):
		return Health{Version: ruler.Clip(self.Version), Message: "the token is not of kind plugin: it cannot say for whom it asks",
			Hint: "make one with ruler tokens add -name grafana -kind plugin -role admin"}
	}
	h := Health{OK: true, Version: ruler.Clip(self.Version)}
	var fleet struct {
		Servers struct {
			Total int `json:"total"`
		} `json:"servers"`
	}
	if err := a.ruler.Get(ctx, "/api/v1/overview", ruler.Caller{}, &fleet); err != nil {
		return unhealthy(err)
	}
	h.Servers = fleet.Servers.Total
	h.Message = fmt.Sprintf("ruler %s, %d servers", h.Version, h.Servers)
	// What the token allows shows when somebody asks who may everything.
	if who, p := callerOf(user); p == nil && who.Role == "admin" {
		var person me
		if err := a.ruler.Get(ctx, "/api/v1/me", who, &person); err != nil {
			return unhealthy(err)
		}
		if h.Role = ruler.Clip(person.Role); h.Role != "admin" {
			h.Warnings = append(h.Warnings, fmt.Sprintf("Nobody gets more than the role %s here, which is the token's", h.Role))
		}
	}
	h.Warnings = append(h.Warnings, a.settings.Warnings()...)
	return h
}

func unhealthy(err error) Health {
	var r *ruler.RefusedError
	if errors.As(err, &r) {
		switch r.Status {
		case http.StatusUnauthorized:
			return Health{Message: "the ruler does not take the token: " + r.Msg, Hint: "make a new one with ruler tokens add -name grafana -kind plugin -role admin"}
		case http.StatusNotFound:
			return Health{Message: "this ruler is too old for the app", Hint: "update the ruler"}
		}
	}
	f := ruler.Explain(err)
	return Health{Message: f.Msg, Hint: f.Hint}
}

// testRequest is what POST /test takes: settings as the page would save them.
type testRequest struct {
	JSONData json.RawMessage `json:"jsonData"`
	// Token is a new one; empty = the saved one.
	Token string `json:"token"`
}

// test tries settings before they are saved. Only an admin may: it makes
// Grafana's machine open a connection to wherever he says.
func (a *App) test(w http.ResponseWriter, r *http.Request) {
	user := backend.UserFromContext(r.Context())
	if who, p := callerOf(user); p != nil || who.Role != "admin" {
		a.refuse(w, refusedRole, ruler.NewProblem(http.StatusForbidden, "only an admin may test settings", "ask an admin of this Grafana organisation"))
		return
	}
	bad := func(msg string) {
		a.refuse(w, refusedBody, ruler.NewProblem(http.StatusBadRequest, msg, `send {"jsonData":{"rulerUrl":"…"},"token":"…"}, without token to use the saved one`))
	}
	if r.Body == nil {
		bad("there are no settings in this request")
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 2*ruler.MaxSettings))
	if err != nil {
		bad("the settings broke off")
		return
	}
	var q testRequest
	if err := json.Unmarshal(body, &q); err != nil {
		bad("the settings cannot be read")
		return
	}
	token := q.Token
	if token == "" && a.settings.Token != "" {
		// Where the token goes is decided by saving the settings, not by trying them.
		if !a.settings.SameOrigin(q.JSONData) {
			bad("enter the token: the saved one is tried with the saved address only")
			return
		}
		token = a.settings.Token
	}
	tried := newApp(backend.AppInstanceSettings{JSONData: q.JSONData, DecryptedSecureJSONData: map[string]string{"token": token}}, a.metrics)
	defer tried.Dispose()
	// Numbers, text and booleans always encode.
	answer, _ := json.Marshal(tried.health(r.Context(), user))
	ruler.SetHeaders(w.Header())
	_, _ = w.Write(answer) // the caller hung up: nobody is left to tell
}
