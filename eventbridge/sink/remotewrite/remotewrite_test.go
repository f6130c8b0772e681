package remotewrite_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
	"nocturne/eventbridge/sink/remotewrite"
	"nocturne/eventbridge/sink/sinktest"
)

// flush makes what was written visible; by itself it takes seconds.
func flush(url string) error {
	resp, err := http.Get(url + "/internal/force_flush")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// exported returns how many samples of the heartbeat series stand at each time.
func exported(ctx context.Context, url string) (map[string]int, error) {
	if err := flush(url); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v1/export?match[]="+series.HeartbeatTime, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	out := map[string]int{}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var s struct {
			Metric     map[string]string `json:"metric"`
			Timestamps []int64           `json:"timestamps"`
		}
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return nil, err
		}
		for _, ms := range s.Timestamps {
			out[fmt.Sprint(s.Metric["server_id"], "@", ms)]++
		}
	}
	return out, lines.Err()
}

func TestSink(t *testing.T) {
	sinktest.Run(t, func(t *testing.T) sinktest.Subject {
		vm := sinktest.StartMetrics(t)
		return sinktest.Subject{
			Sink: remotewrite.New(remotewrite.Config{URL: vm.URL}), Kill: vm.Kill, Start: vm.Start,
			Key:    func(r *sink.Row) string { return fmt.Sprint(r.Header.Subject, "@", r.Samples[0].Millis) },
			Stored: func(ctx context.Context) (map[string]int, error) { return exported(ctx, vm.URL) },
		}
	})
}

// TestStaleness shows that a state that ended is gone from a query at once.
func TestStaleness(t *testing.T) {
	vm := sinktest.StartMetrics(t)
	s := remotewrite.New(remotewrite.Config{URL: vm.URL})
	now := time.Now().Add(-10 * time.Second).Truncate(time.Millisecond)
	rows := sinktest.NewRows(1, 2, 1, now)
	state := func(v string, value float64, at time.Time) series.Sample {
		return series.Sample{Name: "nocturne_raid_physical_drive_state", Value: value, Millis: at.UnixMilli(), Labels: []series.Label{
			{Name: "place", Value: "c0/e252/s1"}, {Name: "server_id", Value: "1"}, {Name: "state", Value: v},
		}}
	}
	rows[0].Samples = []series.Sample{state("Onln", 1, now)}
	rows[1].Samples = []series.Sample{state("Failed", 1, now.Add(time.Second)), state("Onln", series.StaleNaN, now.Add(time.Second))}
	if err := s.Write(t.Context(), sink.Batch{Rows: rows}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	err := sinktest.Poll(ctx, func() error {
		if err := flush(vm.URL); err != nil {
			return err
		}
		resp, err := http.Get(fmt.Sprintf("%s/api/v1/query?query=nocturne_raid_physical_drive_state&nocache=1&time=%d", vm.URL, now.Add(5*time.Second).Unix()))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var a struct {
			Data struct {
				Result []struct {
					Metric map[string]string `json:"metric"`
				} `json:"result"`
			} `json:"data"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
			return err
		}
		if r := a.Data.Result; len(r) != 1 || r[0].Metric["state"] != "Failed" {
			return fmt.Errorf("got %v, want the state Failed alone", r)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAnswersAreSorted(t *testing.T) {
	f := func(why string, code int, refused bool) {
		t.Helper()
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if v := r.Header.Get("X-Prometheus-Remote-Write-Version"); v != "0.1.0" {
				t.Errorf("version %q", v)
			}
			w.WriteHeader(code)
		}))
		defer srv.Close()
		err := remotewrite.New(remotewrite.Config{URL: srv.URL}).Write(t.Context(), sink.Batch{Rows: sinktest.NewRows(1, 1, 1, time.Now())})
		if got := errors.Is(err, sink.ErrRefused); (err == nil) != (code/100 == 2) || got != refused {
			t.Errorf("%s: %d gives %v", why, code, err)
		}
	}
	f("taken", 204, false)
	f("a body that cannot be read never can", 400, true)
	f("too large is halved", 413, true)
	f("busy is for a while", 429, false)
	f("a wrong password can be put right", 401, false)
	f("so can a wrong address", 404, false)
	f("a broken store too", 500, false)
}

func BenchmarkWrite(b *testing.B) {
	vm := sinktest.StartMetrics(b)
	s := remotewrite.New(remotewrite.Config{URL: vm.URL})
	now := time.Now().Add(-time.Hour)
	const n = 500
	rows := sinktest.NewRows(1, n, 1, now)
	samples := 0
	cpu := vm.CPUSeconds()
	for b.Loop() {
		for i := range rows {
			for k := range rows[i].Samples {
				rows[i].Samples[k].Millis += 5000
				samples++
			}
		}
		if err := s.Write(b.Context(), sink.Batch{Rows: rows}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(samples)/b.Elapsed().Seconds(), "samples/s")
	if used := vm.CPUSeconds() - cpu; used > 0 {
		b.ReportMetric(float64(samples)/used, "samples/server-CPU-s")
	}
}

func TestSaysWhenVictoriaMetricsDoesNotDeduplicate(t *testing.T) {
	for flag, want := range map[string]float64{"-dedup.minScrapeInterval=1ms": 1, "-dedup.minScrapeInterval=0s": 0} {
		vm := sinktest.StartMetrics(t, flag)
		reg := prometheus.NewRegistry()
		s := remotewrite.New(remotewrite.Config{URL: vm.URL, Reg: reg})
		if _, err := s.Instance(t.Context()); err != nil {
			t.Fatal(err)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "eventbridge_remotewrite_store_deduplicates" && f.GetMetric()[0].GetGauge().GetValue() != want {
				t.Errorf("%s: %v", flag, f)
			}
		}
		if len(families) != 2 {
			t.Errorf("%d metrics", len(families))
		}
	}
}

// A Prometheus keeps one of two equal samples by itself. Of what is no Prometheus
// and hides its flags nothing is known, and nothing is said.
func TestStoreWithoutFlags(t *testing.T) {
	page := ""
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) }))
	defer store.Close()
	reg := prometheus.NewRegistry()
	s := remotewrite.New(remotewrite.Config{URL: store.URL, Reg: reg})
	f := func(what, shown, want string) {
		t.Helper()
		if page = shown; page != "" {
			if _, err := s.Instance(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := "unknown"
		for _, f := range families {
			if f.GetName() == "eventbridge_remotewrite_store_deduplicates" {
				got = strconv.FormatFloat(f.GetMetric()[0].GetGauge().GetValue(), 'g', -1, 64)
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
	}
	f("a store that was not asked yet", "", "unknown")
	f("a Prometheus", "prometheus_build_info{version=\"3.15.0\"} 1\nprocess_start_time_seconds 1\n", "1")
	f("a VictoriaMetrics that hides its flags", "vm_app_version{version=\"victoria-metrics\"} 1\nvm_app_start_timestamp 2\n", "unknown")
	f("one that shows them", "vm_app_start_timestamp 3\nflag{name=\"dedup.minScrapeInterval\", value=\"0s\", is_set=\"false\"} 1\n", "0")
	f("a part of a cluster that has no such flag", "vm_app_start_timestamp 4\nflag{name=\"httpListenAddr\", value=\":8480\", is_set=\"false\"} 1\n", "unknown")
	f("who only scrapes a Prometheus", "process_start_time_seconds 5\nup{job=\"prometheus_build_info\"} 1\n", "unknown")
}
