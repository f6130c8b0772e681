package record

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// frameOf is a data frame's header for seqs from..to of epoch e.
func frameOf(e Epoch, from, to uint64) *Header {
	h := testHeader()
	h.Kind, h.Epoch, h.First, h.Last, h.Count = FrameData, e, from, to, uint32(to-from+1)
	return &h
}

var (
	epoch1 = Epoch{EpochRef: EpochRef{100, 1}}
	epoch2 = Epoch{EpochRef: EpochRef{200, 2}, Prev: epoch1.EpochRef, PrevLast: 10}
)

func TestLedger(t *testing.T) {
	gap := func(from, to uint64) *Header {
		h := frameOf(epoch1, from, to)
		h.Kind, h.Reason, h.Count = FrameGap, GapOverflow, 0
		return h
	}
	base := func(e Epoch, from uint64) *Header {
		h := frameOf(e, from, from)
		h.Kind, h.Count = FrameBase, 0
		return h
	}
	unassured := func(from, to uint64) *Header {
		h := frameOf(epoch1, from, to)
		h.Unassured = true
		return h
	}
	// f runs frames through a ledger and compares the totals and what was fresh.
	f := func(name string, want Totals, fresh string, frames ...*Header) {
		t.Helper()
		l := NewLedger()
		got := ""
		for _, h := range frames {
			for _, r := range l.Observe(h).Fresh {
				got += fmt.Sprintf("%d-%d ", r.From, r.To)
			}
		}
		want.Sequences = 1
		if l.Totals() != want {
			t.Errorf("%s: %+v, want %+v", name, l.Totals(), want)
		}
		if got != fresh {
			t.Errorf("%s: fresh %q, want %q", name, got, fresh)
		}
		again := NewLedger() // saved and restored it says the same
		for s := range l.All() {
			b, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			r, rest, err := DecodeSequence(b)
			if err != nil || len(rest) != 0 {
				t.Fatalf("%s: restore: %v", name, err)
			}
			again.Restore(r)
		}
		if again.Totals() != want {
			t.Errorf("%s: restored %+v, want %+v", name, again.Totals(), want)
		}
	}
	f("in order", Totals{Received: 20}, "1-10 11-20 ", frameOf(epoch1, 1, 10), frameOf(epoch1, 11, 20))
	f("a retry is a duplicate", Totals{Received: 10, Duplicate: 10}, "1-10 ", frameOf(epoch1, 1, 10), frameOf(epoch1, 1, 10))
	f("cut anew after a restart", Totals{Received: 15, Duplicate: 6}, "1-10 11-15 ", frameOf(epoch1, 1, 10), frameOf(epoch1, 5, 15))
	f("reordering is neither loss nor duplicate", Totals{Received: 30, Late: 10}, "1-10 21-30 11-20 ",
		frameOf(epoch1, 1, 10), frameOf(epoch1, 21, 30), frameOf(epoch1, 11, 20))
	f("a hole stays missing", Totals{Received: 20, Missing: 10}, "1-10 21-30 ", frameOf(epoch1, 1, 10), frameOf(epoch1, 21, 30))
	f("the first frames are missing", Totals{Received: 1, Missing: 4}, "5-5 ", frameOf(epoch1, 5, 5))
	f("partly filled", Totals{Received: 22, Late: 2, Missing: 8, Duplicate: 3}, "1-10 21-30 13-14 ",
		frameOf(epoch1, 1, 10), frameOf(epoch1, 21, 30), frameOf(epoch1, 13, 14), frameOf(epoch1, 13, 14), frameOf(epoch1, 10, 10))
	f("declared lost", Totals{Received: 20, Declared: 10}, "1-10 21-30 ", frameOf(epoch1, 1, 10), gap(11, 20), frameOf(epoch1, 21, 30))
	f("declared twice", Totals{Received: 10, Declared: 10, Duplicate: 10}, "1-10 ", frameOf(epoch1, 1, 10), gap(11, 20), gap(11, 20))
	f("declared after the hole was seen", Totals{Received: 11, Declared: 10}, "1-10 21-21 ", frameOf(epoch1, 1, 10), frameOf(epoch1, 21, 21), gap(11, 20))
	f("a new epoch", Totals{Received: 13}, "1-10 1-3 ", frameOf(epoch1, 1, 10), frameOf(epoch2, 1, 3))
	f("the old epoch's end never came", Totals{Received: 11, Missing: 2}, "1-8 1-3 ", frameOf(epoch1, 1, 8), frameOf(epoch2, 1, 3))
	f("the old epoch's end came late", Totals{Received: 13, Late: 2}, "1-8 1-3 9-10 ", frameOf(epoch1, 1, 8), frameOf(epoch2, 1, 3), frameOf(epoch1, 9, 10))
	f("a whole epoch never came", Totals{Received: 3, Missing: 10}, "1-3 ", frameOf(epoch2, 1, 3))
	f("promised only from here on", Totals{Received: 3}, "50-52 ", base(epoch2, 50), frameOf(epoch2, 50, 52))
	f("unassured: holes cannot be seen", Totals{Received: 6}, "3-5 9-11 ", unassured(3, 5), unassured(9, 11))
}

