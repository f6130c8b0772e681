package enrol

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/trust"
)

const secret = "s3cr3t-s3cr3t-s3cr3t"

var testID = record.ID{0x12, 0x34}

// authority is a CA of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCA(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (ca *authority) fingerprint() string {
	sum := sha256.Sum256(ca.cert.Raw)
	return hex.EncodeToString(sum[:])
}

func (ca *authority) file(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// leaf returns a server certificate for a name, with the CA sent along.
func (ca *authority) leaf(t *testing.T, name string, notAfter time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: notAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(name); ip != nil {
		tmpl.IPAddresses = []net.IP{ip}
	} else {
		tmpl.DNSNames = []string{name}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key}
}

// bridge answers enrolments; asked are the requests.
type bridge struct {
	asked  []request
	answer func(w http.ResponseWriter)
}

func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var q request
	if r.URL.Path != "/nocturne/v1/enrol" || r.Method != http.MethodPost || json.Unmarshal(body, &q) != nil {
		http.Error(w, "bad", http.StatusBadRequest)
		return
	}
	b.asked = append(b.asked, q)
	if b.answer != nil {
		b.answer(w)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"server_id": testID, "credential": "noc1." + testID.String() + "." + secret, "server": "db7",
		"labels": map[string]string{"site": "north"}})
}

func serve(t *testing.T, b *bridge, cert *tls.Certificate) *httptest.Server {
	srv := httptest.NewUnstartedServer(b)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	if cert == nil {
		srv.Start()
	} else {
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}}
		srv.StartTLS()
	}
	t.Cleanup(srv.Close)
	return srv
}

func TestEnrolStoresWhatItGets(t *testing.T) {
	ca := newCA(t)
	cert := ca.leaf(t, "127.0.0.1", time.Now().Add(time.Hour))
	b := &bridge{}
	srv := serve(t, b, &cert)
	dir := filepath.Join(t.TempDir(), "state")
	if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
		t.Fatalf("load before: %v", err)
	}
	got, err := Enrol(t.Context(), dir, Request{URL: srv.URL + "/", Token: "nocj1.x", CAFingerprint: colons(ca.fingerprint()), Name: "db7", OS: "Debian", Version: "v1",
		Evidence: Evidence{MachineID: "m", SMBIOSUUID: "u"}})
	if err != nil {
		t.Fatal(err)
	}
	if q := b.asked[0]; q.Token != "nocj1.x" || q.Name != "db7" || q.OS != "Debian" || q.Version != "v1" || q.Evidence.MachineID != "m" {
		t.Errorf("asked %+v", q)
	}
	s, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.ServerID != testID || s.Server != "db7" || s.URL != srv.URL || s.Credential != "noc1."+testID.String()+"."+secret || s.Labels["site"] != "north" || s.CAFile != got.CAFile {
		t.Errorf("stored %+v", s)
	}
	pinned, err := os.ReadFile(s.CAFile)
	if err != nil || !strings.Contains(string(pinned), "BEGIN CERTIFICATE") {
		t.Errorf("CA file: %q, %v", pinned, err)
	}
	// What was stored is enough to speak to the bridge again.
	cfg, err := trust.Trust{CAFile: s.CAFile, CAFingerprint: s.CAFingerprint}.TLS(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := get(t, srv.URL, cfg); err != nil {
		t.Error(err)
	}
	secretsAreOurs(t, dir)
}

func colons(s string) string {
	var parts []string
	for i := 0; i < len(s); i += 2 {
		parts = append(parts, strings.ToUpper(s[i:i+2]))
	}
	return strings.Join(parts, ":")
}

// secretsAreOurs wants the credential in one file that only its owner reads.
func secretsAreOurs(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), secret) != (e.Name() == credentialName) {
			t.Errorf("secret in %s", e.Name())
		}
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", e.Name(), info.Mode().Perm())
		}
	}
	if info, err := os.Stat(dir); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
}

