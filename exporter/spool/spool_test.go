package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"nocturne/internal/record"
)

// rig is a spool on a disk in memory, and what each output received.
type rig struct {
	t       *testing.T
	disk    *crashFS
	state   *crashFS
	plug    *plug
	cfg     Config
	outputs []string
	subject record.ID
	now     time.Time
	random  uint64
	files   FS // instead of disk
	reg     *prometheus.Registry
	*Spool
}

func newRig(t *testing.T, outputs ...string) *rig {
	p := &plug{}
	return &rig{t: t, plug: p, disk: newCrashFS(p), state: newCrashFS(p), outputs: outputs, subject: testID, now: time.Unix(1_790_000_000, 0),
		cfg: Config{MaxBytes: 1 << 30, SegmentBytes: 4000, Keep: time.Minute}}
}

// open begins an epoch; the one before may have been closed or just forgotten,
// as a crash does.
func (r *rig) open() *rig {
	r.t.Helper()
	r.reg = prometheus.NewRegistry()
	s, err := Open(Options{
		Config: r.cfg, FS: r.fs(), StateFS: r.state, Producer: record.ExporterProducer(r.subject), Subject: r.subject, Outputs: r.outputs,
		Log: slog.New(slog.DiscardHandler), Metrics: r.reg, Now: func() time.Time { return r.now }, Random: func() uint64 { r.random++; return r.random },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Spool = s
	return r
}

func (r *rig) fs() FS {
	if r.files != nil {
		return r.files
	}
	return r.disk
}

func (r *rig) add(c record.Category, bodies ...string) {
	r.t.Helper()
	recs := make([]record.Record, len(bodies))
	for i, b := range bodies {
		recs[i] = record.Record{Name: record.NameJournal, Body: b}
	}
	if err := r.Append(context.Background(), "test", c, recs, nil); err != nil {
		r.t.Fatal(err)
	}
}

// store has the receiver take the next batch, and returns how many frames it has.
func (r *rig) store(rd *Reader, l *record.Ledger, limits Limits) int {
	r.t.Helper()
	frames, err := rd.Next(context.Background(), limits)
	if err != nil {
		r.t.Fatal(err)
	}
	verdicts := make([]Verdict, len(frames))
	for i := range frames {
		l.Observe(&frames[i].Header)
		verdicts[i] = Stored
	}
	if err := rd.Settle(verdicts, nil); err != nil {
		r.t.Fatal(err)
	}
	return len(frames)
}

func (r *rig) reader(output string) *Reader {
	r.t.Helper()
	rd, err := r.Reader(output)
	if err != nil {
		r.t.Fatal(err)
	}
	return rd
}

// take delivers everything that waits and tells it as text: "eventlog 1 a",
// "gap heartbeat 2-5 overflow", "base raid 7".
func (r *rig) take(rd *Reader) []string {
	r.t.Helper()
	var out []string
	for rd.Pending() {
		frames, err := rd.Next(context.Background(), DefaultLimits())
		if err != nil {
			r.t.Fatal(err)
		}
		v := make([]Verdict, len(frames))
		for i := range frames {
			v[i] = Stored
			out = append(out, r.tell(&frames[i])...)
		}
		if err := rd.Settle(v, nil); err != nil {
			r.t.Fatal(err)
		}
	}
	return out
}

func (r *rig) tell(f *Frame) []string {
	h := &f.Header
	switch h.Kind {
	case record.FrameGap:
		return []string{fmt.Sprintf("gap %s %d-%d %s", h.Category, h.First, h.Last, h.Reason)}
	case record.FrameBase:
		return []string{fmt.Sprintf("base %s %d", h.Category, h.First)}
	}
	recs, err := f.Records()
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for i := range recs {
		out = append(out, fmt.Sprintf("%s %d %s", h.Category, h.First+uint64(i), recs[i].Body))
	}
	return out
}

func (r *rig) want(got []string, want ...string) {
	r.t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		r.t.Fatalf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// balanced asserts in + recovered + rewound = out + dropped + waiting.
func (r *rig) balanced() {
	r.t.Helper()
	sum := func(name, output string) float64 {
		total := 0.0
		families, err := r.reg.Gather()
		if err != nil {
			r.t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() != "exporter_spool_"+name {
				continue
			}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if l.GetName() == "output" && l.GetValue() != output {
						goto next
					}
				}
				total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			next:
			}
		}
		return total
	}
	for _, o := range r.outputs {
		in := sum("records_in_total", o) + sum("records_recovered_total", o) + sum("records_rewound_total", o)
		out := sum("records_out_total", o) + sum("records_dropped_total", o) + sum("records_waiting", o)
		if in != out {
			r.t.Errorf("output %s: in %v, out + dropped + waiting %v", o, in, out)
		}
	}
}

func TestFramesFollowTheOrderOfAppends(t *testing.T) {
	r := newRig(t, "a").open()
	r.add(record.Heartbeat, "h1")
	r.add(record.EventLog, "e1", "e2")
	r.add(record.EventLog, "e3")
	r.add(record.RAID, "r1")
	r.add(record.EventLog, "e4")
	frames, err := r.reader("a").Next(context.Background(), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range frames {
		h := frames[i].Header
		got = append(got, fmt.Sprintf("%s %d-%d %d", h.Category, h.First, h.Last, h.Count))
	}
	r.want(got, "heartbeat 1-1 1", "eventlog 1-3 3", "raid 1-1 1", "eventlog 4-4 1")
}

func TestLimitsCutBatches(t *testing.T) {
	cases := []struct {
		name   string
		limits Limits
		want   string // frames of the first batch, as counts
	}{
		{"frames", Limits{Frames: 1, Records: 100, Bytes: 1 << 20}, "[6]"},
		{"records", Limits{Frames: 10, Records: 4, Bytes: 1 << 20}, "[4 2]"},
		{"bytes", Limits{Frames: 10, Records: 100, Bytes: 350}, "[3]"},
		{"one record may be larger", Limits{Frames: 10, Records: 100, Bytes: 1}, "[1]"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "a").open()
			pad := strings.Repeat("x", 80)
			r.add(record.EventLog, pad, pad, pad)
			r.add(record.EventLog, pad, pad, pad)
			rd := r.reader("a")
			frames, err := rd.Next(context.Background(), c.limits)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint32
			for i := range frames {
				got = append(got, frames[i].Header.Count)
			}
			if fmt.Sprint(got) != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
			if err := rd.Release(); err != nil {
				t.Fatal(err)
			}
			if n := len(r.take(rd)); n != 6 {
				t.Errorf("%d records in all, want 6", n)
			}
		})
	}
}

