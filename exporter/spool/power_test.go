package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"nocturne/internal/record"
)

var errEOF = io.EOF

var testID = record.ID{1, 2, 3}

// machine is a server with sources, a spool and a receiver, of which the spool
// may lose power at any operation.
type machine struct {
	t        *testing.T
	rng      *rand.Rand
	plug     *plug
	disk     *crashFS // spool
	state    *crashFS // epoch file
	cfg      Config
	spool    *Spool
	now      time.Time
	sources  []*testSource
	outputs  []*testOutput
	refusals bool // an output refuses a frame now and then
	subject  record.ID
}

// testOutput is what one receiver has.
type testOutput struct {
	name     string
	reader   *Reader
	received map[string]string // record id -> body
	bodies   map[string]int    // body -> times received under different ids
	ledger   *record.Ledger
	gaps     int
}

type testSource struct {
	name     string
	category record.Category
	emitted  int // records so far, in the source's own log
	answered int // position up to which Append said that it is safe
	flying   int // position of an Append that power cut short
}

func newMachine(t *testing.T, seed uint64, cfg Config) *machine {
	m := &machine{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), plug: &plug{}, cfg: cfg, now: time.Unix(1_790_000_000, 0),
		subject: testID,
	}
	for _, name := range []string{"a", "b"} {
		m.outputs = append(m.outputs, &testOutput{name: name, received: map[string]string{}, bodies: map[string]int{}, ledger: record.NewLedger()})
	}
	m.disk, m.state = newCrashFS(m.plug), newCrashFS(m.plug)
	for i, c := range []record.Category{record.Heartbeat, record.EventLog, record.RAID} {
		m.sources = append(m.sources, &testSource{name: fmt.Sprintf("source%d", i), category: c})
	}
	return m
}

func (m *machine) options() Options {
	return Options{
		Config: m.cfg, FS: m.disk, StateFS: m.state, Producer: record.ExporterProducer(m.subject), Subject: m.subject,
		Outputs: []string{"a", "b"}, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return m.now }, Random: m.rng.Uint64,
	}
}

// open starts the exporter; false when power failed again.
func (m *machine) open() bool {
	s, err := Open(m.options())
	if err != nil {
		m.excuse("open", err)
		return false
	}
	m.spool = s
	for _, o := range m.outputs {
		if o.reader, err = s.Reader(o.name); err != nil {
			m.t.Fatal(err)
		}
	}
	for _, src := range m.sources {
		p, err := s.Position(src.name)
		if err != nil {
			m.t.Fatal(err)
		}
		at := 0
		if p != nil {
			_, _ = fmt.Sscanf(string(p), "%d", &at)
		}
		if at != src.answered && at != src.flying {
			m.t.Fatalf("%s resumes at %d, want %d or %d", src.name, at, src.answered, src.flying)
		}
		src.emitted, src.answered, src.flying = at, at, at
	}
	return true
}

// excuse accepts an error only when power is off or the disk was full.
func (m *machine) excuse(what string, err error) {
	m.t.Helper()
	if err != nil && !m.plug.off && !errors.Is(err, errSpace) {
		m.t.Fatalf("%s: %v", what, err)
	}
}

func (m *machine) body(src *testSource, n int) string { return fmt.Sprintf("%s/%d", src.name, n) }

func (m *machine) append() {
	if m.plug.off {
		return
	}
	src := m.sources[m.rng.IntN(len(m.sources))]
	n := m.rng.IntN(4)
	recs := make([]record.Record, n)
	for i := range recs {
		recs[i] = record.Record{Body: m.body(src, src.emitted+i), Name: record.NameJournal}
		if m.rng.IntN(4) == 0 {
			recs[i].Attrs = []record.Attr{{Key: "pad", Value: record.String(string(make([]byte, m.rng.IntN(600))))}}
		}
	}
	src.flying = src.emitted + n
	err := m.spool.Append(context.Background(), src.name, src.category, recs, []byte(fmt.Sprint(src.flying)))
	if err != nil {
		m.excuse("append", err)
		return
	}
	src.emitted = src.flying
	src.answered = src.flying
}

