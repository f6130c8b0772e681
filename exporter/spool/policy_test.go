package spool

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
)

func TestFullSpoolDropsHeartbeatsFirst(t *testing.T) {
	r := newRig(t, "a", "b")
	r.cfg = Config{MaxBytes: 12000, SegmentBytes: 2500, Keep: time.Hour}
	r.open()
	a, b := r.reader("a"), r.reader("b")
	for i := range 8 {
		r.add(record.Heartbeat, fmt.Sprint("h", i+1))
		r.add(record.EventLog, fmt.Sprint("e", i+1))
	}
	r.take(b) // b has the beginning
	for i := 8; i < 60; i++ {
		r.add(record.Heartbeat, fmt.Sprint("h", i+1))
		r.add(record.EventLog, fmt.Sprint("e", i+1))
		r.balanced()
	}
	if _, bytes := r.Size(); bytes > uint64(r.cfg.MaxBytes) {
		t.Errorf("%d bytes on disk, limit %d", bytes, r.cfg.MaxBytes)
	}
	gone := map[string]int{}
	var next [11]uint64
	for _, rd := range []*Reader{a, b} {
		next = [11]uint64{}
		l := record.NewLedger()
		for rd.Pending() {
			frames, err := rd.Next(context.Background(), DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			v := make([]Verdict, len(frames))
			for i := range frames {
				h := &frames[i].Header
				l.Observe(h)
				v[i] = Stored
				if h.Kind == record.FrameGap {
					gone[h.Category.String()] += int(h.Len())
				}
				next[h.Category] = h.Last
			}
			if err := rd.Settle(v, nil); err != nil {
				t.Fatal(err)
			}
		}
		tot := l.Totals()
		if rd == a && (tot.Missing != 0 || tot.Received+tot.Declared != 120) {
			t.Errorf("output a: %+v", tot)
		}
		if rd == b && tot.Duplicate != 0 {
			t.Errorf("output b: %+v", tot)
		}
		if next[record.Heartbeat] != 60 || next[record.EventLog] != 60 {
			t.Errorf("output ends at %v", next)
		}
	}
	if gone["heartbeat"] <= gone["eventlog"] {
		t.Errorf("dropped %v, want heartbeats first", gone)
	}
	r.balanced()
	r.open()
	r.balanced()
}

// A drop of more ranges than a batch may have, as after many starts without a
// receiver, is handed out in several: a receiver that takes no more would else
// be sent the same for ever.
func TestADropOfManyRangesFitsTheBatches(t *testing.T) {
	r := newRig(t, "a", "b")
	r.cfg = Config{MaxBytes: 20_000, SegmentBytes: 4000, Keep: 0}
	added := 0
	add := func(c record.Category, bodies ...string) {
		r.add(c, bodies...)
		added += len(bodies)
	}
	for range 30 {
		r.open()
		add(record.EventLog, "x", "y")
		add(record.RAID, "z")
	}
	for range 200 { // all of that is dropped
		add(record.EventLog, strings.Repeat("long", 50))
	}
	most := map[string]int{}
	for _, name := range []string{"a", "b"} {
		rd := r.reader(name)
		l := record.NewLedger()
		for n := 0; rd.Pending(); n++ {
			if n > 5000 {
				t.Fatal("it never ends")
			}
			if name == "b" && n == 4 { // some are answered, some are owed
				r.open()
				rd = r.reader(name)
			}
			most[name] = max(most[name], r.store(rd, l, Limits{Frames: 5, Records: 1000, Bytes: 1 << 20}))
		}
		if tot := l.Totals(); tot.Missing != 0 || tot.Duplicate != 0 || int(tot.Received+tot.Declared) != added || tot.Declared < 60 {
			t.Errorf("output %s: %+v of %d records", name, tot, added)
		}
		r.balanced()
	}
	if most["a"] != 5 || most["b"] != 5 {
		t.Errorf("batches of up to %v frames, want 5", most)
	}
}

func TestAnswersMakeRoomBeforeAnythingIsDropped(t *testing.T) {
	r := newRig(t, "a")
	r.cfg = Config{MaxBytes: 12000, SegmentBytes: 2500, Keep: time.Hour}
	r.open()
	rd := r.reader("a")
	for i := range 200 {
		r.add(record.EventLog, fmt.Sprint("event ", i))
		if i%5 == 0 {
			r.take(rd)
		}
	}
	r.take(rd)
	r.balanced()
	if n := valueOf(r.metrics.droppedN.WithLabelValues("a", "overflow")); n != 0 {
		t.Errorf("%v records dropped", n)
	}
}

func TestDropsUnderAFlight(t *testing.T) {
	for _, stored := range []int{0, 1, 2} {
		r := newRig(t, "a")
		r.cfg = Config{MaxBytes: 8000, SegmentBytes: 1600, Keep: 0}
		r.open()
		rd := r.reader("a")
		for i := range 6 {
			r.add(record.EventLog, fmt.Sprint("e", i))
			r.add(record.RAID, fmt.Sprint("r", i))
		}
		frames, err := rd.Next(context.Background(), Limits{Frames: 2, Records: 100, Bytes: 1 << 20})
		if err != nil || len(frames) != 2 {
			t.Fatal(len(frames), err)
		}
		for i := range 60 { // everything above is dropped while it is out
			r.add(record.EventLog, fmt.Sprint("later ", i))
		}
		l := record.NewLedger()
		verdicts := []Verdict{Stored, Stored}[:stored]
		for i := range verdicts {
			l.Observe(&frames[i].Header)
		}
		if err := rd.Settle(verdicts, nil); err != nil {
			t.Fatal(err)
		}
		r.balanced()
		for rd.Pending() {
			r.store(rd, l, DefaultLimits())
		}
		if tot := l.Totals(); tot.Missing != 0 || tot.Duplicate != 0 || tot.Received+tot.Declared != 72 {
			t.Errorf("%d stored: %+v", stored, tot)
		}
		r.balanced()
	}
}

func TestRefusedFramesAreSkippedAndDeclared(t *testing.T) {
	r := newRig(t, "a").open()
	r.add(record.Heartbeat, "h")
	r.add(record.EventLog, "poison", "poison too")
	r.add(record.RAID, "r")
	rd := r.reader("a")
	frames, err := rd.Next(context.Background(), DefaultLimits())
	if err != nil || len(frames) != 3 {
		t.Fatal(frames, err)
	}
	if err := rd.Settle([]Verdict{Stored, Refused, Stored}, nil); err != nil {
		t.Fatal(err)
	}
	r.balanced()
	r.open() // the debt survives
	r.want(r.take(r.reader("a")), "gap eventlog 1-2 unreadable")
	r.balanced()
}

func TestNewOutputGetsABase(t *testing.T) {
	r := newRig(t, "a")
	r.cfg.Keep = 0
	r.open()
	r.add(record.Heartbeat, "h1")
	r.add(record.RAID, "r1", "r2")
	rd := r.reader("a")
	for i := range 20 {
		r.add(record.EventLog, fmt.Sprintf("e%d %s", i+1, strings.Repeat("x", 500)))
	}
	r.take(rd)
	if err := r.tidy(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r.outputs = []string{"a", "b"}
	r.open()
	r.add(record.Heartbeat, "h2")
	r.want(r.take(r.reader("a")), "heartbeat 1 h2")
	got := r.take(r.reader("b"))
	var bare []string
	l := record.NewLedger()
	_ = l
	for _, g := range got {
		if strings.HasPrefix(g, "base") {
			bare = append(bare, g)
		}
	}
	if len(bare) != 3 || bare[0] != "base heartbeat 2" || bare[2] != "base raid 3" || !strings.HasPrefix(bare[1], "base eventlog ") || bare[1] == "base eventlog 1" {
		t.Fatalf("bases %q of %q", bare, got)
	}
	r.open()
	r.want(r.take(r.reader("b")))
}

func TestAnOutputAddedEarlyGetsEverything(t *testing.T) {
	r := newRig(t, "a").open()
	r.add(record.EventLog, "e1")
	r.take(r.reader("a"))
	r.outputs = []string{"a", "b"}
	r.open()
	r.want(r.take(r.reader("b")), "eventlog 1 e1")
}

// On a quiet server no segment is ever full: what is answered goes all the same.
func TestQuietServerKeepsLittle(t *testing.T) {
	r := newRig(t, "a")
	r.cfg = DefaultConfig()
	r.open()
	rd := r.reader("a")
	for i := range 600 { // ten hours of heartbeats
		r.add(record.Heartbeat, fmt.Sprint("h", i))
		r.take(rd)
		r.now = r.now.Add(time.Minute)
		if err := r.tidy(); err != nil {
			t.Fatal(err)
		}
	}
	n, err := rd.Rewind(nil)
	if err != nil || n < 10 || n > 25 {
		t.Errorf("%d records again, %v; want what is younger than 10 to 20 minutes", n, err)
	}
	if len(r.disk.files) > 4 {
		t.Errorf("%d files", len(r.disk.files))
	}
	r.balanced()
}
