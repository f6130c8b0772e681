package chart

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/eventbridge/sink/sinktest"
	"nocturne/internal/record"
)

var db7 = record.ID{0xdb, 7}

// load puts samples of one series into a store, step apart, the last one at end.
func load(t *testing.T, base string, end time.Time, step time.Duration, labels string, values ...float64) {
	t.Helper()
	var b strings.Builder
	for i, v := range values {
		at := end.Add(-time.Duration(len(values)-1-i) * step)
		fmt.Fprintf(&b, "%s %g %d\n", labels, v, at.UnixMilli())
	}
	res, err := http.Post(base+"/api/v1/import/prometheus", "text/plain", strings.NewReader(b.String()))
	if err != nil || res.StatusCode/100 != 2 {
		t.Fatalf("import: %v %v", res, err)
	}
	_ = res.Body.Close()
	if res, err = http.Get(base + "/internal/force_flush"); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
}

func rising(n int, from, by float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = from + by*float64(i)
	}
	return out
}

// Against the real store: values stand where their times are, what is missing is
// a gap, one server's are another's not.
func TestData(t *testing.T) {
	vm := sinktest.StartMetrics(t)
	c := New(vm.URL, nil)
	end := time.Now().UTC().Truncate(time.Hour)
	own := fmt.Sprintf(`server_id="%s",server="db7"`, db7)
	load(t, vm.URL, end, time.Minute, `windows_cpu_time_total{mode="idle",`+own+`}`, rising(121, 0, 45)...)
	load(t, vm.URL, end, time.Minute, `windows_cpu_time_total{mode="user",`+own+`}`, rising(121, 0, 15)...)
	for _, at := range []time.Time{end.Add(-90 * time.Minute), end} { // half an hour each, and nothing in between
		load(t, vm.URL, at, time.Minute, `windows_logical_disk_free_bytes{volume="C:",`+own+`}`, rising(31, 50, 0)...)
		load(t, vm.URL, at, time.Minute, `windows_logical_disk_size_bytes{volume="C:",`+own+`}`, rising(31, 200, 0)...)
	}
	load(t, vm.URL, end, time.Minute, `windows_logical_disk_free_bytes{volume="C:",server_id="ff",server="db8"}`, rising(121, 1, 0)...)

	ask := func(name string, from time.Time) Data {
		t.Helper()
		ch, ok := Find(name)
		if !ok {
			t.Fatal(name)
		}
		d, err := c.Data(t.Context(), ch, db7, Range{from, end})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	cpu := ask("cpu", end.Add(-time.Hour))
	if cpu.Step != 15*time.Second || len(cpu.Times) != 241 || len(cpu.Series) != 1 || cpu.Series[0].Name != "busy" {
		t.Fatalf("%+v", cpu)
	}
	if v := cpu.Series[0].Values[120]; v == nil || math.Abs(*v-0.25) > 0.01 {
		t.Errorf("half an hour ago a quarter was busy, not %v", v)
	}
	disk := ask("disks", end.Add(-2*time.Hour))
	if len(disk.Series) != 1 || disk.Series[0].Name != "C:" {
		t.Fatalf("%+v", disk.Series)
	}
	missing := 0
	for i, v := range disk.Series[0].Values {
		if v == nil {
			missing++
		} else if *v != 0.25 {
			t.Errorf("%s: %v", disk.Times[i], *v)
		}
	}
	if missing < 100 || missing > 120 || disk.Series[0].Values[len(disk.Times)-1] == nil {
		t.Errorf("%d of %d points are missing", missing, len(disk.Times))
	}
	for _, ch := range All() { // every query is one that the store takes
		if _, err := c.Data(t.Context(), ch, db7, Range{end.Add(-30 * 24 * time.Hour), end}); err != nil {
			t.Errorf("%s: %v", ch.Name, err)
		}
	}
	vm.Kill()
	if _, err := c.Data(t.Context(), All()[0], db7, Range{end.Add(-time.Hour), end}); !errors.Is(err, ErrAway) {
		t.Errorf("a store that is gone: %v", err)
	}
}

// Against the real store: sizes, growth and the end of a disk.
func TestStores(t *testing.T) {
	vm := sinktest.StartMetrics(t)
	c := New(vm.URL, nil)
	now := time.Now()
	hours := 72
	load(t, vm.URL, now.Add(-time.Minute), time.Hour, `ruler_store_file_bytes{file="db"}`, rising(hours, 1e9, 1e6)...)
	load(t, vm.URL, now.Add(-time.Minute), time.Hour, `ruler_store_file_bytes{file="wal"}`, rising(hours, 4e6, 1)...)
	load(t, vm.URL, now.Add(-time.Minute), time.Hour, `vl_data_size_bytes{job="victoria-logs",type="storage"}`, rising(3, 5e6, 1e6)...)
	load(t, vm.URL, now, time.Minute, `ruler_store_retention_seconds`, 730*86400, 730*86400)
	load(t, vm.URL, now, time.Minute, `flag{job="victoria-logs",name="retentionPeriod",value="180d"}`, 1, 1)
	load(t, vm.URL, now, time.Minute, `flag{job="victoria-metrics",name="retentionPeriod",value="13"}`, 1, 1)
	for _, m := range []string{`ruler_data_%s_bytes`, `vl_%s_disk_space_bytes{job="victoria-logs"}`} {
		free, total := "free", "size"
		if strings.HasPrefix(m, "vl") {
			total = "total"
		}
		load(t, vm.URL, now.Add(-time.Minute), time.Hour, fmt.Sprintf(m, free), rising(hours, 50e9, -1e9/24)...)
		load(t, vm.URL, now, time.Minute, fmt.Sprintf(m, total), 100e9, 100e9)
	}
	stores, disks, err := c.Stores(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	find := func(name string) Store {
		return stores[slices.IndexFunc(stores, func(s Store) bool { return s.Name == name })]
	}
	if s := find("ruler"); s.Bytes == nil || s.PerDay == nil || math.Abs(*s.PerDay-24e6) > 1e6 || s.Keep != "730 days" {
		t.Errorf("%+v", s)
	}
	if s := find("ruler-wal"); s.Bytes == nil || s.PerDay != nil {
		t.Errorf("the log has no trend: %+v", s)
	}
	if s := find("victoria-logs"); s.Bytes == nil || s.PerDay != nil || s.Keep != "180 days" {
		t.Errorf("three hours make no trend: %+v", s)
	}
	if s := find("victoria-metrics"); s.Bytes != nil || s.Keep != "13 months" {
		t.Errorf("%+v", s)
	}
	if len(disks) != 1 || !slices.Equal(disks[0].Parts, []string{"VictoriaLogs", "ruler"}) || disks[0].DaysLeft == nil || math.Abs(*disks[0].DaysLeft-47) > 1 {
		t.Errorf("%+v", disks)
	}
}

func TestRange(t *testing.T) {
	at := time.Date(2026, 11, 21, 3, 0, 7, 0, time.UTC)
	for span, want := range map[time.Duration]time.Duration{time.Minute: 15 * time.Second, time.Hour: 15 * time.Second, 24 * time.Hour: 10 * time.Minute, 7 * 24 * time.Hour: time.Hour, 400 * 24 * time.Hour: 48 * time.Hour} {
		r := Range{at.Add(-span), at}
		step, times := r.points()
		if err := r.Check(); err != nil || step != want || len(times) > maxPoints+1 || len(times) < 2 || times[0].Before(r.From) || times[len(times)-1].After(r.To) {
			t.Errorf("%s: step %s, %d points, %v", span, step, len(times), err)
		}
	}
	if (Range{at, at}).Check() == nil || (Range{at.Add(-401 * 24 * time.Hour), at}).Check() == nil {
		t.Error("too short or too long a time is taken")
	}
}

func TestNames(t *testing.T) {
	labels := map[string]string{"disk": "0", "place": "c0/e1/s2"}
	for name, want := range map[string]string{"busy": "busy", "disk {disk}{device} read": "disk 0 read", "{place}": "c0/e1/s2", "for {sink}": "for "} {
		if got := (query{name: name}).called(labels); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.Name] || c.Title == "" || !strings.HasSuffix(c.About, ".") || c.Unit == "" {
			t.Errorf("%+v", c)
		}
		seen[c.Name] = true
		for _, q := range c.queries {
			if strings.Contains(q.expr, "$server") != c.Server {
				t.Errorf("%s asks of the wrong thing", c.Name)
			}
			if filled := q.fill(db7, time.Hour); strings.Contains(filled, "$") {
				t.Errorf("%s: a variable is left: %s", c.Name, filled)
			}
		}
	}
}

// A store that says too much, too little or nonsense.
func TestBadAnswers(t *testing.T) {
	answer, code := "", http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(answer))
	}))
	defer s.Close()
	c := New(s.URL, nil)
	f := func(status int, text string, want error) {
		t.Helper()
		answer, code = text, status
		if _, err := c.ask(context.Background(), "/api/v1/query", map[string][]string{}); !errors.Is(err, want) {
			t.Errorf("%d %.60s: %v, want %v", status, text, err, want)
		}
	}
	f(200, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"0.5"],[2,"NaN"]]}]}}`, nil)
	f(200, `<html>`, ErrAnswer)
	f(200, `{"status":"error","error":"x"}`, ErrAnswer)
	f(200, `{"status":"success","isPartial":true,"data":{"resultType":"matrix","result":[]}}`, ErrAway)
	f(200, `{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}`, ErrAnswer)
	f(200, `{"status":"success","data":{"resultType":"matrix","result":[{"values":[[1]]}]}}`, ErrAnswer)
	f(200, `{"status":"success","data":{"resultType":"matrix","result":[{"values":[[1,2]]}]}}`, ErrAnswer)
	f(200, strings.Repeat(" ", maxAnswer+1), ErrAnswer)
	f(400, `bad`, ErrAnswer)
	f(302, ``, ErrAnswer)
	f(503, `shutting down`, ErrAway)
	f(503, `couldn't start executing the request in 10.000 seconds, since -search.maxConcurrentRequests=8 concurrent requests are executed`, ErrSlow)
	f(422, `{"status":"error","errorType":"422","error":"timeout exceeded during the query"}`, ErrSlow)
}

