//go:build unix

package engine

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/store"
)

// cpu is the time that this process spent on processors. Wall time says little
// on a machine that others use too.
func cpu(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// written is how many bytes this process has handed to write calls; 0 where
// the system does not say.
func written(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for row := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(row), "wchar: "); ok {
			v, err := strconv.ParseInt(n, 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return v
		}
	}
	return 0
}

// fleetOf makes n servers of one partition, each enrolled.
func fleetOf(b *testing.B, n, part int) (*world, []*sim) {
	w := newWorld(b)
	var out []*sim
	for i := 0; len(out) < n; i++ {
		s := &sim{w: w, id: record.ID{0: byte(i >> 16), 1: byte(i >> 8), 2: byte(i), 15: 9}, name: fmt.Sprintf("srv-%06d", i), site: fmt.Sprintf("site-%d", i%10), rack: fmt.Sprintf("rack-%d", i%200),
			machine: fmt.Sprintf("4c4c4544-0042-3510-8031-%012x", i), board: fmt.Sprintf("4c4c4544-0042-3510-8032-%012x", i), seq: map[record.Category]uint64{}}
		if stream.Partition(s.id) != part {
			continue
		}
		s.epoch = record.Epoch{EpochRef: record.EpochRef{Start: t0.UnixNano(), Random: uint64(i) * 0x9e3779b97f4a7c15}}
		out = append(out, s)
	}
	return w, out
}

// messages takes what a world has put into one partition.
func messages(b *testing.B, w *world, part int) []stream.Message {
	var out []stream.Message
	head, err := w.log.Head(ctx, part)
	if err != nil {
		b.Fatal(err)
	}
	err = w.log.Read(ctx, part, stream.Position{}, func(m stream.Message) error {
		out = append(out, m)
		if m.Position == head {
			return errCaughtUp
		}
		return nil
	})
	if err != errCaughtUp {
		b.Fatal(err)
	}
	return out
}

func benchPartition(b *testing.B, part int) *partition {
	p, err := newPartition(part, newRuleset(Generation{Rules: testRules(b)}), func(store.Hash) ([]byte, error) { return nil, store.ErrNotFound })
	if err != nil {
		b.Fatal(err)
	}
	return p
}

// mixed is what servers send on a plain day: 50 records a frame, event log
// records most of them, of which one in fifty matters to a rule; heartbeats; a
// RAID snapshot of 24 drives now and then.
func mixed(b *testing.B, servers, frames int) []stream.Message {
	w, sims := fleetOf(b, servers, 3)
	for _, s := range sims {
		s.enrol()
		s.beat()
	}
	for i := range frames {
		w.now = w.now.Add(50 * time.Millisecond)
		s := sims[i%len(sims)]
		recs := make([]record.Record, 50)
		for k := range recs {
			provider, id := "Service Control Manager", int64(7036)
			if k == 25 && i%4 == 0 {
				provider, id = "disk", 7
			}
			recs[k] = record.Record{Time: w.now, Observed: w.now, Name: record.NameWindowsEvent, Severity: record.Info, Body: "The Windows Update service entered the stopped state.", Attrs: []record.Attr{
				{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String(provider)}, {Key: record.AttrEventID, Value: record.Int(id)},
				{Key: record.AttrLevel, Value: record.String("info")}, {Key: record.AttrRecordID, Value: record.Int(int64(i*50 + k))}, {Key: record.AttrComputer, Value: record.String(s.name)},
				{Key: record.AttrData + "param1", Value: record.String("Windows Update")}, {Key: record.AttrData + "param2", Value: record.String("stopped")}}}
		}
		s.send(record.EventLog, recs...)
		if i%10 == 0 {
			s.beat()
		}
		if i%50 == 0 {
			var drives [][3]string
			for d := range 24 {
				drives = append(drives, [3]string{fmt.Sprintf("c0/e252/s%d", d), fmt.Sprintf("%s-%d", s.name, d), "Onln"})
			}
			s.raid(drives...)
		}
	}
	return messages(b, w, 3)
}

// BenchmarkStep is the way of a record from the stream to the commit: decode,
// ledger, identity, rules, diff, working state; without the store.
func BenchmarkStep(b *testing.B) {
	msgs := mixed(b, 100, 2000)
	var records int64
	b.ReportAllocs()
	start := cpu(b)
	for b.Loop() {
		p := benchPartition(b, 3)
		for i, m := range msgs {
			if err := p.apply(m); err != nil {
				b.Fatal(err)
			}
			if i%100 == 99 {
				records += p.counts.received
				p.take(t0)
			}
		}
		records += p.counts.received
	}
	b.ReportMetric(float64(records)/(cpu(b)-start).Seconds(), "records/cpu-s")
}

