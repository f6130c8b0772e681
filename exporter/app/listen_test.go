package app

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// certificate writes a self-signed one for 127.0.0.1 and returns its pool.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY", Bytes: private}} {
		text := pem.EncodeToMemory(block)
		pool.AppendCertsFromPEM(text) // the key is none, and is skipped
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pool
}

// TLS and a password as Prometheus users write them for every exporter.
func TestWebConfig(t *testing.T) {
	_, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	dir := t.TempDir()
	pool := certificate(t, dir)
	hash, err := bcrypt.GenerateFromPassword([]byte("sesame"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	o.Config.Metrics.WebConfigFile = filepath.Join(dir, "web.yml")
	text := fmt.Sprintf("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\nbasic_auth_users: {night: %q}\n", hash)
	if err := os.WriteFile(o.Config.Metrics.WebConfigFile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	get := func(scheme, path, password string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, scheme+"://"+a.Addr().String()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if password != "" {
			req.SetBasicAuth("night", password)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	for _, c := range []struct {
		scheme, path, password string
		code                   int
		body                   string
	}{
		{"https", "/metrics", "sesame", 200, "exporter_build_info{"},
		{"https", "/healthz", "sesame", 200, "ok\n"},
		{"https", "/metrics", "", 401, "Unauthorized"},
		{"https", "/metrics", "guess", 401, "Unauthorized"},
		{"http", "/metrics", "sesame", 400, "HTTP request to an HTTPS server"},
	} {
		if code, body := get(c.scheme, c.path, c.password); code != c.code || !strings.Contains(body, c.body) {
			t.Errorf("%s %s with %q: %d %.200s", c.scheme, c.path, c.password, code, body)
		}
	}
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Error(err)
	}
}

func TestAWrongWebConfigIsSeenAtTheStart(t *testing.T) {
	_, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	o.Config.Metrics.WebConfigFile = filepath.Join(t.TempDir(), "web.yml")
	for text, want := range map[string]string{
		"basic_auth_user: {a: b}\n":                 "field basic_auth_user not found",
		"basic_auth_users: {a: b}\n":                "hashedSecret too short",
		"tls_server_config: {cert_file: c.pem}\n":   "missing one of key or key_file",
		"basic_auth_users: {night: [nonsense]}\n\t": "",
	} {
		if err := os.WriteFile(o.Config.Metrics.WebConfigFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := New(o)
		if err == nil {
			_ = a.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "metrics web_config_file "+o.Config.Metrics.WebConfigFile+": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestHealthIsThatCommitsEnd(t *testing.T) {
	a := &App{}
	now := time.Now()
	ask := func() (int, string) {
		w := httptest.NewRecorder()
		a.healthz(w, nil)
		return w.Code, strings.TrimSpace(w.Body.String())
	}
	old := a.commits.begin(now.Add(-2 * time.Minute))
	young := a.commits.begin(now)
	if code, body := ask(); code != 503 || body != "a commit to the spool has not ended for 2m0s" {
		t.Errorf("a commit that hangs: %d %q", code, body)
	}
	old()
	if code, body := ask(); code != 200 || body != "ok" {
		t.Errorf("a commit under way: %d %q", code, body)
	}
	young()
	if len(a.commits.began) != 0 {
		t.Error("a commit that ended is kept")
	}
}
