package metricrule

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"

	"nocturne/ruler/promapi"
)

// The three kinds of failure of the metrics store.
var (
	// ErrAway: it cannot be asked at all: nothing is known, nothing is judged.
	ErrAway = errors.New("metrics store is away")
	// ErrQuery: it refuses the query, or its answer is not whole.
	ErrQuery = errors.New("query failed")
	// ErrWrite: it did not take what a rule recorded; the rule's answer holds.
	ErrWrite = errors.New("write failed")
)

const (
	queryTimeout = 30 * time.Second
	writeTimeout = 10 * time.Second
	maxAnswer    = 64 << 20 // bytes
	maxSeries    = 200_000  // of one answer
	lookback     = "5m"     // how old a sample may be that counts as now, as in Prometheus
)

// Client asks a VictoriaMetrics, or anything else with Prometheus' API, and
// writes to it. It is safe for concurrent use.
type Client struct {
	base, write string
	client      *http.Client
	metrics     *metrics

	restoreFailed error // of the last reading back; see Evaluator.restore
}

func newClient(base, write string, m *metrics) *Client {
	base = strings.TrimRight(base, "/")
	if write == "" {
		write = base + "/api/v1/write"
	}
	return &Client{base: base, write: write, client: &http.Client{}, metrics: m}
}

// Query answers an instant query; it is a rules.QueryFunc. Its error is
// ErrAway or ErrQuery.
func (c *Client) Query(ctx context.Context, q string, at time.Time) (promql.Vector, error) {
	start := time.Now()
	v, err := c.query(ctx, q, at)
	c.metrics.queried(time.Since(start), err)
	return v, err
}

func (c *Client) query(ctx context.Context, q string, at time.Time) (promql.Vector, error) {
	a, err := c.ask(ctx, q, at)
	if err != nil {
		return nil, err
	}
	switch a.Data.ResultType {
	case "scalar":
		var p promapi.Point
		if err := json.Unmarshal(a.Data.Result, &p); err != nil {
			return nil, fmt.Errorf("read scalar: %w: %w", err, ErrQuery)
		}
		return promql.Vector{{T: at.UnixMilli(), F: p.Value}}, nil
	case "vector":
		list, err := series(a.Data.Result)
		if err != nil {
			return nil, err
		}
		out := make(promql.Vector, 0, len(list))
		for i := range list {
			if list[i].Value == nil {
				return nil, fmt.Errorf("a series without a value: %w", ErrQuery)
			}
			out = append(out, promql.Sample{Metric: labels.FromMap(list[i].Metric), T: at.UnixMilli(), F: list[i].Value.Value})
		}
		return out, nil
	}
	return nil, fmt.Errorf("answer is a %.20q, want a vector or a scalar: %w", a.Data.ResultType, ErrQuery)
}

func series(b json.RawMessage) ([]promapi.Series, error) {
	var list []promapi.Series
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("read answer: %w: %w", err, ErrQuery)
	}
	if len(list) > maxSeries {
		return nil, fmt.Errorf("answer has %d series, at most %d are taken: sum up or select: %w", len(list), maxSeries, ErrQuery)
	}
	return list, nil
}

// ask makes one query. nocache=1 makes VictoriaMetrics look at its newest
// samples too, which it otherwise hides for -search.latencyOffset.
func (c *Client) ask(ctx context.Context, q string, at time.Time) (*promapi.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	form := url.Values{"query": {q}, "time": {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)}, "nocache": {"1"}, "step": {lookback}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/v1/query", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("query %s: %w: %w", c.base, err, ErrQuery)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("query: %w: %w", plain(err), ErrAway)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("query: read answer: %w: %w", err, ErrAway)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("query: answer is larger than %d MiB: %w", maxAnswer>>20, ErrQuery)
	}
	var a promapi.Answer
	bad := json.Unmarshal(body, &a)
	switch {
	case resp.StatusCode == http.StatusBadRequest || resp.StatusCode == http.StatusUnprocessableEntity:
		said := a.Error
		if bad != nil || said == "" {
			said = string(body)
		}
		return nil, fmt.Errorf("query is refused: %.300s: %w", said, ErrQuery)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("query: HTTP %d: %.200s: %w", resp.StatusCode, bytes.TrimSpace(body), ErrAway)
	case bad != nil:
		return nil, fmt.Errorf("query: answer is no JSON of Prometheus' API: %w: %w", bad, ErrAway)
	case a.Status != "success":
		return nil, fmt.Errorf("query: status %.40q: %.200s: %w", a.Status, a.Error, ErrQuery)
	case a.IsPartial:
		return nil, fmt.Errorf("query: the answer is partial, a storage node is away: %w", ErrAway)
	}
	return &a, nil
}

// plain takes the address out of an error: it may hold a password.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// past gives Prometheus' engine the series in which it kept since when alerts
// are pending. The client remembers a failure, which the engine only logs.
type past struct {
	client   *Client
	from, to time.Time
}

var _ storage.Querier = (*past)(nil)

// Select implements storage.Querier.
func (p *past) Select(ctx context.Context, _ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range ms {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(m.String())
	}
	window := p.to.Sub(p.from).Round(time.Second)
	fmt.Fprintf(&b, "}[%ds]", int(window.Seconds()))
	list, err := p.matrix(ctx, b.String())
	if err != nil {
		p.client.restoreFailed = err
		return storage.ErrSeriesSet(err)
	}
	return &set{list: list, at: -1}
}

func (p *past) matrix(ctx context.Context, q string) ([]storage.Series, error) {
	a, err := p.client.ask(ctx, q, p.to)
	if err != nil {
		return nil, err
	}
	if a.Data.ResultType != "matrix" {
		return nil, fmt.Errorf("answer is a %.20q, want a matrix: %w", a.Data.ResultType, ErrQuery)
	}
	list, err := series(a.Data.Result)
	if err != nil {
		return nil, err
	}
	var out []storage.Series
	for i := range list {
		if n := len(list[i].Values); n > 0 { // the last one counts
			v := list[i].Values[n-1]
			if math.IsNaN(v.Value) { // JSON has one NaN; in these series it is the end of an alert
				v.Value = math.Float64frombits(value.StaleNaN)
			}
			out = append(out, storage.NewListSeries(labels.FromMap(list[i].Metric), []chunks.Sample{last{v}}))
		}
	}
	return out, nil
}

// LabelValues implements storage.Querier. Nobody asks.
func (p *past) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.ErrUnsupported
}

// LabelNames implements storage.Querier. Nobody asks.
func (p *past) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, errors.ErrUnsupported
}

// Close implements storage.Querier.
func (p *past) Close() error { return nil }

// set is a storage.SeriesSet of a list.
type set struct {
	list []storage.Series
	at   int
}

func (s *set) Next() bool                        { s.at++; return s.at < len(s.list) }
func (s *set) At() storage.Series                { return s.list[s.at] }
func (s *set) Err() error                        { return nil }
func (s *set) Warnings() annotations.Annotations { return nil }

// isAway tells errors that say nothing about the rule.
func isAway(err error) bool {
	var n net.Error
	return errors.Is(err, ErrAway) || errors.As(err, &n)
}

var _ chunks.Sample = last{}

// last is a chunks.Sample of a float.
type last struct{ promapi.Point }

func (l last) T() int64                      { return l.Time }
func (l last) ST() int64                     { return 0 }
func (l last) F() float64                    { return l.Value }
func (l last) H() *histogram.Histogram       { return nil }
func (l last) FH() *histogram.FloatHistogram { return nil }
func (l last) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (l last) Copy() chunks.Sample           { return l }
