package engine

import (
	"fmt"

	"nocturne/internal/record"
)

// Sequences reads the ledger of one subject out of a partition's working state
// as it is stored, for whoever shows it: it needs no engine that runs.
func Sequences(base []byte, deltas [][]byte, subject record.ID) ([]record.Sequence, error) {
	var out []record.Sequence
	at := map[record.SequenceKey]int{}
	for i, b := range append([][]byte{base}, deltas...) {
		if len(b) == 0 {
			continue
		}
		err := eachSequence(b, func(s record.Sequence) {
			if s.Key.Subject != subject {
				return
			}
			if n, ok := at[s.Key]; ok { // a later delta replaces it
				out[n] = s
				return
			}
			at[s.Key] = len(out)
			out = append(out, s)
		})
		if err != nil {
			return nil, fmt.Errorf("working state %d of %d: %w", i, len(deltas), err)
		}
	}
	return out, nil
}

func eachSequence(b []byte, fn func(record.Sequence)) error {
	if len(b) < 2 || b[0] != stateVersion {
		return fmt.Errorf("not of version %d: %w", stateVersion, record.ErrMalformed)
	}
	body := b[2:]
	if b[1] == packedZstd {
		var err error
		if body, err = unpacker().DecodeAll(body, nil); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
	r := &decoder{b: body}
	for len(r.b) > 0 && !r.bad {
		tag := r.byte()
		section := r.bytes(r.count())
		if tag != tagLedger || r.bad {
			continue
		}
		s, _, err := record.DecodeSequence(section)
		if err != nil {
			return err
		}
		fn(s)
	}
	if r.bad {
		return fmt.Errorf("cut off: %w", record.ErrMalformed)
	}
	return nil
}
