//go:build linux

package deploy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nocturne/deploy/nocturne/admin"
	"nocturne/deploy/nocturne/stack"
	"nocturne/exporter/app"
	"nocturne/exporter/config"
	"nocturne/exporter/enrol"
	"nocturne/exporter/source"
	"nocturne/internal/rabbittest"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// edge is an eventbridge in a process of its own that reads a broker.
type edge struct {
	t     *testing.T
	bin   string
	data  string
	ports stack.Ports
	cmd   *exec.Cmd
}

func newEdge(t *testing.T, broker *rabbittest.Broker) *edge {
	e := &edge{t: t, bin: filepath.Join(t.TempDir(), "eventbridge"), data: filepath.Join(t.TempDir(), "bridge")}
	goBuild(t, e.bin, "../eventbridge", "")
	if err := e.ports.Set("free"); err != nil {
		t.Fatal(err)
	}
	at := broker.Endpoint()
	writeFile(t, e.config(), fmt.Sprintf(`
data: %s
ingest: {address: "%s"}
admin: {address: "%s"}
stream: {address: "%s", max_bytes: 4294967296}
amqp: {url: "%s", credential_file: %s}
victoriametrics: {url: ""}
victorialogs: {url: ""}
`, e.data, stack.Addr(e.ports.Ingest), stack.Addr(e.ports.Admin), stack.Addr(e.ports.Stream), at.URL, at.CredentialFile))
	return e
}

func (e *edge) config() string { return e.data + ".yml" }

func (e *edge) start() {
	e.t.Helper()
	e.cmd = exec.Command(e.bin, "--config", e.config(), "--log-level", "warn")
	e.cmd.Stdout, e.cmd.Stderr = e.t.Output(), e.t.Output()
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := e.cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	cmd := e.cmd
	e.t.Cleanup(func() {
		if e.cmd == cmd {
			e.kill()
		}
	})
	wait(e.t, startLimit, "the bridge", func() error { return getJSON(stack.URL(e.ports.Ingest)+"/healthz", new(any)) })
}

func (e *edge) kill() {
	e.t.Helper()
	if err := e.cmd.Process.Kill(); err != nil {
		e.t.Error(err)
	}
	_ = e.cmd.Wait() // "signal: killed" is what we asked for
	e.cmd = nil
}

