package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/exporter/config"
	"nocturne/exporter/source"
	"nocturne/internal/record"
)

func awaitStatus(t *testing.T, dir string, ok func(*Status) bool) *Status {
	t.Helper()
	limit, poll := time.After(time.Minute), time.NewTicker(20*time.Millisecond)
	defer poll.Stop()
	for {
		s, err := ReadStatus(dir)
		if err == nil && ok(s) {
			return s
		}
		select {
		case <-poll.C:
		case <-limit:
			t.Fatalf("status %+v, %v", s, err)
		}
	}
}

// failing is a source that cannot read.
type failing struct{ *fake }

func (failing) Run(context.Context, source.Emit) error { return errors.New("the disk is on fire") }

func TestStatusOfARun(t *testing.T) {
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	o.Sources = append(o.Sources, failing{&fake{name: "raid", category: record.RAID}})
	if runs, err := Runs(o.Config.Data); runs || err != nil {
		t.Fatal(runs, err)
	}
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	b.await(t, "records", func() bool { return len(b.records) >= 3 })
	if runs, err := Runs(o.Config.Data); !runs || err != nil {
		t.Error(runs, err)
	}
	s := awaitStatus(t, o.Config.Data, func(s *Status) bool { return len(s.Outputs) == 1 && s.Outputs[0].Up && len(s.Problems) > 0 })
	if s.Server != "db7" || s.PID != os.Getpid() || s.Stopped != nil || s.Outputs[0].LastAnswer == nil || s.SpoolLimit == 0 {
		t.Errorf("%+v", s)
	}
	states := map[string]string{}
	for _, c := range s.Sources {
		states[c.Name] = c.State
	}
	if states["events"] != SourceOK || states["raid"] != SourceFails {
		t.Errorf("sources %v", states)
	}
	if p := s.Problems[len(s.Problems)-1]; p.About != "raid" || p.Err != "the disk is on fire" {
		t.Errorf("%+v", p)
	}
	if well, bad := s.Well(time.Now()); well || strings.Join(bad, ";") != "source raid fails" {
		t.Errorf("%v %q", well, bad)
	}
	if well, bad := s.Well(time.Now().Add(time.Hour)); well || !strings.Contains(bad[0], "it hangs") {
		t.Errorf("%v %q", well, bad)
	}
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Fatal(err)
	}
	if s, err = ReadStatus(o.Config.Data); err != nil || s.Stopped == nil {
		t.Errorf("%+v, %v", s, err)
	}
	if runs, err := Runs(o.Config.Data); runs || err != nil {
		t.Error(runs, err)
	}
}

func TestProblemsAreCountedAndForgotten(t *testing.T) {
	p := &problems{}
	log := slog.New(remembering{Handler: slog.DiscardHandler, to: p})
	log.Info("nothing")
	for range 3 {
		log.With("source", "raid").Warn("source fails", "err", "x")
	}
	log.Warn("source fails", "source", "smart")
	if l := p.list(); len(l) != 2 || l[0].Count != 3 || l[0].About != "raid" || l[1].About != "smart" {
		t.Errorf("%+v", l)
	}
	for i := range 2 * maxProblems {
		log.Error("e" + strings.Repeat("e", i))
	}
	if l := p.list(); len(l) != maxProblems {
		t.Errorf("%d problems", len(l))
	}
}

func TestTrialShowsEverySource(t *testing.T) {
	c := config.Default()
	c.Data = filepath.Join(t.TempDir(), "untouched")
	c.RAID.Enabled = false
	tr, err := NewTrial(Options{Config: c, Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	on := map[string]bool{}
	for _, s := range tr.All {
		on[s.Name()] = s.Enabled
	}
	if raid, ok := on["raid"]; !ok || raid || !on["heartbeat"] {
		t.Errorf("%v", on)
	}
	if _, err := tr.Find("nope"); err == nil || !strings.Contains(err.Error(), "there are ") {
		t.Error(err)
	}
	s, err := tr.Find("heartbeat")
	if err != nil {
		t.Fatal(err)
	}
	var got []record.Record
	if err := source.Once(t.Context(), s.Source, time.Second, func(_ context.Context, recs []record.Record, _ []byte) error {
		got = append(got, recs...)
		return nil
	}); err != nil || len(got) != 1 {
		t.Errorf("%d records, %v", len(got), err)
	}
	if err := tr.Close(); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{tr.dir, c.Data} {
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s is there", dir)
		}
	}
}

// said is a source that reads a journal with our own log in it.
type said struct{ *fake }

func (said) Run(ctx context.Context, emit source.Emit) error {
	entry := func(provider, body string) record.Record {
		return record.Record{Name: record.NameJournal, Body: body, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String(provider)}}}
	}
	if err := emit(ctx, []record.Record{entry("sshd", "a"), entry("nocturne-exporter", "receiver takes nothing"), entry("systemd", "b")}, []byte("3")); err != nil {
		return err
	}
	if err := emit(ctx, []record.Record{entry("nocturne-exporter", "again")}, []byte("4")); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// The exporter's own log is read past, and counted: its position moves on.
func TestItsOwnLogIsNotSent(t *testing.T) {
	b, url := newBridge(t)
	o := options(t)
	enrolled(t, o.Config.Data, url)
	o.Sources = append(o.Sources, said{&fake{name: "journal", category: record.EventLog}})
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx) }()
	b.await(t, "records", func() bool { return len(b.records) >= 5 })
	awaitMetrics(t, a, "exporter_own_log_records_total 2", `exporter_spool_records_in_total{category="eventlog"} 4`)
	tick := time.NewTicker(5 * time.Millisecond) // the own log is counted before its position is kept
	defer tick.Stop()
	for p, err := a.spool.Position("journal"); string(p) != "4"; p, err = a.spool.Position("journal") {
		if err != nil {
			t.Fatal(err)
		}
		<-tick.C
	}
	stop()
	if err := errors.Join(<-ended, a.Close()); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.records {
		if strings.Contains(r.body, "again") || strings.Contains(r.body, "takes nothing") {
			t.Errorf("sent %q", r.body)
		}
	}
}