// deliver takes one batch for one output, and answers for a part of it.
func (m *machine) deliver() {
	o := m.outputs[min(m.rng.IntN(3), 1)] // the first is slower
	if !o.reader.Pending() {
		return
	}
	frames, err := o.reader.Next(context.Background(), Limits{Frames: 1 + m.rng.IntN(6), Records: 1 + m.rng.IntN(8), Bytes: 1 + m.rng.IntN(4000)})
	if err != nil {
		m.excuse("next", err)
		return
	}
	if m.rng.IntN(5) == 0 { // something happens while they are out
		m.append()
		m.append()
	}
	var verdicts []Verdict
	for i := range m.rng.IntN(len(frames) + 1) {
		v := Stored
		if m.refusals && frames[i].Header.Kind == record.FrameData && m.rng.IntN(6) == 0 {
			v = Refused
		} else {
			m.receive(o, &frames[i])
		}
		verdicts = append(verdicts, v)
	}
	m.excuse("settle", o.reader.Settle(verdicts, []byte("answer")))
}

func (m *machine) receive(o *testOutput, f *Frame) {
	m.t.Helper()
	b, err := f.Encode()
	if err != nil {
		m.t.Fatalf("encode frame %+v: %v", f.Header, err)
	}
	d, err := record.DecodeFrame(b)
	if err != nil {
		m.t.Fatal(err)
	}
	o.ledger.Observe(&d.Header)
	for i, r := range d.Records {
		id := record.RecordID(&d.Header, d.First+uint64(i))
		if old, seen := o.received[id]; seen {
			if old != r.Body {
				m.t.Fatalf("record %s was %q and is %q", id, old, r.Body)
			}
			continue
		}
		o.received[id] = r.Body
		o.bodies[r.Body]++
	}
	if d.Kind == record.FrameGap {
		o.gaps++
	}
}

// run does n random steps and stops when power fails.
func (m *machine) run(n int) {
	if !m.open() {
		return
	}
	for i := 0; i < n && !m.plug.off; i++ {
		m.now = m.now.Add(time.Duration(m.rng.IntN(20)) * time.Second)
		switch k := m.rng.IntN(20); {
		case k < 11:
			m.append()
		case k < 17:
			m.deliver()
		case k < 18:
			m.excuse("tidy", m.spool.tidy())
		case k < 19:
			m.excuse("close", m.spool.Close())
			if m.plug.off || !m.open() {
				return
			}
		default:
			_, err := m.outputs[m.rng.IntN(2)].reader.Rewind(nil)
			m.excuse("rewind", err)
		}
	}
}

// reboot finds the disk as the power loss left it, and perhaps loses power
// again on the way up.
func (m *machine) reboot() {
	for again := true; again; {
		p := &plug{}
		if m.rng.IntN(3) == 0 {
			p.at = 1 + m.rng.IntN(12)
		}
		m.plug, m.disk, m.state = p, m.disk.boot(m.rng, p), m.state.boot(m.rng, p)
		again = !m.open()
	}
	m.plug.at = 0
}

// drain delivers everything to everyone.
func (m *machine) drain() {
	for _, o := range m.outputs {
		for o.reader.Pending() {
			frames, err := o.reader.Next(context.Background(), DefaultLimits())
			if err != nil {
				m.t.Fatal(err)
			}
			verdicts := make([]Verdict, len(frames))
			for i := range frames {
				m.receive(o, &frames[i])
				verdicts[i] = Stored
			}
			if err := o.reader.Settle(verdicts, nil); err != nil {
				m.t.Fatal(err)
			}
		}
	}
}

