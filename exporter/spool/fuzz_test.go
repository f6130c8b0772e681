package spool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"nocturne/internal/record"
)

// FuzzSegment opens a spool whose only segment holds any bytes behind a good
// file header: it opens, hands out whole frames and ends, or says what is wrong.
func FuzzSegment(f *testing.F) {
	r, _ := sample(&testing.T{})
	for _, name := range segmentNames(r) {
		f.Add(r.disk.files[name].data[fileHeader:])
	}
	f.Add([]byte("NS"))
	state := r.state.files[epochName].data
	f.Fuzz(func(t *testing.T, b []byte) {
		r := newRig(t, "a", "b")
		g := segment{number: 1, from: 1, subject: testID}
		r.disk.files[segmentName(1, 0)] = &crashInode{data: append(g.appendFileHeader(nil), b...)}
		r.state.files[epochName] = &crashInode{data: slices.Clone(state)}
		r.open()
		for _, o := range r.outputs {
			rd := r.reader(o)
			for range 1000 {
				if !rd.Pending() {
					break
				}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				frames, err := rd.Next(ctx, DefaultLimits())
				cancel()
				if err != nil {
					t.Fatal(err)
				}
				for i := range frames {
					if b, err := frames[i].Encode(); err == nil {
						if _, err := record.DecodeFrame(b); err != nil && !errors.Is(err, record.ErrMalformed) {
							t.Fatal(err)
						}
					}
				}
				if err := rd.Settle(slices.Repeat([]Verdict{Stored}, len(frames)), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// FuzzEntry decodes any payload as every kind.
func FuzzEntry(f *testing.F) {
	r, _ := sample(&testing.T{})
	for _, g := range r.segments {
		_ = g.each(func(_ header, payload []byte) error { f.Add(slices.Clone(payload)); return nil })
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, _, err := countHoles(b); err == nil {
			again, rest, err := decodeCommit(appendCommit(nil, &c))
			if err != nil || len(rest) > 0 || fmt.Sprint(again) != fmt.Sprint(c) {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
		}
		if list, err := decodeDrop(b); err == nil {
			if again, err := decodeDrop(appendLost(nil, list)); err != nil || !slices.Equal(again, list) {
				t.Fatalf("%+v became %+v, %v", list, again, err)
			}
		}
		if o, err := decodeAck(b); err == nil {
			if again, err := decodeAck(appendOutput(nil, &o)); err != nil || again.name != o.name || again.position != o.position {
				t.Fatalf("%+v became %+v, %v", o, again, err)
			}
		}
		if c, err := decodeCheckpoint(b); err == nil {
			if again, err := decodeCheckpoint(appendCheckpoint(nil, &c)); err != nil || fmt.Sprint(again) != fmt.Sprint(c) {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
		}
		if h, err := checkEntry(b); err == nil && h.size() != int64(len(b)) {
			t.Fatalf("entry of %d bytes says %d", len(b), h.size())
		}
	})
}
