package metricrule

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
)

// appender gathers what one rule recorded and writes it in one request:
// remote-write v1, because VictoriaMetrics answers 2.0 with success and keeps
// nothing. Writing is tried once: the next evaluation records anew, and a hole
// in a recorded series is a hole in time.
type appender struct {
	client *Client
	ctx    context.Context //nolint:containedctx // the interface gives it at the beginning
	req    prompb.WriteRequest
}

// Appender implements storage.Appendable.
func (c *Client) Appender(ctx context.Context) storage.Appender {
	return &appender{client: c, ctx: ctx}
}

// maxSamples keeps a request far below VictoriaMetrics' 32 MiB.
const maxSamples = 20_000

// Append implements storage.Appender.
func (a *appender) Append(_ storage.SeriesRef, ls labels.Labels, ms int64, v float64) (storage.SeriesRef, error) {
	a.req.Timeseries = append(a.req.Timeseries, prompb.TimeSeries{Labels: prompb.FromLabels(ls, nil), Samples: []prompb.Sample{{Value: v, Timestamp: ms}}})
	return 0, nil
}

// Commit implements storage.Appender.
func (a *appender) Commit() error {
	all := a.req.Timeseries
	for len(all) > 0 {
		n := min(len(all), maxSamples)
		err := a.client.post(a.ctx, &prompb.WriteRequest{Timeseries: all[:n]})
		a.client.metrics.wrote(n, err)
		if err != nil {
			a.client.metrics.wrote(len(all)-n, err)
			return err
		}
		all = all[n:]
	}
	return nil
}

func (c *Client) post(ctx context.Context, w *prompb.WriteRequest) error {
	raw, err := w.Marshal()
	if err != nil {
		return fmt.Errorf("encode samples: %w: %w", err, ErrWrite)
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.write, bytes.NewReader(snappy.Encode(nil, raw)))
	if err != nil {
		return fmt.Errorf("write samples: %w: %w", plain(err), ErrWrite)
	}
	req.Header = http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}, "X-Prometheus-Remote-Write-Version": {"0.1.0"}, "User-Agent": {"nocturne-ruler"}}
	resp, err := c.client.Do(req)
	if err != nil {
		return fmt.Errorf("write samples: %w: %w", plain(err), ErrWrite)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("write samples: HTTP %d: %.200s: %w", resp.StatusCode, bytes.TrimSpace(said), ErrWrite)
	}
	return nil
}

// Rollback implements storage.Appender.
func (a *appender) Rollback() error {
	a.req.Timeseries = nil
	return nil
}

// SetOptions implements storage.Appender. VictoriaMetrics sorts for itself.
func (a *appender) SetOptions(*storage.AppendOptions) {}

// AppendHistogram implements storage.Appender: recorded native histograms are
// not kept, because no answer over HTTP holds any.
func (a *appender) AppendHistogram(storage.SeriesRef, labels.Labels, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, fmt.Errorf("native histograms: %w", ErrWrite)
}

// AppendHistogramSTZeroSample implements storage.Appender.
func (a *appender) AppendHistogramSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, nil
}

// AppendSTZeroSample implements storage.Appender.
func (a *appender) AppendSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64) (storage.SeriesRef, error) {
	return 0, nil
}

// AppendExemplar implements storage.Appender.
func (a *appender) AppendExemplar(storage.SeriesRef, labels.Labels, exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, nil
}

// UpdateMetadata implements storage.Appender.
func (a *appender) UpdateMetadata(storage.SeriesRef, labels.Labels, metadata.Metadata) (storage.SeriesRef, error) {
	return 0, nil
}

var _ storage.Appender = (*appender)(nil)

// Querier implements storage.Queryable: since when alerts are pending.
func (c *Client) Querier(from, to int64) (storage.Querier, error) {
	return &past{client: c, from: time.UnixMilli(from), to: time.UnixMilli(to)}, nil
}
