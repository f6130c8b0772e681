package engine

import (
	"log/slog"
	"testing"
	"time"

	"nocturne/internal/stream"
)

// A ruler that catches up finds more entries waiting than it applies between two
// looks around: the one after those must not get lost.
func TestNoEntryIsLostWhenManyWait(t *testing.T) {
	entries := 3*usualPace.batch + 1
	e, err := New(Config{Log: newWorld(t).log})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPartition(0, e.rules, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{engine: e, log: slog.New(slog.DiscardHandler), part: p}
	in := make(chan stream.Message, entries)
	for n := range entries {
		tick, err := stream.AppendEntry(nil, &stream.Entry{Kind: stream.EntryTick, Bridge: "b1", Tick: stream.Tick{Period: time.Second, ProbeOK: true}})
		if err != nil {
			t.Fatal(err)
		}
		in <- stream.Message{Position: stream.Position{Incarnation: "mem", Entry: uint64(n + 1)}, Time: t0.Add(time.Duration(n) * time.Second), Data: tick}
	}
	p.pos.Incarnation = "mem"
	for len(in) > 0 {
		if err := r.applyAll(<-in, in); err != nil {
			t.Fatal(err)
		}
	}
	if p.counts.entries != int64(entries) || p.losses.LogTruncated != 0 {
		t.Errorf("%d of %d entries applied, %d called lost", p.counts.entries, entries, p.losses.LogTruncated)
	}
}
