package api

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nocturne/ruler/api/apitest"
	"nocturne/ruler/chart"
)

// fakeMetrics is a metrics store that answers every question with one line.
func fakeMetrics(t testing.TB) *chart.Client {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"value":"13"},"value":[1,"4096"]}]}}`
		if strings.HasSuffix(r.URL.Path, "query_range") {
			answer = `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"volume":"C:"},"values":[[` + r.FormValue("start") + `,"0.5"]]}]}}`
		}
		_, _ = w.Write([]byte(answer))
	}))
	t.Cleanup(s.Close)
	return chart.New(s.URL, nil)
}

func TestCharts(t *testing.T) {
	b := newBench(t, nil)
	if all, own := get[ChartList](b, "/charts"), get[ChartList](b, "/charts?of=server"); len(own.Items) == 0 || len(all.Items) <= len(own.Items) || own.Items[0].Name != "cpu" {
		t.Errorf("%+v", own)
	}
	db5 := apitest.ID(5).String()
	d := get[ChartData](b, "/charts/disks?server="+db5)
	if d.StepSeconds != 600 || len(d.Series) != 1 || d.Series[0].Name != "C:" || len(d.Series[0].Values) != len(d.Times) || d.Series[0].Values[0] == nil || *d.Series[0].Values[0] != 0.5 || d.Series[0].Values[1] != nil || d.Before.Sub(*d.Since) != 24*time.Hour {
		t.Errorf("%+v", d)
	}
	if len(d.Queries) != 1 || !strings.Contains(d.Queries[0], `server_id="`+db5+`"`) {
		t.Errorf("asked %q", d.Queries)
	}
	f := func(path string, code int) {
		t.Helper()
		if w := b.call("GET", Prefix+path, "", nil); w.Code != code {
			t.Errorf("%s: %d %s, want %d", path, w.Code, w.Body, code)
		}
	}
	f("/charts/disks", http.StatusBadRequest)                                                         // of which server?
	f("/charts/records_in?server="+db5, http.StatusBadRequest)                                        // of none
	f("/charts/up", http.StatusBadRequest)                                                            // not of the set
	f("/charts/disks?server="+apitest.ID(99).String(), http.StatusNotFound)                           // nobody
	f("/charts/disks?query=up&server="+db5, http.StatusBadRequest)                                    // no free query
	f("/charts/behind?since=2020-01-01T00:00:00Z", http.StatusBadRequest)                             // too long
	f("/charts/behind?since=2026-11-21T03:00:00Z&before=2026-11-21T02:00:00Z", http.StatusBadRequest) // the wrong way round

	b = newBench(t, func(c *Config) { c.Charts = nil })
	f("/charts/behind", http.StatusNotFound)
	if p := get[Pipeline](b, "/pipeline"); p.Storage.Configured || p.Storage.Stores == nil {
		t.Errorf("%+v", p.Storage)
	}
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	b = newBench(t, func(c *Config) { c.Charts = chart.New(away.URL, nil) })
	f("/charts/behind", http.StatusServiceUnavailable)
	if p := get[Pipeline](b, "/pipeline"); !p.Storage.Configured || p.Storage.Error == "" || !p.OK && p.Text == "" {
		t.Errorf("%+v", p.Storage)
	}
}

// The stores are asked once for all who wait.
func TestStorageIsAskedOnce(t *testing.T) {
	var asked atomic.Int64
	hold := make(chan struct{})
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		<-hold
		_, _ = io.WriteString(w, `{"status":"success","data":{"resultType":"vector","result":[]}}`)
	}))
	defer store.Close()
	ask := func(callers int) int64 {
		asked.Store(0)
		hold = make(chan struct{})
		b := newBench(t, func(c *Config) { c.Charts, c.storageWithin = chart.New(store.URL, nil), time.Minute })
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				if s := get[Pipeline](b, "/pipeline").Storage; s.Error != "" {
					t.Errorf("%+v", s)
				}
			})
		}
		for asked.Load() == 0 {
			runtime.Gosched()
		}
		time.Sleep(20 * time.Millisecond) // who comes later finds the answer: the count is the same
		close(hold)
		all.Wait()
		return asked.Load()
	}
	if one, five := ask(1), ask(5); one == 0 || one != five {
		t.Errorf("%d questions for one who waits, %d for five", one, five)
	}
}

// A store that is slow is told from one that is away, and nobody waits longer than
// he wants to.
func TestStorageOfASlowStore(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer slow.Close()
	defer close(release)
	b := newBench(t, func(c *Config) { c.Charts, c.storageWithin = chart.New(slow.URL, nil), 4*time.Second })
	var all sync.WaitGroup
	for range 5 {
		all.Go(func() {
			if s := get[Pipeline](b, "/pipeline").Storage; !strings.Contains(s.Error, "took too long") || !strings.Contains(s.Hint, "busy") {
				t.Errorf("slow: %+v", s)
			}
		})
	}
	for asked.Load() == 0 {
		runtime.Gosched()
	}
	hurried, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	b.call("GET", Prefix+"/pipeline", "", func(r *http.Request) { *r = *r.WithContext(hurried) })
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("who left waited %s", took)
	}
	all.Wait()
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	s := get[Pipeline](newBench(t, func(c *Config) { c.Charts = chart.New(away.URL, nil) }), "/pipeline").Storage
	if !strings.Contains(s.Error, "does not answer") || !strings.Contains(s.Hint, "running at metrics.url") {
		t.Errorf("away: %+v", s)
	}
}

func TestStorage(t *testing.T) {
	s := get[Pipeline](newBench(t, nil), "/pipeline").Storage
	if !s.Configured || s.Error != "" || len(s.Stores) != 6 || *s.Stores[0].Bytes != 4096 || s.Stores[0].PerDay != nil || s.Stores[2].Keep != "13 months" || len(s.Disks) != 1 {
		t.Errorf("%+v", s)
	}
	some, none := 1e9, -1e9
	days := 12.4
	for want, d := range map[string]chart.Disk{
		"too little is known for a forecast: 3 hours of history, a day is needed": {History: 3 * time.Hour},
		"at the rate of the last days it does not fill up":                        {PerDay: &none},
		"full in 12 days at the rate of the last days":                            {PerDay: &some, DaysLeft: &days},
	} {
		if got := forecast(&d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
