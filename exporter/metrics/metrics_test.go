package metrics

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/prompb"
)

// store is a receiver of remote write v1, decoded with Prometheus' own types.
type store struct {
	t     *testing.T
	fail  int
	posts []prompb.WriteRequest
	heads []string
}

func (s *store) Post(_ context.Context, path, contentType, encoding string, body io.Reader) ([]byte, error) {
	s.heads = append(s.heads, path+" "+contentType+" "+encoding)
	if s.fail > 0 {
		s.fail--
		return nil, errors.New("busy")
	}
	b, err := io.ReadAll(body)
	if err != nil {
		s.t.Fatal(err)
	}
	raw, err := snappy.Decode(nil, b)
	if err != nil {
		s.t.Fatal(err)
	}
	var w prompb.WriteRequest
	if err := w.Unmarshal(raw); err != nil {
		s.t.Fatal(err)
	}
	s.posts = append(s.posts, w)
	return nil, nil
}

// told returns the series of a push as text: "name{a=b} value".
func told(w *prompb.WriteRequest) []string {
	var out []string
	for _, ts := range w.Timeseries {
		name, labels := "", []string{}
		for _, l := range ts.Labels {
			if l.Name == "__name__" {
				name = l.Value
			} else {
				labels = append(labels, l.Name+"="+l.Value)
			}
		}
		out = append(out, name+"{"+strings.Join(labels, ",")+"} "+number(ts.Samples[0].Value))
	}
	return out
}

func registry(t *testing.T) *prometheus.Registry {
	t.Helper()
	reg := prometheus.NewRegistry()
	cpu := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "node_cpu_seconds_total"}, []string{"cpu", "mode"})
	for _, c := range []string{"0", "1", "2"} {
		cpu.WithLabelValues(c, "idle").Add(10)
		cpu.WithLabelValues(c, "user").Add(1)
	}
	fs := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "node_filesystem_size_bytes"}, []string{"fstype", "mountpoint"})
	fs.WithLabelValues("ext4", "/").Set(100)
	fs.WithLabelValues("tmpfs", "/run").Set(5)
	other := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "other_seconds", Buckets: []float64{1}})
	other.Observe(0.5)
	reg.MustRegister(cpu, fs, other)
	return reg
}

