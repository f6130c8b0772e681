package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"nocturne/internal/stream/streamtest"
	"nocturne/internal/trust/trusttest"
	"nocturne/ruler/app"
	"nocturne/ruler/config"
)

// over is a client that believes the certificate of a file.
func over(t *testing.T, certFile string) *http.Client {
	t.Helper()
	b, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		t.Fatal("no certificate")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
}

// With a certificate the page and the API speak TLS and nothing else: cookies go
// no other way, the certificate follows its files, and a signal reads it again.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	files := trusttest.Certificate(t, dir, "127.0.0.1", "localhost")
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.TLS.Files, cfg.API.Login = t.TempDir(), "127.0.0.1:0", files, "required"
	cfg.Alertmanager.URLs, cfg.Logs.URL = nil, ""
	found, hangup := make(chan string, 10), make(chan os.Signal)
	a, err := app.New(app.Options{Config: cfg, Stream: streamtest.New(time.Now()), Log: slog.New(links{slog.DiscardHandler, found}), Hangup: hangup})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	defer func() {
		cancel()
		if err := errors.Join(<-done, a.Close()); err != nil {
			t.Error(err)
		}
	}()
	link, secret, _ := strings.Cut(<-found, "#")
	if !strings.HasPrefix(link, "https://") {
		t.Errorf("the first admin is sent to %s", link)
	}
	base := "https://" + a.Addr()
	client := over(t, files.CertFile)
	ask := func(c *http.Client, method, url, body string) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		_, _ = io.Copy(io.Discard, res.Body)
		return res
	}
	res := ask(client, "POST", base+"/api/v1/login/welcome", `{"token":"`+secret+`","name":"ada","password":"correct horse battery"}`)
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 || len(res.Cookies()) != 2 {
		t.Errorf("the first admin is answered %s %s with %v", res.Proto, res.Status, res.Cookies())
	}
	for _, c := range res.Cookies() {
		if !c.Secure || !c.HttpOnly {
			t.Errorf("cookie %s would go in plain text", c)
		}
	}
	for _, path := range []string{"/", "/api/v1/servers", "/healthz", "/metrics"} {
		if res := ask(client, "GET", base+path, ""); res.Header.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: HSTS is set, and nobody asked for it", path)
		}
	}
	if res := ask(http.DefaultClient, "GET", "http://"+a.Addr()+"/healthz", ""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP is answered %s", res.Status)
	}

	trusttest.Certificate(t, dir, "127.0.0.1", "localhost")
	renewed := over(t, files.CertFile)
	hangup <- syscall.SIGHUP
	hangup <- syscall.SIGHUP // the first one is done
	if res := ask(renewed, "GET", base+"/healthz", ""); res.StatusCode != http.StatusOK {
		t.Errorf("after a renewal: %s", res.Status)
	}
	if _, err := client.Get(base + "/healthz"); err == nil {
		t.Error("the old certificate is still shown")
	}
	if err := os.WriteFile(files.KeyFile, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hangup <- syscall.SIGHUP
	hangup <- syscall.SIGHUP
	if res := ask(renewed, "GET", base+"/healthz", ""); res.StatusCode != http.StatusOK {
		t.Errorf("with a broken key: %s", res.Status)
	}
	cfg.Data = t.TempDir()
	if _, err := app.New(app.Options{Config: cfg, Stream: streamtest.New(time.Now())}); err == nil || !strings.Contains(err.Error(), files.KeyFile) {
		t.Errorf("a start with a broken key: %v", err)
	}
}
