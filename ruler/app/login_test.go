package app_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/app"
	"nocturne/ruler/config"
)

// links hands over the links that are logged.
type links struct {
	slog.Handler
	found chan string
}

func (l links) Enabled(context.Context, slog.Level) bool { return true }

func (l links) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "link" {
			l.found <- a.Value.String()
		}
		return true
	})
	return nil
}

func (l links) WithAttrs([]slog.Attr) slog.Handler { return l }

// A ruler that asks for a login prints the first admin's link until there is one.
func TestFirstAdminsLink(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.API.Login, cfg.Alertmanager.ConsoleURL = t.TempDir(), "127.0.0.1:0", "required", "https://nocturne.example.org/"
	cfg.Alertmanager.URLs, cfg.Logs.URL = nil, ""
	start := func(check func(base string, found chan string)) {
		t.Helper()
		found := make(chan string, 10)
		a, err := app.New(app.Options{Config: cfg, Stream: streamtest.New(time.Now()), Log: slog.New(links{slog.DiscardHandler, found})})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		check("http://"+a.Addr(), found)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	ask := func(url, body string) int {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body == "" {
			req.Method = http.MethodGet
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		_, _ = io.Copy(io.Discard, res.Body)
		return res.StatusCode
	}
	start(func(base string, found chan string) {
		secret, ok := strings.CutPrefix(<-found, "https://nocturne.example.org/welcome#")
		if !ok {
			t.Fatal("the link is another one")
		}
		if code := ask(base+"/api/v1/servers", ""); code != 401 {
			t.Errorf("on this machine, answered %d", code)
		}
		if code := ask(base+"/api/v1/login/welcome", `{"token":"`+secret+`","name":"ada","password":"correct horse battery"}`); code != 200 {
			t.Errorf("the link is answered %d", code)
		}
	})
	start(func(base string, found chan string) {
		if code := ask(base+"/api/v1/login", `{"name":"ada","password":"correct horse battery"}`); code != 200 {
			t.Errorf("login is answered %d", code)
		}
		if len(found) > 0 {
			t.Error("another link is printed")
		}
	})
}
