package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// TestMain makes the test binary its own child: the real one, or one that does
// what no child should.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Subcommand {
		os.Exit(Child(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "bad-") {
		os.Exit(badChild(os.Args[1]))
	}
	os.Exit(m.Run())
}

func badChild(how string) int {
	_, _ = os.Stdin.Read(make([]byte, 1))
	switch how {
	case "bad-panic": // as windows_exporter's goroutines do where a DLL is missing
		fmt.Fprintln(os.Stderr, "level=WARN msg=before")
		done := make(chan struct{})
		go func() { panic("Failed to load mi.dll") }()
		<-done
	case "bad-hang":
		<-time.After(time.Hour) // a timer, or Go calls it a deadlock
	case "bad-lie":
		_, _ = os.Stdout.Write([]byte{answerMetrics, 0xff, 0xff, 0xff, 0x7f})
		<-time.After(time.Hour) // a timer, or Go calls it a deadlock
	case "bad-error":
		_ = writeAnswer(os.Stdout, answerError, []byte("mi.dll is missing"))
	}
	return 1
}

// gauge is an answer with one series.
func gauge(t testing.TB, name string, v float64) []byte {
	t.Helper()
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name})
	g.Set(v)
	reg := prometheus.NewRegistry()
	reg.MustRegister(g)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	payload, _ := encode(families)
	return payload
}

// fake answers question n after answer(n)'s time.
type fake struct {
	asked  *atomic.Int32
	answer func(n int) (time.Duration, []byte, error)
}

func (f fake) Ask(ctx context.Context) ([]byte, error) {
	d, payload, err := f.answer(int(f.asked.Add(1)))
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-t.C:
		return payload, err
	}
}

func (f fake) Close() string { return "panic: last words" }

// rig is a Machine that runs on fake children in a bubble.
type rig struct {
	*Machine
	asked, started atomic.Int32
	log            bytes.Buffer
}

func newRig(t *testing.T, answer func(n int) (time.Duration, []byte, error)) *rig {
	t.Helper()
	r := &rig{}
	m, err := New(Options{Log: slog.New(slog.NewTextHandler(&r.log, nil)), start: func([]string) (asker, error) {
		r.started.Add(1)
		if answer == nil {
			return immortal{fake{&r.asked, func(n int) (time.Duration, []byte, error) {
				if n == 1 {
					return 0, gauge(t, "node_n", 1), nil
				}
				return time.Hour, nil, errEnded
			}}}, nil
		}
		return fake{&r.asked, answer}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.Machine = m
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- m.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return r
}

// gather returns every series as name{labels} value, and how long it took.
func (r *rig) gather(t *testing.T) (map[string]float64, time.Duration) {
	t.Helper()
	began := time.Now()
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return values(families), time.Since(began)
}

func values(families []*dto.MetricFamily) map[string]float64 {
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += "{" + l.GetName() + "=" + l.GetValue() + "}"
			}
			out[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return out
}

func TestEveryGatherIsFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(n int) (time.Duration, []byte, error) {
			return 300 * time.Millisecond, gauge(t, "node_n", float64(n)), nil
		})
		for n := 1.; n < 5; n++ {
			got, took := r.gather(t)
			if got["node_n"] != n || took != 300*time.Millisecond || got["exporter_machine_age_seconds"] != 0.3 || got["exporter_machine_up"] != 1 {
				t.Errorf("gather %v: %v after %s", n, got, took)
			}
			if again, took := r.gather(t); again["node_n"] != n || took != 0 {
				t.Errorf("asked at once again: %v after %s", again, took)
			}
			time.Sleep(time.Minute)
		}
		if r.asked.Load() != 4 || r.started.Load() != 1 {
			t.Errorf("%d questions to %d children", r.asked.Load(), r.started.Load())
		}
	})
}

func TestGatherDoesNotWaitForASlowCollector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(n int) (time.Duration, []byte, error) {
			d := 10 * time.Millisecond
			if n == 2 {
				d = 15 * time.Second
			}
			return d, gauge(t, "node_n", float64(n)), nil
		})
		r.gather(t)
		time.Sleep(time.Minute)
		for i, c := range []struct {
			n    float64
			took time.Duration
		}{{1, FreshTime}, {1, 0}, {1, 0}} { // one waits, the others know
			got, took := r.gather(t)
			if got["node_n"] != c.n || took != c.took || got["exporter_machine_age_seconds"] < 60 {
				t.Errorf("gather %d: %v after %s", i, got, took)
			}
		}
		time.Sleep(15 * time.Second)
		if got, took := r.gather(t); got["node_n"] != 3 || took != 10*time.Millisecond {
			t.Errorf("afterwards: %v after %s", got, took)
		}
	})
}

