package app

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"nocturne/exporter/config"
	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// watched notes the longest time between two of a source's hand-overs.
type watched struct {
	*counting
	last atomic.Int64
	gap  atomic.Int64
}

func (w *watched) Run(ctx context.Context, emit source.Emit) error {
	return w.counting.Run(ctx, func(ctx context.Context, recs []record.Record, position []byte) error {
		err := emit(ctx, recs, position)
		now := time.Now().UnixNano()
		if last := w.last.Swap(now); last > 0 && now-last > w.gap.Load() {
			w.gap.Store(now - last)
		}
		return err
	})
}

// The configuration is read again and again while sources stream and outputs
// deliver: every record arrives once, and one goodbye, at the end.
func TestReloadUnderLoad(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	o.Config.Metrics.Push = false
	taken := o.Config
	o.Reload = NewReloader(func() (config.Config, error) {
		taken.Spool.Keep += time.Second
		return taken, nil
	})
	sources := []*watched{}
	o.Sources = nil
	for _, c := range []*counting{{name: "beats", category: record.Heartbeat}, {name: "events", category: record.EventLog}, {name: "raid", category: record.RAID}} {
		w := &watched{counting: c}
		sources, o.Sources = append(sources, w), append(o.Sources, w)
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer stop()
		for range rounds {
			b.mu.Lock()
			had := len(b.records)
			b.mu.Unlock()
			b.await(t, "records between reloads", func() bool { return len(b.records) > had+200 })
			o.Reload.Ask()
		}
		b.mu.Lock()
		had := len(b.records)
		b.mu.Unlock()
		b.await(t, "the last records", func() bool { return len(b.records) > had+200 })
	}()
	reloads, down := runReloading(t, ctx, o, func(a *App) {
		for _, s := range sources {
			s.positions = a.spool
		}
	})
	if reloads == 0 || reloads > rounds {
		t.Errorf("%d reloads of %d", reloads, rounds)
	}
	checkCounts(t, b, 0)
	goodbyes := 0
	for _, r := range b.records {
		if r.name == record.NameGoodbye {
			goodbyes++
		}
	}
	if goodbyes != 1 {
		t.Errorf("%d goodbyes", goodbyes)
	}
	for _, s := range sources {
		t.Logf("%s: longest gap %s", s.name, time.Duration(s.gap.Load()).Round(100*time.Microsecond))
	}
	t.Logf("%d reloads, closed and built anew in at most %s", reloads, down.Round(100*time.Microsecond))
}

// runReloading runs exporters until ctx ends, as the program does, and returns
// how often the configuration was taken and the longest rebuild.
func runReloading(t *testing.T, ctx context.Context, o Options, built func(*App)) (reloads int, longest time.Duration) {
	t.Helper()
	a, err := New(o)
	for {
		if err != nil {
			t.Fatal(err)
		}
		built(a)
		err = a.Run(ctx)
		began := time.Now()
		cerr := a.Close()
		if !errors.Is(err, ErrReload) || cerr != nil {
			if err := errors.Join(err, cerr); err != nil {
				t.Fatal(err)
			}
			return reloads, longest
		}
		reloads++
		a, o.Config, err = Rebuild(o, a.Next())
		longest = max(longest, time.Since(began))
	}
}

// What cannot be taken changes nothing, and says so.
func TestAWrongConfigurationIsNotTaken(t *testing.T) {
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	wrong := []func(c *config.Config) error{
		func(*config.Config) error { return errors.New("line 3: unknown key") },
		func(c *config.Config) error { c.Data += "2"; return nil },
		func(c *config.Config) error { c.Metrics.Listen = "192.0.2.1:1"; return nil },
		func(c *config.Config) error {
			c.Outputs = []config.Output{{Name: "b", Type: config.TypeOTLP, CredentialFile: "/does/not/exist"}}
			return nil
		},
	}
	tried := make(chan int, len(wrong))
	o.Reload = NewReloader(func() (config.Config, error) {
		c, i := o.Config, len(tried)
		defer func() { tried <- i }()
		return c, wrong[i](&c)
	})
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	b.await(t, "records", func() bool { return len(b.records) >= 3 })
	awaitMetrics(t, a, "exporter_config_last_reload_successful 1")
	for i := range wrong {
		o.Reload.Ask()
		awaitMetrics(t, a, "exporter_config_last_reload_successful 0")
		for len(tried) <= i {
			select {
			case err := <-ended:
				t.Fatal(err)
			case <-time.After(time.Millisecond):
			}
		}
	}
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Fatal(err)
	}
	if l := a.problems.list(); len(l) == 0 || l[len(l)-1].Text != "configuration not taken, the one from before stays" || l[len(l)-1].Count != len(wrong) {
		t.Errorf("%+v", l)
	}
}

// A configuration that passes every check and fails all the same leaves the one
// from before running.
func TestTheOldConfigurationComesBack(t *testing.T) {
	_, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	o.Reload = NewReloader(nil)
	next := o.Config
	next.Metrics.Listen = "192.0.2.1:1"
	a, c, err := Rebuild(o, next)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if c.Metrics.Listen != o.Config.Metrics.Listen || a.o.Config.Metrics.Listen != o.Config.Metrics.Listen {
		t.Errorf("runs with %s", a.o.Config.Metrics.Listen)
	}
}
