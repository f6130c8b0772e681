package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/internal/stream/streamtest"
	"nocturne/internal/trust/trusttest"
	"nocturne/ruler/app"
	"nocturne/ruler/config"
)

// The commands that ask a ruler believe the certificate of its configuration, or
// of who is named beside -url.
func TestRulesListOverTLS(t *testing.T) {
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.Alertmanager.URLs, cfg.Logs.URL = t.TempDir(), "127.0.0.1:0", nil, ""
	cfg.TLS.Files = trusttest.Certificate(t, t.TempDir(), "127.0.0.1")
	a, err := app.New(app.Options{Config: cfg, Stream: streamtest.New(time.Now())})
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
	other := trusttest.Certificate(t, t.TempDir(), "127.0.0.1")
	file := func(cert, key string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "ruler.yml")
		if err := os.WriteFile(path, []byte("listen: "+a.Addr()+"\ntls: {cert_file: '"+cert+"', key_file: '"+key+"'}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		wrong string
		args  []string
	}{
		{"", []string{"-config", file(cfg.TLS.CertFile, cfg.TLS.KeyFile)}},
		{"", []string{"-url", "https://" + a.Addr(), "-ca-file", cfg.TLS.CertFile}},
		{"not that of", []string{"-config", file(other.CertFile, other.KeyFile)}},
		{"certificate", []string{"-url", "https://" + a.Addr()}},
		{"certificate", []string{"-url", "https://" + a.Addr(), "-ca-file", other.CertFile}},
		{"is that a ruler", []string{"-url", "http://" + a.Addr()}},
		{"belongs to -url", []string{"-ca-file", other.CertFile}},
		{"-ca-file", []string{"-url", "https://" + a.Addr(), "-ca-file", cfg.TLS.KeyFile}},
	} {
		var out bytes.Buffer
		err := run(t.Context(), append([]string{"rules", "list"}, c.args...), &out, &out)
		if c.wrong == "" && (err != nil || !strings.Contains(out.String(), "rules are carried out")) {
			t.Errorf("%q: %v %s", c.args, err, &out)
		} else if c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%q: %v, want %s", c.args, err, c.wrong)
		}
	}
}
