package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"nocturne/internal/record"
	"nocturne/ruler/chart"
	"nocturne/ruler/store"
)

const chartedSince = 24 * time.Hour // where nothing else is said

func (s *server) chartRoutes() []route {
	var names []string
	for _, c := range chart.All() {
		names = append(names, c.Name)
	}
	name := enum("name", "as in /charts", names...)
	name.path = true
	return []route{
		{method: "GET", path: "/charts", name: "charts", summary: "Charts that there are: a fixed set", params: []param{enum("of", "of a server, or of the pipeline", "server", "pipeline")}, result: ChartList{}, handle: s.charts},
		{method: "GET", path: "/charts/{name}", name: "chart", summary: "What a chart shows, from the metrics store; without since: of the last 24 hours",
			params: []param{name, {name: "server", kind: kindServer, doc: "server id; charts of servers need one"}, {name: "since", kind: kindTime, doc: "from, RFC 3339"}, {name: "before", kind: kindTime, doc: "until; default: now. At most 400 days after since"}},
			result: ChartData{}, handle: s.chart},
	}
}

func chartInfo(c chart.Chart) ChartInfo {
	of := "pipeline"
	if c.Server {
		of = "server"
	}
	return ChartInfo{Name: c.Name, Title: c.Title, About: c.About, Unit: c.Unit, Of: of}
}

func (s *server) charts(r *request) (any, error) {
	out := ChartList{Items: []ChartInfo{}}
	for _, c := range chart.All() {
		if info := chartInfo(c); r.text("of") == "" || r.text("of") == info.Of {
			out.Items = append(out.Items, info)
		}
	}
	return out, nil
}

func (s *server) chart(r *request) (any, error) {
	c, ok := chart.Find(r.text("name"))
	if !ok {
		return nil, &problem{status: http.StatusNotFound, msg: "no such chart", hint: "GET /charts lists them"}
	}
	if s.cfg.Charts == nil {
		return nil, &problem{status: http.StatusNotFound, msg: "this ruler knows no metrics store", hint: "write metrics.url in its configuration", code: "no_metrics"}
	}
	server := r.id("server")
	if c.Server == server.IsZero() {
		if c.Server {
			return nil, badRequest("add ?server=ID", "chart %s is of a server: which one?", c.Name)
		}
		return nil, badRequest("leave server out", "chart %s is of the pipeline, not of a server", c.Name)
	}
	if c.Server {
		known, err := s.reader.Servers(r.ctx, store.ServerQuery{IDs: []record.ID{server}, State: store.ServerStates(), Limit: 1})
		if err != nil {
			return nil, err
		}
		if known.Total == 0 {
			return nil, store.ErrNotFound
		}
	}
	span := chart.Range{From: r.time("since"), To: r.time("before")}
	if span.To.IsZero() {
		span.To = s.now().UTC()
	}
	if span.From.IsZero() {
		span.From = span.To.Add(-chartedSince)
	}
	if err := span.Check(); err != nil {
		return nil, badRequest("from a minute to 400 days", "since and before do not fit: %s", err)
	}
	data, err := s.cfg.Charts.Data(r.ctx, c, server, span)
	if err != nil {
		return nil, chartProblem(err)
	}
	out := ChartData{Chart: chartInfo(c), Since: at(span.From), Before: at(span.To), StepSeconds: int64(data.Step.Seconds()), Times: data.Times, Left: data.Cut, Queries: data.Asked, Series: []ChartSeries{}}
	for _, l := range data.Series {
		out.Series = append(out.Series, ChartSeries{Name: clip(l.Name, maxName), Values: l.Values})
	}
	return out, nil
}

// chartProblem words an error of the metrics store.
func chartProblem(err error) error {
	p := &problem{cause: err}
	switch {
	case errors.Is(err, chart.ErrSlow):
		p.status, p.msg, p.hint = http.StatusGatewayTimeout, "the metrics store took too long", "ask for a shorter time, or again in a moment"
	case errors.Is(err, chart.ErrAway):
		p.status, p.msg, p.hint = http.StatusServiceUnavailable, "the metrics store does not answer", "is VictoriaMetrics running at metrics.url of the ruler's configuration?"
	case errors.Is(err, chart.ErrAnswer):
		p.status, p.msg, p.hint = http.StatusBadGateway, "the metrics store does not answer as it should", "the ruler's log says what it said; is metrics.url that of VictoriaMetrics?"
	default:
		return err
	}
	return p
}

