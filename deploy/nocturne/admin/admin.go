// Package admin speaks to the eventbridge's admin API, which listens on loopback and takes the token of a file that only
// the owner of the data folder can read. Safe for concurrent use.
package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"nocturne/internal/joinline"
)

const (
	requestTimeout = 10 * time.Second
	maxAnswer      = 64 << 20 // a list of all servers
)

// Client is one admin API.
type Client struct {
	URL       string // http://127.0.0.1:9472
	TokenFile string // <bridge data>/admin.token
}

// TokenRequest asks for a join token; its zero value is a token for one server and a day.
type TokenRequest struct {
	Site      string `json:"site,omitempty"`
	Rack      string `json:"rack,omitempty"`
	Role      string `json:"role,omitempty"`
	Owner     string `json:"owner,omitempty"`
	Simulated bool   `json:"simulated,omitempty"`
	Uses      int    `json:"uses,omitempty"`
	TTLS      int    `json:"ttl_s,omitempty"`
}

// Token is a fresh join token.
type Token struct {
	Token   string    `json:"token"`
	ID      string    `json:"id"`
	Expires time.Time `json:"expires"`
}

// Server is one row of the register.
type Server struct {
	ID     string `json:"server_id"`
	Name   string `json:"server"`
	OS     string `json:"os"`
	State  string `json:"state"`
	Labels struct {
		Site      string `json:"site"`
		Rack      string `json:"rack"`
		Role      string `json:"role"`
		Owner     string `json:"owner"`
		Simulated bool   `json:"simulated"`
	} `json:"labels"`
	Created      time.Time  `json:"created"`
	LastSeen     *time.Time `json:"last_seen"`
	SuccessionOf string     `json:"succession_of"`
	SuccessionBy string     `json:"succession_by"`
}

// Status is what the bridge says of itself.
type Status struct {
	joinline.Bridge
}

// CreateToken makes a join token.
func (c Client) CreateToken(ctx context.Context, q TokenRequest) (Token, error) {
	var t Token
	return t, c.call(ctx, http.MethodPost, "tokens", q, &t)
}

// Servers returns the register.
func (c Client) Servers(ctx context.Context) ([]Server, error) {
	var answer struct {
		Servers []Server `json:"servers"`
	}
	return answer.Servers, c.call(ctx, http.MethodGet, "servers", nil, &answer)
}

// Revoke makes the credentials of a server useless.
func (c Client) Revoke(ctx context.Context, id, by string) error {
	return c.change(ctx, id, "revoke", map[string]string{"by": by})
}

// Decommission says that a server is gone for good and will not be missed.
func (c Client) Decommission(ctx context.Context, id, by string) error {
	return c.change(ctx, id, "decommission", map[string]string{"by": by})
}

// Approve accepts that a newly enrolled server takes the place of the one that it looks like.
func (c Client) Approve(ctx context.Context, id, by string) error {
	return c.change(ctx, id, "succession", map[string]string{"decision": "approve", "by": by})
}

// Status asks the bridge about itself.
func (c Client) Status(ctx context.Context) (Status, error) {
	var s Status
	return s, c.call(ctx, http.MethodGet, "status", nil, &s)
}

func (c Client) change(ctx context.Context, id, what string, body any) error {
	return c.call(ctx, http.MethodPost, "servers/"+url.PathEscape(id)+"/"+what, body, nil)
}

func (c Client) call(ctx context.Context, method, path string, body, answer any) error {
	token, err := os.ReadFile(c.TokenFile)
	if err != nil {
		return fmt.Errorf("read admin token (are you the user who runs nocturne?): %w", err)
	}
	var text []byte
	if body != nil {
		if text, err = json.Marshal(body); err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+"/admin/v1/"+path, bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("ask the eventbridge: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the eventbridge: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	got, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ask the eventbridge: %w", err)
	}
	if res.StatusCode/100 != 2 {
		return refusal(res.Status, got)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(got, answer); err != nil {
		return fmt.Errorf("the eventbridge's answer to %s %s: %w", method, path, err)
	}
	return nil
}

// refusal keeps the bridge's own words, which say what to do.
func refusal(status string, body []byte) error {
	var said struct{ Error, Hint string }
	if json.Unmarshal(body, &said) != nil || said.Error == "" {
		return fmt.Errorf("the eventbridge answers %s", status)
	}
	if said.Hint == "" {
		return errors.New(said.Error)
	}
	return fmt.Errorf("%s (%s)", said.Error, said.Hint)
}
