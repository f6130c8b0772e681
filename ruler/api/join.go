package api

import (
	"net/http"
	"time"

	"nocturne/internal/joinline"
)

// bridgeToken is the bridge's answer to POST /admin/v1/tokens.
type bridgeToken struct {
	Token   string    `json:"token"`
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
}

const (
	defaultTTL = 3600
	maxTTL     = 30 * 24 * 3600
	maxUses    = 1000
)

func (s *server) join(r *request) (any, error) {
	if s.cfg.Bridge.URL == "" {
		return nil, &problem{status: http.StatusServiceUnavailable, msg: "this ruler knows no eventbridge", hint: "set api.bridge.url and api.bridge.token_file"}
	}
	var q JoinRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	for _, label := range []struct{ name, value string }{{"site", q.Site}, {"rack", q.Rack}, {"role", q.Role}, {"owner", q.Owner}} {
		if len(label.value) > 128 || inline(label.value) != label.value {
			return nil, badRequest("at most 128 bytes of plain text", "%s: %.80q does not fit", label.name, label.value)
		}
	}
	if q.Uses == 0 {
		q.Uses = 1
	}
	if q.TTLSeconds == 0 {
		q.TTLSeconds = defaultTTL
	}
	if q.Uses < 1 || q.Uses > maxUses {
		return nil, badRequest("1 to 1000 servers", "uses: %d does not fit", q.Uses)
	}
	if q.TTLSeconds < 60 || q.TTLSeconds > maxTTL {
		return nil, badRequest("60 to 2592000 seconds", "ttl_seconds: %d does not fit", q.TTLSeconds)
	}
	const hint = "is the eventbridge running, and api.bridge.token_file its admin.token?"
	// The address first: a token nobody can use is not worth making.
	st, err := s.bridgeStatus(r.ctx)
	if err != nil {
		return nil, through("the eventbridge", hint, err)
	}
	var token bridgeToken
	ask := map[string]any{"site": q.Site, "rack": q.Rack, "role": q.Role, "owner": q.Owner, "simulated": false, "uses": q.Uses, "ttl_s": q.TTLSeconds}
	if err := s.ask(r.ctx, http.MethodPost, s.cfg.Bridge.URL+"/admin/v1/tokens", s.cfg.Bridge.TokenFile, ask, &token); err != nil {
		return nil, through("the eventbridge", hint, err)
	}
	lines, err := joinline.New(st.Bridge, token.Token).Lines()
	if err != nil {
		return nil, &problem{status: http.StatusBadGateway, msg: "the eventbridge's address makes no line to paste", hint: "look at its listen addresses", cause: err}
	}
	s.log.Info("join token made", "token_id", token.ID, "uses", q.Uses, "expires", token.Expires)
	s.audit(r, "join_token.create", token.ID, map[string]any{"site": q.Site, "rack": q.Rack, "role": q.Role, "owner": q.Owner, "uses": q.Uses, "expires": token.Expires})
	return JoinAnswer{
		ID: token.ID, ExpiresAt: at(token.Expires), Uses: q.Uses, Network: lines.Note != joinline.NoListener,
		Linux: lines.Linux, Windows: lines.Windows, Note: lines.Note,
	}, nil
}