// check asserts what the package promises, for every output.
func (m *machine) check(lossless bool) {
	m.t.Helper()
	for _, o := range m.outputs {
		total := 0
		for _, src := range m.sources {
			total += src.answered
			for n := range src.answered {
				got := o.bodies[m.body(src, n)]
				if got > 1 || lossless && got != 1 {
					m.t.Fatalf("output %s: record %d of %s was received %d times", o.name, n, src.name, got)
				}
				delete(o.bodies, m.body(src, n))
			}
		}
		for b, n := range o.bodies {
			m.t.Fatalf("output %s: %q was received %d times and never committed", o.name, b, n)
		}
		tot := o.ledger.Totals()
		if tot.Missing != 0 {
			for q := range o.ledger.All() {
				m.t.Logf("%+v", *q)
			}
			m.t.Fatalf("output %s: ledger: %+v", o.name, tot)
		}
		if int(tot.Received+tot.Declared) != total {
			m.t.Fatalf("output %s: committed %d records; ledger: %+v", o.name, total, tot)
		}
		if lossless && o.gaps > 0 {
			m.t.Fatalf("output %s: %d gap frames", o.name, o.gaps)
		}
	}
}

// Power fails in every single operation in turn. Nothing answered for is lost,
// nothing is there twice, nothing was invented, record and position agree.
func TestPowerLossAtEveryOperation(t *testing.T) {
	cases := []struct {
		name     string
		cfg      Config
		lossless bool
		refusals bool
	}{
		{"room enough", Config{MaxBytes: 1 << 30, SegmentBytes: 2000, Keep: time.Minute}, true, false},
		{"full", Config{MaxBytes: 9000, SegmentBytes: 1500, Keep: time.Minute}, false, false},
		{"full and refused", Config{MaxBytes: 9000, SegmentBytes: 1500, Keep: time.Minute}, false, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			crashes := 0
			seeds := uint64(4)
			if testing.Short() {
				seeds = 1
			}
			for seed := uint64(1); seed <= seeds; seed++ {
				whole := newMachine(t, seed, c.cfg)
				whole.refusals = c.refusals
				whole.run(120)
				whole.drain()
				whole.check(c.lossless)
				for at := 1; at <= whole.plug.ops; at++ {
					m := newMachine(t, seed, c.cfg)
					m.plug.at, m.refusals = at, c.refusals
					m.run(120)
					m.reboot()
					m.drain()
					m.run2(10)
					m.check(c.lossless)
					crashes++
				}
			}
			t.Logf("%d crashes survived", crashes)
		})
	}
}

// run2 goes on after a reboot, without another crash.
func (m *machine) run2(n int) {
	for range n {
		m.append()
	}
	m.drain()
}

func TestSyncErrorBreaksTheSpool(t *testing.T) {
	m := newMachine(t, 1, DefaultConfig())
	m.open()
	m.plug.sync = 1
	err := m.spool.Append(context.Background(), "s", record.EventLog, []record.Record{{Body: "x"}}, nil)
	if !errors.Is(err, ErrBroken) || !errors.Is(err, errSync) {
		t.Fatalf("append: %v", err)
	}
	if err := m.spool.Append(context.Background(), "s", record.EventLog, []record.Record{{Body: "x"}}, nil); !errors.Is(err, ErrBroken) {
		t.Fatalf("append after: %v", err)
	}
	if m.outputs[0].reader.Pending() {
		t.Fatal("a record that is not durable is handed out")
	}
}

func TestFullDiskIsRetried(t *testing.T) {
	m := newMachine(t, 1, DefaultConfig())
	m.open()
	src := m.sources[1]
	for range 20 {
		m.plug.space = m.rng.IntN(2)
		m.deliver()
		if err := m.spool.tidy(); err != nil && !errors.Is(err, errSpace) {
			t.Fatal(err)
		}
		m.plug.space = m.rng.IntN(2)
		recs := []record.Record{{Body: m.body(src, src.emitted)}}
		err := m.spool.Append(context.Background(), src.name, src.category, recs, []byte(fmt.Sprint(src.emitted+1)))
		if err != nil && !errors.Is(err, errSpace) {
			t.Fatal(err)
		}
		if err == nil {
			src.emitted++
			src.answered, src.flying = src.emitted, src.emitted
		}
	}
	m.reboot()
	m.drain()
	m.check(true)
}
