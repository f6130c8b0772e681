package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"nocturne/exporter/config"
	"nocturne/exporter/output"
	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// fake is a source that emits what it is given and waits.
type fake struct {
	name     string
	category record.Category
	bodies   []string
	ended    chan struct{} // when not nil, Run does not return before it is closed
}

func (f *fake) Name() string              { return f.name }
func (f *fake) Category() record.Category { return f.category }

func (f *fake) Run(ctx context.Context, emit source.Emit) error {
	for _, b := range f.bodies {
		if err := emit(ctx, []record.Record{{Name: record.NameJournal, Body: b}}, []byte(b)); err != nil {
			return err
		}
	}
	<-ctx.Done()
	if f.ended != nil {
		<-f.ended
	}
	return nil
}

func options(t *testing.T) Options { return optionsIn(t.TempDir()) }

func optionsIn(dir string) Options {
	c := config.Default()
	c.Data = dir
	c.Metrics.Listen = "127.0.0.1:0"
	c.Metrics.Machine = false
	return Options{Config: c, Version: "test", Log: slog.New(slog.DiscardHandler), Sources: []source.Source{
		&fake{name: "events", category: record.EventLog, bodies: []string{"e1", "e2"}},
		&fake{name: "heartbeat", category: record.Heartbeat, bodies: []string{"alive"}},
	}}
}

func TestExporterDeliversAndSaysGoodbye(t *testing.T) {
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	b.await(t, "three records", func() bool { return len(b.records) >= 3 })
	b.await(t, "metrics", func() bool { return len(b.series) >= 1 })
	awaitMetrics(t, a, `exporter_spool_records_out_total{output="bridge"} 3`, `exporter_output_up{output="bridge"} 1`, `exporter_source_success{source="events"} 1`)
	stop(ErrShutdown)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Fatal(err)
	}
	if b.records[0].body != "alive" {
		t.Errorf("the first record of the epoch is %+v, want the heartbeat", b.records[0])
	}
	last := b.records[len(b.records)-1]
	if last.name != record.NameGoodbye || last.category != record.Heartbeat || !strings.Contains(last.body, "shutdown") {
		t.Errorf("the last record is %+v, want the goodbye", last)
	}
	if tot := b.ledger.Totals(); tot.Missing != 0 || tot.Duplicate != 0 || tot.Received != 4 || len(b.strange) > 0 {
		t.Errorf("%+v, %v", tot, b.strange)
	}
}

// awaitMetrics scrapes until every line is there: what the bridge has is counted
// once its answer came back.
func awaitMetrics(t *testing.T, a *App, lines ...string) {
	t.Helper()
	limit, poll := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer poll.Stop()
	for {
		page, missing := scrape(t, a), ""
		for _, want := range lines {
			if !strings.Contains(page, want) {
				missing = want
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-poll.C:
		case <-limit:
			t.Errorf("/metrics lacks %s", missing)
			return
		}
	}
}

func scrape(t *testing.T, a *App) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.Addr().String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	page, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res.Status, err)
	}
	return string(page)
}

func TestConsole(t *testing.T) {
	o := options(t)
	var screen bytes.Buffer
	o.Stdout = &screen
	o.Config.Outputs = []config.Output{{Name: "screen", Type: config.TypeConsole, Config: output.DefaultConfig()}}
	ready := &fake{name: "last", category: record.RAID}
	o.Sources = append(o.Sources, ready)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	for {
		if n, _ := a.spool.Size(); n == 0 && strings.Contains(metric(t, a, "exporter_spool_records_out_total"), "3") {
			break
		}
		runtime.Gosched()
	}
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(screen.String(), "\n"); n != 4 || !strings.Contains(screen.String(), record.NameGoodbye) {
		t.Errorf("%d lines:\n%s", n, screen.String())
	}
	if a.ServerID().IsZero() {
		t.Error("no server id")
	}
	again, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if again.ServerID() != a.ServerID() {
		t.Error("the local id changes from start to start")
	}
}

func metric(t *testing.T, a *App, name string) string {
	t.Helper()
	families, err := a.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return fmt.Sprint(f.GetMetric()[0].GetCounter().GetValue())
		}
	}
	return ""
}

