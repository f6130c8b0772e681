package spool

import (
	"context"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
)

func TestLostSpoolIsCountedAndVisible(t *testing.T) {
	r := newRig(t, "a").open()
	r.add(record.EventLog, "e1", "e2")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.disk = newCrashFS(r.plug)
	r.open()
	if n := valueOf(r.metrics.losses); n != 1 {
		t.Errorf("losses %v", n)
	}
	r.add(record.EventLog, "e3")
	frames, err := r.reader("a").Next(context.Background(), DefaultLimits())
	if err != nil || len(frames) != 1 {
		t.Fatal(frames, err)
	}
	l := record.NewLedger()
	l.Observe(&frames[0].Header)
	if tot := l.Totals(); tot.Missing != 2 {
		t.Errorf("a consumer sees %+v, want the 2 lost records missing", tot)
	}
}

func TestLostEpochFileKeepsTheChain(t *testing.T) {
	r := newRig(t, "a").open()
	first := r.Epoch()
	r.add(record.EventLog, "e1")
	r.state = newCrashFS(r.plug)
	r.open()
	r.add(record.EventLog, "e2")
	frames, err := r.reader("a").Next(context.Background(), DefaultLimits())
	if err != nil || len(frames) != 2 || frames[1].Header.Epoch.Prev != first || frames[1].Header.Epoch.PrevLast != 1 {
		t.Fatalf("%+v, %v", frames, err)
	}
}

func TestAnotherIdentityEmptiesTheSpool(t *testing.T) {
	for _, sent := range []bool{false, true} {
		r := newRig(t, "a").open()
		if err := r.Append(context.Background(), "journal", record.EventLog, []record.Record{{Body: strings.Repeat("x", 5000)}}, []byte("cursor")); err != nil {
			t.Fatal(err)
		}
		r.add(record.EventLog, "e2")
		if sent {
			r.take(r.reader("a"))
		}
		r.subject = record.ID{9}
		r.open()
		if p, err := r.Position("journal"); string(p) != "cursor" || err != nil {
			t.Errorf("position %q, %v: what was read is read", p, err)
		}
		r.add(record.EventLog, "mine")
		r.want(r.take(r.reader("a")), "eventlog 1 mine")
		if n := valueOf(r.metrics.losses); (n == 1) == sent {
			t.Errorf("losses %v, sent before: %v", n, sent)
		}
		if len(r.disk.files) != 1 {
			t.Errorf("%d files left", len(r.disk.files))
		}
		r.open()
		r.want(r.take(r.reader("a")))
		r.balanced()
	}
}

// A crash on the way to another identity never sends the old one's records in
// the new one's name.
func TestPowerLossWhileBecomingAnother(t *testing.T) {
	for at := 1; at < 12; at++ {
		m := newMachine(t, uint64(at), Config{MaxBytes: 1 << 30, SegmentBytes: 2000, Keep: time.Minute})
		m.open()
		for range 30 {
			m.append()
		}
		old := m.spool.Epoch()
		m.subject = record.ID{9}
		m.plug.at = m.plug.ops + at
		if _, err := Open(m.options()); err != nil {
			m.excuse("open", err)
		}
		m.reboot()
		rd := m.outputs[0].reader
		for rd.Pending() {
			frames, err := rd.Next(context.Background(), DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			for i := range frames {
				if h := frames[i].Header; h.Epoch.EpochRef == old {
					t.Fatalf("crash at %d: %s %d-%d of the old server is sent as the new one", at, h.Category, h.First, h.Last)
				}
			}
			if err := rd.Release(); err != nil {
				t.Fatal(err)
			}
			break
		}
	}
}