func get(t *testing.T, url string, cfg *tls.Config) error {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: cfg}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func TestTrust(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	good, late := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	cases := []struct {
		name  string
		cert  tls.Certificate
		trust trust.Trust
		want  string // part of the error; "" = trusted
	}{
		{"file", ca.leaf(t, "127.0.0.1", good), trust.Trust{CAFile: ca.file(t)}, ""},
		{"fingerprint", ca.leaf(t, "127.0.0.1", good), trust.Trust{CAFingerprint: ca.fingerprint()}, ""},
		{"both", ca.leaf(t, "127.0.0.1", good), trust.Trust{CAFile: ca.file(t), CAFingerprint: ca.fingerprint()}, ""},
		{"unknown CA", ca.leaf(t, "127.0.0.1", good), trust.Trust{}, "unknown authority"},
		{"another CA in the file", ca.leaf(t, "127.0.0.1", good), trust.Trust{CAFile: other.file(t)}, "unknown authority"},
		{"another fingerprint", ca.leaf(t, "127.0.0.1", good), trust.Trust{CAFingerprint: other.fingerprint()}, "fingerprint"},
		{"file and another fingerprint", ca.leaf(t, "127.0.0.1", good), trust.Trust{CAFile: ca.file(t), CAFingerprint: other.fingerprint()}, "fingerprint"},
		{"another name", ca.leaf(t, "example.org", good), trust.Trust{CAFingerprint: ca.fingerprint()}, "127.0.0.1"},
		{"another name with file", ca.leaf(t, "example.org", good), trust.Trust{CAFile: ca.file(t)}, "127.0.0.1"},
		{"expired", ca.leaf(t, "127.0.0.1", late), trust.Trust{CAFingerprint: ca.fingerprint()}, "expired"},
		{"the CA is sent along but did not sign", append1(other.leaf(t, "127.0.0.1", good), ca), trust.Trust{CAFingerprint: ca.fingerprint()}, "unknown authority"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			srv := serve(t, &bridge{}, &c.cert)
			cfg, err := c.trust.TLS(srv.URL)
			if err != nil {
				t.Fatal(err)
			}
			err = get(t, srv.URL, cfg)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// append1 makes a server present somebody else's CA.
func append1(cert tls.Certificate, ca *authority) tls.Certificate {
	cert.Certificate = [][]byte{cert.Certificate[0], ca.cert.Raw}
	return cert
}

func TestRefusals(t *testing.T) {
	say := func(code int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(code); _, _ = io.WriteString(w, body) }
	}
	cases := []struct {
		name   string
		answer func(http.ResponseWriter)
		want   string
	}{
		{"with a hint", say(403, `{"error":"this token is used up","hint":"make another one"}`), "this token is used up (403): make another one"},
		{"without", say(503, `{"error":"busy"}`), "busy (503)"},
		{"another program", say(404, "<html>"), "answer 404 Not Found"},
		{"nonsense", say(200, "{}"), "the answer holds no server id and credential: is this an eventbridge?"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			srv := serve(t, &bridge{answer: c.answer}, nil)
			dir := t.TempDir()
			_, err := Enrol(t.Context(), dir, Request{URL: srv.URL, Token: "top-secret-token"})
			if err == nil || !strings.HasSuffix(err.Error(), c.want) || strings.Contains(err.Error(), "top-secret") {
				t.Errorf("got %v, want …%s", err, c.want)
			}
			if _, err := Load(dir); !errors.Is(err, ErrNotEnrolled) {
				t.Errorf("load after a refusal: %v", err)
			}
		})
	}
}

func TestUnknownCASaysWhatToDo(t *testing.T) {
	cert := newCA(t).leaf(t, "127.0.0.1", time.Now().Add(time.Hour))
	srv := serve(t, &bridge{}, &cert)
	_, err := Enrol(t.Context(), t.TempDir(), Request{URL: srv.URL, Token: "x"})
	if err == nil || !strings.Contains(err.Error(), "add --ca-fingerprint") {
		t.Error(err)
	}
}

func TestLoadDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, stateName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || errors.Is(err, ErrNotEnrolled) || !strings.Contains(err.Error(), "enrol again") {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, stateName), []byte(`{"server_id":"12340000000000000000000000000000"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "credential") {
		t.Error(err)
	}
}

func TestCredentialID(t *testing.T) {
	id, err := CredentialID("noc1." + testID.String() + ".secret")
	if err != nil || id != testID {
		t.Error(id, err)
	}
	for _, bad := range []string{"", "noc1.", "noc1." + testID.String(), "noc1." + testID.String() + ".", "noc2." + testID.String() + ".hush", "nocj1.abc.hush", "noc1.zz.hush"} {
		if _, err := CredentialID(bad); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestFingerprintIsChecked(t *testing.T) {
	if err := (trust.Trust{CAFingerprint: "abc"}).Validate(); err == nil || err.Error() != `ca_fingerprint "abc": write the SHA-256 of the CA certificate, 64 hexadecimal digits` {
		t.Error(err)
	}
	if err := (trust.Trust{}).Validate(); err != nil {
		t.Error(err)
	}
	if _, err := (trust.Trust{CAFile: filepath.Join(t.TempDir(), "none")}).TLS("https://x"); err == nil {
		t.Error("a CA file that is not there")
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (trust.Trust{CAFile: empty}).TLS("https://x"); err == nil || !strings.Contains(err.Error(), "no PEM certificate") {
		t.Error(err)
	}
}

// The register of servers holds the same hash, so that both sides have one key.
func TestSigningKey(t *testing.T) {
	id, key, err := SigningKey("noc1." + testID.String() + "." + secret)
	sum := sha256.Sum256([]byte(secret))
	if err != nil || !bytes.Equal(key, sum[:]) || id != record.KeyID(testID, sum[:]) {
		t.Errorf("%s %x, %v", id, key, err)
	}
	if _, _, err := SigningKey("noc1.x.hush"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Error(err)
	}
}
