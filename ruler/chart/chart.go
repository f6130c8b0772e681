// Package chart answers a fixed set of charts from VictoriaMetrics, or anything
// else with Prometheus' API. Nobody outside says what is asked: a caller chooses
// a chart by name, a server by its id and a time; the queries are ours.
//
// A Client is safe for concurrent use. To test: go test ./ruler/chart (needs
// bin/victoria-metrics, see sinktest).
package chart

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
)

// Units of charts.
const (
	UnitRatio   = "ratio" // 0 to 1
	UnitBytes   = "bytes"
	UnitBps     = "bytes_per_second"
	UnitSeconds = "seconds"
	UnitCelsius = "celsius"
	UnitRecords = "records"
	UnitRate    = "records_per_second"
	UnitPackets = "packets_per_second"
)

// Chart is one chart of the set.
type Chart struct {
	Name, Title string
	About       string // a sentence
	Unit        string
	Server      bool // of one server; else of the pipeline
	queries     []query
}

// query is PromQL in which $server is a selector of the server chosen and
// $window the time over which rates are taken. name is what a series is called:
// words, in which {label} is the label's value.
type query struct{ name, expr string }

// charts are those of a server in the order of the page, then the pipeline's.
var charts = []Chart{
	{Name: "cpu", Title: "Processor", About: "Share of all cores that were busy.", Unit: UnitRatio, Server: true, queries: []query{
		{"busy", `1 - sum(rate(windows_cpu_time_total{mode="idle",$server}[$window])) / sum(rate(windows_cpu_time_total{$server}[$window]))
			or 1 - sum(rate(node_cpu_seconds_total{mode=~"idle|iowait",$server}[$window])) / sum(rate(node_cpu_seconds_total{$server}[$window]))`}}},
	{Name: "memory", Title: "Memory", About: "Share of memory that programs use.", Unit: UnitRatio, Server: true, queries: []query{
		{"in use", `1 - windows_memory_available_bytes{$server} / windows_memory_physical_total_bytes{$server} or 1 - node_memory_MemAvailable_bytes{$server} / node_memory_MemTotal_bytes{$server}`}}},
	{Name: "disks", Title: "Free space", About: "Share of each volume that is free.", Unit: UnitRatio, Server: true, queries: []query{
		{"{volume}{mountpoint}", `windows_logical_disk_free_bytes{$server} / windows_logical_disk_size_bytes{$server} or max by (mountpoint) (node_filesystem_avail_bytes{$server} / node_filesystem_size_bytes{$server})`}}},
	{Name: "disk_io", Title: "Reads and writes", About: "What each disk reads and writes.", Unit: UnitBps, Server: true, queries: []query{
		{"disk {disk}{device} read", `rate(windows_physical_disk_read_bytes_total{$server}[$window]) or rate(node_disk_read_bytes_total{$server}[$window])`},
		{"disk {disk}{device} written", `rate(windows_physical_disk_write_bytes_total{$server}[$window]) or rate(node_disk_written_bytes_total{$server}[$window])`}}},
	{Name: "disk_time", Title: "Time of a read or write", About: "How long each disk takes for one, on average; rest where there was none.", Unit: UnitSeconds, Server: true, queries: []query{
		{"disk {disk}{device} read", `rate(windows_physical_disk_read_seconds_total{$server}[$window]) / (rate(windows_physical_disk_reads_total{$server}[$window]) > 0)
			or rate(node_disk_read_time_seconds_total{$server}[$window]) / (rate(node_disk_reads_completed_total{$server}[$window]) > 0)`},
		{"disk {disk}{device} write", `rate(windows_physical_disk_write_seconds_total{$server}[$window]) / (rate(windows_physical_disk_writes_total{$server}[$window]) > 0)
			or rate(node_disk_write_time_seconds_total{$server}[$window]) / (rate(node_disk_writes_completed_total{$server}[$window]) > 0)`}}},
	{Name: "network", Title: "Network", About: "What each network card receives and sends.", Unit: UnitBps, Server: true, queries: []query{
		{"{nic}{device} in", `rate(windows_net_bytes_received_total{$server}[$window]) or rate(node_network_receive_bytes_total{$server}[$window])`},
		{"{nic}{device} out", `rate(windows_net_bytes_sent_total{$server}[$window]) or rate(node_network_transmit_bytes_total{$server}[$window])`}}},
	{Name: "network_errors", Title: "Network errors", About: "Packets that network cards could not receive or send.", Unit: UnitPackets, Server: true, queries: []query{
		{"{nic}{device} in", `rate(windows_net_packets_received_errors_total{$server}[$window]) or rate(node_network_receive_errs_total{$server}[$window])`},
		{"{nic}{device} out", `rate(windows_net_packets_outbound_errors_total{$server}[$window]) or rate(node_network_transmit_errs_total{$server}[$window])`}}},
	{Name: "temperatures", Title: "Temperatures", About: "What sensors, drives and controllers measure, the hottest twelve.", Unit: UnitCelsius, Server: true, queries: []query{
		{"{place}", `topk_max(12, max by (place) ({__name__=~"nocturne_(sensor|raid_physical_drive|raid_controller|raid_battery|smart_drive)_temperature_celsius",$server}))`}}},
	{Name: "spool", Title: "Records waiting", About: "Records in the exporter's spool that the eventbridge has not answered yet.", Unit: UnitRecords, Server: true, queries: []query{
		{"waiting", `max(nocturne_exporter_spool_records{$server})`}}},

	{Name: "records_in", Title: "Records in", About: "Records that come in, by way, and those put into the stream.", Unit: UnitRate, queries: []query{
		{"exporters", `sum(rate(eventbridge_ingest_records_in_total[$window]))`}, {"OpenTelemetry", `sum(rate(eventbridge_otlp_records_in_total[$window]))`}, {"into the stream", `sum(rate(eventbridge_append_records_out_total[$window]))`}}},
	{Name: "records_out", Title: "Records out", About: "Records that each store and the ruler have taken.", Unit: UnitRate, queries: []query{
		{"{sink}", `sum by (sink) (rate(eventbridge_sink_out_records_total[$window]))`}, {"ruler", `sum(rate(ruler_engine_records_out_total[$window]))`}}},
	{Name: "behind", Title: "Behind the stream", About: "How far stores and ruler are behind the stream.", Unit: UnitSeconds, queries: []query{
		{"{sink}", `max by (sink) (eventbridge_sink_behind_seconds)`}, {"ruler", `max(ruler_partition_lag_seconds)`}}},
	{Name: "waiting", Title: "Records waiting", About: "Records that wait for a store, and at servers.", Unit: UnitRecords, queries: []query{
		{"for {sink}", `sum by (sink) (eventbridge_sink_waiting_records)`}, {"at servers", `sum(nocturne_exporter_spool_records)`}}},
	{Name: "store_sizes", Title: "Size of the stores", About: "What each store takes on its disk.", Unit: UnitBytes, queries: storeQueries()},
	{Name: "disk_free", Title: "Free space", About: "What is left on the disks that the stores lie on.", Unit: UnitBytes, queries: []query{
		{"VictoriaMetrics", `min(vm_free_disk_space_bytes{job="victoria-metrics"})`}, {"VictoriaLogs", `min(vl_free_disk_space_bytes{job="victoria-logs"})`},
		{"eventbridge", `min(eventbridge_data_free_bytes >= 0)`}, {"ruler", `min(ruler_data_free_bytes >= 0)`}}},
}

