// Package victorialogs is the sink for VictoriaLogs: every record is a row,
// one line of JSON.
//
// VictoriaLogs does not deduplicate. Every row carries record_id (unique), and
// partition and entry (where it stands in the stream). A row that may be there
// already is asked for first, and sent when it is missing.
//
// A row's time is the event's own. Where that cannot be stored (a clock more
// than an hour off, an imported event older than MaxAge) the corrected or the
// receive time stands in and event_time keeps the event's own.
//
// A Sink is used by one goroutine. To test: go test ./eventbridge/sink/victorialogs
// (needs bin/victoria-logs, see sinktest).
package victorialogs

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/eventbridge/sink"
)

// Config says where and how to write.
type Config struct {
	URL     string        // base of VictoriaLogs, "http://127.0.0.1:9428"
	Timeout time.Duration // of one request; default 60 s
	// MaxLine is the longest row in bytes; 0 = 1 MiB, or what the server's
	// -insert.maxLineSizeBytes allows.
	MaxLine int
	// MaxAge is what the server keeps; 0 = its -retentionPeriod less a day.
	// Older events get their receive time.
	MaxAge time.Duration
	Reg    prometheus.Registerer // may be nil
}

// Sink writes rows to VictoriaLogs.
type Sink struct {
	cfg     Config
	client  *http.Client
	body    []byte
	maxLine int
	maxAge  time.Duration
	known   string // the instance whose flags were looked at
	ignored prometheus.Gauge
	cut     prometheus.Counter
	found   prometheus.Counter
}

var _ sink.Sink = (*Sink)(nil)

// maxBody bounds one request.
const maxBody = 8 << 20

// maxQuery keeps a query below VictoriaLogs' -search.maxQueryLen of 16 KiB.
const maxQuery = 12 << 10

// slack widens the time range of a question: a row whose clock was corrected
// can have a slightly different time when its record arrives again.
const slack = 10 * time.Second

// New returns a sink.
func New(cfg Config) *Sink {
	cfg.URL = strings.TrimSuffix(cfg.URL, "/")
	if cfg.Timeout == 0 {
		cfg.Timeout = time.Minute
	}
	s := &Sink{cfg: cfg, client: &http.Client{Timeout: cfg.Timeout}}
	s.look(nil)
	s.ignored = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "eventbridge_victorialogs_store_ignored_rows",
		Help: "Rows that VictoriaLogs has dropped since its start although it answered with success (vl_rows_dropped_total).",
	})
	s.cut = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "eventbridge_victorialogs_cut_rows_total", Help: "Rows that were too long and were stored in part.",
	})
	s.found = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "eventbridge_victorialogs_found_rows_total", Help: "Rows that were asked for before sending and were there already.",
	})
	if cfg.Reg != nil {
		cfg.Reg.MustRegister(s.ignored, s.cut, s.found)
	}
	return s
}

// Write implements sink.Sink.
func (s *Sink) Write(ctx context.Context, b sink.Batch) error {
	have, err := s.have(ctx, b)
	if err != nil {
		return err
	}
	s.body = s.body[:0]
	for i := range b.Rows {
		r := &b.Rows[i]
		if have[r.ID()] {
			s.found.Inc()
			continue
		}
		var short bool
		if s.body, short = appendRow(s.body, r, s.maxLine, s.maxAge); short {
			s.cut.Inc()
		}
		if len(s.body) >= maxBody {
			if err := s.send(ctx); err != nil {
				return err
			}
		}
	}
	return s.send(ctx)
}

// send posts the lines gathered so far. With another content type, such as
// curl's default, VictoriaLogs answers 200 and stores nothing.
func (s *Sink) send(ctx context.Context) error {
	if len(s.body) == 0 {
		return nil
	}
	header := http.Header{"Content-Type": {"application/stream+json"}}
	err := sink.Post(ctx, s.client, s.cfg.URL+"/insert/jsonline?_stream_fields=server_id,category", header, s.body)
	s.body = s.body[:0]
	return err
}

