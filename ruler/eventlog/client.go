// Package eventlog reads back what the eventbridge wrote to VictoriaLogs: lists
// of events, counts, and records for rules that are tried on the past.
//
// VictoriaLogs does not deduplicate: a row may be there twice. Lists name a
// record once and counts count record ids, by their 64-bit hashes: of ten
// million, two have the same with a chance of three in a million.
//
// Every text in a query is quoted (logsql.go), so that none can change it. A
// Client is safe for concurrent use. To test: go test ./ruler/eventlog (needs
// bin/victoria-logs, see sinktest).
package eventlog

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config is where events are kept.
type Config struct {
	// URL of VictoriaLogs; "" = there is no event history.
	URL string `yaml:"url"`
	// Timeout of one query. People wait ten seconds at most; a backtest waits
	// that long for each of its queries.
	Timeout time.Duration `yaml:"timeout"`
}

// DefaultConfig fits the default stack.
func DefaultConfig() Config {
	return Config{URL: "http://127.0.0.1:9428", Timeout: 30 * time.Second}
}

// Validate says what to write instead.
func (c *Config) Validate() error {
	var errs []error
	u, err := url.Parse(c.URL)
	if c.URL != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
		errs = append(errs, fmt.Errorf("logs.url %.200q: want http://HOST:PORT or https://HOST:PORT", c.URL))
	}
	if c.Timeout < time.Second || c.Timeout > 5*time.Minute {
		errs = append(errs, fmt.Errorf("logs.timeout %s: want 1s to 5m", c.Timeout))
	}
	return errors.Join(errs...)
}

var (
	// ErrAway: the store did not answer. Asking again later may help.
	ErrAway = errors.New("the log store does not answer")
	// ErrSlow: the answer took too long. Asking for less helps.
	ErrSlow = errors.New("the log store took too long")
	// ErrTooMuch: the answer is larger than is taken. Asking for less helps.
	ErrTooMuch = errors.New("the answer of the log store is too large")
	// ErrAnswer: the store refused the query, or said what it should not say.
	ErrAnswer = errors.New("the log store does not answer as it should")
	// ErrNotFound: there is no such record.
	ErrNotFound = errors.New("no such record in the log store")
)

const (
	maxAnswer = 64 << 20        // bytes
	maxLine   = 8 << 20         // a row has 1 MiB, before JSON
	maxQuery  = 15 << 10        // VictoriaLogs' -search.maxQueryLen is 16 KiB
	maxSlots  = 4               // queries at a time
	reach     = 2 * time.Second // within which it must take the connection: else it is away, not slow
)

// Client asks one VictoriaLogs.
type Client struct {
	base    string
	timeout time.Duration
	client  *http.Client
	metrics *metrics
	slots   chan struct{}
	now     func() time.Time
	batch   int // rows of the past in memory

	mu      sync.Mutex // guards oldest
	oldest  time.Time
	checked time.Time
}

// New returns a client. It connects to nothing. reg may be nil.
func New(cfg Config, reg prometheus.Registerer) *Client {
	return &Client{
		base: strings.TrimRight(cfg.URL, "/"), timeout: cfg.Timeout, metrics: newMetrics(reg), slots: make(chan struct{}, maxSlots), now: time.Now, batch: maxBatch,
		// Our own neighbour: no proxy, and nobody sends us elsewhere.
		client: &http.Client{
			Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: reach}).DialContext, TLSHandshakeTimeout: reach, MaxIdleConnsPerHost: maxSlots, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// errEnough is returned by whoever has seen enough of an answer.
var errEnough = errors.New("enough")

// query calls fn with each line of an answer. The line is valid during the call.
func (c *Client) query(ctx context.Context, q string, fn func(line []byte) error) error {
	start := time.Now()
	err := c.ask(ctx, q, fn)
	if errors.Is(err, errEnough) {
		err = nil
	}
	c.metrics.queried(time.Since(start), err)
	return err
}

func (c *Client) ask(ctx context.Context, q string, fn func(line []byte) error) error {
	if len(q) > maxQuery {
		return fmt.Errorf("a query of %d bytes, at most %d can be asked: name fewer servers or providers: %w", len(q), maxQuery, ErrTooMuch)
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return ended(ctx, ctx.Err())
	}
	wait := c.timeout
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, max(time.Until(end), time.Millisecond))
	}
	form := url.Values{"query": {q}, "timeout": {fmt.Sprintf("%dms", wait.Milliseconds()+1)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/select/logsql/query", strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("ask: %w: %w", plain(err), ErrAnswer)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.client.Do(req)
	if err != nil {
		return ended(ctx, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 512)) // what there is of it
		return refused(resp.StatusCode, said)
	}
	return c.read(ctx, resp.Body, fn)
}

