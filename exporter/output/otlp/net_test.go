package otlp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nocturne/internal/trust"
)

// A request goes through the proxy that is named: in the clear as a whole, for
// https as a tunnel.
func TestProxy(t *testing.T) {
	target := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "hello") })
	plain, secure := httptest.NewServer(target), httptest.NewTLSServer(target)
	defer plain.Close()
	defer secure.Close()
	var through atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		through.Add(1)
		if r.Method != http.MethodConnect {
			if r.URL.Host == "" {
				t.Error("not asked as a proxy")
			}
			_, _ = io.WriteString(w, "hello")
			return
		}
		up, err := net.Dial("tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer up.Close()
		down, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer down.Close()
		// Answered by hand: the server's own 200 lets the client speak before
		// the connection is ours, and the first byte would be lost.
		_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(up, buffered); up.Close() }()
		_, _ = io.Copy(down, up)
	}))
	defer proxy.Close()
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	for i, url := range []string{plain.URL, secure.URL} {
		c := NewClient(ClientOptions{URL: url, Proxy: proxy.URL, TLS: &tls.Config{RootCAs: roots}})
		b, err := c.Post(t.Context(), "/", "text/plain", "", strings.NewReader("x"))
		if err != nil || string(b) != "hello" || int(through.Load()) != i+1 {
			t.Errorf("%s: %q, %v, %d through the proxy", url, b, err, through.Load())
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	for text, ok := range map[string]bool{"": true, "http://proxy:3128": true, "socks5://proxy:1080": true, "proxy:3128": false, "http://u:p@proxy": false, "ftp://proxy": false} {
		if err := CheckProxy(text); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The client shows its certificate to a server that asks for one, and a renewed
// one without a restart.
func TestClientCertificate(t *testing.T) {
	var shown atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		shown.Store(r.TLS.PeerCertificates[0].SerialNumber.Int64())
	}))
	srv.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	who := trust.Trust{CAFile: ca, ClientCertFile: filepath.Join(dir, "client.pem"), ClientKeyFile: filepath.Join(dir, "client.key")}
	client := func() *Client {
		cfg, err := who.TLS(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		return NewClient(ClientOptions{URL: srv.URL, TLS: cfg})
	}
	certificate(t, who, 1)
	c := client()
	for serial := range int64(2) {
		certificate(t, who, serial+1)
		if _, err := c.Post(t.Context(), "/", "text/plain", "", nil); err != nil || shown.Load() != serial+1 {
			t.Errorf("certificate %d was shown, want %d: %v", shown.Load(), serial+1, err)
		}
		_ = c.Close() // the next request shakes hands again
	}
	who.ClientCertFile, who.ClientKeyFile = "", ""
	if _, err := client().Post(t.Context(), "/", "text/plain", "", nil); err == nil {
		t.Error("let in without a certificate")
	}
}

func certificate(t *testing.T, who trust.Trust, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{who.ClientCertFile: {Type: "CERTIFICATE", Bytes: der}, who.ClientKeyFile: {Type: "PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
