package chart

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"nocturne/ruler/promapi"
)

// store is one of the pipeline's stores: what it takes and for how long it keeps it.
type store struct {
	name, title string
	size        string // PromQL
	keep        string // seconds, or a flag with the store's own words
	limit       string // bytes
	fickle      bool   // its size says nothing of tomorrow
}

var stores = []store{
	{name: "stream", title: "stream", size: `sum(eventbridge_data_used_bytes{part="stream"})`, keep: `max(eventbridge_stream_max_age_seconds)`, limit: `max(eventbridge_stream_max_bytes)`},
	{name: "register", title: "register", size: `sum(eventbridge_data_used_bytes{part="register"})`},
	{name: "victoria-metrics", title: "VictoriaMetrics", size: `sum(vm_data_size_bytes{job="victoria-metrics"})`, keep: `flag{job="victoria-metrics",name="retentionPeriod"}`},
	{name: "victoria-logs", title: "VictoriaLogs", size: `sum(vl_data_size_bytes{job="victoria-logs"})`, keep: `flag{job="victoria-logs",name="retentionPeriod"}`, limit: `max(vl_max_disk_space_usage_bytes{job="victoria-logs"} > 0)`},
	{name: "ruler", title: "ruler", size: `sum(ruler_store_file_bytes{file="db"})`, keep: `max(ruler_store_retention_seconds)`},
	{name: "ruler-wal", title: "ruler's log", size: `sum(ruler_store_file_bytes{file="wal"})`, fickle: true},
}

// disks are those that the stores lie on, as each part sees its own.
var disks = []struct{ part, free, total string }{
	{"stream and register", `min(eventbridge_data_free_bytes >= 0)`, `max(eventbridge_data_size_bytes > 0)`},
	{"VictoriaMetrics", `min(vm_free_disk_space_bytes{job="victoria-metrics"})`, `max(vm_total_disk_space_bytes{job="victoria-metrics"})`},
	{"VictoriaLogs", `min(vl_free_disk_space_bytes{job="victoria-logs"})`, `max(vl_total_disk_space_bytes{job="victoria-logs"})`},
	{"ruler", `min(ruler_data_free_bytes >= 0)`, `max(ruler_data_size_bytes > 0)`},
}

// How far back a trend looks, how often, and how much of it there must be.
const (
	trendOver  = 7 * 24 * time.Hour
	trendStep  = 2 * time.Hour
	trendLeast = 24 * time.Hour
	day        = 24 * time.Hour
)

// Store is what a store takes of its disk.
type Store struct {
	Name, Title string
	Bytes       *float64 // nil = not known
	PerDay      *float64 // bytes by which it grows; nil = too little is known
	Keep        string   // for how long, in words; "" = for ever, or not known
	MaxBytes    *float64
	History     time.Duration // over which PerDay was found, or what there is
}

// Disk is a disk that stores lie on.
type Disk struct {
	Parts       []string
	Free, Total float64
	PerDay      *float64 // bytes that it loses; nil = too little is known
	DaysLeft    *float64 // nil = not known, or it does not fill up
	History     time.Duration
}