// have asks which of the rows that may be there are there.
func (s *Sink) have(ctx context.Context, b sink.Batch) (map[string]bool, error) {
	var same, anywhere []*sink.Row
	for i := range b.Rows {
		switch r := &b.Rows[i]; {
		case r.Again == sink.AnyEntry:
			anywhere = append(anywhere, r)
		case r.Again == sink.SameEntry || b.Repeat:
			same = append(same, r)
		}
	}
	have := map[string]bool{}
	if len(same)+len(anywhere) == 0 {
		return have, nil
	}
	// Rows become visible a second after they are stored; now all are.
	if err := s.ask(ctx, "/internal/force_flush", nil, nil); err != nil {
		return nil, err
	}
	for _, q := range append(s.byEntry(same), s.byID(anywhere)...) {
		if err := s.ask(ctx, "/select/logsql/query", url.Values{"query": {q + " | fields record_id"}}, have); err != nil {
			return nil, err
		}
	}
	return have, nil
}

// between returns the time filter that covers rows.
func (s *Sink) between(rows []*sink.Row) string {
	from, _ := rowTime(rows[0], s.maxAge)
	to := from
	for _, r := range rows[1:] {
		at, _ := rowTime(r, s.maxAge)
		if at.Before(from) {
			from = at
		}
		if at.After(to) {
			to = at
		}
	}
	return fmt.Sprintf("_time:[%s, %s]", from.Add(-slack).UTC().Format(time.RFC3339Nano), to.Add(slack).UTC().Format(time.RFC3339Nano))
}

// byEntry asks for the entries that rows stand in: one range per partition.
func (s *Sink) byEntry(rows []*sink.Row) []string {
	if len(rows) == 0 {
		return nil
	}
	type span struct{ lo, hi uint64 }
	spans := map[int]span{}
	var order []int
	for _, r := range rows {
		v, ok := spans[r.Partition]
		if !ok {
			order = append(order, r.Partition)
			v = span{r.Entry, r.Entry}
		}
		spans[r.Partition] = span{min(v.lo, r.Entry), max(v.hi, r.Entry)}
	}
	slices.Sort(order)
	parts := make([]string, len(order))
	for i, p := range order {
		parts[i] = fmt.Sprintf("(partition:=%d entry:range[%d, %d])", p, spans[p].lo, spans[p].hi)
	}
	return []string{s.between(rows) + " (" + strings.Join(parts, " or ") + ")"}
}

// byID asks for rows by name, as many questions as their lengths need.
func (s *Sink) byID(rows []*sink.Row) []string {
	var out []string
	for len(rows) > 0 {
		n, size := 0, 0
		var ids []string
		for ; n < len(rows) && size < maxQuery; n++ {
			id := `"` + rows[n].ID() + `"`
			ids = append(ids, id)
			size += len(id) + 1
		}
		out = append(out, s.between(rows[:n])+" record_id:in("+strings.Join(ids, ",")+")")
		rows = rows[n:]
	}
	return out
}

// ask posts a form and gathers the record ids of the answer.
func (s *Sink) ask(ctx context.Context, path string, form url.Values, have map[string]bool) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("ask %s: %w", path, err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", path, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
		return fmt.Errorf("ask %s: %d: %q", path, resp.StatusCode, said)
	}
	if have == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var row struct {
			ID string `json:"record_id"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return fmt.Errorf("ask %s: read answer: %w", path, err)
		}
		have[row.ID] = true
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("ask %s: read answer: %w", path, err)
	}
	return nil
}

// Instance implements sink.Sink.
func (s *Sink) Instance(ctx context.Context) (string, error) {
	v, err := sink.AskVictoria(ctx, s.client, s.cfg.URL)
	if err != nil {
		return "", err
	}
	s.ignored.Set(v.Ignored)
	if v.Instance != s.known {
		s.known = v.Instance
		s.look(v.Flags)
	}
	return v.Instance, nil
}

// look takes the limits from the configuration, the server's flags, or the
// defaults: what is beyond them would be dropped with HTTP 200.
func (s *Sink) look(flags map[string]string) {
	s.maxLine, s.maxAge = 1<<20, 179*24*time.Hour
	if n, ok := sink.Bytes(flags["insert.maxLineSizeBytes"]); ok && n > 0 {
		s.maxLine = min(s.maxLine, n-1)
	}
	if d, ok := sink.Duration(flags["retentionPeriod"]); ok && d > 48*time.Hour {
		s.maxAge = d - 24*time.Hour
	}
	if s.cfg.MaxLine > 0 {
		s.maxLine = s.cfg.MaxLine
	}
	if s.cfg.MaxAge > 0 {
		s.maxAge = s.cfg.MaxAge
	}
}