func TestLedgerTruncated(t *testing.T) {
	l := NewLedger()
	l.Truncated = true
	l.Observe(frameOf(epoch2, 50, 60))
	l.Observe(frameOf(epoch2, 62, 62))
	if got := l.Totals(); got.Missing != 1 || got.Received != 12 {
		t.Errorf("%+v, want 12 received, 1 missing", got)
	}
}

func TestLedgerBounds(t *testing.T) {
	l := NewLedger()
	for i := range uint64(100) { // every second record is missing
		l.Observe(frameOf(epoch1, 2*i+2, 2*i+2))
	}
	s, _ := l.Sequence(frameOf(epoch1, 1, 1).Key())
	if n := len(s.Epochs[0].Holes); n != MaxHoles || s.Closed != 100-MaxHoles || s.Missing() != 100 || l.Totals().Missing != 100 {
		t.Errorf("%d holes, %d closed, %d missing, totals %+v", n, s.Closed, s.Missing(), l.Totals())
	}
	for i := range int64(50) { // as many starts of the process
		l.Observe(frameOf(Epoch{EpochRef: EpochRef{1000 + i, 5}}, 1, 1))
	}
	if n := len(s.Epochs); n != MaxEpochs {
		t.Errorf("%d epochs remembered", n)
	}
	if s.Missing() != 100 || l.Totals().Missing != 100 {
		t.Errorf("forgetting an epoch changed what is missing: %d, %+v", s.Missing(), l.Totals())
	}
	if o := l.Observe(frameOf(epoch1, 500, 501)); o.Duplicate != 2 || len(o.Fresh) != 0 {
		t.Errorf("an epoch older than all remembered: %+v", o)
	}
}

// TestLedgerShuffled delivers frames in random order, some twice: every record
// is fresh exactly once and nothing is missing.
func TestLedgerShuffled(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var frames []*Header
		for seq := uint64(1); seq < 300; {
			n := 1 + r.Uint64N(20)
			frames = append(frames, frameOf(epoch1, seq, seq+n-1))
			if r.Uint64N(4) == 0 {
				frames = append(frames, frameOf(epoch1, max(seq, 3)-2, seq+n-1)) // cut anew
			}
			seq += n
		}
		// Reordering within the bound of open holes.
		for i := range frames {
			j := min(i+int(r.Uint64N(10)), len(frames)-1)
			frames[i], frames[j] = frames[j], frames[i]
		}
		l := NewLedger()
		seen := map[uint64]int{}
		last := uint64(0)
		for _, h := range frames {
			last = max(last, h.Last)
			for _, rg := range l.Observe(h).Fresh {
				for s := rg.From; s <= rg.To; s++ {
					seen[s]++
				}
			}
		}
		for s := uint64(1); s <= last; s++ {
			if seen[s] != 1 {
				t.Fatalf("seed %d: record %d was fresh %d times", seed, s, seen[s])
			}
		}
		if got := l.Totals(); got.Missing != 0 || got.Received != last {
			t.Fatalf("seed %d: %+v for %d records", seed, got, last)
		}
	}
}

func TestLedgerDirty(t *testing.T) {
	l := NewLedger()
	l.Observe(frameOf(epoch1, 1, 1))
	l.Observe(frameOf(epoch1, 2, 2))
	if n := l.Changed(); n != 1 {
		t.Errorf("%d dirty sequences, want 1", n)
	}
	l.Clean()
	if n := l.Changed(); n != 0 {
		t.Errorf("%d dirty sequences after Clean", n)
	}
	l.CountRejected(frameOf(epoch1, 1, 1).Key(), 3)
	if n := l.Changed(); n != 1 || l.Totals().Rejected != 3 {
		t.Errorf("%d dirty, totals %+v", n, l.Totals())
	}
}