func pusher(t *testing.T, cfg Config, to Poster) *Pusher {
	t.Helper()
	p, err := NewPusher("bridge", cfg, registry(t), to, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPush(t *testing.T) {
	cfg := DefaultConfig()
	all, one := cfg, cfg
	all.All = true
	one.MaxSeries = 1
	for _, c := range []struct {
		name string
		cfg  Config
		want []string
		cut  float64
	}{
		{"defaults", cfg, []string{"node_cpu_seconds_total{mode=idle} 30", "node_cpu_seconds_total{mode=user} 3", "node_filesystem_size_bytes{fstype=ext4,mountpoint=/} 100"}, 0},
		{"bounded", one, []string{"node_cpu_seconds_total{mode=idle} 30"}, 2},
		{"all", all, []string{
			"node_cpu_seconds_total{cpu=0,mode=idle} 10", "node_cpu_seconds_total{cpu=0,mode=user} 1", "node_cpu_seconds_total{cpu=1,mode=idle} 10",
			"node_cpu_seconds_total{cpu=1,mode=user} 1", "node_cpu_seconds_total{cpu=2,mode=idle} 10", "node_cpu_seconds_total{cpu=2,mode=user} 1",
			"node_filesystem_size_bytes{fstype=ext4,mountpoint=/} 100", "node_filesystem_size_bytes{fstype=tmpfs,mountpoint=/run} 5",
			"other_seconds_sum{} 0.5", "other_seconds_count{} 1", "other_seconds_bucket{le=1} 1", "other_seconds_bucket{le=+Inf} 1",
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &store{t: t}
			p := pusher(t, c.cfg, s)
			p.now = func() time.Time { return time.UnixMilli(1_790_000_000_123) }
			if err := p.push(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := told(&s.posts[0]); !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			if ms := s.posts[0].Timeseries[0].Samples[0].Timestamp; ms != 1_790_000_000_123 {
				t.Errorf("time %d", ms)
			}
			if s.heads[0] != "/nocturne/v1/metrics application/x-protobuf snappy" {
				t.Errorf("posted as %s", s.heads[0])
			}
			if valueOf(t, p.cut) != c.cut || valueOf(t, p.sent) != float64(len(c.want)) {
				t.Errorf("%v cut, %v sent", valueOf(t, p.cut), valueOf(t, p.sent))
			}
		})
	}
}

// The default series of a made-up Windows server: see the head of the file.
func TestDefaultSeriesOfWindows(t *testing.T) {
	f, err := os.Open("testdata/windows.prom")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	byName, err := parser.TextToMetricFamilies(f)
	if err != nil {
		t.Fatal(err)
	}
	families := slices.Collect(maps.Values(byName))
	chosen, all := flatten(families, true), flatten(families, false)
	if len(chosen) != 87 || len(all) != 434 {
		t.Errorf("%d series by default, want 87 beside the exporter's own; %d in all, want 434", len(chosen), len(all))
	}
	var w prompb.WriteRequest
	if err := w.Unmarshal(appendWriteRequest(nil, chosen, 1)); err != nil {
		t.Fatal(err)
	}
	got := told(&w)
	for _, want := range []string{
		`windows_service_state{name=EventLog,state=running} 1`, `windows_cpu_logical_processor{} 8`, `windows_system_processes{} 2630`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, strings.Join(got, "\n"))
		}
	}
	for _, g := range got {
		if strings.Contains(g, "core=") || strings.Contains(g, "HarddiskVolume") || strings.Contains(g, "Teredo") {
			t.Errorf("%s is sent by default", g)
		}
	}
}

// A default rule about a metric that no server sends would be silent for ever.
func TestDefaultRulesSeeTheirMetrics(t *testing.T) {
	text, err := os.ReadFile("../../alerts/metrics/server.yml")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\b(?:node|windows|exporter)_\w+`).FindAllString(string(text), -1)
	if len(names) < 50 {
		t.Fatalf("only %d metrics in the rules", len(names))
	}
	for _, name := range names {
		if _, ok := defaults[name]; !ok && name != "node_exporter" && name != "windows_exporter" {
			t.Errorf("%s is in a rule and not sent by default", name)
		}
	}
}

func TestPushIsBestEffort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{t: t, fail: 2}
		p := pusher(t, DefaultConfig(), s)
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute+time.Second)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if len(s.heads) != 5 || len(s.posts) != 3 || valueOf(t, p.failures) != 2 || valueOf(t, p.pushes) != 5 {
			t.Errorf("%d tries, %d pushes, %v failures", len(s.heads), len(s.posts), valueOf(t, p.failures))
		}
	})
}

func TestVirtualDevicesAreLeftOut(t *testing.T) {
	label := func(v string) func(string) string { return func(string) string { return v } }
	for v, want := range map[string]bool{"sda": false, "nvme0n1": false, "md0": false, "loop7": true, "sr0": true, "zram0": true} {
		if virtualDisk(label(v)) != want {
			t.Errorf("disk %s", v)
		}
	}
	for v, want := range map[string]bool{"eth0": false, "eno1": false, "bond0": false, "lo": true, "veth12ab": true, "br-9f": true, "docker0": true, "br0": false} {
		if virtualNIC(label(v)) != want {
			t.Errorf("network card %s", v)
		}
	}
}

func TestSpecialValues(t *testing.T) {
	reg := prometheus.NewRegistry()
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "nan"})
	g.Set(math.NaN())
	s := prometheus.NewSummary(prometheus.SummaryOpts{Name: "s", Objectives: map[float64]float64{0.5: 0.1}})
	s.Observe(2)
	reg.MustRegister(g, s)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var w prompb.WriteRequest
	if err := w.Unmarshal(appendWriteRequest(nil, flatten(families, false), 1)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(told(&w), "; "); got != "nan{} NaN; s_sum{} 2; s_count{} 1; s{quantile=0.5} 2" {
		t.Error(got)
	}
}

func TestConfigIsChecked(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	c.Interval = 0
	if err := c.Validate(); err == nil || err.Error() != "metrics interval 0s: write a time from 1s to 1h" {
		t.Error(err)
	}
	c = DefaultConfig()
	c.MaxSeries = 0
	if err := c.Validate(); err == nil || err.Error() != "metrics max_series 0: write a number from 1 to 100000" {
		t.Error(err)
	}
}

func valueOf(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var d dto.Metric
	if err := m.Write(&d); err != nil {
		t.Fatal(err)
	}
	return d.GetCounter().GetValue() + d.GetGauge().GetValue()
}
