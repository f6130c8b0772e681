package trust_test

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/internal/trust"
	"nocturne/internal/trust/trusttest"
)

// A renewed certificate is shown from the next handshake on; files that do not
// fit together change nothing, and are told once.
func TestShownFollowsItsFiles(t *testing.T) {
	dir := t.TempDir()
	files := trusttest.Certificate(t, dir, "127.0.0.1")
	var told []error
	s, err := trust.Show(files, func(err error) { told = append(told, err) })
	if err != nil {
		t.Fatal(err)
	}
	shown := func(at time.Time) string {
		t.Helper()
		return s.At(at).Leaf.SerialNumber.String()
	}
	now := time.Now()
	first := shown(now)
	if shown(now.Add(time.Minute)) != first || len(told) != 0 {
		t.Errorf("read again for nothing, told %v", told)
	}
	trusttest.Certificate(t, dir, "127.0.0.1", "localhost")
	if shown(now.Add(time.Minute+time.Millisecond)) != first {
		t.Error("looked again within a second")
	}
	second := shown(now.Add(2 * time.Minute))
	if second == first || len(told) != 1 || told[0] != nil {
		t.Errorf("a renewed certificate is not shown, told %v", told)
	}
	if err := os.WriteFile(files.KeyFile, []byte("half a ke"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if shown(now.Add(time.Duration(3+i)*time.Minute)) != second {
			t.Error("a broken key takes the certificate away")
		}
	}
	if len(told) != 2 || told[1] == nil || !strings.Contains(told[1].Error(), "key_file") {
		t.Errorf("told %v, want the broken key once", told)
	}
	if err := s.Reload(); err == nil || s.Ends().IsZero() {
		t.Errorf("a broken key is read: %v", err)
	}
	trusttest.Certificate(t, dir, "127.0.0.1")
	if err := s.Reload(); err != nil || shown(now.Add(3*time.Minute)) == second {
		t.Errorf("read on demand: %v", err)
	}
}

func TestFilesThatDoNotDo(t *testing.T) {
	dir := t.TempDir()
	files := trusttest.Certificate(t, dir, "a")
	other := trusttest.Certificate(t, t.TempDir(), "a")
	for _, f := range []trust.Files{{CertFile: files.CertFile, KeyFile: other.KeyFile}, {CertFile: filepath.Join(dir, "none"), KeyFile: files.KeyFile}, {CertFile: files.KeyFile, KeyFile: files.KeyFile}} {
		if _, err := trust.Show(f, nil); err == nil || !strings.Contains(err.Error(), f.CertFile) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	if (trust.Files{CertFile: "a"}).Validate() == nil || (trust.Files{KeyFile: "a"}).Validate() == nil || files.Validate() != nil {
		t.Error("halves are taken, or a pair is not")
	}
}

// Exactly believes the certificate of the file under any name, and no other.
func TestExactly(t *testing.T) {
	files := trusttest.Certificate(t, t.TempDir(), "nocturne.example.org")
	s, err := trust.Show(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: s.Server()}
	done := make(chan error, 1)
	go func() { done <- server.ServeTLS(l, "", "") }()
	ask := func(file string) error {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: trust.Exactly(file), DisableKeepAlives: true}}
		res, err := c.Get("https://" + l.Addr().String())
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	if err := ask(files.CertFile); err != nil {
		t.Error(err)
	}
	stranger := trusttest.Certificate(t, t.TempDir(), "nocturne.example.org")
	for _, file := range []string{stranger.CertFile, filepath.Join(t.TempDir(), "none.pem"), files.KeyFile} {
		if err := ask(file); err == nil {
			t.Errorf("%s: believed", file)
		}
	}
	old, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11})
	if err == nil {
		old.Close()
		t.Error("TLS 1.1 is spoken")
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