// ledger runs a ledger over everything that the stream holds about a server.
func (e *edge) ledger(id record.ID) (record.Totals, error) {
	conn, err := stream.Connect(stream.Config{URL: "nats://" + stack.Addr(e.ports.Stream), Role: stream.RoleRuler, Name: "test",
		TokenFile: stream.TokenFile(filepath.Join(e.data, "stream"), stream.RoleRuler), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return record.Totals{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(e.t.Context(), seeLimit)
	defer cancel()
	part := stream.Partition(id)
	head, err := conn.Head(ctx, part)
	if err != nil {
		return record.Totals{}, err
	}
	l, enough := record.NewLedger(), errors.New("read up to the head")
	err = conn.Read(ctx, part, stream.Position{}, func(m stream.Message) error {
		entry, err := stream.DecodeEntry(m.Data)
		if err != nil {
			return err
		}
		for _, f := range entry.Frames {
			h, err := record.CheckFrame(f.Frame)
			if err != nil {
				return err
			}
			if h.Subject == id && h.Category != record.Agent {
				l.Observe(&h)
			}
		}
		if m.Position.Entry >= head.Entry {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		return record.Totals{}, err
	}
	return l.Totals(), nil
}

// steady is a source that emits until it is told to rest.
type steady struct {
	emitted atomic.Int64
	rest    atomic.Bool
}

func (l *steady) Name() string              { return "load" }
func (l *steady) Category() record.Category { return record.EventLog }

func (l *steady) Run(ctx context.Context, emit source.Emit) error {
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil && !l.rest.Load() {
		recs := make([]record.Record, 10)
		for i := range recs {
			recs[i] = record.Record{Time: time.Now(), Name: record.NameJournal, Body: fmt.Sprint("event ", l.emitted.Load()+int64(i))}
		}
		// Not ctx: what is emitted is counted.
		if err := emit(context.WithoutCancel(ctx), recs, fmt.Append(nil, l.emitted.Load())); err != nil {
			return err
		}
		l.emitted.Add(int64(len(recs)))
		<-pace.C
	}
	<-ctx.Done()
	return nil
}

// TestOverRabbitMQ sends frames from an exporter through a real broker to a
// bridge while both are killed: nothing is missing, and what came twice the
// ledger knows.
func TestOverRabbitMQ(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a broker: not in short mode")
	}
	broker := rabbittest.Start(t)
	bridge := newEdge(t, broker)
	bridge.start()
	data := t.TempDir()
	token, err := admin.Client{URL: stack.URL(bridge.ports.Admin), TokenFile: filepath.Join(bridge.data, "admin.token")}.CreateToken(t.Context(), admin.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	me, err := enrol.Enrol(t.Context(), data, enrol.Request{URL: stack.URL(bridge.ports.Ingest), Token: token.Token, Name: "db7"})
	if err != nil {
		t.Fatal(err)
	}
	src := &steady{}
	stop := sendToBroker(t, data, broker, src)
	queued := func() error {
		totals, err := bridge.ledger(me.ServerID)
		if err == nil && totals.Received == 0 {
			err = errors.New("nothing arrived")
		}
		return err
	}
	wait(t, seeLimit, "the first records", queued)
	broker.Stop() // RabbitMQ 3.10 can lose the leader of a queue that was made a moment before a kill
	broker.Up()
	for range 2 {
		seen := src.emitted.Load()
		more := func() error {
			if src.emitted.Load() < seen+2000 {
				return errors.New("not enough was emitted")
			}
			return nil
		}
		wait(t, seeLimit, "load", more)
		broker.Kill()
		seen = src.emitted.Load()
		wait(t, seeLimit, "load without a broker", more)
		broker.Up()
		bridge.kill()
		seen = src.emitted.Load()
		wait(t, seeLimit, "load without a bridge", more)
		bridge.start()
	}
	stop()
	want := uint64(src.emitted.Load())
	var last record.Totals
	wait(t, seeLimit, "everything", func() error {
		var err error
		if last, err = bridge.ledger(me.ServerID); err != nil {
			return err
		}
		if last.Received < want || last.Missing > 0 {
			return fmt.Errorf("ledger %+v, want %d received", last, want)
		}
		return nil
	})
	t.Logf("%d records and a goodbye, ledger %+v", want, last)
	if last.Received > want+1 || last.Declared != 0 || last.Rejected != 0 {
		t.Errorf("ledger %+v, want %d received and a goodbye", last, want)
	}
}

// sendToBroker runs an exporter of one source with an output to the broker;
// stop waits until nothing is left in its spool.
func sendToBroker(t *testing.T, data string, broker *rabbittest.Broker, src *steady) (stop func()) {
	t.Helper()
	c := config.Default()
	c.Data, c.Metrics.Listen, c.Metrics.Machine = data, "", false
	at := broker.Endpoint()
	o := config.DefaultOutput()
	o.Name, o.Type, o.URL, o.CredentialFile = "broker", config.TypeAMQP, at.URL, at.CredentialFile
	o.MaxBackoff = 2 * time.Second
	c.Outputs = []config.Output{o}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	a, err := app.New(app.Options{Config: c, Version: "test", Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})), Sources: []source.Source{src}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		src.rest.Store(true)
		wait(t, seeLimit, "the spool to be empty", func() error { return empty(a) })
		cancel()
		if err := errors.Join(<-ended, a.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// empty wants nothing to wait in an exporter's spool.
func empty(a *app.App) error {
	families, err := a.Registry().Gather()
	if err != nil {
		return err
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if n := m.GetGauge().GetValue(); f.GetName() == "exporter_spool_records_waiting" && n > 0 {
				return fmt.Errorf("%v records wait", n)
			}
		}
	}
	return nil
}
