//go:build unix

package engine

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/store"
)

// large is a fleet whose entries are made as they are read, so that the memory
// of the process is the ruler's. Every server sends a heartbeat every two
// minutes, each at a second of its own.
type large struct {
	t       testing.TB
	d       *driver
	ids     []record.ID
	quiet   map[int]bool // servers that send nothing; all = true
	all     bool
	now     time.Time
	second  int
	incarn  string
	entries [stream.Partitions]uint64
	commits time.Duration // wall time
}

const largeInterval = 2 * time.Minute

func newLarge(t testing.TB, n int) *large {
	log := streamtest.New(t0)
	head, err := log.Head(ctx, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := &large{t: t, d: newDriver(t, log, openStore(t)), now: t0, incarn: head.Incarnation, quiet: map[int]bool{}}
	for i := range n {
		l.ids = append(l.ids, record.ID{byte(i >> 16), byte(i >> 8), byte(i), 0xa5, 15: byte(i * 7)})
	}
	return l
}

func (l *large) header(i int, c record.Category, seq uint64) record.Header {
	return record.Header{Producer: record.ExporterProducer(l.ids[i]), Subject: l.ids[i], Category: c, First: seq, Sent: l.now.UnixNano(),
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: t0.UnixNano(), Random: uint64(i)*0x9e3779b97f4a7c15 + 1}}}
}

func (l *large) enrolment(i int) []byte {
	h := l.header(i, record.Agent, 1)
	h.Producer = "bridge/b1/registry"
	return l.encode(h, record.Record{Time: l.now, Observed: l.now, Name: record.NameEnrolled, Attrs: []record.Attr{
		{Key: record.AttrServer, Value: record.String(fmt.Sprintf("srv-%06d", i))}, {Key: record.AttrSite, Value: record.String(fmt.Sprintf("site-%d", i%10))},
		{Key: record.AttrRack, Value: record.String(fmt.Sprintf("rack-%d", i%400))}, {Key: record.AttrAddress, Value: record.String(fmt.Sprintf("10.%d.%d.%d", i%10, i/2000, 1+i/10%200))}}})
}

func (l *large) beat(i int) []byte {
	return l.encode(l.header(i, record.Heartbeat, uint64(l.second)/120+1), record.Record{Time: l.now, Observed: l.now, Name: record.NameHeartbeat, Attrs: []record.Attr{
		{Key: record.AttrOSName, Value: record.String("Windows Server 2022 Standard")}, {Key: record.AttrOSType, Value: record.String("windows")}, {Key: record.AttrOSVersion, Value: record.String("10.0.20348")},
		{Key: record.AttrName, Value: record.String(fmt.Sprintf("SRV-%06d", i))}, {Key: record.AttrMachineID, Value: record.String(fmt.Sprintf("4c4c4544-0042-3510-8031-%012x", i))},
		{Key: record.AttrBootTime, Value: record.Int(t0.Add(-time.Hour).UnixNano())}, {Key: record.AttrInterval, Value: record.Int(largeInterval.Milliseconds())}}})
}

func (l *large) encode(h record.Header, r record.Record) []byte {
	b, err := record.EncodeData(h, []record.Record{r})
	if err != nil {
		l.t.Fatal(err)
	}
	return b
}

// hand gives frames to the partitions, many to an entry as a bridge does.
func (l *large) hand(frames map[int][][]byte) {
	for p, list := range frames {
		e := stream.Entry{Kind: stream.EntryFrames, Bridge: "b1"}
		for _, f := range list {
			e.Frames = append(e.Frames, stream.EntryFrame{Received: l.now.UnixNano(), Frame: f})
			if len(e.Frames) == 500 {
				l.apply(p, e)
				e.Frames = nil
			}
		}
		if len(e.Frames) > 0 {
			l.apply(p, e)
		}
	}
}

