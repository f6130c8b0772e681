package trust

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// Files are the certificate of a server and its key, PEM. The certificates of
// authorities in between follow the server's own in the first file.
type Files struct {
	CertFile string `yaml:"cert_file" json:"cert_file"`
	KeyFile  string `yaml:"key_file" json:"key_file"`
}

// IsZero tells whether none is named.
func (f Files) IsZero() bool { return f == Files{} }

// Validate says what to write instead.
func (f Files) Validate() error {
	if (f.CertFile == "") != (f.KeyFile == "") {
		return errors.New("cert_file and key_file belong together: write both or none")
	}
	return nil
}

// lookEvery is how old the knowledge may be that files are the same as before.
const lookEvery = time.Second

// Shown is what a server shows of itself: its files, read again at a handshake
// when one of them changed. Files that do not fit together, as in the middle of
// a renewal, change nothing.
type Shown struct {
	files Files
	// told hears of files that were read again, nil, or why they were not; once
	// for each change.
	told func(error)

	mu     sync.Mutex
	cert   *tls.Certificate
	looked time.Time
	stamps [2]stamp
}

// stamp is what tells a changed file.
type stamp struct {
	changed time.Time
	size    int64
}

// Show reads the files; told may be nil.
func Show(f Files, told func(error)) (*Shown, error) {
	if told == nil {
		told = func(error) {}
	}
	s := &Shown{files: f, told: told}
	if err := s.Reload(); err != nil {
		return nil, err
	}
	return s, nil
}

// Server is the configuration of a listener.
func (s *Shown) Server() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate(time.Now()), nil }}
}

// Reload reads the files now.
func (s *Shown) Reload() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stamps, s.looked = s.look(), time.Now()
	return s.read()
}

// Ends is when the certificate expires.
func (s *Shown) Ends() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cert.Leaf.NotAfter
}

func (s *Shown) certificate(now time.Time) *tls.Certificate {
	cert, read, err := s.newest(now)
	if read {
		s.told(err)
	}
	return cert
}

func (s *Shown) newest(now time.Time) (cert *tls.Certificate, read bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.looked).Abs() >= lookEvery {
		s.looked = now
		if stamps := s.look(); stamps != s.stamps {
			s.stamps, read = stamps, true
			err = s.read()
		}
	}
	return s.cert, read, err
}

func (s *Shown) look() (out [2]stamp) {
	for i, name := range []string{s.files.CertFile, s.files.KeyFile} {
		if info, err := os.Stat(name); err == nil { // else reading says why
			out[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return out
}

func (s *Shown) read() error {
	c, err := tls.LoadX509KeyPair(s.files.CertFile, s.files.KeyFile)
	if err != nil {
		return fmt.Errorf("read cert_file %s and key_file %s: %w", s.files.CertFile, s.files.KeyFile, err)
	}
	s.cert = &c
	return nil
}

// Exactly is for clients on the server's own machine: it believes whoever shows
// the certificate that stands in a file, by whatever address he was reached. The
// file is read at every handshake.
func Exactly(certFile string) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		leaf, err := Leaf(certFile)
		if err != nil {
			return err
		}
		if !bytes.Equal(s.PeerCertificates[0].Raw, leaf.Raw) {
			return fmt.Errorf("the certificate shown is not that of %s", certFile)
		}
		return nil
	}}
}

// Leaf reads the first certificate of a PEM file.
func Leaf(certFile string) (*x509.Certificate, error) {
	b, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("read cert_file: %w", err)
	}
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return nil, fmt.Errorf("read cert_file %s: holds no PEM certificate", certFile)
		}
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
}

// Loopback tells whether a host, a name or an address, is this machine alone.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
