package metrics

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/prompb"

	"nocturne/eventbridge/sink/sinktest"
	"nocturne/internal/record"
)

var (
	now = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	db7 = Server{ID: record.ID{0xab, 15: 1}, Name: "db7", Site: "north"}
)

// push makes a request as Prometheus' own code encodes it.
func push(t testing.TB, ts ...prompb.TimeSeries) []byte {
	t.Helper()
	raw, err := (&prompb.WriteRequest{Timeseries: ts}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

func ts(value float64, at time.Time, pairs ...string) prompb.TimeSeries {
	s := prompb.TimeSeries{Samples: []prompb.Sample{{Value: value, Timestamp: at.UnixMilli()}}}
	for i := 0; i+1 < len(pairs); i += 2 {
		s.Labels = append(s.Labels, prompb.Label{Name: pairs[i], Value: pairs[i+1]})
	}
	return s
}

// store records what is written to it and answers as told.
type store struct {
	mu     sync.Mutex
	answer func(req prompb.WriteRequest) int
	got    []string
	wrote  chan struct{}
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	packed, _ := io.ReadAll(r.Body) // a torn body fails to decode
	raw, err := snappy.Decode(nil, packed)
	var req prompb.WriteRequest
	if err == nil {
		err = req.Unmarshal(raw)
	}
	if err != nil {
		w.WriteHeader(400)
		return
	}
	code := 204
	if s.answer != nil {
		code = s.answer(req)
	}
	if code == 204 {
		for _, ts := range req.Timeseries {
			var b strings.Builder
			for _, l := range ts.Labels {
				fmt.Fprintf(&b, "%s=%s ", l.Name, l.Value)
			}
			for _, p := range ts.Samples {
				fmt.Fprintf(&b, "%v@%d", p.Value, p.Timestamp-now.UnixMilli())
			}
			s.got = append(s.got, b.String())
		}
	}
	w.WriteHeader(code)
	s.wrote <- struct{}{}
}

type rig struct {
	t   *testing.T
	f   *Forwarder
	st  *store
	reg *prometheus.Registry
}

func newRig(t *testing.T, cfg Config) *rig {
	r := &rig{t: t, st: &store{wrote: make(chan struct{}, 100)}, reg: prometheus.NewRegistry()}
	srv := httptest.NewServer(r.st)
	cfg.URL, cfg.Reg, cfg.Wait, cfg.Now = srv.URL, r.reg, time.Millisecond, func() time.Time { return now }
	r.f = New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		srv.Close()
		r.sums()
	})
	return r
}

func (r *rig) post(body []byte, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, "/nocturne/v1/metrics", bytes.NewReader(body))
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "snappy")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.f.Serve(w, req, db7)
	return w
}

