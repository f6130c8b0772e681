package stack

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"

	"nocturne/internal/trust"
)

// Page is where the ruler's page and API are reached. Its zero value is plain HTTP on loopback.
type Page struct {
	Listen string      `json:"listen,omitempty"` // "" = loopback, at the ruler's port
	Files  trust.Files `json:"files,omitzero"`   // none = plain HTTP, which others never get
}

// Check says what to write instead.
func (p Page) Check() error {
	if err := CheckListen(p.Listen); err != nil {
		return err
	}
	if p.Files.Validate() != nil {
		return errors.New("--page-cert and --page-key belong together: give both or none")
	}
	if host, _, _ := net.SplitHostPort(p.Listen); !p.TLS() {
		if p.Listen != "" && !trust.Loopback(host) {
			return errors.New("--page-listen " + p.Listen + ": others could read passwords on the way; give --page-cert FILE and --page-key FILE too")
		}
		return nil
	}
	_, err := trust.Show(p.Files, nil)
	return err
}

// TLS tells whether it is spoken.
func (p Page) TLS() bool { return !p.Files.IsZero() }

// Port is the port of Listen, 0 when there is none.
func (p Page) Port() int {
	_, port, _ := net.SplitHostPort(p.Listen)
	n, _ := strconv.Atoi(port) // checked before
	return n
}

// Addr is where the ruler listens.
func (p Page) Addr(port int) string {
	if p.Listen != "" {
		return p.Listen
	}
	return Addr(port)
}

// Here is where this machine reaches it.
func (p Page) Here(port int) string {
	host, _, _ := net.SplitHostPort(p.Addr(port))
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return p.scheme() + "://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// URL is where people open it: by a name that the certificate has, so that their browser believes it.
func (p Page) URL(port int) string {
	here := p.Here(port)
	if p.Listen == "" {
		return here
	}
	if names := p.Names(); len(names) > 0 {
		return p.scheme() + "://" + net.JoinHostPort(names[0], strconv.Itoa(port))
	}
	if host, err := os.Hostname(); err == nil && strings.Contains(here, "//127.0.0.1:") {
		return p.scheme() + "://" + net.JoinHostPort(host, strconv.Itoa(port))
	}
	return here
}

// Names are the names in the certificate; none without one.
func (p Page) Names() (out []string) {
	if leaf := p.leaf(); leaf != nil {
		for _, name := range leaf.DNSNames {
			if !strings.Contains(name, "*") {
				out = append(out, name)
			}
		}
	}
	return out
}

func (p Page) leaf() *x509.Certificate {
	if !p.TLS() {
		return nil
	}
	leaf, err := trust.Leaf(p.Files.CertFile)
	if err != nil {
		return nil // Check has read it; it is being renewed
	}
	return leaf
}

// Believes is how a client on this machine knows it; nil = plain HTTP.
func (p Page) Believes() *tls.Config {
	if !p.TLS() {
		return nil
	}
	return trust.Exactly(p.Files.CertFile)
}

func (p Page) scheme() string {
	if !p.TLS() {
		return "http"
	}
	return "https"
}