// A machine that takes no connection is away, however long one would wait; one
// that takes it and says nothing is slow.
func TestAwayIsNotSlow(t *testing.T) {
	full, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and answers nothing
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	silent := New("http://"+full.Addr().String(), nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // the connection has to be there by then
	defer cancel()
	if _, _, err := silent.Stores(ctx, time.Now()); !errors.Is(err, ErrSlow) {
		t.Errorf("no answer: %v", err)
	}
	c := New("http://192.0.2.1:8428", nil) // TEST-NET-1: nobody is there
	c.client.Transport.(*http.Transport).DialContext = (&net.Dialer{Timeout: 50 * time.Millisecond}).DialContext
	if _, _, err := c.Stores(t.Context(), time.Now()); !errors.Is(err, ErrAway) {
		t.Errorf("no connection: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"a":"b"},"values":[[1795887610.3,"0.5"],[1e11,"NaN"]]}]}}`))
	f.Add([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"+Inf"]}]}}`))
	times := []time.Time{time.Unix(1795887600, 0), time.Unix(1795887660, 0)}
	f.Fuzz(func(t *testing.T, b []byte) {
		lines, err := decode(b)
		if err != nil {
			return
		}
		for _, l := range lines {
			for _, v := range at(&l, times, time.Minute) {
				if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0)) {
					t.Errorf("%v is no number", *v)
				}
			}
			trendOf(l.Values)
		}
	})
}
