package apitest

import (
	"context"
	"encoding/binary"
	"fmt"

	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// WorkingState returns the ledger of the fleet in the form in which an engine
// stores it (package engine, state.go): version 1, not packed, sections of a
// tag, a length and a body.
func (f *Fleet) WorkingState(_ context.Context, partition int) ([]byte, [][]byte, error) {
	base := []byte{1, 0}
	for _, d := range f.List {
		if stream.Partition(d.ID) != partition || d.CloneOf != "" || d.LastSeen.IsZero() {
			continue
		}
		for i, c := range []record.Category{record.Heartbeat, record.EventLog, record.Hardware, record.RAID} {
			s := record.Sequence{
				Key:      record.SequenceKey{Producer: "exporter/" + d.ID.String(), Subject: d.ID, Category: c},
				Received: uint64(4000 >> (3 * i)), Duplicate: uint64(i % 2),
				Epochs: []record.EpochState{{Ref: record.EpochRef{Start: d.BootTime.UnixNano(), Random: 0xaa}, Next: uint64(4000>>(3*i)) + 1}},
			}
			body, err := s.AppendBinary(nil)
			if err != nil {
				return nil, nil, fmt.Errorf("encode sequence: %w", err)
			}
			base = append(base, 'L')
			base = binary.AppendUvarint(base, uint64(len(body)))
			base = append(base, body...)
		}
	}
	return base, nil, f.Err
}