func TestNewSaysWhatIsInTheWay(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	other := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(other, []byte("noc1.99990000000000000000000000000000.secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad")
	if err := os.WriteFile(bad, []byte("hush-hush"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := func(credential string) config.Output {
		return config.Output{Name: "b", Type: config.TypeOTLP, URL: "http://127.0.0.1:1", CredentialFile: credential, Config: output.DefaultConfig()}
	}
	cases := []struct {
		name   string
		change func(*Options)
		want   string
	}{
		{"not enrolled", func(o *Options) {}, "this machine is not enrolled: paste the line"},
		{"not enrolled, no url", func(o *Options) { o.Config.Outputs = []config.Output{{Name: "b", Type: config.TypeOTLP}} }, "enrol, or write a url"},
		{"port taken", func(o *Options) {
			enrolled(t, o.Config.Data, "http://127.0.0.1:1")
			o.Config.Metrics.Listen = busy.Addr().String()
		}, "listen for /metrics"},
		{"another's credential", func(o *Options) {
			enrolled(t, o.Config.Data, "http://127.0.0.1:1")
			o.Config.Outputs = []config.Output{out(other)}
		}, "one exporter is one server"},
		{"bad credential", func(o *Options) { o.Config.Outputs = []config.Output{out(bad)} }, "the credential is not one"},
		{"no console", func(o *Options) {
			o.Config.Outputs = []config.Output{{Name: "c", Type: config.TypeConsole, Config: output.DefaultConfig()}}
		}, "there is no console"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := options(t)
			c.change(&o)
			_, err := New(o)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), ".secret") {
				t.Fatalf("got %v, want …%s…", err, c.want)
			}
			unlock, err := Lock(o.Config.Data) // nothing is left behind
			if err != nil {
				t.Fatal(err)
			}
			if err := unlock(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestOneExporterPerFolder(t *testing.T) {
	o := options(t)
	enrolled(t, o.Config.Data, "http://127.0.0.1:1")
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "in use by another exporter: stop it first") {
		t.Error(err)
	}
}

func TestAFailedPartEndsTheRest(t *testing.T) {
	o := options(t)
	_, url := newBridge(t)
	enrolled(t, o.Config.Data, url)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "listener: ") {
		t.Errorf("run: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

func TestASourceThatHangsDoesNotKeepTheGoodbye(t *testing.T) {
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	hung := &fake{name: "hung", category: record.RAID, bodies: []string{"r"}, ended: make(chan struct{})}
	o.Sources = append(o.Sources, hung)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	b.await(t, "records", func() bool { return len(b.records) == 4 })
	stop()
	err = <-ended
	close(hung.ended)
	if err := errors.Join(err, a.Close()); err != nil {
		t.Error(err)
	}
	if last := b.records[len(b.records)-1]; last.name != record.NameGoodbye {
		t.Errorf("the last record is %+v", last)
	}
}

func TestImport(t *testing.T) {
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	const n = 2000
	err := Import(t.Context(), o, func(ctx context.Context, emit source.Emit) error {
		for i := range n / 100 {
			var recs []record.Record
			for j := range 100 {
				recs = append(recs, record.Record{Name: record.NameWindowsEvent, Body: fmt.Sprint(i*100 + j)})
			}
			if err := emit(ctx, recs, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Nothing of this machine: the events may be another's, and who sent no
	// heartbeat is never called silent.
	for _, r := range b.records {
		if r.name != record.NameWindowsEvent {
			t.Errorf("an import sent %+v", r)
		}
	}
	if len(b.records) != n {
		t.Errorf("%d records, want %d", len(b.records), n)
	}
	if tot := b.ledger.Totals(); tot.Missing != 0 || tot.Duplicate != 0 {
		t.Errorf("%+v", tot)
	}
}

func TestImportIsCutShort(t *testing.T) {
	b, url := newBridge(t)
	b.down = true
	o := options(t)
	enrolled(t, o.Config.Data, url)
	ctx, stop := context.WithCancel(t.Context())
	err := Import(ctx, o, func(ctx context.Context, emit source.Emit) error {
		defer stop()
		return emit(ctx, []record.Record{{Body: "kept"}}, nil)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("import: %v", err)
	}
	b.mu.Lock()
	b.down = false
	b.mu.Unlock()
	o.Sources = []source.Source{}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop = context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	b.await(t, "what the import left", func() bool { return len(b.records) >= 1 })
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Error(err)
	}
	if b.records[0].body != "kept" {
		t.Errorf("%+v", b.records)
	}
}

// About a hundred series per server by default, on any machine.
func TestDefaultSeries(t *testing.T) {
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	o.Config.Metrics.Machine = true
	o.Config.Metrics.Interval = time.Second
	o.Sources = nil // the configured ones: heartbeat, journal, raid, hardware
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	last := func() int { return b.series[len(b.series)-1] }
	low := 30 // without the machine's own, as under Wine
	if runtime.GOOS == "linux" {
		low = 60
	}
	b.await(t, "metrics of the machine too", func() bool { return len(b.series) > 0 && last() >= low })
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Error(err)
	}
	t.Logf("%d series by default on this machine", last())
	if last() > 150 {
		t.Errorf("%d series by default, want about a hundred", last())
	}
}

func TestLogFileTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exporter.log")
	l, err := OpenLogFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("x"), 1<<20)
	for range 25 {
		if _, err := l.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, p := range []string{path, path + ".old"} {
		info, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > 2*maxLogFile || total < maxLogFile {
		t.Errorf("%d bytes of logs", total)
	}
}

// The register decides that this machine is the successor of another server:
// what is there is delivered under the old id, the rest under the new one.
func TestBecomingTheSuccessor(t *testing.T) {
	b, url := newBridge(t)
	old := record.ID{0x77}
	b.says, b.others = old, []record.ID{old}
	o := options(t)
	enrolled(t, o.Config.Data, url)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Run(t.Context()), a.Close()); !errors.Is(err, ErrRestart) {
		t.Fatalf("run: %v", err)
	}
	before := len(b.records)
	if last := b.records[before-1]; last.name != record.NameGoodbye || last.subject != serverID {
		t.Errorf("the last record of the old server is %+v", last)
	}
	if a, err = New(o); err != nil {
		t.Fatal(err)
	}
	if a.ServerID() != old {
		t.Fatalf("server id %s, want %s", a.ServerID(), old)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	b.await(t, "records of the successor", func() bool { return len(b.records) >= before+3 })
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.records[before:] {
		if r.subject != old {
			t.Errorf("%+v", r)
		}
	}
	if tot := b.ledger.Totals(); tot.Missing != 0 || len(b.strange) > 0 {
		t.Errorf("%+v %v", tot, b.strange)
	}
}

func TestMetricsFollowTheRules(t *testing.T) {
	o := options(t)
	_, url := newBridge(t)
	enrolled(t, o.Config.Data, url)
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	families, err := a.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "exporter_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
