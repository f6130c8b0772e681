package api

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"nocturne/internal/joinline"
	"nocturne/ruler/store"
)

// bridgeToken is the bridge's answer to POST /admin/v1/tokens.
type bridgeToken struct {
	Token   string    `json:"token"`
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
}

// bridgeJoin is one of the tokens in the bridge's answer to GET /admin/v1/tokens.
type bridgeJoin struct {
	ID     string `json:"id"`
	Labels struct {
		Site  string `json:"site"`
		Rack  string `json:"rack"`
		Role  string `json:"role"`
		Owner string `json:"owner"`
	} `json:"labels"`
	Uses    int       `json:"uses"`
	Left    int       `json:"left"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires"`
	Revoked bool      `json:"revoked"`
}

// JoinToken lets servers join. Its secret was told when it was made.
type JoinToken struct {
	ID        string     `json:"id"`
	State     string     `json:"state" doc:"valid, used (up), expired or revoked"`
	Site      string     `json:"site"`
	Rack      string     `json:"rack"`
	Role      string     `json:"role"`
	Owner     string     `json:"owner"`
	Uses      int        `json:"uses" doc:"how many servers may join with it"`
	Left      int        `json:"left" doc:"how many still may"`
	CreatedAt *time.Time `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
}

// JoinTokenList is a page of them, the newest first.
type JoinTokenList struct {
	Items  []JoinToken `json:"items"`
	Total  int         `json:"total"`
	Limit  int         `json:"limit"`
	Offset int         `json:"offset"`
}

func (s *server) joinToken(b bridgeJoin) JoinToken {
	t := JoinToken{
		ID: clip(b.ID, maxName), State: "valid", Site: clip(b.Labels.Site, maxName), Rack: clip(b.Labels.Rack, maxName), Role: clip(b.Labels.Role, maxName), Owner: clip(b.Labels.Owner, maxName),
		Uses: b.Uses, Left: b.Left, CreatedAt: at(b.Created), ExpiresAt: at(b.Expires),
	}
	switch {
	case b.Revoked:
		t.State = "revoked"
	case b.Left == 0:
		t.State = "used"
	case !s.now().Before(b.Expires):
		t.State = "expired"
	}
	return t
}

const bridgeHint = "is the eventbridge running, and api.bridge.token_file its admin.token?"

// hasBridge tells whether there is one to ask.
func (s *server) hasBridge() error {
	if s.cfg.Bridge.URL != "" {
		return nil
	}
	return &problem{status: http.StatusServiceUnavailable, msg: "this ruler knows no eventbridge", hint: "set api.bridge.url and api.bridge.token_file"}
}

func (s *server) joinList(r *request) (any, error) {
	if err := s.hasBridge(); err != nil {
		return nil, err
	}
	var answer struct {
		Tokens []bridgeJoin `json:"tokens"`
	}
	if err := s.ask(r.ctx, http.MethodGet, s.cfg.Bridge.URL+"/admin/v1/tokens", s.cfg.Bridge.TokenFile, nil, &answer); err != nil {
		return nil, through("the eventbridge", bridgeHint, err)
	}
	slices.SortFunc(answer.Tokens, func(a, b bridgeJoin) int { return cmp.Or(b.Created.Compare(a.Created), strings.Compare(a.ID, b.ID)) })
	out := JoinTokenList{Total: len(answer.Tokens), Limit: r.int("limit"), Offset: r.int("offset")}
	from := min(out.Offset, out.Total)
	out.Items = mapSlice(answer.Tokens[from:min(from+out.Limit, out.Total)], s.joinToken)
	return out, nil
}

func (s *server) joinRevoke(r *request) (any, error) {
	if err := s.hasBridge(); err != nil {
		return nil, err
	}
	id := r.text("id")
	if _, err := hex.DecodeString(id); err != nil || id == "" {
		return nil, fmt.Errorf("join token: %w", store.ErrNotFound)
	}
	var b bridgeJoin
	if err := s.ask(r.ctx, http.MethodDelete, s.cfg.Bridge.URL+"/admin/v1/tokens/"+id, s.cfg.Bridge.TokenFile, nil, &b); err != nil {
		return nil, through("the eventbridge", bridgeHint, err)
	}
	s.log.Info("join token revoked", "token_id", id)
	s.audit(r, "join_token.revoke", id, map[string]any{"site": b.Labels.Site, "uses": b.Uses, "left": b.Left})
	return s.joinToken(b), nil
}

const (
	defaultTTL = 3600
	maxTTL     = 30 * 24 * 3600
	maxUses    = 1000
)

func (s *server) join(r *request) (any, error) {
	if err := s.hasBridge(); err != nil {
		return nil, err
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
	// The address first: a token nobody can use is not worth making.
	st, err := s.bridgeStatus(r.ctx)
	if err != nil {
		return nil, through("the eventbridge", bridgeHint, err)
	}
	var token bridgeToken
	ask := map[string]any{"site": q.Site, "rack": q.Rack, "role": q.Role, "owner": q.Owner, "simulated": false, "uses": q.Uses, "ttl_s": q.TTLSeconds}
	if err := s.ask(r.ctx, http.MethodPost, s.cfg.Bridge.URL+"/admin/v1/tokens", s.cfg.Bridge.TokenFile, ask, &token); err != nil {
		return nil, through("the eventbridge", bridgeHint, err)
	}
	lines, err := joinline.New(st.Bridge, token.Token).Lines()
	if err != nil {
		return nil, &problem{status: http.StatusBadGateway, msg: "the eventbridge's address makes no line to paste", hint: "look at its listen addresses", cause: err}
	}
	s.log.Info("join token made", "token_id", token.ID, "uses", q.Uses, "expires", token.Expires)
	s.audit(r, "join_token.create", token.ID, map[string]any{"site": q.Site, "rack": q.Rack, "role": q.Role, "owner": q.Owner, "uses": q.Uses, "expires": token.Expires})
	return JoinAnswer{
		ID: token.ID, ExpiresAt: at(token.Expires), Uses: q.Uses, Network: lines.Note != joinline.NoListener,
		Linux: lines.Linux, Windows: lines.Windows, Deb: lines.LinuxPackage, MSI: lines.WindowsPackage, Note: lines.Note,
	}, nil
}