// What is kept in short form says, changes and saves what the long form does.
func TestLedgerShortForm(t *testing.T) {
	state := func(l *Ledger, seqs func(func(*Sequence) bool)) string {
		var all []string
		for s := range seqs {
			b, err := s.AppendBinary(nil)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf("%s %x", s.Key.Producer, b))
		}
		slices.Sort(all)
		return strings.Join(all, "\n")
	}
	short, saved := 0, 0
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		calm, long := NewLedger(), NewLedger()
		next := map[string]uint64{}
		for range 200 {
			e := int64(1 + r.Uint64N(2+r.Uint64N(12)))
			h := frameOf(Epoch{EpochRef: EpochRef{e, uint64(e)}}, 1, 1)
			if e > 1 && r.Uint64N(3) == 0 {
				h.Epoch.Prev, h.Epoch.PrevLast = EpochRef{e - 1, uint64(e - 1)}, r.Uint64N(20)
			}
			h.Category = Category(1 + r.Uint64N(2))
			if r.Uint64N(2) == 0 {
				h.Producer = ExporterProducer(h.Subject)
			} else {
				h.Producer = fmt.Sprint("bridge/b", r.Uint64N(3))
			}
			k := fmt.Sprint(h.Producer, h.Category, e)
			h.First = next[k] + 1
			switch r.Uint64N(12) {
			case 0:
				h.First += r.Uint64N(5) // a hole, perhaps
			case 1:
				h.First = 1 + r.Uint64N(h.First) // again
			}
			h.Last = h.First + r.Uint64N(4)
			switch r.Uint64N(20) {
			case 0:
				h.Kind, h.Reason = FrameGap, GapOverflow
			case 1:
				h.Kind = FrameBase
			case 2:
				h.Unassured = seed%4 == 0
			}
			next[k] = max(next[k], h.Last)
			a, b := calm.Observe(h), long.Observe(h)
			if fmt.Sprintf("%+v", a) != fmt.Sprintf("%+v", b) || calm.Changed() != long.Changed() {
				t.Fatalf("seed %d, %+v: %+v, want %+v", seed, h, a, b)
			}
			if r.Uint64N(30) == 0 {
				calm.CountRejected(h.Key(), 2)
				long.CountRejected(h.Key(), 2)
			}
			if r.Uint64N(10) == 0 {
				if got, want := state(calm, calm.Dirty()), state(long, long.Dirty()); got != want {
					t.Fatalf("seed %d: what changed is\n%s\nwant\n%s", seed, got, want)
				}
				calm.Clean()
				long.Clean()
				saved++
			}
			for k, c := range long.calm {
				long.open[k] = long.whole(k, &c)
				delete(long.calm, k)
			}
			short += len(calm.calm)
		}
		if got, want := state(calm, calm.All()), state(long, long.All()); got != want || calm.Totals() != long.Totals() {
			t.Fatalf("seed %d: %+v\n%s\nwant %+v\n%s", seed, calm.Totals(), got, long.Totals(), want)
		}
		again := NewLedger()
		for s := range calm.All() {
			again.Restore(*s)
		}
		if state(again, again.All()) != state(calm, calm.All()) || again.Totals() != calm.Totals() || again.Changed() != 0 {
			t.Fatalf("seed %d: restored %+v, want %+v", seed, again.Totals(), calm.Totals())
		}
	}
	if short < 10_000 || saved < 1000 {
		t.Errorf("%d in short form, saved %d times: too few to say anything", short, saved)
	}
}

func FuzzDecodeSequence(f *testing.F) {
	l := NewLedger()
	l.Observe(frameOf(epoch2, 5, 9))
	for s := range l.All() {
		b, err := s.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, err := DecodeSequence(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		again, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		s2, _, err := DecodeSequence(again)
		if err != nil || !reflect.DeepEqual(s, s2) {
			t.Fatalf("not stable: %v", err)
		}
	})
}

func BenchmarkLedger(b *testing.B) {
	l := NewLedger()
	h := frameOf(epoch1, 1, 100)
	for b.Loop() {
		l.Observe(h)
		l.Clean()
		h.First, h.Last = h.First+100, h.Last+100
	}
	b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "records/s")
}
