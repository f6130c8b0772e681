package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/config"
	"nocturne/exporter/metrics/machine"
	"nocturne/exporter/output"
	"nocturne/exporter/source"
	"nocturne/exporter/source/updates"
	"nocturne/internal/record"
)

// childData makes this test binary an exporter with counting sources, childSecond
// gives it another output, of the same server.
const (
	childData   = "EXPORTER_TEST_DATA"
	childSecond = "EXPORTER_TEST_SECOND"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == machine.Subcommand {
		os.Exit(machine.Child(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	if len(os.Args) > 1 && os.Args[1] == updates.Subcommand {
		os.Exit(updates.Child(os.Args[2:], os.Stdout, os.Stderr))
	}
	if dir := os.Getenv(childData); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child runs until it is killed, or its standard input is closed.
func child(dir string) error {
	c := config.Default()
	c.Data = dir
	c.Metrics.Listen, c.Metrics.Push, c.Metrics.Machine = "", false, false
	c.Spool.SegmentBytes = 64 << 10
	for name, url := range map[string]string{"first": "", "second": os.Getenv(childSecond)} {
		c.Outputs = append(c.Outputs, config.Output{Name: name, Type: config.TypeOTLP, URL: url, Config: output.DefaultConfig()})
	}
	o := Options{Config: c, Version: "test", Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))}
	sources := []*counting{{name: "beats", category: record.Heartbeat}, {name: "events", category: record.EventLog}, {name: "more", category: record.EventLog}, {name: "raid", category: record.RAID}}
	for _, s := range sources {
		o.Sources = append(o.Sources, s)
	}
	a, err := New(o)
	if err != nil {
		return err
	}
	for _, s := range sources {
		s.positions = a.spool
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() {
		_, _ = os.Stdin.Read(make([]byte, 1))
		stop()
	}()
	if err := a.Run(ctx); err != nil {
		return err
	}
	return a.Close()
}

// counting emits "name/0", "name/1" … and goes on where it stood.
type counting struct {
	name      string
	category  record.Category
	positions source.Positions
}

func (c *counting) Name() string              { return c.name }
func (c *counting) Category() record.Category { return c.category }

func (c *counting) Run(ctx context.Context, emit source.Emit) error {
	p, err := c.positions.Position(c.name)
	if err != nil {
		return err
	}
	n, _ := strconv.Atoi(string(p)) // none: from 0
	for ctx.Err() == nil {
		recs := make([]record.Record, rand.IntN(5))
		if c.category == record.Heartbeat {
			recs = make([]record.Record, 1)
		}
		for i := range recs {
			recs[i] = record.Record{Name: record.NameJournal, Body: fmt.Sprintf("%s/%d", c.name, n+i)}
		}
		n += len(recs)
		if err := emit(ctx, recs, []byte(strconv.Itoa(n))); err != nil {
			return err
		}
	}
	return nil
}

// The exporter is killed with SIGKILL again and again, at any moment: every
// record of every source arrives exactly once, at each of two outputs that are
// down at different times.
func TestKill(t *testing.T) {
	rounds := 15
	if testing.Short() {
		rounds = 4
	}
	b, url := newBridge(t)
	second, secondURL := newBridge(t)
	dir := t.TempDir()
	enrolled(t, dir, url)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	start := func() (*exec.Cmd, func()) {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), childData+"="+dir, childSecond+"="+secondURL)
		cmd.Stderr = os.Stderr
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, func() { _ = in.Close() }
	}
	for i := range rounds {
		second.mu.Lock()
		second.down = i%3 == 1 // another time than the first
		second.mu.Unlock()
		cmd, _ := start()
		b.mu.Lock()
		b.down = i%4 == 3 // now and then nobody takes anything
		had, down := len(b.records), b.down
		b.mu.Unlock()
		if !down {
			more := rand.IntN(200)
			b.await(t, "records", func() bool { return len(b.records) > had+more })
		} else {
			pause(t, 200*time.Millisecond)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // killed
	}
	second.mu.Lock()
	second.down = false
	second.mu.Unlock()
	b.mu.Lock()
	b.down = false
	had := len(b.records)
	b.mu.Unlock()
	cmd, stop := start()
	b.await(t, "the last run's records", func() bool { return len(b.records) > had+200 })
	stop()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	checkCounts(t, b, rounds)
	checkCounts(t, second, rounds)
	if len(b.records) != len(second.records) {
		t.Errorf("one output has %d records, the other %d", len(b.records), len(second.records))
	}
}

// pause lets real time pass in another process; there is nothing to wait for.
func pause(t *testing.T, d time.Duration) {
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

func checkCounts(t *testing.T, b *bridge, rounds int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.strange) > 0 {
		t.Fatal(b.strange)
	}
	tot := b.ledger.Totals()
	if tot.Missing != 0 || tot.Declared != 0 {
		t.Errorf("ledger: %+v", tot)
	}
	next := map[string]int{}
	epochs := map[record.EpochRef]bool{}
	for _, r := range b.records {
		if !epochs[r.epoch] && r.category != record.Heartbeat {
			t.Errorf("epoch %s begins with %s", r.epoch, r.body)
		}
		epochs[r.epoch] = true
		if r.name == record.NameGoodbye {
			continue
		}
		name, number, _ := strings.Cut(r.body, "/")
		n, err := strconv.Atoi(number)
		if err != nil || n != next[name] {
			t.Fatalf("record %s, want %s/%d", r.body, name, next[name])
		}
		next[name]++
	}
	t.Logf("%d records of %d epochs after %d kills, %d sent twice and recognised", len(b.records), len(epochs), rounds, tot.Duplicate)
}