func storeQueries() []query {
	var out []query
	for _, s := range stores {
		out = append(out, query{s.title, s.size})
	}
	return out
}

// All lists the charts of the set.
func All() []Chart { return slices.Clone(charts) }

// Find returns a chart.
func Find(name string) (Chart, bool) {
	i := slices.IndexFunc(charts, func(c Chart) bool { return c.Name == name })
	if i < 0 {
		return Chart{}, false
	}
	return charts[i], true
}

// Limits of an answer.
const (
	maxPoints = 240
	maxSpan   = 400 * 24 * time.Hour
	minSpan   = time.Minute
	maxSeries = 60              // of a chart: more than that nobody can tell apart
	window    = 5 * time.Minute // exporters push once a minute
)

// steps are the distances between points.
var steps = []time.Duration{15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
	time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour}

// Range is a time to show.
type Range struct{ From, To time.Time }

// Check says what is wrong with a range.
func (r Range) Check() error {
	switch d := r.To.Sub(r.From); {
	case d < minSpan:
		return fmt.Errorf("%s are shorter than %s", d, minSpan)
	case d > maxSpan:
		return fmt.Errorf("%s are longer than %d days", d.Round(time.Hour), maxSpan/(24*time.Hour))
	}
	return nil
}

// points are where values are asked for: whole multiples of a step.
func (r Range) points() (step time.Duration, at []time.Time) {
	step = steps[len(steps)-1]
	for _, s := range steps {
		if r.To.Sub(r.From) <= maxPoints*s {
			step = s
			break
		}
	}
	for t := r.From.UTC().Truncate(step); !t.After(r.To); t = t.Add(step) {
		if !t.Before(r.From) {
			at = append(at, t)
		}
	}
	return step, at
}

// fill puts server and window into a query.
func (q query) fill(server record.ID, step time.Duration) string {
	return strings.NewReplacer("$server", fmt.Sprintf("server_id=%q", server.String()), "$window", fmt.Sprintf("%ds", int(max(window, step).Seconds()))).Replace(q.expr)
}

// called words the name of a series.
func (q query) called(labels map[string]string) string {
	var b strings.Builder
	rest := q.name
	for {
		before, after, ok := strings.Cut(rest, "{")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		name, tail, _ := strings.Cut(after, "}")
		b.WriteString(labels[name])
		rest = tail
	}
}
