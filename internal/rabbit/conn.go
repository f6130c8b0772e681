package rabbit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"nocturne/internal/trust"
)

// Endpoint says where a broker is, whom to believe and who we are to it.
type Endpoint struct {
	// URL is amqps://HOST:PORT/VHOST; amqp:// for this machine only.
	URL string
	// CredentialFile holds USER:PASSWORD in one line; empty = the client
	// certificate says who we are (SASL EXTERNAL).
	CredentialFile string
	Trust          trust.Trust
	Name           string // of the connection, for the broker's administrator
	Heartbeat      time.Duration
}

// Validate says what to write instead.
func (e *Endpoint) Validate() error {
	u, _, err := e.parse()
	if err != nil {
		return err
	}
	if e.CredentialFile == "" && (u.Scheme != "amqps" || e.Trust.ClientCertFile == "") {
		return errors.New("credential_file is empty: name a file that holds USER:PASSWORD of the broker, or client_cert_file and client_key_file with amqps://")
	}
	return e.Trust.Validate()
}

// parse returns the URL and the virtual host in it.
func (e *Endpoint) parse() (*url.URL, string, error) {
	u, err := url.Parse(e.URL)
	wrong := fmt.Errorf("url %.200q: write amqps://HOST:PORT/VHOST, without user and password", redacted(e.URL))
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Scheme != "amqp" && u.Scheme != "amqps" {
		return nil, "", wrong
	}
	vhost := strings.TrimPrefix(u.Path, "/")
	if vhost == "" {
		vhost = "/"
	}
	if u.Scheme == "amqp" && !trust.Loopback(u.Hostname()) {
		return nil, "", fmt.Errorf("url %.200q: plain amqp is for this machine only, write amqps://", e.URL)
	}
	return u, vhost, nil
}

// Conn is a connection to a broker.
type Conn struct {
	*amqp.Connection
	net     net.Conn
	blocked atomic.Bool
}

// Blocked tells whether the broker takes no messages at the moment, because its
// memory or disk is short.
func (c *Conn) Blocked() bool { return c.blocked.Load() }

// EndWith cuts the connection off when ctx ends: the AMQP client itself waits
// without end for a broker that stopped reading. Call the returned function
// when what had to be done in time is done.
func (c *Conn) EndWith(ctx context.Context) (done func() bool) {
	return context.AfterFunc(ctx, func() { _ = c.net.Close() }) // whoever waits for it gets an error
}

// closeTime is how long a broker may take to answer a goodbye.
const closeTime = 2 * time.Second

// Close says goodbye to the broker and lets go of the connection.
func (c *Conn) Close() error {
	err := c.CloseDeadline(time.Now().Add(closeTime))
	if nerr := c.net.Close(); err == nil && !errors.Is(nerr, net.ErrClosed) {
		err = nerr
	}
	if errors.Is(err, amqp.ErrClosed) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil // gone already, or gone now
	}
	return err
}

// Dial makes a connection before ctx ends.
func Dial(ctx context.Context, e Endpoint) (*Conn, error) {
	u, vhost, err := e.parse()
	if err != nil {
		return nil, err
	}
	auth, err := e.auth()
	if err != nil {
		return nil, err
	}
	nc, err := e.dial(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", u.Host, err)
	}
	c := &Conn{net: nc}
	done := c.EndWith(ctx)
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(e.Name)
	c.Connection, err = amqp.Open(nc, amqp.Config{SASL: auth, Vhost: vhost, Heartbeat: e.Heartbeat, Properties: properties, Locale: "en_US"})
	if err == nil && !done() {
		err = context.Cause(ctx)
	}
	if err != nil {
		_ = nc.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("open AMQP connection to %s%s: %w", u.Host, u.Path, err)
	}
	blockings := c.NotifyBlocked(make(chan amqp.Blocking, 1))
	go func() { // ends with the connection
		for b := range blockings {
			c.blocked.Store(b.Active)
		}
	}()
	return c, nil
}

var errCredentialFile = errors.New("want one line USER:PASSWORD")

func (e *Endpoint) auth() ([]amqp.Authentication, error) {
	if e.CredentialFile == "" {
		return []amqp.Authentication{&amqp.ExternalAuth{}}, nil
	}
	b, err := os.ReadFile(e.CredentialFile)
	if err != nil {
		return nil, fmt.Errorf("read credential_file: %w", err)
	}
	user, password, ok := strings.Cut(strings.TrimRight(string(b), "\r\n"), ":")
	if !ok || user == "" || strings.ContainsAny(password, "\r\n") {
		return nil, fmt.Errorf("credential_file %s: %w", e.CredentialFile, errCredentialFile)
	}
	return []amqp.Authentication{&amqp.PlainAuth{Username: user, Password: password}}, nil
}

func (e *Endpoint) dial(ctx context.Context, u *url.URL) (net.Conn, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"amqp": "5672", "amqps": "5671"}[u.Scheme]
	}
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil || u.Scheme == "amqp" {
		return nc, err
	}
	cfg, err := e.Trust.TLS(u.String())
	if err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	cfg.ServerName = u.Hostname()
	tc := tls.Client(nc, cfg)
	if err := tc.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, nc.Close())
	}
	return tc, nil
}

// redacted takes a password out of a URL that should not have one.
func redacted(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}