func (l *large) apply(p int, e stream.Entry) {
	b, err := stream.AppendEntry(nil, &e)
	if err != nil {
		l.t.Fatal(err)
	}
	part, err := l.d.part(p)
	if err != nil {
		l.t.Fatal(err)
	}
	l.entries[p]++
	if err := part.apply(stream.Message{Position: stream.Position{Incarnation: l.incarn, Entry: l.entries[p]}, Time: l.now, Data: b}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *large) enrol() {
	frames := map[int][][]byte{}
	for i := range l.ids {
		p := stream.Partition(l.ids[i])
		frames[p] = append(frames[p], l.enrolment(i))
	}
	l.hand(frames)
	l.commit()
}

// run lets seconds pass; every so many of them are committed, as the ruler does
// it twice a second.
func (l *large) run(seconds, every int) {
	for range seconds {
		l.second++
		l.now = l.now.Add(time.Second)
		frames, n := map[int][][]byte{}, 0
		for i := l.second % 120; i < len(l.ids) && !l.all; i += 120 {
			if l.quiet[i] {
				continue
			}
			p := stream.Partition(l.ids[i])
			frames[p] = append(frames[p], l.beat(i))
			n++
		}
		l.hand(frames)
		for p := range stream.Partitions {
			l.apply(p, stream.Entry{Kind: stream.EntryTick, Bridge: "b1", Tick: stream.Tick{Wall: l.now.UnixNano(), Period: time.Second, Accepted: uint64(max(n, 1)), ProbeOK: true}})
		}
		if l.second%every == 0 {
			l.commit()
		}
	}
}

func (l *large) commit() {
	start := time.Now()
	for p := range stream.Partitions {
		part, err := l.d.part(p)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := l.d.commit(part); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := l.d.runFleet(); err != nil {
		l.t.Fatal(err)
	}
	l.commits += time.Since(start)
}

func (l *large) silent() (n int) {
	for _, p := range l.d.parts {
		for _, s := range p.lines {
			if s.silent {
				n++
			}
		}
	}
	return n
}

// largeFigures are what a run of a fleet showed.
type largeFigures struct {
	perServer     float64       // bytes of memory
	second        time.Duration // CPU of one second of the stream: heartbeats, ticks, commits
	late          time.Duration // from a deadline to its silence, stream time
	restart       time.Duration // CPU of loading everything
	mass          time.Duration // wall time of working off a silence of all servers
	massCPU       time.Duration
	massPerServer float64 // bytes more
	messages      int     // that people got of it
	back          time.Duration
	storeBytes    int64
	worstCommit   time.Duration
}

// playLarge lets a fleet live, one server fall silent, the ruler restart, and
// all servers fall silent together and come back. Every so many seconds of these
// are committed.
func playLarge(t testing.TB, n, every int) (f largeFigures) {
	before := heap()
	l := newLarge(t, n)
	l.enrol()
	l.run(240, 20)
	debug.FreeOSMemory()
	f.perServer = float64(heap()-before) / float64(n)
	start := cpu(t)
	l.run(60, every)
	f.second = (cpu(t) - start) / 60

	// One server is cut off right after a heartbeat.
	one := l.second % 120
	l.quiet[one] = true
	heard := l.now
	for range 310 {
		l.run(1, 20)
		p, err := l.d.part(stream.Partition(l.ids[one]))
		if err != nil {
			t.Fatal(err)
		}
		if p.lines[l.ids[one]].silent {
			break
		}
	}
	f.late = l.now.Sub(heard.Add(5 * time.Minute))
	if got := l.silent(); got != 1 {
		t.Fatalf("%d servers are silent, want one", got)
	}
	l.commit()

	// The ruler is killed, and ten minutes pass in the stream meanwhile: they are
	// read in one go, without a commit between.
	l.d.crash()
	start = cpu(t)
	for p := range stream.Partitions {
		if _, err := l.d.part(p); err != nil {
			t.Fatal(err)
		}
	}
	f.restart = cpu(t) - start
	l.run(130, 1000)
	if got := l.silent(); got != 1 {
		t.Fatalf("after a restart %d servers are silent, want one", got)
	}
	l.commit()

	l.all = true
	before = heap()
	l.commits = 0
	wall := time.Now()
	start = cpu(t)
	for range 430 / every {
		was := l.commits
		l.run(every, every)
		f.worstCommit = max(f.worstCommit, l.commits-was)
	}
	f.mass, f.massCPU = time.Since(wall), cpu(t)-start
	f.massPerServer = float64(int64(heap())-int64(before)) / float64(n)
	if got := l.silent(); got != n {
		t.Fatalf("%d of %d servers are silent", got, n)
	}
	out, err := Outbox{Store: l.d.store}.Desired(ctx, l.now)
	if err != nil {
		t.Fatal(err)
	}
	f.messages = len(out)
	var names []string
	for _, n := range out[:min(len(out), 20)] {
		names = append(names, n.Title)
	}
	t.Logf("told: %s", strings.Join(names, "; "))

	l.all, l.quiet = false, map[int]bool{}
	wall = time.Now()
	l.run(130, every)
	f.back = time.Since(wall)
	if got := l.silent(); got != 0 {
		t.Fatalf("%d servers are silent though all came back", got)
	}
	if p, err := l.d.store.Notifications(ctx, store.NotificationQuery{State: store.Firing}); err != nil || p.Total != 0 {
		t.Errorf("%d notifications are open, %v", p.Total, err)
	}
	if p, err := l.d.store.Pipeline(ctx); err == nil {
		f.storeBytes = p.Bytes
	}
	runtime.KeepAlive(l)
	return f
}

// TestLargeFleet is the short form of BenchmarkLargeFleet.
func TestLargeFleet(t *testing.T) {
	f := playLarge(t, 600, 10)
	t.Logf("%+v", f)
	if f.late < -time.Second || f.late > 2*time.Second {
		t.Errorf("silence was seen %s after its deadline: want a second and a tick at most", f.late)
	}
	if f.messages != 11 { // ten sites, and the one that was told before
		t.Errorf("people got %d messages", f.messages)
	}
}

// BenchmarkLargeFleet is up to 100,000 servers.
func BenchmarkLargeFleet(b *testing.B) {
	for _, n := range []int{20_000, 100_000} {
		b.Run(fmt.Sprintf("servers=%d", n), func(b *testing.B) {
			for b.Loop() {
				f := playLarge(b, n, 1)
				b.ReportMetric(f.perServer, "B/server")
				b.ReportMetric(f.second.Seconds()*1000, "cpu-ms/stream-s")
				b.ReportMetric(f.late.Seconds(), "s-late")
				b.ReportMetric(f.restart.Seconds(), "cpu-s/restart")
				b.ReportMetric(f.mass.Seconds(), "s/mass-silence")
				b.ReportMetric(f.massCPU.Seconds(), "cpu-s/mass-silence")
				b.ReportMetric(f.worstCommit.Seconds(), "s/worst-commit")
				b.ReportMetric(f.massPerServer, "B/silent-server")
				b.ReportMetric(float64(f.messages), "messages")
				b.ReportMetric(f.back.Seconds(), "s/all-back")
				b.ReportMetric(float64(f.storeBytes)/1e6, "MB/store")
			}
		})
	}
}
