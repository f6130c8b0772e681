// Package trust says whom a client believes and who it is itself in a TLS
// handshake (CA file, CA fingerprint, client certificate), and what a server
// shows of itself.
//
// Everything is safe for concurrent use. To test: go test ./internal/trust.
package trust

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// Trust says whose certificates are believed. All empty: the system's CAs.
type Trust struct {
	// CAFile holds PEM certificates: nobody else is believed.
	CAFile string `yaml:"ca_file"`
	// CAFingerprint is the SHA-256 of the CA's certificate (DER) in
	// hexadecimal. The server must present that CA, or be signed by the one in
	// CAFile that has it.
	CAFingerprint string `yaml:"ca_fingerprint"`
	// ClientCertFile and ClientKeyFile are shown to a server that asks for a
	// certificate (mutual TLS). They are read at every handshake, so a renewed
	// certificate needs no restart.
	ClientCertFile string `yaml:"client_cert_file"`
	ClientKeyFile  string `yaml:"client_key_file"`
}

// IsZero tells whether nothing is set.
func (t Trust) IsZero() bool { return t == Trust{} }

// Validate says what to write instead.
func (t Trust) Validate() error {
	if (t.ClientCertFile == "") != (t.ClientKeyFile == "") {
		return errors.New("client_cert_file and client_key_file belong together: write both or none")
	}
	if t.CAFingerprint == "" {
		return nil
	}
	_, err := ParseFingerprint(t.CAFingerprint)
	return err
}

// ParseFingerprint reads a SHA-256 in hexadecimal, with or without colons.
func ParseFingerprint(s string) ([sha256.Size]byte, error) {
	var fp [sha256.Size]byte
	b, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
	if err != nil || len(b) != len(fp) {
		return fp, fmt.Errorf("ca_fingerprint %.80q: write the SHA-256 of the CA certificate, 64 hexadecimal digits", s)
	}
	return [sha256.Size]byte(b), nil
}

// TLS returns the client configuration for one server. With a fingerprint and no CA file the
// CA is taken from what the server presents, if it is the one named; name and
// dates are checked as ever.
func (t Trust) TLS(server string) (*tls.Config, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("url %.200q: %w", server, err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.ClientCertFile != "" {
		show := func() (*tls.Certificate, error) {
			c, err := tls.LoadX509KeyPair(t.ClientCertFile, t.ClientKeyFile)
			if err != nil {
				return nil, fmt.Errorf("read client_cert_file and client_key_file: %w", err)
			}
			return &c, nil
		}
		if _, err := show(); err != nil {
			return nil, err
		}
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return show() }
	}
	if t.CAFile != "" {
		b, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		certs, err := parsePEM(b)
		if err != nil {
			return nil, fmt.Errorf("read ca_file %s: %w", t.CAFile, err)
		}
		cfg.RootCAs = x509.NewCertPool()
		for _, c := range certs {
			cfg.RootCAs.AddCert(c)
		}
	}
	if t.CAFingerprint == "" {
		return cfg, nil
	}
	fp, err := ParseFingerprint(t.CAFingerprint)
	if err != nil {
		return nil, err
	}
	if cfg.RootCAs != nil {
		cfg.VerifyConnection = func(s tls.ConnectionState) error { return pinnedChain(s.VerifiedChains, fp) }
		return cfg, nil
	}
	// Chain and name are verified below, against the CA that has the fingerprint.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(s tls.ConnectionState) error {
		_, err := VerifyPinned(s, u.Hostname(), fp)
		return err
	}
	return cfg, nil
}

// pinnedChain wants the CA with the fingerprint at the end of a chain.
func pinnedChain(chains [][]*x509.Certificate, fp [sha256.Size]byte) error {
	for _, chain := range chains {
		if sha256.Sum256(chain[len(chain)-1].Raw) == fp {
			return nil
		}
	}
	return errFingerprint
}

var errFingerprint = errors.New("the server does not belong to the CA with this fingerprint: wrong server, or someone in between")

// VerifyPinned checks the server's certificate against the CA among the
// presented ones that has the fingerprint, and returns that CA. The host is
// given because the connection knows no name when it is an address.
func VerifyPinned(s tls.ConnectionState, host string, fp [sha256.Size]byte) (*x509.Certificate, error) {
	if len(s.PeerCertificates) == 0 {
		return nil, errFingerprint
	}
	var ca *x509.Certificate
	between := x509.NewCertPool()
	for _, c := range s.PeerCertificates[1:] {
		if sha256.Sum256(c.Raw) == fp && c.IsCA {
			ca = c
			continue
		}
		between.AddCert(c)
	}
	if ca == nil {
		return nil, errFingerprint
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between})
	return ca, err
}

func parsePEM(b []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for len(bytes.TrimSpace(b)) > 0 {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("holds no PEM certificate")
	}
	return out, nil
}

// CheckURL refuses what would send a credential in the clear.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("url %.200q: write https://HOST:PORT", text)
	}
	switch {
	case u.Scheme == "https":
		return nil
	case u.Scheme != "http":
		return fmt.Errorf("url %.200q: write https://HOST:PORT", text)
	case Loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("url %.200q: plain http is for this machine only, write https://", text)
}
