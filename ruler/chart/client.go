package chart

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/internal/record"
	"nocturne/ruler/promapi"
)

var (
	// ErrAway: the store did not answer. Asking again later may help.
	ErrAway = errors.New("the metrics store does not answer")
	// ErrSlow: the answer took too long. Asking for less helps.
	ErrSlow = errors.New("the metrics store took too long")
	// ErrAnswer: the store refused the query, or said what it should not say.
	ErrAnswer = errors.New("the metrics store does not answer as it should")
)

const (
	maxAnswer = 8 << 20 // bytes
	maxSlots  = 4       // queries at a time
	timeout   = 8 * time.Second
	reach     = 2 * time.Second // within which it must take the connection: else it is away, not slow
)

// Client asks one VictoriaMetrics.
type Client struct {
	base    string
	client  *http.Client
	slots   chan struct{}
	queries *prometheus.CounterVec
	took    prometheus.Histogram
}

// New returns a client of the store at base. It connects to nothing. reg may be nil.
func New(base string, reg prometheus.Registerer) *Client {
	c := &Client{
		base: strings.TrimRight(base, "/"), slots: make(chan struct{}, maxSlots),
		client: &http.Client{
			Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: reach}).DialContext, TLSHandshakeTimeout: reach, MaxIdleConnsPerHost: maxSlots, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "ruler_chart_queries_total", Help: "Queries for charts to the metrics store, by result."}, []string{"result"}),
		took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "ruler_chart_query_duration_seconds", Help: "Time of a query for charts to the metrics store.",
			Buckets: []float64{.003, .01, .03, .1, .3, 1, 3, 10}}),
	}
	for _, result := range []string{"ok", "away", "slow", "failed"} {
		c.queries.WithLabelValues(result)
	}
	if reg != nil {
		reg.MustRegister(c.queries, c.took)
	}
	return c
}

// Series is one line of a chart; a value is null where nothing is known.
type Series struct {
	Name   string
	Values []*float64
}

// Data is what a chart shows.
type Data struct {
	Step   time.Duration
	Times  []time.Time
	Series []Series
	Cut    int      // series that were left out
	Asked  []string // PromQL
}

// Data asks for a chart. server is ignored where the chart is not of one.
func (c *Client) Data(ctx context.Context, ch Chart, server record.ID, r Range) (Data, error) {
	if err := r.Check(); err != nil {
		return Data{}, fmt.Errorf("%w: %w", err, ErrAnswer)
	}
	step, times := r.points()
	out := Data{Step: step, Times: times, Series: []Series{}, Asked: []string{}}
	if len(times) == 0 {
		return out, nil
	}
	for _, q := range ch.queries {
		asked := q.fill(server, step)
		out.Asked = append(out.Asked, asked)
		lines, err := c.ask(ctx, "/api/v1/query_range", url.Values{"query": {asked}, "start": {unix(times[0])}, "end": {unix(times[len(times)-1])}, "step": {fmt.Sprintf("%ds", int(step.Seconds()))}})
		if err != nil {
			return Data{}, fmt.Errorf("chart %s: %w", ch.Name, err)
		}
		for _, l := range lines {
			out.Series = append(out.Series, Series{Name: q.called(l.Metric), Values: at(&l, times, step)})
		}
	}
	slices.SortStableFunc(out.Series, func(a, b Series) int { return cmp.Compare(a.Name, b.Name) })
	if n := len(out.Series); n > maxSeries {
		out.Series, out.Cut = out.Series[:maxSeries], n-maxSeries
	}
	return out, nil
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// at puts the values of a series where their times are.
func at(l *promapi.Series, times []time.Time, step time.Duration) []*float64 {
	out := make([]*float64, len(times))
	for _, p := range l.Values {
		i := (p.Time - times[0].UnixMilli()) / step.Milliseconds()
		if p.Time >= times[0].UnixMilli() && i < int64(len(out)) && !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) {
			v := p.Value
			out[i] = &v
		}
	}
	return out
}

// ask makes one query.
func (c *Client) ask(ctx context.Context, path string, form url.Values) ([]promapi.Series, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	start := time.Now()
	lines, err := c.answer(ctx, path, form)
	result := "ok"
	switch {
	case errors.Is(err, ErrAway):
		result = "away"
	case errors.Is(err, ErrSlow):
		result = "slow"
	case err != nil:
		result = "failed"
	}
	c.queries.WithLabelValues(result).Inc()
	c.took.Observe(time.Since(start).Seconds())
	return lines, err
}

func (c *Client) answer(ctx context.Context, path string, form url.Values) ([]promapi.Series, error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, ended(ctx, ctx.Err())
	}
	form.Set("nocache", "1") // the newest samples too
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask: %w: %w", err, ErrAnswer)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := c.client.Do(req)
	if err != nil {
		return nil, ended(ctx, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, ended(ctx, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("an answer of more than %d MiB: %w", maxAnswer>>20, ErrAnswer)
	case res.StatusCode != http.StatusOK && busy(body):
		return nil, fmt.Errorf("HTTP %d: %.300q: %w", res.StatusCode, bytes.TrimSpace(body), ErrSlow)
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return nil, fmt.Errorf("HTTP %d: %.300q: %w", res.StatusCode, bytes.TrimSpace(body), ErrAway)
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("HTTP %d: %.300q: %w", res.StatusCode, bytes.TrimSpace(body), ErrAnswer)
	}
	return decode(body)
}

// busy tells whether VictoriaMetrics refuses because too many queries run, or
// because this one ran out of its time.
func busy(said []byte) bool {
	return bytes.Contains(said, []byte("concurrent requests")) || bytes.Contains(said, []byte("timeout"))
}

// decode reads the answer of a query: a vector or a matrix, whole.
func decode(body []byte) ([]promapi.Series, error) {
	var a promapi.Answer
	if err := json.Unmarshal(body, &a); err != nil {
		return nil, fmt.Errorf("no JSON of Prometheus' API: %w: %w", err, ErrAnswer)
	}
	switch {
	case a.Status != "success":
		return nil, fmt.Errorf("status %.40q: %.200q: %w", a.Status, a.Error, ErrAnswer)
	case a.IsPartial:
		return nil, fmt.Errorf("a part of the store is away: %w", ErrAway)
	case a.Data.ResultType != "matrix" && a.Data.ResultType != "vector":
		return nil, fmt.Errorf("a %.20q, want a matrix or a vector: %w", a.Data.ResultType, ErrAnswer)
	}
	var lines []promapi.Series
	if err := json.Unmarshal(a.Data.Result, &lines); err != nil {
		return nil, fmt.Errorf("read series: %w: %w", err, ErrAnswer)
	}
	return lines, nil
}

// ended tells why there is no answer: the caller left, time ran out, or the
// store is not there. The address stays out: it may hold a password.
func ended(ctx context.Context, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return ErrSlow
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}