// Stores says how large the stores are, how they grow and how long their disks
// last. The questions are asked side by side, as many at a time as there are slots.
func (c *Client) Stores(ctx context.Context, now time.Time) ([]Store, []Disk, error) {
	g, ctx := errgroup.WithContext(ctx)
	out, all := make([]Store, len(stores)), make([]*Disk, len(disks))
	for i := range stores {
		g.Go(func() (err error) {
			out[i], err = c.store(ctx, &stores[i], now)
			return err
		})
	}
	for i := range disks {
		g.Go(func() (err error) {
			all[i], err = c.disk(ctx, i, now)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	var found []Disk
	for _, d := range all {
		if d != nil {
			found = merge(found, *d)
		}
	}
	return out, found, nil
}

func (c *Client) store(ctx context.Context, s *store, now time.Time) (Store, error) {
	t, err := c.trend(ctx, s.size, now)
	v := Store{Name: s.name, Title: s.title, Bytes: t.last, PerDay: t.perDay, History: t.history}
	if s.fickle {
		v.PerDay = nil
	}
	if err == nil {
		v.Keep, err = c.keep(ctx, s.keep)
	}
	if err == nil {
		v.MaxBytes, err = c.number(ctx, s.limit)
	}
	return v, err
}

// disk asks for the disk of a part; nil = nothing is known of it.
func (c *Client) disk(ctx context.Context, i int, now time.Time) (*Disk, error) {
	d := disks[i]
	t, err := c.trend(ctx, d.free, now)
	if err != nil {
		return nil, err
	}
	total, err := c.number(ctx, d.total)
	if err != nil || t.last == nil || total == nil || *total <= 0 {
		return nil, err
	}
	v := &Disk{Parts: []string{d.part}, Free: *t.last, Total: *total, History: t.history}
	v.forecast(t.perDay)
	return v, nil
}

// forecast takes the change of free space per day.
func (d *Disk) forecast(perDay *float64) {
	if perDay == nil {
		return
	}
	loses := -*perDay
	d.PerDay = &loses
	if loses > 0 {
		days := d.Free / loses
		d.DaysLeft = &days
	}
}

// merge puts a disk to those that are there, or into the one that it is: parts
// on one disk see the same size and, but for a moment, the same free space.
func merge(disks []Disk, d Disk) []Disk {
	for i := range disks {
		if have := &disks[i]; have.Total == d.Total && math.Abs(have.Free-d.Free) < 0.01*d.Total {
			have.Parts = append(have.Parts, d.Parts...)
			if d.Free < have.Free {
				have.Free = d.Free
			}
			if d.History > have.History {
				have.History, have.PerDay, have.DaysLeft = d.History, d.PerDay, d.DaysLeft
			}
			return disks
		}
	}
	return append(disks, d)
}

// trend is how a value went lately.
type trend struct {
	last    *float64
	perDay  *float64 // nil = too little is known
	history time.Duration
}

func (c *Client) trend(ctx context.Context, query string, now time.Time) (trend, error) {
	end := now.UTC()
	lines, err := c.ask(ctx, "/api/v1/query_range", url.Values{"query": {query}, "start": {unix(end.Add(-trendOver))}, "end": {unix(end)}, "step": {fmt.Sprintf("%ds", int(trendStep.Seconds()))}})
	if err != nil {
		return trend{}, err
	}
	t := trend{}
	if len(lines) == 1 {
		t = trendOf(lines[0].Values)
	}
	// The last step of a range may lie hours back.
	t.last, err = c.number(ctx, query)
	return t, err
}

// trendOf lays a line through points: least squares, so that neither a merge nor
// a night decides.
func trendOf(points []promapi.Point) trend {
	var t trend
	var n, sx, sy, sxx, sxy float64
	if len(points) == 0 {
		return t
	}
	first := points[0].Time
	for _, p := range points {
		if math.IsNaN(p.Value) || math.IsInf(p.Value, 0) {
			continue
		}
		x := float64(p.Time-first) / float64(day.Milliseconds())
		n, sx, sy, sxx, sxy = n+1, sx+x, sy+p.Value, sxx+x*x, sxy+x*p.Value
		t.history = time.Duration(p.Time-first) * time.Millisecond
	}
	if d := n*sxx - sx*sx; t.history >= trendLeast && d > 0 {
		slope := (n*sxy - sx*sy) / d
		t.perDay = &slope
	}
	return t
}

// number asks for one value now; nil = there is none.
func (c *Client) number(ctx context.Context, query string) (*float64, error) {
	if query == "" {
		return nil, nil
	}
	lines, err := c.ask(ctx, "/api/v1/query", url.Values{"query": {query}})
	if err != nil || len(lines) == 0 || lines[0].Value == nil || math.IsNaN(lines[0].Value.Value) || math.IsInf(lines[0].Value.Value, 0) {
		return nil, err
	}
	return &lines[0].Value.Value, nil
}

// keep words how long a store keeps things.
func (c *Client) keep(ctx context.Context, query string) (string, error) {
	if !strings.HasPrefix(query, "flag{") {
		v, err := c.number(ctx, query)
		if err != nil || v == nil {
			return "", err
		}
		return days(*v / day.Seconds()), nil
	}
	lines, err := c.ask(ctx, "/api/v1/query", url.Values{"query": {query}})
	if err != nil || len(lines) == 0 {
		return "", err
	}
	return retention(lines[0].Metric["value"]), nil
}

func days(n float64) string {
	if n == 1 {
		return "1 day"
	}
	return strconv.FormatFloat(n, 'f', -1, 64) + " days"
}

// retention words a -retentionPeriod: a number is months.
func retention(flag string) string {
	if n, err := strconv.Atoi(flag); err == nil {
		return fmt.Sprintf("%d months", n)
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(flag, "d")); err == nil {
		return days(float64(n))
	}
	return flag
}
