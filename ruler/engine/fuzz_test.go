package engine

import (
	"testing"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/store"
)

// Working state from a damaged disk is refused, never a crash.
func FuzzWorkingState(f *testing.F) {
	w := busyNight(f)
	d := newDriver(f, w.log, openStore(f))
	d.must()
	for _, s := range w.sims[:4] {
		p := d.parts[stream.Partition(s.id)]
		b := p.encode(false)
		if b[1] == packedZstd {
			raw, err := unpacker().DecodeAll(b[2:], nil)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(append([]byte{stateVersion, packedRaw}, raw...))
		}
		f.Add(b)
	}
	rules := newRuleset(Generation{Rules: testRules(f)})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := newPartition(0, rules, nil)
		if err != nil {
			t.Fatal(err)
		}
		claim := store.Claim{Base: b}
		if p.restore(&claim) == nil && b != nil {
			if again := p.encode(false); len(again) < 2 {
				t.Errorf("read %d bytes and wrote %d", len(b), len(again))
			}
		}
	})
}

// A snapshot from a damaged disk is refused, never a crash.
func FuzzUnpack(f *testing.F) {
	_, b := Pack(&record.Snapshot{Devices: []record.Device{{Type: record.DeviceCPU, Place: "0"}}})
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Unpack(b); err == nil && s == nil {
			t.Error("no snapshot and no error")
		}
	})
}
