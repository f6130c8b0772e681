package spool

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"

	"nocturne/internal/record"
)

// event is of the size of a Windows event with its XML.
func event(i int) record.Record {
	return record.Record{Name: record.NameWindowsEvent, Body: "The driver detected a controller error on \\Device\\Harddisk0\\DR0.", Attrs: []record.Attr{
		{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String("disk")},
		{Key: record.AttrEventID, Value: record.Int(11)}, {Key: record.AttrRecordID, Value: record.Int(int64(i))},
		{Key: record.AttrRaw, Value: record.String("<Event>" + strings.Repeat("<Data>x</Data>", 60) + "</Event>")},
	}}
}

func benchSpool(b *testing.B) *Spool {
	fs, err := Dir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	state, err := Dir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	s, err := Open(Options{Config: DefaultConfig(), FS: fs, StateFS: state, Producer: record.ExporterProducer(testID), Subject: testID,
		Outputs: []string{"a"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func BenchmarkAppend(b *testing.B) {
	for _, batch := range []int{1, 64, 512} {
		b.Run(fmt.Sprint("batch=", batch), func(b *testing.B) {
			s := benchSpool(b)
			recs := make([]record.Record, batch)
			for i := range recs {
				recs[i] = event(i)
			}
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Append(context.Background(), "bench", record.EventLog, recs, []byte("position")); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkRead reads frames as an output does: cut, pack, settle.
func BenchmarkRead(b *testing.B) {
	s := benchSpool(b)
	recs := make([]record.Record, 512)
	for i := range recs {
		recs[i] = event(i)
	}
	for range 100 {
		if err := s.Append(context.Background(), "bench", record.EventLog, recs, nil); err != nil {
			b.Fatal(err)
		}
	}
	r, err := s.Reader("a")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	records, bytes := 0, 0
	for b.Loop() {
		if !r.Pending() {
			if _, err := r.Rewind(nil); err != nil {
				b.Fatal(err)
			}
		}
		frames, err := r.Next(context.Background(), DefaultLimits())
		if err != nil {
			b.Fatal(err)
		}
		for i := range frames {
			f, err := frames[i].Encode()
			if err != nil {
				b.Fatal(err)
			}
			records += int(frames[i].Header.Count)
			bytes += len(f)
		}
		if err := r.Settle(slices.Repeat([]Verdict{Stored}, len(frames)), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(bytes)/float64(records), "wire-B/record")
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	state, err := Dir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	open := func() *Spool {
		fs, err := Dir(dir)
		if err != nil {
			b.Fatal(err)
		}
		s, err := Open(Options{Config: DefaultConfig(), FS: fs, StateFS: state, Producer: record.ExporterProducer(testID), Subject: testID,
			Outputs: []string{"a"}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	s := open()
	recs := make([]record.Record, 512)
	for i := range recs {
		recs[i] = event(i)
	}
	for range 200 {
		if err := s.Append(context.Background(), "bench", record.EventLog, recs, nil); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := open().Close(); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		b.Fatal(err)
	}
}
