package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxNeighbour bounds what we read from the bridge, the receiver, the simulator.
const maxNeighbour = 8 << 20

// refused is a neighbour's answer other than 2xx.
type refused struct {
	Status int    `json:"-"`
	Text   string `json:"error"`
	Hint   string `json:"hint"`
}

func (e *refused) Error() string { return fmt.Sprintf("answered %d: %s", e.Status, e.Text) }

// ask calls a neighbour over HTTP: sends in as JSON where it is not nil, and
// reads the answer into out.
func (s *server) ask(ctx context.Context, method, url, tokenFile string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode question: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if tokenFile != "" {
		token, err := readToken(tokenFile)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask: %w", err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxNeighbour+1))
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	if len(b) > maxNeighbour {
		return fmt.Errorf("ask %s: the answer is larger than %d bytes", url, maxNeighbour)
	}
	if res.StatusCode/100 != 2 {
		e := &refused{}
		if json.Unmarshal(b, e) != nil || e.Text == "" {
			e.Text = strings.TrimSpace(string(b))
		}
		e.Status, e.Text, e.Hint = res.StatusCode, inline(e.Text), inline(e.Hint)
		return fmt.Errorf("ask %s: %w", url, e)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("read answer of %s: %w", url, err)
	}
	return nil
}

// through words a neighbour's failure for our caller: its own words where it
// refused the request, else that it is not there.
func through(who, hint string, err error) error {
	var e *refused
	if errors.As(err, &e) && e.Status/100 == 4 && e.Status != http.StatusUnauthorized {
		code := http.StatusBadRequest
		if e.Status == http.StatusNotFound || e.Status == http.StatusConflict {
			code = e.Status
		}
		return &problem{status: code, msg: who + ": " + e.Text, hint: e.Hint, cause: err}
	}
	return &problem{status: http.StatusBadGateway, msg: who + " does not answer as it should", hint: hint, cause: err}
}
