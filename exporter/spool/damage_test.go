package spool

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"nocturne/internal/record"
)

// sample fills a spool over several segments, of which output a has the headers
// that are returned.
func sample(t *testing.T) (*rig, []record.Header) {
	r := newRig(t, "a", "b")
	r.cfg.SegmentBytes = 900
	r.open()
	for i := range 5 {
		r.add(record.Heartbeat, fmt.Sprint("h", i))
		r.add(record.EventLog, fmt.Sprint("e", i, "a"), fmt.Sprint("e", i, "b"))
	}
	rd := r.reader("a")
	frames, err := rd.Next(context.Background(), Limits{Frames: 3, Records: 10, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var had []record.Header
	for i := range frames {
		had = append(had, frames[i].Header)
	}
	if err := rd.Settle(slices.Repeat([]Verdict{Stored}, len(frames)), nil); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		r.add(record.RAID, fmt.Sprint("r", i))
	}
	if err := r.tidy(); err != nil {
		t.Fatal(err)
	}
	if len(r.segments) < 3 {
		t.Fatalf("%d segments", len(r.segments))
	}
	return r, had
}

// Any single byte of the log may rot: what can be read is handed out as it
// was, what cannot is declared, and nothing is missing without a word.
func TestBitRot(t *testing.T) {
	intact, had := sample(t)
	for name := range intact.disk.files {
		size := len(intact.disk.files[name].data)
		for at := range size {
			r := newRig(t, "a", "b")
			r.cfg = intact.cfg
			for n, f := range intact.disk.files {
				r.disk.files[n] = &crashInode{data: slices.Clone(f.data)}
			}
			for n, f := range intact.state.files {
				r.state.files[n] = &crashInode{data: slices.Clone(f.data)}
			}
			r.disk.files[name].data[at] ^= 0x41
			r.open()
			checkRot(t, r, had, fmt.Sprintf("byte %d of %s", at, name))
			r.balanced()
			r.open()
			if got := r.take(r.reader("b")); len(got) != 0 {
				t.Fatalf("byte %d of %s: once more at the next start: %v", at, name, got)
			}
		}
	}
}

// samples is how many records are in a sample.
const samples = 5 + 10 + 3

func checkRot(t *testing.T, r *rig, had []record.Header, what string) {
	t.Helper()
	for _, output := range r.outputs {
		l := record.NewLedger()
		if output == "a" {
			for i := range had {
				l.Observe(&had[i])
			}
		}
		rd := r.reader(output)
		for rd.Pending() {
			frames, err := rd.Next(context.Background(), DefaultLimits())
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			for i := range frames {
				l.Observe(&frames[i].Header)
				if _, err := frames[i].Records(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			v := slices.Repeat([]Verdict{Stored}, len(frames))
			if err := rd.Settle(v, nil); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		if tot := l.Totals(); tot.Missing != 0 || tot.Received+tot.Declared != samples || tot.Received < samples-4 {
			t.Fatalf("%s, output %s: %+v", what, output, tot)
		}
	}
}

// The same, found while the spool is in use.
func TestBitRotWhileRunning(t *testing.T) {
	intact, _ := sample(t)
	for _, name := range segmentNames(intact) {
		for at := fileHeader; at < len(intact.disk.files[name].data); at++ {
			r, had := sample(t)
			r.disk.files[name].data[at] ^= 0x41
			checkRot(t, r, had, fmt.Sprintf("byte %d of %s", at, name))
			r.balanced()
		}
	}
}

func segmentNames(r *rig) []string {
	var names []string
	for _, g := range r.segments {
		names = append(names, g.name())
	}
	return names
}

func TestSegmentRemovedByHand(t *testing.T) {
	intact, _ := sample(t)
	names := segmentNames(intact)
	for _, name := range names[1 : len(names)-1] {
		r, _ := sample(t)
		delete(r.disk.files, name)
		r.open()
		checkRot2(t, r, "without "+name)
	}
}

// checkRot2 wants everything declared that is not there, however much it is.
func checkRot2(t *testing.T, r *rig, what string) {
	t.Helper()
	l := record.NewLedger()
	rd := r.reader("b")
	for rd.Pending() {
		frames, err := rd.Next(context.Background(), DefaultLimits())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for i := range frames {
			l.Observe(&frames[i].Header)
		}
		if err := rd.Settle(slices.Repeat([]Verdict{Stored}, len(frames)), nil); err != nil {
			t.Fatal(err)
		}
	}
	if tot := l.Totals(); tot.Missing != 0 || tot.Received+tot.Declared != samples || tot.Declared == 0 {
		t.Fatalf("%s: %+v", what, tot)
	}
}
