package spool

import (
	"context"
	"strings"
	"testing"

	"nocturne/internal/record"
)

func TestLargeRecords(t *testing.T) {
	big := strings.Repeat("ä", record.MaxRecord)
	cases := []struct {
		name string
		rec  record.Record
		want func(*record.Record) bool // nil = a gap
	}{
		{"body", record.Record{Body: big}, func(r *record.Record) bool {
			n, _ := r.Attr(AttrTruncated).Int()
			return n > 0 && len(r.Body)+int(n) == len(big) && strings.HasSuffix(r.Body, "ä")
		}},
		{"two attributes", record.Record{Body: "b", Attrs: []record.Attr{{Key: "x", Value: record.String(big)}, {Key: "y", Value: record.String(big)}}}, func(r *record.Record) bool {
			n, _ := r.Attr(AttrTruncated).Int()
			return r.Body == "b" && len(r.Attr("x").Str())+len(r.Attr("y").Str())+int(n) == 2*len(big)
		}},
		{"snapshot with raw", record.Record{Name: record.NameSnapshot, Attrs: []record.Attr{{Key: record.AttrRaw, Value: record.String(big)}}, Snapshot: &record.Snapshot{Devices: []record.Device{{Type: "disk", Place: "p"}}}},
			func(r *record.Record) bool { return r.Snapshot != nil && len(r.Snapshot.Devices) == 1 }},
		{"snapshot of too much", record.Record{Name: record.NameSnapshot, Snapshot: &record.Snapshot{Devices: []record.Device{{Type: "disk", Place: big}}}}, nil},
		{"bytes cannot be cut", record.Record{Attrs: []record.Attr{{Key: "x", Value: record.Bytes([]byte(big))}}}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "a").open()
			recs := []record.Record{{Body: "before"}, c.rec, {Body: "after"}}
			if err := r.Append(context.Background(), "s", record.EventLog, recs, []byte("p")); err != nil {
				t.Fatal(err)
			}
			rd := r.reader("a")
			frames, err := rd.Next(context.Background(), DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			if c.want == nil {
				got := []string{}
				for i := range frames {
					got = append(got, r.tell(&frames[i])...)
				}
				r.want(got, "eventlog 1 before", "gap eventlog 2-2 unreadable", "eventlog 3 after")
				r.balanced()
				return
			}
			var all []record.Record
			for i := range frames {
				b, err := frames[i].Encode()
				if err != nil {
					t.Fatal(err)
				}
				f, err := record.DecodeFrame(b)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, f.Records...)
			}
			if len(all) != 3 || !c.want(&all[1]) {
				t.Errorf("%d records, the large one is now %d bytes", len(all), record.RecordSize(&all[1]))
			}
			r.balanced()
		})
	}
}

// A batch of several entries is there as a whole or not at all.
func TestLargeBatchIsOneCommit(t *testing.T) {
	recs := make([]record.Record, 40)
	for i := range recs {
		recs[i].Body = strings.Repeat(string(rune('a'+i%26)), 100<<10)
	}
	whole := newRig(t, "a")
	whole.cfg = DefaultConfig()
	whole.open()
	if err := whole.Append(context.Background(), "s", record.EventLog, recs, []byte("end")); err != nil {
		t.Fatal(err)
	}
	name := segmentName(1, 0)
	size := len(whole.disk.files[name].data)
	for cut := range 20 {
		r := newRig(t, "a")
		r.cfg = DefaultConfig()
		r.state = whole.state
		n := &crashInode{data: append([]byte(nil), whole.disk.files[name].data[:size-1-cut*size/20]...)}
		r.disk.files[name] = n
		r.open()
		p, err := r.Position("s")
		if err != nil || p != nil || len(r.take(r.reader("a"))) != 0 {
			t.Fatalf("cut %d: position %q, %v, or some of the records", cut, p, err)
		}
	}
	if n := len(whole.take(whole.reader("a"))); n != 40 {
		t.Errorf("%d records", n)
	}
}
