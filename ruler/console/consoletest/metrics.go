package main

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// metric is one made-up series: labels and a function of time.
type metric struct {
	labels map[string]string
	at     func(t time.Time) float64
}

// wave swings around a middle, with a period of its own.
func wave(middle, swing float64, period time.Duration) func(time.Time) float64 {
	return func(t time.Time) float64 {
		return middle + swing*math.Sin(2*math.Pi*float64(t.Unix()%int64(period.Seconds()))/period.Seconds())
	}
}

// grows rises by so much a day up to what it is now.
func grows(size, perDay float64) func(time.Time) float64 {
	now := time.Now()
	return func(t time.Time) float64 { return size - perDay*now.Sub(t).Hours()/24 }
}

func constant(v float64) func(time.Time) float64 { return func(time.Time) float64 { return v } }

// metricsOf answers the queries of ruler/chart, the first that fits.
func metricsOf(query string) []metric {
	one := func(at func(time.Time) float64) []metric { return []metric{{map[string]string{}, at}} }
	each := func(label string, names []string, at func(i int) func(time.Time) float64) (out []metric) {
		for i, name := range names {
			out = append(out, metric{map[string]string{label: name}, at(i)})
		}
		return out
	}
	half := 1.0 // what is written or sent is less than what is read or received
	if strings.Contains(query, "writ") || strings.Contains(query, "sent") {
		half = 0.6
	}
	n := func(i int) float64 { return float64(i+1) * half }
	disks, cards, sinks := []string{"0", "1"}, []string{"Ethernet 1", "Ethernet 2"}, []string{"victorialogs", "victoriametrics"}
	for _, c := range []struct {
		part string
		say  func() []metric
	}{
		{"windows_cpu_time_total", func() []metric { return one(wave(0.35, 0.25, 24*time.Hour)) }},
		{"windows_memory_available", func() []metric { return one(wave(0.6, 0.08, 12*time.Hour)) }},
		{"windows_logical_disk_free", func() []metric {
			return each("volume", []string{"C:", "D:"}, func(i int) func(time.Time) float64 { return wave(0.3*n(i), 0.05, 7*24*time.Hour) })
		}},
		{"_seconds_total{", func() []metric {
			return each("disk", disks, func(i int) func(time.Time) float64 { return wave(0.004*n(i), 0.002, 6*time.Hour) })
		}},
		{"windows_physical_disk", func() []metric {
			return each("disk", disks, func(i int) func(time.Time) float64 { return wave(4e6*n(i), 3e6, 6*time.Hour) })
		}},
		{"windows_net_bytes", func() []metric {
			return each("nic", cards, func(i int) func(time.Time) float64 { return wave(2e6*n(i), 1e6, 5*time.Hour) })
		}},
		{"windows_net_packets", func() []metric { return each("nic", cards, func(int) func(time.Time) float64 { return constant(0) }) }},
		{"temperature_celsius", func() []metric {
			return each("place", []string{"c0/e252/s0", "c0/e252/s1", "ipmi/CPU1 Temp", "ipmi/Inlet Temp"}, func(i int) func(time.Time) float64 { return wave(28+6*float64(i), 2, 8*time.Hour) })
		}},
		{"by (sink)", func() []metric {
			return each("sink", sinks, func(i int) func(time.Time) float64 { return wave(20*n(i), 5, 3*time.Hour) })
		}},
		{`name="retentionPeriod"`, func() []metric {
			words := "13"
			if strings.Contains(query, "victoria-logs") {
				words = "180d"
			}
			return []metric{{map[string]string{"value": words}, constant(1)}}
		}},
		{"_retention_seconds", func() []metric { return one(constant(730 * 86400)) }},
		{"_max_age_seconds", func() []metric { return one(constant(7 * 86400)) }},
		{"_max_bytes", func() []metric { return one(constant(64 << 30)) }},
		{"vl_max_disk", func() []metric { return one(constant(50 << 30)) }},
		{"free", func() []metric { return one(grows(61e9, -1.4e9)) }},
		{"total_disk", func() []metric { return one(constant(256e9)) }},
		{"_data_size_bytes > 0", func() []metric { return one(constant(256e9)) }},
		{`part="stream"`, func() []metric { return one(grows(3.1e9, 4.4e8)) }},
		{`part="register"`, func() []metric { return one(grows(2.4e6, 1200)) }},
		{"vm_data_size", func() []metric { return one(grows(9.6e9, 2.1e8)) }},
		{"vl_data_size", func() []metric { return one(grows(18.3e9, 7.4e8)) }},
		{`file="db"`, func() []metric { return one(grows(4.8e7, 1.1e6)) }},
		{`file="wal"`, func() []metric { return one(wave(9e6, 7e6, time.Hour)) }},
	} {
		if strings.Contains(query, c.part) {
			return c.say()
		}
	}
	return one(wave(12, 6, 4*time.Hour))
}

// quiet is an hour of yesterday of which nothing is known: charts have a gap.
func quiet(t time.Time) bool {
	ago := time.Since(t)
	return ago > 9*time.Hour && ago < 11*time.Hour
}

// metricsStore plays VictoriaMetrics.
func (w *world) metricsStore(mux *http.ServeMux) {
	type line struct {
		Metric map[string]string `json:"metric"`
		Value  any               `json:"value,omitempty"`
		Values []any             `json:"values,omitempty"`
	}
	reply := func(rw http.ResponseWriter, kind string, lines []line) {
		answer(rw, map[string]any{"status": "success", "data": map[string]any{"resultType": kind, "result": lines}})
	}
	point := func(t time.Time, v float64) any { return []any{t.Unix(), fmt.Sprint(v)} }
	mux.HandleFunc("POST /neighbour/api/v1/query", func(rw http.ResponseWriter, r *http.Request) {
		lines := []line{}
		for _, m := range metricsOf(r.FormValue("query")) {
			lines = append(lines, line{Metric: m.labels, Value: point(time.Now(), m.at(time.Now()))})
		}
		reply(rw, "vector", lines)
	})
	mux.HandleFunc("POST /neighbour/api/v1/query_range", func(rw http.ResponseWriter, r *http.Request) {
		if w.reader.is("dark") {
			http.Error(rw, "shutting down", http.StatusServiceUnavailable)
			return
		}
		start, _ := strconv.ParseInt(r.FormValue("start"), 10, 64)
		end, _ := strconv.ParseInt(r.FormValue("end"), 10, 64)
		step, err := time.ParseDuration(r.FormValue("step"))
		if err != nil || step < time.Second {
			http.Error(rw, "step", http.StatusBadRequest)
			return
		}
		lines := []line{}
		for _, m := range metricsOf(r.FormValue("query")) {
			l := line{Metric: m.labels}
			for at := start; at <= end; at += int64(step.Seconds()) {
				if t := time.Unix(at, 0); !quiet(t) {
					l.Values = append(l.Values, point(t, m.at(t)))
				}
			}
			lines = append(lines, l)
		}
		reply(rw, "matrix", lines)
	})
}
