package admin

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bridge answers one request with code and body and keeps what it was asked.
func bridge(t *testing.T, code int, body string) (c Client, asked *string) {
	t.Helper()
	asked = new(string)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		*asked = strings.TrimSpace(r.Method + " " + r.URL.EscapedPath() + " " + r.Header.Get("Authorization") + " " + string(text))
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Client{URL: s.URL, TokenFile: file}, asked
}

func TestCalls(t *testing.T) {
	ctx := context.Background()
	tests := map[string]struct {
		do     func(Client) error
		answer string
		want   string
	}{
		"token": {
			func(c Client) error {
				got, err := c.CreateToken(ctx, TokenRequest{Site: "a", Uses: 2})
				if err == nil && got.Token != "nocj.x" {
					t.Errorf("token %+v", got)
				}
				return err
			},
			`{"token":"nocj.x","id":"1","expires":"2026-01-02T03:04:05Z"}`,
			`POST /admin/v1/tokens Bearer secret {"site":"a","uses":2}`,
		},
		"servers": {
			func(c Client) error {
				got, err := c.Servers(ctx)
				if err == nil && (len(got) != 1 || got[0].Labels.Site != "a" || got[0].Name != "db7") {
					t.Errorf("servers %+v", got)
				}
				return err
			},
			`{"servers":[{"server_id":"00","server":"db7","labels":{"site":"a"}}]}`,
			`GET /admin/v1/servers Bearer secret`,
		},
		"revoke": {
			func(c Client) error { return c.Revoke(ctx, "0a/b", "me") }, `{}`,
			`POST /admin/v1/servers/0a%2Fb/revoke Bearer secret {"by":"me"}`,
		},
		"decommission": {
			func(c Client) error { return c.Decommission(ctx, "0a", "me") }, `{}`,
			`POST /admin/v1/servers/0a/decommission Bearer secret {"by":"me"}`,
		},
		"approve": {
			func(c Client) error { return c.Approve(ctx, "0a", "me") }, `{}`,
			`POST /admin/v1/servers/0a/succession Bearer secret {"by":"me","decision":"approve"}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, asked := bridge(t, http.StatusOK, tt.answer)
			if err := tt.do(c); err != nil {
				t.Fatal(err)
			}
			if *asked != tt.want {
				t.Errorf("asked %s\nwant  %s", *asked, tt.want)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	refused, err := json.Marshal(map[string]string{"error": "no such server", "hint": "list them first"})
	if err != nil {
		t.Fatal(err)
	}
	c, _ := bridge(t, http.StatusNotFound, string(refused))
	if err := c.Revoke(context.Background(), "0a", ""); err == nil || err.Error() != "no such server (list them first)" {
		t.Errorf("refused: %v", err)
	}
	c, _ = bridge(t, http.StatusBadGateway, "<html>")
	if err := c.Revoke(context.Background(), "0a", ""); err == nil || !strings.Contains(err.Error(), "502") {
		t.Errorf("no bridge at all: %v", err)
	}
	c.TokenFile += "x"
	if err := c.Revoke(context.Background(), "0a", ""); err == nil || !strings.Contains(err.Error(), "are you the user") {
		t.Errorf("no token file: %v", err)
	}
}
