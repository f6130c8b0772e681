package app

import (
	"crypto/tls"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// With client CAs, a server without a certificate of theirs is not heard at all;
// the bridge's own probe is.
func TestClientsShowCertificates(t *testing.T) {
	clients, err := openAuthority(t.TempDir(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(t.TempDir())
	cfg.Ingest.ClientCA = filepath.Join(t.TempDir(), "clients.pem")
	if err := os.WriteFile(cfg.Ingest.ClientCA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: clients.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	a, _ := start(t, cfg)
	shows := func(ca *authority) *http.Client {
		c := pinned(a.Fingerprint())
		if ca != nil {
			cert, err := ca.certificate(time.Now())
			if err != nil {
				t.Fatal(err)
			}
			c.Transport.(*http.Transport).TLSClientConfig.Certificates = []tls.Certificate{*cert}
		}
		t.Cleanup(c.CloseIdleConnections)
		return c
	}
	stranger, err := openAuthority(t.TempDir(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, ca := range map[string]*authority{"no certificate": nil, "a stranger's": stranger} {
		if resp, err := shows(ca).Get(a.ListenURL() + "/healthz"); err == nil {
			resp.Body.Close()
			t.Errorf("%s: let in", name)
		} else if !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := enrol(t, a.AdminURL(), a.AdminToken(), a.ListenURL(), "db7", shows(clients))
	if r := c.send(c.frame(3)); r[0].Status != "stored" {
		t.Errorf("%+v", r)
	}
	eventually(t, a.prober.OK)

	cfg.Data, cfg.Ingest.ClientCA = t.TempDir(), filepath.Join(t.TempDir(), "nowhere.pem")
	if _, err := New(Options{Config: cfg}); err == nil || !strings.Contains(err.Error(), "ingest.client_ca") {
		t.Errorf("a missing file: %v", err)
	}
}