// value returns the sum of a metric's values, only those with a label value when one is given.
func (r *rig) value(name, label string) (sum float64) {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() != "eventbridge_metrics_"+name || label != "" && m.GetLabel()[0].GetValue() != label {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// sums checks in = out + dropped + waiting.
func (r *rig) sums() {
	r.t.Helper()
	in, out, dropped, waiting := r.value("in_samples_total", ""), r.value("out_samples_total", ""), r.value("dropped_samples_total", ""), r.value("waiting_samples", "")
	if in != out+dropped+waiting {
		r.t.Errorf("in %v, out %v + dropped %v + waiting %v", in, out, dropped, waiting)
	}
}

func TestServe(t *testing.T) {
	r := newRig(t, Config{})
	w := r.post(push(t,
		ts(1, now, "__name__", "node_load1", "server", "dc1", "server_id", "0000", "site", "moon", "zone", "z"),
		ts(2, now, "__name__", "nocturne_server_info", "server", "x"),
		ts(3, now, "__name__", "", "a", "b"),
		ts(4, now.Add(-48*time.Hour), "__name__", "old"),
		ts(math.NaN(), now, "__name__", "nan"),
		ts(5, now.Add(time.Minute), "__name__", "node_boot_time_seconds", "bad\xff", "x"),
		ts(6, now, "__name__", "long", "l", strings.Repeat("ü", 2000)),
	))
	if w.Code != 204 {
		t.Fatalf("answered %d: %s", w.Code, w.Body)
	}
	<-r.st.wrote
	r.st.mu.Lock()
	defer r.st.mu.Unlock()
	id := db7.ID.String()
	want := []string{
		"__name__=node_load1 server=db7 server_id=" + id + " site=north zone=z 1@0",
		"__name__=long l=" + strings.Repeat("ü", 512) + " server=db7 server_id=" + id + " site=north 6@0",
	}
	if fmt.Sprint(r.st.got) != fmt.Sprint(want) {
		t.Errorf("stored %q\nwant %q", r.st.got, want)
	}
	for reason, n := range map[string]float64{dropReserved: 1, dropInvalid: 3, dropTime: 1} {
		if got := r.value("dropped_samples_total", reason); got != n {
			t.Errorf("%s: %v, want %v", reason, got, n)
		}
	}
	if n := r.value("claimed_labels_total", ""); n != 4 {
		t.Errorf("%v claims counted, want 4", n)
	}
}

func TestWrongClock(t *testing.T) {
	r := newRig(t, Config{})
	year := now.AddDate(-1, 0, 0)
	if w := r.post(push(t, ts(1, year, "__name__", "a"), ts(2, year.Add(-time.Second), "__name__", "b"))); w.Code != 204 {
		t.Fatal(w.Code)
	}
	<-r.st.wrote
	r.st.mu.Lock()
	defer r.st.mu.Unlock()
	if len(r.st.got) != 2 || !strings.HasSuffix(r.st.got[0], "1@0") || !strings.HasSuffix(r.st.got[1], "2@-1000") {
		t.Errorf("got %q, want the times moved together", r.st.got)
	}
}

func TestServeRefuses(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{Body: 4000, Raw: 8000, Series: 5, Samples: 6, Labels: 4}})
	many := make([]prompb.TimeSeries, 6)
	for i := range many {
		many[i] = ts(1, now, "__name__", fmt.Sprint("m", i))
	}
	points := ts(1, now, "__name__", "m")
	for range 6 {
		points.Samples = append(points.Samples, prompb.Sample{})
	}
	ok := push(t, ts(1, now, "__name__", "a"))
	f := func(why string, code int, body []byte, header ...string) {
		t.Helper()
		w := r.post(body, header...)
		var said struct{ Error, Hint string }
		if err := json.Unmarshal(w.Body.Bytes(), &said); w.Code != code || err != nil || said.Error == "" || said.Hint == "" {
			t.Errorf("%s: answered %d %s, want %d", why, w.Code, w.Body, code)
		}
	}
	f("not snappy", 400, []byte("hello"))
	f("not protobuf", 400, snappy.Encode(nil, []byte("hello, world")))
	f("a bomb", 413, snappy.Encode(nil, make([]byte, 9000)))
	f("a long body", 413, make([]byte, 5000))
	f("too many series", 413, push(t, many...))
	f("too many samples", 413, push(t, points))
	f("too many labels", 413, push(t, ts(1, now, "__name__", "a", "b", "", "c", "", "d", "", "e", "")))
	f("remote-write 2.0", 415, ok, "Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request")
	f("remote-write 2.0 by its version", 415, ok, "X-Prometheus-Remote-Write-Version", "2.0.0")
	f("JSON", 415, ok, "Content-Type", "application/json")
	f("gzip", 415, ok, "Content-Encoding", "gzip")
	if w := r.post(ok, "Content-Type", "application/x-protobuf;proto=prometheus.WriteRequest"); w.Code != 204 {
		t.Errorf("a v1 request answered %d", w.Code)
	}
}

func TestStoreBroken(t *testing.T) {
	r := newRig(t, Config{Tries: 3})
	var calls int
	r.st.answer = func(prompb.WriteRequest) int { calls++; return map[bool]int{true: 503, false: 204}[calls <= 2] }
	r.post(push(t, ts(1, now, "__name__", "a")))
	for range 3 {
		<-r.st.wrote
	}
	r.st.mu.Lock()
	if len(r.st.got) != 1 {
		t.Errorf("stored %q", r.st.got)
	}
	r.st.answer = func(prompb.WriteRequest) int { return 500 }
	r.st.mu.Unlock()
	r.post(push(t, ts(1, now, "__name__", "b")))
	for range 3 {
		<-r.st.wrote
	}
	wait(t, func() error {
		if n := r.value("dropped_samples_total", dropUnreachable); n != 1 {
			return fmt.Errorf("%v dropped as unreachable, want 1", n)
		}
		return nil
	})
}

// TestRefusedPushAlone: one push that the store refuses does not take others along.
func TestRefusedPushAlone(t *testing.T) {
	r := newRig(t, Config{})
	hold := make(chan struct{})
	r.st.answer = func(req prompb.WriteRequest) int {
		<-hold
		for _, s := range req.Timeseries {
			for _, l := range s.Labels {
				if l.Value == "bad" {
					return 400
				}
			}
		}
		return 204
	}
	for i := range 8 {
		name := fmt.Sprint("m", i)
		if i == 5 {
			name = "bad"
		}
		r.post(push(t, ts(1, now, "__name__", name)))
	}
	close(hold)
	wait(t, func() error {
		if in, out, bad := r.value("in_samples_total", ""), r.value("out_samples_total", ""), r.value("dropped_samples_total", dropRefused); in != 8 || out != 7 || bad != 1 {
			return fmt.Errorf("in %v, out %v, refused %v", in, out, bad)
		}
		return nil
	})
}