// BenchmarkCommit adds the store. Bytes are those of the database and its log.
func BenchmarkCommit(b *testing.B) {
	msgs := mixed(b, 100, 2000)
	for _, per := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("entries=%d", per), func(b *testing.B) {
			var records, state, commits int64
			wrote := written(b)
			start := cpu(b)
			for b.Loop() {
				s := openStore(b)
				d := newDriver(b, nil, s)
				claim, err := s.Claim(ctx, 3, "bench")
				if err != nil {
					b.Fatal(err)
				}
				p := benchPartition(b, 3)
				p.snapshots.load = func(h store.Hash) ([]byte, error) { return s.Snapshot(ctx, h) }
				if err := p.restore(&claim); err != nil {
					b.Fatal(err)
				}
				for i, m := range msgs {
					if err := p.apply(m); err != nil {
						b.Fatal(err)
					}
					if i%per == per-1 || i == len(msgs)-1 {
						records += p.counts.received
						c := p.take(t0)
						state += int64(len(c.Delta) + len(c.Base))
						commits++
						if err := s.Commit(ctx, []store.PartitionCommit{c}); err != nil {
							b.Fatal(err)
						}
						p.snapshots.stored(c.Snapshots)
					}
				}
				_ = d
			}
			b.ReportMetric(float64(records)/(cpu(b)-start).Seconds(), "records/cpu-s")
			b.ReportMetric(float64(state)/float64(records), "state-bytes/record")
			b.ReportMetric(float64(written(b)-wrote)/float64(records), "disk-bytes/record")
			b.ReportMetric((cpu(b)-start).Seconds()*1e6/float64(commits), "cpu-us/commit")
		})
	}
}

// BenchmarkHeartbeats is a fleet that does nothing else.
func BenchmarkHeartbeats(b *testing.B) {
	w, sims := fleetOf(b, 500, 3)
	for _, s := range sims {
		s.enrol()
	}
	for range 40 {
		w.now = w.now.Add(10 * time.Second)
		for _, s := range sims {
			s.beat()
		}
	}
	msgs := messages(b, w, 3)
	var records, state int64
	start := cpu(b)
	for b.Loop() {
		p := benchPartition(b, 3)
		for i, m := range msgs {
			if err := p.apply(m); err != nil {
				b.Fatal(err)
			}
			if i%50 == 49 {
				records += p.counts.received
				c := p.take(t0)
				state += int64(len(c.Delta) + len(c.Base))
			}
		}
	}
	b.ReportMetric(float64(records)/(cpu(b)-start).Seconds(), "records/cpu-s")
	b.ReportMetric(float64(state)/float64(records), "state-bytes/record")
}

// BenchmarkIdleServer measures what a server costs in memory that has sent
// heartbeats, events, hardware and RAID snapshots, and is idle now.
func BenchmarkIdleServer(b *testing.B) {
	const servers = 5000
	for _, c := range []struct {
		name string
		send func(*sim)
	}{
		{"heartbeats", func(s *sim) { s.beat() }},
		{"four-categories", func(s *sim) {
			s.beat()
			s.event("Service Control Manager", 7036)
			s.raid([3]string{"c0/e252/s0", s.name, "Onln"})
			s.send(record.Hardware, record.Record{Observed: s.w.now, Name: record.NameSnapshot, Snapshot: &record.Snapshot{Sections: []record.Section{{Type: record.DeviceCPU}}, Devices: []record.Device{{Type: record.DeviceCPU, Place: "0"}}}})
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			w, sims := fleetOf(b, servers, 3)
			for _, s := range sims {
				s.enrol()
				c.send(s)
			}
			msgs := messages(b, w, 3)
			var per float64
			for b.Loop() {
				packer().EncodeAll(make([]byte, 1<<20), nil) // what it keeps is no server's
				before := heap()
				p := benchPartition(b, 3)
				for i, m := range msgs {
					if err := p.apply(m); err != nil {
						b.Fatal(err)
					}
					if i%200 == 199 {
						c := p.take(t0)
						p.snapshots.stored(c.Snapshots)
					}
				}
				p.take(t0)
				clear(p.snapshots.unstored)
				per = float64(heap()-before) / servers
				if len(p.lines) != servers {
					b.Fatalf("%d servers", len(p.lines))
				}
				keep = p
			}
			b.ReportMetric(per, "B/server")
		})
	}
}

var keep *partition // so that a heap profile shows it

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
