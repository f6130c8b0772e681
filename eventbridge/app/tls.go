package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/disk"
)

const (
	caValid   = 10 * 365 * 24 * time.Hour
	leafValid = 90 * 24 * time.Hour
	backdate  = 24 * time.Hour  // servers' clocks are wrong
	lookEvery = 5 * time.Second // how old the list of this machine's addresses may be
)

// authority is the CA of this installation. Servers know it by its
// fingerprint; its certificate stays, the server's is renewed.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	names []string
	addrs func() ([]net.Addr, error) // of this machine

	mu       sync.Mutex
	leaf     *tls.Certificate
	ends     time.Time // when leaf expires
	renew    time.Time
	looked   time.Time
	subjects []string // of leaf, sorted
}

// openAuthority reads the CA of a data folder, making it at the first start.
func openAuthority(dir, listen string, names []string) (*authority, error) {
	certPath, keyPath := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	certPEM, err := os.ReadFile(certPath)
	keyPEM, keyErr := os.ReadFile(keyPath)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if certPEM, keyPEM, err = makeCA(); err != nil {
			return nil, fmt.Errorf("make CA: %w", err)
		}
		// The key first: a certificate without its key would be kept for ever.
		if err := disk.Replace(keyPath, keyPEM, 0o600); err != nil {
			return nil, fmt.Errorf("write CA: %w", err)
		}
		if err := disk.Replace(certPath, certPEM, 0o644); err != nil {
			return nil, fmt.Errorf("write CA: %w", err)
		}
	case err != nil || keyErr != nil:
		return nil, fmt.Errorf("read CA: %w", errors.Join(err, keyErr))
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read CA %s: %w", certPath, err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, fmt.Errorf("read CA %s: %w", certPath, err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read CA %s: want an ECDSA key", keyPath)
	}
	ca := &authority{cert: cert, key: key, names: append([]string{"localhost", "127.0.0.1", "::1"}, names...), addrs: net.InterfaceAddrs}
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		ca.names = append(ca.names, host)
	}
	return ca, nil
}

func makeCA() (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Nocturne CA", Organization: []string{"Nocturne"}},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(caValid),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), nil
}

func serial() *big.Int {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	b[0] &= 0x7f
	return new(big.Int).SetBytes(b)
}

// fingerprint is the SHA-256 of the CA certificate, in hexadecimal.
func (ca *authority) fingerprint() string {
	sum := sha256.Sum256(ca.cert.Raw)
	return hex.EncodeToString(sum[:])
}

// serverConfig serves a certificate that is made at the first handshake and
// made anew long before it expires and when this machine's addresses changed. The CA is sent along, so that a server that
// knows only the fingerprint can check it. With a file of client CAs, nobody
// else's clients are let in.
func (ca *authority) serverConfig(clientCA string) (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return ca.certificate(time.Now())
		},
	}
	if clientCA == "" {
		return cfg, nil
	}
	b, err := os.ReadFile(clientCA)
	if err != nil {
		return nil, fmt.Errorf("read ingest.client_ca: %w", err)
	}
	cfg.ClientCAs = x509.NewCertPool()
	if !cfg.ClientCAs.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("read ingest.client_ca %s: holds no PEM certificate", clientCA)
	}
	cfg.ClientCAs.AddCert(ca.cert) // for the bridge's own probe
	cfg.ClientAuth = tls.RequireAndVerifyClientCert
	return cfg, nil
}

// clientConfig trusts this CA alone.
func (ca *authority) clientConfig() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return ca.certificate(time.Now())
	}}
}

func (ca *authority) certificate(now time.Time) (*tls.Certificate, error) {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if ca.leaf != nil && now.Before(ca.renew) && now.Sub(ca.looked).Abs() < lookEvery {
		return ca.leaf, nil
	}
	names := ca.called()
	ca.looked = now
	if ca.leaf != nil && now.Before(ca.renew) && slices.Equal(names, ca.subjects) {
		return ca.leaf, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make server certificate: %w", err)
	}
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "nocturne eventbridge"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(leafValid),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, // the probe shows it
	}
	t.DNSNames, t.IPAddresses = split(names)
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, key.Public(), ca.key)
	if err != nil {
		return nil, fmt.Errorf("make server certificate: %w", err)
	}
	ca.leaf = &tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: key}
	ca.ends, ca.renew, ca.subjects = t.NotAfter, now.Add(leafValid*2/3), names
	return ca.leaf, nil
}

// leafEnds is when the certificate that servers see expires; zero = none was made.
func (ca *authority) leafEnds() time.Time {
	ca.mu.Lock()
	defer ca.mu.Unlock()
	if ca.leaf == nil {
		return time.Time{}
	}
	return ca.ends
}

// expiry tells a monitor when a certificate expires. The server's is renewed
// long before; when it is not, this is how one knows.
func (ca *authority) expiry(which string, ends func() time.Time) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "eventbridge_tls_certificate_expiry_timestamp_seconds", Help: "When a certificate of the listener for servers expires; 0 = none was needed yet.",
		ConstLabels: prometheus.Labels{"certificate": which},
	}, func() float64 {
		if t := ends(); !t.IsZero() {
			return float64(t.Unix())
		}
		return 0
	})
}

// called are all names and addresses by which this machine can be called now,
// sorted. Without the list of addresses those known before remain.
func (ca *authority) called() []string {
	names := slices.Clone(ca.names)
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	addrs, err := ca.addrs()
	if err != nil {
		names = append(names, ca.subjects...)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			names = append(names, n.IP.String())
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// split tells names from addresses, as a certificate wants them.
func split(names []string) (dns []string, ips []net.IP) {
	for _, n := range names {
		if ip := net.ParseIP(n); ip == nil {
			dns = append(dns, n)
		} else if !ip.IsUnspecified() {
			ips = append(ips, ip)
		}
	}
	return dns, ips
}