func TestAHungChildIsEndedAndItsAnswerGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		r := newRig(t, func(n int) (time.Duration, []byte, error) {
			if hang.Load() {
				return time.Hour, nil, nil
			}
			return 0, gauge(t, "node_n", float64(n)), nil
		})
		r.gather(t)
		hang.Store(true)
		time.Sleep(time.Minute)
		if got, _ := r.gather(t); got["node_n"] != 1 {
			t.Errorf("one that hangs: %v", got)
		}
		time.Sleep(time.Minute)
		got, _ := r.gather(t)
		if _, there := got["node_n"]; there || got["exporter_machine_up"] != 0 || got["exporter_machine_failures_total{reason=timeout}"] < 1 {
			t.Errorf("an answer of two minutes ago: %v", got)
		}
		time.Sleep(time.Hour) // the wait has grown to its most
		before := r.started.Load()
		time.Sleep(time.Hour)
		if n := r.started.Load() - before; n < 8 || n > 12 { // a minute of waiting, five of backing off
			t.Errorf("%d children in an hour", n)
		}
		hang.Store(false)
		time.Sleep(10 * time.Minute)
		if got, _ := r.gather(t); got["node_n"] == 0 || got["exporter_machine_up"] != 1 {
			t.Errorf("when it works again: %v", got)
		}
		synctest.Wait()
		if n := strings.Count(r.log.String(), "level=WARN"); n != 1 || !strings.Contains(r.log.String(), "collected again") {
			t.Errorf("said %d times:\n%s", n, r.log.String())
		}
	})
}

// immortal is a child that answers once, and then cannot be ended for an hour.
type immortal struct{ fake }

func (i immortal) Ask(context.Context) ([]byte, error) { return i.fake.Ask(context.Background()) }

func TestAChildThatCannotBeEndedIsNotReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		if got, _ := r.gather(t); got["exporter_machine_up"] != 1 {
			t.Errorf("at first: %v", got)
		}
		time.Sleep(time.Minute)
		r.gather(t)
		time.Sleep(10 * time.Minute)
		if got, took := r.gather(t); got["exporter_machine_up"] != 0 || got["exporter_machine_starts_total"] != 1 || took > FreshTime {
			t.Errorf("%v after %s", got, took)
		}
	})
}

func TestFailuresAreCountedByReason(t *testing.T) {
	for _, c := range []struct {
		reason  string
		payload []byte
		err     error
	}{
		{"ended", nil, errEnded},
		{"unusable", nil, fmt.Errorf("%w: mi.dll is missing", errChild)},
		{"protocol", []byte{0x05, 0x0a}, nil},
	} {
		t.Run(c.reason, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(int) (time.Duration, []byte, error) { return 0, c.payload, c.err })
				synctest.Wait()
				got, took := r.gather(t)
				if got["exporter_machine_failures_total{reason="+c.reason+"}"] != 1 || took != 0 {
					t.Errorf("%v after %s", got, took)
				}
				if c.reason == "ended" && !strings.Contains(r.log.String(), "panic: last words") {
					t.Error(r.log.String())
				}
			})
		})
	}
}

// Real processes: the collectors of this machine, and children that fail.
func TestChildProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("windows_exporter's collectors need a real Windows: docs/windows-acceptance.md")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(t *testing.T, limit time.Duration, command ...string) (map[string]float64, string, error) {
		t.Helper()
		c, err := start(append([]string{exe}, command...))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), limit, errTimeout)
		defer cancel()
		var families []*dto.MetricFamily
		for range 2 {
			var payload []byte
			if payload, err = c.Ask(ctx); err != nil {
				break
			}
			if families, _, err = decode(payload); err != nil {
				break
			}
		}
		return values(families), c.Close(), err
	}
	const enough = time.Minute
	got, words, err := ask(t, enough, append([]string{Subcommand}, Settings{}.complete("linux").args()...)...)
	if err != nil || got["node_memory_MemTotal_bytes"] == 0 || got["node_scrape_collector_success{collector=cpu}"] != 1 {
		t.Errorf("%d series, %v, %q", len(got), err, words)
	}
	for _, c := range []struct {
		args  []string
		limit time.Duration
		want  error
		words string
	}{
		{[]string{"bad-panic"}, enough, errEnded, "panic: Failed to load mi.dll"},
		{[]string{"bad-hang"}, 100 * time.Millisecond, errTimeout, ""},
		{[]string{"bad-lie"}, enough, errProtocol, ""},
		{[]string{"bad-error"}, enough, errChild, ""},
		{[]string{"bad-end"}, enough, errEnded, ""},
		{[]string{Subcommand, "nonsense", ""}, enough, errChild, ""},
		{[]string{Subcommand}, enough, errChild, ""},
	} {
		if _, words, err := ask(t, c.limit, c.args...); !errors.Is(err, c.want) || !strings.Contains(words, c.words) {
			t.Errorf("%v: %v, %q; want %v, %q", c.args, err, words, c.want, c.words)
		}
	}
	if _, err := start([]string{exe + "-not-there"}); err == nil {
		t.Error("a program that is not there was started")
	}
}

// slow is a collector that hangs.
type slow struct{ entered chan struct{} }

func (s slow) Gather() ([]*dto.MetricFamily, error) {
	close(s.entered)
	select {}
}

func TestChildEndsWithItsParent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s := slow{make(chan struct{})}
	code := make(chan int)
	go func() { code <- serve(s, r, &bytes.Buffer{}, &bytes.Buffer{}) }()
	if _, err := w.Write([]byte{askMetrics}); err != nil {
		t.Fatal(err)
	}
	<-s.entered
	w.Close()
	if c := <-code; c != 0 {
		t.Errorf("code %d", c)
	}
}
