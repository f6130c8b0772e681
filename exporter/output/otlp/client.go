package otlp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"nocturne/exporter/output"
)

// ClientOptions say where to.
type ClientOptions struct {
	URL        string // without path, but for a prefix of a proxy
	Credential string // bearer token; never logged
	Headers    map[string]string
	TLS        *tls.Config // nil = the system's CAs
	Proxy      string      // URL; empty = HTTPS_PROXY, HTTP_PROXY and NO_PROXY
	UserAgent  string
	Now        func() time.Time // nil = time.Now
}

// Client posts to one receiver, over one connection. Redirects are not
// followed: a credential goes where it was meant to. It is safe for concurrent
// use.
type Client struct {
	o      ClientOptions
	client *http.Client
}

// CheckProxy says what to write instead.
func CheckProxy(text string) error {
	u, err := url.Parse(text)
	if text != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5") {
		return fmt.Errorf("proxy %.200q: write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, without user and password", text)
	}
	return nil
}

// proxy says through whom a request goes.
func (o *ClientOptions) proxy() func(*http.Request) (*url.URL, error) {
	if o.Proxy == "" {
		return http.ProxyFromEnvironment
	}
	u, err := url.Parse(o.Proxy)
	return func(*http.Request) (*url.URL, error) { return u, err }
}

// NewClient returns a client. It checks nothing: trust.CheckURL and CheckProxy do.
func NewClient(o ClientOptions) *Client {
	o.URL = strings.TrimRight(o.URL, "/")
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Client{o: o, client: &http.Client{
		Transport: &http.Transport{
			Proxy: o.proxy(), TLSClientConfig: o.TLS, MaxIdleConnsPerHost: 1, IdleConnTimeout: 5 * time.Minute,
			TLSHandshakeTimeout: 10 * time.Second, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close lets go of the connection.
func (c *Client) Close() error {
	c.client.CloseIdleConnections()
	return nil
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 20

// Post sends one request and returns the body of a 2xx answer. The error of any
// other answer says with its status what the receiver wrote.
func (c *Client) Post(ctx context.Context, path, contentType, encoding string, body io.Reader) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.o.URL+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", c.o.UserAgent)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	if c.o.Credential != "" {
		req.Header.Set("Authorization", "Bearer "+c.o.Credential)
	}
	for k, v := range c.o.Headers {
		req.Header.Set(k, v)
	}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("post %s: %w", path, withoutURL(err))
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("post %s: read answer: %w", path, err)
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("post %s: answer of more than %d bytes", path, maxAnswer)
	}
	if res.StatusCode/100 != 2 {
		return nil, &status{code: res.StatusCode, path: path, after: retryAfter(res, c.o.Now()), text: shorten(b)}
	}
	return b, nil
}

// withoutURL takes the URL out of a client's error: it is in the log already.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// status is an answer that is not 2xx.
type status struct {
	code  int
	path  string
	after time.Duration
	text  string
}

func (s *status) Error() string {
	return fmt.Sprintf("post %s: %d %s: %s", s.path, s.code, http.StatusText(s.code), s.text)
}

// failure says what an answer asks for.
func (s *status) failure() *output.Failure {
	f := &output.Failure{Kind: output.Busy, After: s.after, Err: s}
	switch s.code {
	case http.StatusRequestEntityTooLarge:
		f.Kind = output.TooLarge
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusUnsupportedMediaType, http.StatusProxyAuthRequired:
		f.Kind = output.Denied
	}
	if s.code/100 == 3 {
		f.Kind = output.Denied // not followed: a credential goes where it was meant to
	}
	return f
}

// asFailure turns an error of Post into what a driver understands.
func asFailure(err error) error {
	var s *status
	if errors.As(err, &s) {
		return s.failure()
	}
	return err
}

// maxAfter bounds the receiver's wish.
const maxAfter = 10 * time.Minute

func retryAfter(res *http.Response, now time.Time) time.Duration {
	v := res.Header.Get("Retry-After")
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return min(time.Duration(min(n, 3600))*time.Second, maxAfter)
	}
	if t, err := http.ParseTime(v); err == nil && t.After(now) {
		return min(t.Sub(now), maxAfter)
	}
	return 0
}

// shorten makes an answer fit for one line of a log.
func shorten(b []byte) string {
	s := strings.ToValidUTF8(string(b[:min(len(b), 400)]), "\ufffd")
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}
