package check

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestAuthorsPage runs what docs/checks/README.md shows.
func TestAuthorsPage(t *testing.T) {
	b, err := os.ReadFile("../../../docs/checks/README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	open := false
	for text := range strings.Lines(string(b)) {
		code, ok := strings.CutPrefix(text, "    ")
		switch {
		case !ok && strings.TrimSpace(text) != "":
			open = false
		case ok && !open:
			blocks = append(blocks, code)
			open = true
		case ok:
			blocks[len(blocks)-1] += code
		}
	}
	documents := 0
	for _, block := range blocks {
		if !strings.HasPrefix(block, "{") {
			continue
		}
		documents++
		r := Result{}
		if err := parseDocument([]byte(block), &r); err != nil || len(r.Devices) != 2 || len(r.Events) != 1 || len(r.Values) != 1 {
			t.Errorf("%v, %+v of\n%s", err, r, block)
		}
	}
	if documents != 1 {
		t.Errorf("%d documents on the page, want 1", documents)
	}
	r := parsed("2 orders wait for over an hour | waiting=2;0;10;0")
	if show(r) != `{"name":"waiting","value":2,"warning":"0","critical":"10","min":0}` {
		t.Errorf("the first example says %s", show(r))
	}
}

// certificate writes a certificate that ends so many days from now.
func certificate(t *testing.T, path string, serial int64, name string, days int) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: now.AddDate(0, 0, -100), NotAfter: now.Add(time.Duration(days)*24*time.Hour + time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestExampleCertificates runs the example plugin for Linux. That for Windows
// needs PowerShell and a Windows: docs/windows-acceptance.md.
func TestExampleCertificates(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil || runtime.GOOS != "linux" {
		t.Skip("NOT RUN: the example needs openssl and GNU date")
	}
	script, err := os.ReadFile("../../../docs/checks/example/check_certificates.sh")
	if err != nil {
		t.Fatal(err)
	}
	s := spec(t, FormatNocturne)
	folder := t.TempDir()
	if err := os.WriteFile(s.Command[0], script, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Command = []string{s.Command[0], folder}
	check := func(want string, devices ...string) {
		t.Helper()
		recs, err := NewCheck(Options{Spec: s}).Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if recs[0].Body != want {
			t.Errorf("said %q, want %q", recs[0].Body, want)
		}
		var got []string
		for _, d := range recs[0].Snapshot.Devices[1:] {
			got = append(got, strings.Join([]string{d.Place, d.Occupant, d.Field("state").Text(), d.Field("subject").Text(), d.Field("remaining_days").Text()}, " "))
		}
		if strings.Join(got, "\n") != strings.Join(devices, "\n") {
			t.Errorf("devices\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(devices, "\n"))
		}
		if n := len(recs[0].Snapshot.Sections); n != 2 {
			t.Errorf("%d sections: the list is complete, also when it is empty", n)
		}
	}
	check("check x: OK - 0 certificates, the soonest ends in ? days")
	certificate(t, filepath.Join(folder, "web1.pem"), 0x4af, "web1", 41)
	check("check x: OK - 1 certificates, the soonest ends in 41 days", "x/web1.pem 04AF valid CN=web1 41")
	certificate(t, filepath.Join(folder, "mail.crt"), 0x4b0, `ma"il\1`, 9)
	check("check x: WARNING - 2 certificates, the soonest ends in 9 days", "x/web1.pem 04AF valid CN=web1 41", `x/mail.crt 04B0 ending CN=ma\"il\\1 9`)
	if err := os.WriteFile(filepath.Join(folder, "old.pem"), []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	certificate(t, filepath.Join(folder, "web1.pem"), 0x4b1, "web1", -3)
	check("check x: CRITICAL - 3 certificates, the soonest ends in -3 days", "x/old.pem  unreadable  ", "x/web1.pem 04B1 ended CN=web1 -3", `x/mail.crt 04B0 ending CN=ma\"il\\1 9`)
}
