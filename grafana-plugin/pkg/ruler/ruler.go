// Package ruler is the ruler's API as the plugin sees it: the settings that say
// where it is, requests with the plugin's token and the name of a person, what
// went wrong in words, and the events of its stream. It knows nothing of
// Grafana, so that its fuzz tests build in seconds.
//
// A Client may be used concurrently; Events by one reader.
//
// To test: go test ./pkg/ruler in grafana-plugin.
package ruler

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

// Times of one request. The ruler gives itself 10 s for an ordinary one; one
// that answers with lines, or with events, says something more often than
// Quietest.
const (
	dialTimeout   = 5 * time.Second
	headerTimeout = 30 * time.Second
	Quietest      = time.Minute
)

// Client is where the API is, and the right to ask it.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes the client. Nothing of Grafana's own is sent along: the SDK's
// HTTP client would pass on cookies and the Authorization of the browser, and
// this token is not that person's.
func New(s Settings) (*Client, *Problem) {
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.CACert != "" {
		tlsConfig.RootCAs = x509.NewCertPool()
		if !tlsConfig.RootCAs.AppendCertsFromPEM([]byte(s.CACert)) {
			return nil, &Problem{http.StatusPreconditionFailed, "caCert holds no certificate", "copy the authority's certificate into it, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----"}
		}
	}
	return &Client{base: s.base, token: s.Token, http: &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        tlsConfig,
			TLSHandshakeTimeout:    dialTimeout,
			ResponseHeaderTimeout:  headerTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    16,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
		},
		// A redirect would carry the person's name to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Do sends a request; what fails is explained by Explain.
func (r *Client) Do(req *http.Request) (*http.Response, error) { return r.http.Do(req) }

// Close gives idle connections back.
func (r *Client) Close() { r.http.CloseIdleConnections() }

// Request prepares a call. path is encoded and begins with /api/v1/; it has
// been checked.
func (r *Client) Request(ctx context.Context, method, path, query string, who Caller, body io.Reader) (*http.Request, error) {
	u := *r.base
	// RawPath, too: an encoded slash must stay one.
	u.Path, u.RawPath, u.RawQuery = "", "", query
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	full := r.base.EscapedPath() + path
	if req.URL.Path, err = url.PathUnescape(full); err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.URL.RawPath = full
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("User-Agent", userAgent())
	who.name(req.Header)
	return req, nil
}

// MaxAnswer bounds what is kept in memory of one answer.
const MaxAnswer = 32 << 20

// Get asks for a JSON answer, as the plugin itself or for somebody.
func (r *Client) Get(ctx context.Context, path string, who Caller, v any) error {
	ctx, cancel := context.WithTimeout(ctx, headerTimeout)
	defer cancel()
	req, err := r.Request(ctx, http.MethodGet, path, "", who, nil)
	if err != nil {
		return err
	}
	resp, err := r.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return Refusal(resp, body)
	}
	if MediaType(resp) != "application/json" || json.Unmarshal(body, v) != nil {
		return &ForeignError{Status: resp.StatusCode, MediaType: MediaType(resp)}
	}
	return nil
}

// RefusedError is an answer of the ruler's API that is none of the asked kind.
type RefusedError struct {
	Status    int
	Msg, Hint string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the ruler answers %d: %s", e.Status, e.Msg)
}

// ForeignError is an answer that the ruler's API does not give: a proxy's page,
// another program.
type ForeignError struct {
	Status    int
	MediaType string
	Location  string // of a redirect
}

func (e *ForeignError) Error() string {
	switch {
	case e.Location != "":
		return fmt.Sprintf("it answers %d, see %.200q", e.Status, e.Location)
	case e.MediaType == "":
		return fmt.Sprintf("it answers %d", e.Status)
	}
	return fmt.Sprintf("it answers %d with %.80s", e.Status, e.MediaType)
}

// Refusal reads an answer that is an error, in the API's words if it is one.
func Refusal(resp *http.Response, body []byte) error {
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return &ForeignError{Status: resp.StatusCode, Location: resp.Header.Get("Location")}
	}
	var p struct {
		Error string `json:"error"`
		Hint  string `json:"hint"`
	}
	if MediaType(resp) != "application/json" || json.Unmarshal(body, &p) != nil || p.Error == "" {
		return &ForeignError{Status: resp.StatusCode, MediaType: MediaType(resp)}
	}
	return &RefusedError{Status: resp.StatusCode, Msg: Clip(p.Error), Hint: Clip(p.Hint)}
}

// MediaType is the type of an answer, without parameters; "" = none.
func MediaType(resp *http.Response) string {
	t, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}

// Clip bounds text that came from elsewhere.
func Clip(s string) string {
	const limit = 500
	if r := []rune(s); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return s
}

// Failure is why a request failed, in words.
type Failure struct {
	Kind string
	Msg  string
	Hint string
}

// Kinds of Failure.
const (
	FailRefused     = "refused"
	FailForeign     = "foreign"
	FailTLS         = "tls"
	FailTimeout     = "timeout"
	FailUnreachable = "unreachable"
)

// Explain says why a request failed, and what to do.
func Explain(err error) Failure {
	var (
		foreign *ForeignError
		refused *RefusedError
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case errors.As(err, &refused):
		return Failure{FailRefused, refused.Error(), refused.Hint}
	case errors.As(err, &foreign) && foreign.Location != "":
		return Failure{FailForeign, "this is not the ruler's API: " + foreign.Error(), "redirects are not followed; write the last address into rulerUrl"}
	case errors.As(err, &foreign):
		return Failure{FailForeign, "this is not the ruler's API: " + foreign.Error(), "write the address that the ruler's own page has, and nothing behind it"}
	case errors.As(err, &dns):
		return Failure{FailUnreachable, Clip("there is no host " + dns.Name), "look at rulerUrl and at the name service of Grafana's machine"}
	case errors.Is(err, context.Canceled):
		return Failure{FailTimeout, "the request was given up", "ask again"}
	case errors.As(err, &timeout) && timeout.Timeout():
		return Failure{FailTimeout, "the ruler does not answer in time", "a firewall may be in between: from Grafana's machine, curl its address"}
	}
	if f, ok := explainTLS(err); ok {
		return f
	}
	// The last error alone: the others repeat address and query.
	last := err
	for e := err; e != nil; e = errors.Unwrap(e) {
		last = e
	}
	return Failure{FailUnreachable, Clip("the ruler cannot be reached: " + last.Error()), "is it running, and does it listen on an address that Grafana's machine reaches (listen in its file)?"}
}

func explainTLS(err error) (Failure, bool) {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		alert     tls.AlertError
	)
	f := Failure{Kind: FailTLS}
	switch {
	case errors.As(err, &authority):
		f.Msg, f.Hint = "TLS: nobody known has signed the ruler's certificate", "write the certificate of the authority that did into caCert"
	case errors.As(err, &name):
		f.Msg, f.Hint = Clip("TLS: "+name.Error()), "use a name that is in the certificate"
	case errors.As(err, &invalid):
		f.Msg, f.Hint = Clip("TLS: "+invalid.Error()), "renew the ruler's certificate, or look at the clocks"
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		f.Msg, f.Hint = "TLS: the other side does not speak it", "write http:// instead of https://, or the port on which it does"
	case errors.As(err, &alert):
		f.Msg, f.Hint = Clip("TLS: the other side says: "+alert.Error()), "TLS 1.2 or later, without a client certificate"
	default:
		return Failure{}, false
	}
	return f, true
}

func userAgent() string {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version = info.Main.Version
	}
	return "nocturne-fleet-app/" + version
}