func TestEveryStartIsANewEpoch(t *testing.T) {
	r := newRig(t, "a").open()
	r.add(record.Heartbeat, "1", "2")
	first := r.Epoch()
	r.now = r.now.Add(-time.Hour) // the clock was set back
	r.open()                      // after a crash
	r.open()                      // and another start without a record
	r.add(record.Heartbeat, "3")
	r.add(record.EventLog, "e")
	if r.Epoch().Start <= first.Start {
		t.Errorf("epoch %v looks older than %v", r.Epoch(), first)
	}
	frames, err := r.reader("a").Next(context.Background(), DefaultLimits())
	if err != nil || len(frames) != 3 {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
	e := frames[1].Header.Epoch
	if e.Prev != first || e.PrevLast != 2 || frames[1].Header.First != 1 {
		t.Errorf("second heartbeat frame follows %v last %d, want %v last 2", e.Prev, e.PrevLast, first)
	}
	if e := frames[2].Header.Epoch; !e.Prev.IsZero() || e.EpochRef != r.Epoch() {
		t.Errorf("a category without records before follows %v", e.Prev)
	}
}

func TestPositionsSurvive(t *testing.T) {
	r := newRig(t, "a").open()
	ctx := context.Background()
	if p, err := r.Position("journal"); p != nil || err != nil {
		t.Fatalf("position %q, %v at first", p, err)
	}
	for i := range 40 { // over several segments
		recs := []record.Record{{Body: strings.Repeat("x", 300)}}
		if i%2 == 1 {
			recs = nil // a source may move on without records
		}
		if err := r.Append(ctx, "journal", record.EventLog, recs, fmt.Appendf(nil, "cursor %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Append(ctx, "other", record.EventLog, nil, []byte{}); err != nil {
		t.Fatal(err)
	}
	r.open()
	for source, want := range map[string]string{"journal": "cursor 39", "other": ""} {
		if p, err := r.Position(source); err != nil || p == nil || string(p) != want {
			t.Errorf("position of %s: %q, %v", source, p, err)
		}
	}
	if err := r.Append(ctx, "x", record.EventLog, nil, make([]byte, maxPosition+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("huge position: %v", err)
	}
}

func TestRewindPresentsWhatIsKept(t *testing.T) {
	r := newRig(t, "a").open()
	rd := r.reader("a")
	pad := strings.Repeat("x", 900)
	for i := range 12 {
		r.add(record.EventLog, fmt.Sprint(i, pad))
	}
	if n := len(r.take(rd)); n != 12 {
		t.Fatal(n)
	}
	for _, step := range []struct {
		after time.Duration
		want  uint64
	}{{time.Second, 12}, {50 * time.Second, 12}, {90 * time.Second, 4}} {
		r.now = r.now.Add(step.after)
		if err := r.tidy(); err != nil {
			t.Fatal(err)
		}
		n, err := rd.Rewind([]byte("new place"))
		if err != nil || n > 12 || (step.want == 12) != (n == 12) {
			t.Fatalf("after %s: %d records again, %v", step.after, n, err)
		}
		if got := r.take(rd); uint64(len(got)) != n {
			t.Fatalf("%d records, want %d", len(got), n)
		}
		if err := r.tidy(); err != nil {
			t.Fatal(err)
		}
		r.balanced()
	}
	if string(rd.Answer()) != "new place" {
		t.Errorf("note %q", rd.Answer())
	}
}

func TestConcurrentAppendsShareSyncs(t *testing.T) {
	r := newRig(t, "a")
	dir, err := Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r.files = dir // a real one: the disk in memory is for one goroutine
	r.open()
	t.Cleanup(func() { _ = r.Close() })
	rd := r.reader("a")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				body := record.Record{Body: fmt.Sprint(i, " ", j)}
				if err := r.Append(context.Background(), fmt.Sprint("s", i), record.EventLog, []record.Record{body}, fmt.Append(nil, j)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan int)
	go func() {
		n := 0
		for n < 400 {
			frames, err := rd.Next(context.Background(), Limits{Frames: 3, Records: 7, Bytes: 1 << 20})
			if err != nil {
				t.Error(err)
				break
			}
			v := make([]Verdict, len(frames))
			for i := range frames {
				v[i] = Stored
				n += int(frames[i].Header.Count)
			}
			if err := rd.Settle(v, []byte("x")); err != nil {
				t.Error(err)
				break
			}
		}
		done <- n
	}()
	wg.Wait()
	if n := <-done; n != 400 {
		t.Errorf("%d records read", n)
	}
	r.balanced()
}

func TestNextWaitsAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "a").open()
		rd := r.reader("a")
		got := make(chan string, 1)
		go func() {
			frames, err := rd.Next(context.Background(), DefaultLimits())
			got <- fmt.Sprint(len(frames), err)
		}()
		synctest.Wait()
		r.add(record.EventLog, "e")
		if g := <-got; g != "1 <nil>" {
			t.Errorf("got %s", g)
		}
		if _, err := rd.Next(context.Background(), DefaultLimits()); err == nil {
			t.Error("two batches out at once")
		}
		if err := rd.Settle([]Verdict{Stored}, nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if _, err := rd.Next(ctx, DefaultLimits()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		go func() {
			_, err := rd.Next(context.Background(), DefaultLimits())
			got <- fmt.Sprint(errors.Is(err, ErrClosed))
		}()
		synctest.Wait()
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
		if g := <-got; g != "true" {
			t.Error("a closed spool still waits")
		}
		if err := r.Append(context.Background(), "s", record.EventLog, nil, []byte("p")); !errors.Is(err, ErrClosed) {
			t.Errorf("append: %v", err)
		}
	})
}

func TestRunMakesAnswersDurable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, "a").open()
		r.add(record.EventLog, "e")
		r.take(r.reader("a"))
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		time.Sleep(31 * time.Second) // of the bubble's clock
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		for _, n := range r.disk.files {
			if len(n.pending) > 0 {
				t.Error("an answer is not on disk after a tick")
			}
		}
		n := r.state.files[epochName]
		if n == nil || !strings.Contains(string(n.durable), `"last": 1`) {
			t.Error("the epoch file lags behind")
		}
	})
}

func TestOptionsAreChecked(t *testing.T) {
	ok := DefaultConfig()
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(*Config) {}, ""},
		{func(c *Config) { c.SegmentBytes = 1000 }, "segment_bytes 1000: write a number from 65536 to 67108864"},
		{func(c *Config) { c.MaxBytes = 1 << 20 }, "max_bytes 1048576: write at least four times segment_bytes, 33554432"},
		{func(c *Config) { c.Keep = -1 }, "keep -1ns: write 0s or more"},
	} {
		cfg := ok
		c.change(&cfg)
		got := ""
		if err := cfg.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if _, err := newRig(t, "a").open().Reader("nobody"); err == nil {
		t.Error("a reader for an unknown output")
	}
}

func valueOf(c prometheus.Counter) float64 {
	var m dto.Metric
	_ = c.Write(&m) // cannot fail
	return m.GetCounter().GetValue()
}