// read hands out the lines of an answer.
func (c *Client) read(ctx context.Context, body io.Reader, fn func(line []byte) error) error {
	whole := &noting{r: body}
	all := &io.LimitedReader{R: whole, N: maxAnswer}
	lines := bufio.NewScanner(all)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		if all.N <= 0 || whole.err != nil {
			break // the line may be cut
		}
		if err := fn(lines.Bytes()); err != nil {
			return err
		}
	}
	switch err := lines.Err(); {
	case all.N <= 0 || errors.Is(err, bufio.ErrTooLong):
		return ErrTooMuch
	case err != nil:
		return ended(ctx, err)
	case whole.err != nil:
		return ended(ctx, whole.err)
	}
	return nil
}

// noting keeps the error with which an answer broke off: a scanner hands out what
// it has before it says so.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(b []byte) (int, error) {
	c, err := n.r.Read(b)
	if err != nil && !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		n.err = err
	}
	return c, err
}

// ended tells why there is no answer: the caller left, time ran out, or the
// store is not there.
func ended(ctx context.Context, err error) error {
	var op *net.OpError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.As(err, &op) && op.Op == "dial": // it took no connection, in whatever time
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ErrSlow
	}
	return fmt.Errorf("%w: %w", ErrAway, plain(err))
}

// refused words an answer other than 200. VictoriaLogs says 503 when a query
// ran out of its time, and when too many run.
func refused(code int, said []byte) error {
	kind := ErrAnswer
	switch {
	case bytes.Contains(said, []byte("couldn't be executed in")) || bytes.Contains(said, []byte("timeout")):
		kind = ErrSlow
	case bytes.Contains(said, []byte("memory")): // a query that would take too much of it
		kind = ErrTooMuch
	case code >= 500 || code == http.StatusTooManyRequests:
		kind = ErrAway
	}
	return fmt.Errorf("%w: HTTP %d: %.300q", kind, code, bytes.TrimSpace(said))
}

// plain takes the address out of an error: it may hold a password.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// keepOldest is how long an answer about the oldest row is good.
const keepOldest = time.Minute

// Since says since when there are rows; zero = there are none.
func (c *Client) Since(ctx context.Context) (time.Time, error) {
	c.mu.Lock()
	at, fresh := c.oldest, !c.checked.IsZero() && c.now().Sub(c.checked) < keepOldest
	c.mu.Unlock()
	if fresh {
		return at, nil
	}
	at, err := c.first(ctx, Filter{})
	if err != nil {
		return at, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oldest, c.checked = at, c.now()
	if at.IsZero() {
		c.checked = time.Time{} // the first rows should be seen at once
	}
	return at, nil
}

// first finds the time of the oldest row; zero = there is none.
func (c *Client) first(ctx context.Context, f Filter) (at time.Time, err error) {
	err = c.query(ctx, f.query()+" | stats min(_time) as at", func(line []byte) error {
		fields, err := decodeFields(line)
		if err != nil || fields["at"] == "" {
			return err
		}
		at, err = parseTime(fields["at"])
		return err
	})
	return at, err
}
