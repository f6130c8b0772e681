package engine

import (
	"errors"
	"testing"

	"nocturne/internal/record"
)

func TestSequencesReadsBaseAndDeltas(t *testing.T) {
	mine, other := record.ID{1}, record.ID{2}
	seq := func(subject record.ID, c record.Category, received uint64) *record.Sequence {
		return &record.Sequence{Key: record.SequenceKey{Producer: "exporter/x", Subject: subject, Category: c}, Received: received,
			Epochs: []record.EpochState{{Ref: record.EpochRef{Start: 5, Random: 7}, Next: received}}}
	}
	state := func(list ...*record.Sequence) []byte {
		b := section(nil, tagClock, []byte("not looked at"))
		for _, s := range list {
			b = appendSequence(b, s)
		}
		return append([]byte{stateVersion, packedRaw}, b...)
	}
	packed := state(seq(mine, record.RAID, 3), seq(other, record.RAID, 9))
	packed = packer().EncodeAll(packed[2:], []byte{stateVersion, packedZstd})
	got, err := Sequences(packed, [][]byte{state(seq(mine, record.Heartbeat, 1)), state(seq(mine, record.RAID, 4))}, mine)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Received != 4 || got[1].Key.Category != record.Heartbeat || got[1].Received != 1 {
		t.Errorf("got %+v", got)
	}
	if got, err := Sequences(nil, nil, mine); err != nil || len(got) != 0 {
		t.Errorf("nothing stored: %+v, %v", got, err)
	}
	for _, bad := range [][]byte{{9, 0, 1}, {stateVersion}, packed[:len(packed)-3], {stateVersion, packedRaw, tagLedger, 200}} {
		if _, err := Sequences(bad, nil, mine); err == nil {
			t.Errorf("%x: no error", bad)
		}
	}
	if _, err := Sequences([]byte{2, 0}, nil, mine); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("another version: %v", err)
	}
}
