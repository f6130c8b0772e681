package api

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/engine"
)

// workingState is a Reader that can also show a partition's working state, in
// which the ledger is. SQLite can.
type workingState interface {
	WorkingState(ctx context.Context, partition int) (base []byte, deltas [][]byte, err error)
}

func (s *server) ledger(r *request) (any, error) {
	id := r.id("id")
	d, err := s.reader.Server(r.ctx, id)
	if err != nil {
		return nil, err
	}
	source, ok := s.reader.(workingState)
	if !ok {
		return nil, &problem{status: http.StatusNotFound, msg: "this store shows no ledger per server", hint: "its sums are in " + Prefix + "/pipeline"}
	}
	subject := id
	if d.CloneOf != "" { // the lines of a cloned identity share its sequences
		if subject, err = record.ParseID(d.CloneOf); err != nil {
			return nil, fmt.Errorf("clone of server %s: %w", id, err)
		}
	}
	base, deltas, err := source.WorkingState(r.ctx, stream.Partition(subject))
	if err != nil {
		return nil, err
	}
	list, err := engine.Sequences(base, deltas, subject)
	if err != nil {
		return nil, fmt.Errorf("ledger of server %s: %w", id, err)
	}
	out := ServerLedger{ServerID: id.String(), Sequences: mapSlice(list, sequenceOf)}
	slices.SortFunc(out.Sequences, func(a, b Sequence) int {
		return cmp.Or(strings.Compare(a.Producer, b.Producer), strings.Compare(a.Category, b.Category))
	})
	out.Text = ledgerText(out.Sequences)
	return out, nil
}

func sequenceOf(v record.Sequence) Sequence {
	out := Sequence{
		Producer: clip(v.Key.Producer, maxName), Category: v.Key.Category.String(), Received: v.Received, Duplicate: v.Duplicate, Late: v.Late,
		Declared: v.Declared, Missing: v.Missing(), Rejected: v.Rejected, Unassured: v.Unassured,
	}
	newest := int64(0)
	for _, e := range v.Epochs {
		if e.Ref.Start >= newest && e.Next > 0 {
			newest, out.LastSeq = e.Ref.Start, e.Next-1
		}
	}
	if newest > 0 {
		out.EpochStart = at(time.Unix(0, newest))
	}
	return out
}

func receivedText[N int64 | uint64](received, missing, duplicate N) string {
	return fmt.Sprintf("%s received, %d missing, %s counted once", counted(received, "record", "records"), missing, counted(duplicate, "duplicate", "duplicates"))
}

func ledgerText(list []Sequence) string {
	var received, duplicate, missing, declared uint64
	for _, v := range list {
		received += v.Received
		duplicate += v.Duplicate
		missing += v.Missing
		declared += v.Declared
	}
	text := receivedText(received, missing, duplicate)
	if declared > 0 {
		text += fmt.Sprintf(", %d declared lost by their source", declared)
	}
	return text + "."
}