// storageFor is how long an answer about the stores is shown again: sizes move
// slowly, and a week of them is a lot to read. storageWithin is how long the
// page waits for it.
const (
	storageFor    = time.Minute
	storageRetry  = 5 * time.Second
	storageWithin = 4 * time.Second
)

// recentStorage is the last answer about the stores. Nothing waits with the lock
// held: whoever comes while the stores are asked waits for the same answer.
type recentStorage struct {
	asking singleflight.Group
	mu     sync.Mutex
	until  time.Time
	last   Storage
}

func (c *recentStorage) known(now time.Time) (Storage, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last, now.Before(c.until) && c.until.Sub(now) <= storageFor
}

func (s *server) storage(ctx context.Context) Storage {
	if s.cfg.Charts == nil {
		return Storage{Stores: []StoreSize{}, Disks: []StoreDisk{}}
	}
	if last, ok := s.sizes.known(s.now()); ok {
		return last
	}
	answer := s.sizes.asking.DoChan("", func() (any, error) {
		// Others get this answer too: it must not end with whoever asked first.
		return s.askStorage(context.WithoutCancel(ctx)), nil
	})
	select {
	case v := <-answer:
		return v.Val.(Storage)
	case <-ctx.Done():
		return unknownStorage(chart.ErrSlow)
	}
}

func (s *server) askStorage(ctx context.Context) Storage {
	c := &s.sizes
	if last, ok := c.known(s.now()); ok {
		return last
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.cfg.storageWithin, storageWithin))
	defer cancel()
	stores, disks, err := s.cfg.Charts.Stores(ctx, s.now())
	out, good := storageOf(stores, disks), storageFor
	if err != nil {
		s.log.Debug("sizes of the stores are not known", "err", err)
		out, good = unknownStorage(err), storageRetry
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last, c.until = out, s.now().Add(good)
	return out
}

// unknownStorage says why nothing is known of the stores, and what to do.
func unknownStorage(err error) Storage {
	out := storageOf(nil, nil)
	out.Error, out.Hint = "the metrics store cannot be asked", "the ruler's log says why"
	var p *problem
	if errors.As(chartProblem(err), &p) {
		out.Error, out.Hint = p.msg, p.hint
	}
	if errors.Is(err, chart.ErrSlow) { // nobody chose the time that is asked for
		out.Hint = "VictoriaMetrics runs, and is busy: look at its load and at the disk it reads from; the page asks again"
	}
	return out
}

func storageOf(stores []chart.Store, disks []chart.Disk) Storage {
	out := Storage{Configured: true, Stores: []StoreSize{}, Disks: []StoreDisk{}}
	for _, v := range stores {
		out.Stores = append(out.Stores, StoreSize{Name: v.Name, Title: v.Title, Bytes: whole(v.Bytes), PerDay: v.PerDay, Keep: clip(v.Keep, maxName), MaxBytes: whole(v.MaxBytes), History: v.History.Seconds()})
	}
	for _, v := range disks {
		out.Disks = append(out.Disks, StoreDisk{Parts: v.Parts, Free: int64(v.Free), Size: int64(v.Total), PerDay: v.PerDay, DaysLeft: v.DaysLeft, History: v.History.Seconds(), Text: forecast(&v)})
	}
	return out
}

func whole(v *float64) *int64 {
	if v == nil {
		return nil
	}
	n := int64(*v)
	return &n
}

// forecast says how long a disk lasts, and how sure that is.
func forecast(d *chart.Disk) string {
	switch {
	case d.PerDay == nil:
		return fmt.Sprintf("too little is known for a forecast: %.0f hours of history, a day is needed", d.History.Hours())
	case d.DaysLeft == nil:
		return "at the rate of the last days it does not fill up"
	case *d.DaysLeft > 3650:
		return "at the rate of the last days it lasts for more than ten years"
	case *d.DaysLeft < 2:
		return fmt.Sprintf("full in %.0f hours at the rate of the last days", *d.DaysLeft*24)
	}
	return fmt.Sprintf("full in %.0f days at the rate of the last days", *d.DaysLeft)
}