func TestQueueIsBounded(t *testing.T) {
	r := newRig(t, Config{Queue: 1000})
	hold := make(chan struct{})
	r.st.answer = func(prompb.WriteRequest) int { <-hold; return 204 }
	codes := map[int]int{}
	for range 30 {
		codes[r.post(push(t, ts(1, now, "__name__", "a"))).Code]++
	}
	if codes[204] == 0 || codes[503] == 0 || codes[204]+codes[503] != 30 {
		t.Errorf("answers %v", codes)
	}
	if n := r.value("dropped_samples_total", dropQueueFull); n != float64(codes[503]) {
		t.Errorf("%v dropped, %d refused", n, codes[503])
	}
	r.sums()
	close(hold)
}

func TestShutdownCounts(t *testing.T) {
	reg := prometheus.NewRegistry()
	f := New(Config{URL: "http://127.0.0.1:1", Reg: reg})
	r := &rig{t: t, f: f, reg: reg}
	for range 5 {
		r.post(push(t, ts(1, time.Now(), "__name__", "a")))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Run(ctx); err != nil {
		t.Error(err)
	}
	if n := r.value("waiting_samples", ""); n != 0 {
		t.Errorf("%v still waiting", n)
	}
	r.sums()
}

func wait(t *testing.T, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if err := sinktest.Poll(ctx, try); err != nil {
		t.Error(err)
	}
}

// TestVictoriaMetrics forwards to the real thing.
func TestVictoriaMetrics(t *testing.T) {
	vm := sinktest.StartMetrics(t)
	f := New(Config{URL: vm.URL})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(push(t, ts(42, time.Now(), "__name__", "node_load1", "server", "claimed"))))
	req.Header.Set("Content-Type", "application/x-protobuf")
	w := httptest.NewRecorder()
	if f.Serve(w, req, db7); w.Code != 204 {
		t.Fatal(w.Code)
	}
	wait(t, func() error {
		for _, p := range []string{"/internal/force_flush", "/api/v1/query?nocache=1&query=node_load1"} {
			resp, err := http.Get(vm.URL + p)
			if err != nil {
				return err
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				return err
			}
			if strings.HasPrefix(p, "/api") && !strings.Contains(string(b), `"server":"db7"`) {
				return errors.New(string(b))
			}
		}
		return nil
	})
}

// FuzzDecode: no input makes decode panic or go beyond its limits, and what it
// takes is what Prometheus' own decoder takes.
func FuzzDecode(f *testing.F) {
	raw, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{ts(1, now, "__name__", "a", "b", "c"), ts(2, now, "x", "y")}}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte{10, 4, 18, 2, 16, 1})
	f.Fuzz(func(t *testing.T, raw []byte) {
		l := Limits{Series: 20, Samples: 50, Labels: 10}
		d, err := decode(raw, l)
		if err != nil {
			return
		}
		points := 0
		for _, s := range d.Series {
			if points += len(s.Points); len(s.Labels) > l.Labels {
				t.Errorf("%d labels", len(s.Labels))
			}
		}
		if len(d.Series) > l.Series || points > l.Samples {
			t.Errorf("%d series, %d samples", len(d.Series), points)
		}
		var out []byte
		for i := range d.Series {
			out = appendSeries(out, &d.Series[i])
		}
		var theirs, ours prompb.WriteRequest
		if err := ours.Unmarshal(out); err != nil {
			t.Fatalf("what we wrote cannot be read: %v", err)
		}
		if theirs.Unmarshal(raw) != nil {
			return // stricter than us about fields we skip
		}
		if a, b := names(theirs), names(ours); a != b {
			t.Errorf("prompb reads %s\nwe read     %s", a, b)
		}
	})
}

func names(r prompb.WriteRequest) string {
	var b strings.Builder
	for _, s := range r.Timeseries {
		for _, l := range s.Labels {
			fmt.Fprintf(&b, "%q=%q,", l.Name, l.Value)
		}
		for _, p := range s.Samples {
			fmt.Fprintf(&b, "%x@%d,", math.Float64bits(p.Value), p.Timestamp)
		}
		b.WriteByte(';')
	}
	return b.String()
}

func FuzzServe(f *testing.F) {
	f.Add([]byte("x"), "application/x-protobuf")
	f.Add(push(f, ts(1, now, "__name__", "a")), "application/x-protobuf")
	fw := New(Config{URL: "http://127.0.0.1:1", Queue: 1000})
	f.Fuzz(func(t *testing.T, body []byte, typ string) {
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		req.Header.Set("Content-Type", typ)
		fw.Serve(httptest.NewRecorder(), req, db7)
	})
}

func BenchmarkServe(b *testing.B) {
	var all []prompb.TimeSeries
	for i := range 200 {
		all = append(all, ts(float64(i), time.Now(), "__name__", fmt.Sprint("node_metric_", i), "device", "sda", "mode", "idle"))
	}
	body := push(b, all...)
	f := New(Config{URL: "http://127.0.0.1:1"})
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/x-protobuf")
		w := httptest.NewRecorder()
		if f.Serve(w, req, db7); w.Code != 204 {
			b.Fatal(w.Code)
		}
		f.queue.drain()
		n += 200
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "samples/s")
}
