package metricrule

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"nocturne/eventbridge/sink/sinktest"
	"nocturne/internal/record"
)

// write puts samples of one series into a real store, a minute apart.
func write(t testing.TB, c *Client, from time.Time, values []float64, pairs ...string) {
	t.Helper()
	a := c.Appender(context.Background())
	for i, v := range values {
		if _, err := a.Append(0, labels.FromStrings(pairs...), from.Add(time.Duration(i)*time.Minute).UnixMilli(), v); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Commit(); err != nil {
		t.Fatal(err)
	}
}

// visible waits until a query answers with so many series.
func visible(t testing.TB, c *Client, q string, at time.Time, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	err := sinktest.Poll(ctx, func() error {
		v, err := c.Query(ctx, q, at)
		if err == nil && len(v) != want {
			err = fmt.Errorf("%s answers with %d series, want %d", q, len(v), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Against the real store: what is pending is known after a restart, and what had
// ended in between is not taken for pending.
func TestVictoriaMetrics(t *testing.T) {
	vm := sinktest.StartMetrics(t)
	r := newRigOn(t, disks, vm.URL)
	start := time.Now().Add(-20 * time.Minute).Truncate(time.Minute)
	c := r.e.client
	low := func(n int) []float64 {
		v := make([]float64, n)
		for i := range v {
			v[i] = 0.04
		}
		return v
	}
	server := []string{"server_id", db7.String(), "server", "db7"}
	write(t, c, start, low(20), append([]string{"__name__", "full", "volume", "C:"}, server...)...)
	write(t, c, start, low(1), append([]string{"__name__", "full", "volume", "D:"}, server...)...)
	write(t, c, start.Add(7*time.Minute), low(13), append([]string{"__name__", "full", "volume", "D:"}, server...)...)
	visible(t, c, "full", start.Add(10*time.Minute), 2)

	r.now = start.Add(4 * time.Minute) // C: and D: (by lookback) are pending for the first time a minute later
	r.pass(1)
	r.now = start.Add(5 * time.Minute) // D: is gone at 6
	r.pass(1)
	r.want("pending", "")
	visible(t, c, `ALERTS_FOR_STATE`, start.Add(6*time.Minute), 1)
	r.start()
	r.pass(1) // 7: D: is back
	r.want("read back", "")
	r.pass(1) // 8: C: has been pending for two minutes, less the pause of one
	r.want("C: alone", "firing db7 disk-space volume C: warning")
	r.pass(2)
	r.want("D: when it is due", "firing db7 disk-space volume D: warning")

	if _, err := c.Query(context.Background(), "sum(", start); !errors.Is(err, ErrQuery) {
		t.Errorf("a query that is none: %v", err)
	}
	vm.Kill()
	if _, err := c.Query(context.Background(), "up", start); !errors.Is(err, ErrAway) {
		t.Errorf("a store that is gone: %v", err)
	}
	r.pass(2)
	r.want("nothing while it is away", "")
}

// BenchmarkEvaluate: the default rules over a fleet, against the real store.
func BenchmarkEvaluate(b *testing.B) {
	for _, servers := range []int{650, 10_000} {
		b.Run(fmt.Sprint(servers), func(b *testing.B) {
			vm := sinktest.StartMetrics(b, "-memory.allowedBytes=1GiB")
			e, groups := fleetOf(b, vm.URL, servers)
			at := time.Now().Truncate(time.Minute)
			used, began := vm.CPUSeconds(), cpu()
			b.ResetTimer()
			n := 0
			for b.Loop() {
				for _, g := range groups {
					if f := e.evaluate(context.Background(), g, at.Add(-time.Duration(n%10)*time.Second)); f.away != nil || len(f.bad) > 0 {
						b.Fatal(f.away, f.bad)
					}
				}
				n++
			}
			b.ReportMetric((vm.CPUSeconds()-used)/float64(n), "store-CPU-s/pass")
			b.ReportMetric((cpu()-began)/float64(n), "ruler-CPU-s/pass")
		})
	}
}

// fleetOf fills the store with half an hour of what rules look at.
func fleetOf(b *testing.B, url string, servers int) (*Evaluator, map[string]*group) {
	b.Helper()
	p := builtin(b)
	e, err := New(Options{Config: Config{URL: url, Interval: time.Minute}, Pack: p})
	if err != nil {
		b.Fatal(err)
	}
	groups, err := e.build(context.Background(), p, nil)
	if err != nil {
		b.Fatal(err)
	}
	const minutes = 30
	from := time.Now().Truncate(time.Minute).Add(-minutes * time.Minute)
	for first := 0; first < servers; first += 50 {
		a := e.client.Appender(context.Background())
		for n := first; n < min(first+50, servers); n++ {
			id := record.ID{14: byte(n >> 8), 15: byte(n)}
			put := func(name string, v, step float64, pairs ...string) {
				ls := labels.FromStrings(append([]string{"__name__", name, "server_id", id.String(), "server", fmt.Sprintf("srv%05d", n)}, pairs...)...)
				for m := range minutes + 1 {
					if _, err := a.Append(0, ls, from.Add(time.Duration(m)*time.Minute).UnixMilli(), v+step*float64(m)); err != nil {
						b.Fatal(err)
					}
				}
			}
			for _, volume := range []string{"C:", "D:"} {
				put("windows_logical_disk_size_bytes", 1e12, 0, "volume", volume)
				put("windows_logical_disk_free_bytes", 4e11, -1e6*float64(n%7), "volume", volume)
			}
			put("windows_memory_physical_total_bytes", 64e9, 0)
			put("windows_memory_available_bytes", 30e9, 1e6)
			put("windows_memory_committed_bytes", 30e9, 1e6)
			put("windows_memory_commit_limit", 99e9, 0)
			put("windows_cpu_time_total", 1e6, 400, "mode", "idle")
			put("windows_cpu_time_total", 1e6, 80, "mode", "user")
			put("nocturne_server_clock_skew_seconds", 0.1, 0)
			put("exporter_spool_records_waiting", 3, 0, "output", "eventbridge")
			put("exporter_spool_records_dropped_total", 0, 0, "output", "eventbridge", "reason", "overflow")
			put("exporter_winlog_missing_total", 0, 0)
		}
		if err := a.Commit(); err != nil {
			b.Fatal(err)
		}
	}
	visible(b, e.client, `count(nocturne_server_clock_skew_seconds) == `+fmt.Sprint(servers), time.Now(), 1)
	return e, groups
}
