// Package sink writes the stream to stores that answer queries:
// VictoriaMetrics and VictoriaLogs.
//
// A Sink is the few lines that know one store. The Driver does the rest, the
// same for each: it reads the 16 partitions, decodes frames, runs the ledger,
// gathers rows into batches, retries, sets poisoned rows aside, and keeps its
// position and lease in a Store (JetStream's bucket "sinks").
//
// # Promise
//
// Every record in the stream is in the store once. Both stores acknowledge
// seconds before they have anything on disk, so the saved position trails what
// was acknowledged by Config.Trail (60 s), together with the ledger as it was
// there. When the store turns out to be another process than before, or when
// the driver starts, everything after the trailing position is written again,
// its rows marked Again: samples are the same to the millisecond and are
// deduplicated by the store, log rows are asked for first and only those that
// are missing are sent.
//
// A store that cannot be reached is waited for, for ever; what falls out of
// the stream's retention in the meantime is counted and said.
//
// In = out + dropped + waiting, in records, at all times; see metrics.go.
//
// A Driver is used by one Run at a time. To test a Sink: sinktest.Run; to test
// the driver: go test ./eventbridge/sink.
package sink

import (
	"context"
	"errors"
	"time"

	"nocturne/eventbridge/series"
	"nocturne/internal/record"
)

// Sink writes rows to one store. The driver calls it from one goroutine.
type Sink interface {
	// Write stores the rows of a batch, all or, after an error, any part of
	// them. It must be idempotent: rows are written again after an error and
	// after a restart, then with Batch.Repeat or Row.Again set.
	//
	// The error says what happens next:
	//   - wraps ErrRefused: the store will never take this batch. The driver
	//     halves it until it finds the rows to blame, which it sets aside.
	//     The rows of a refused batch may be there in part.
	//   - wraps ErrStop: nothing can be written any more; the driver ends.
	//   - any other: the outcome is unknown. The driver waits and writes the
	//     same batch again.
	Write(ctx context.Context, b Batch) error
	// Instance names the running process of the store. Another name than
	// before means that it was started again and may have lost what it had
	// acknowledged in its last seconds.
	Instance(ctx context.Context) (string, error)
}

// The kinds of errors of Write.
var (
	ErrRefused = errors.New("refused by the store")
	ErrStop    = errors.New("sink cannot go on")
)

// Batch is what is written in one call.
type Batch struct {
	Rows []Row
	// Repeat says that this batch was tried before and the outcome is unknown:
	// every row may be in the store already, with the same entry.
	Repeat bool
}

// Again says whether a row may be in the store already.
type Again uint8

// What is known before a row is written.
const (
	Not       Again = iota // it was never written
	SameEntry              // it may have been, with the same Partition and Entry
	AnyEntry               // it may have been, under another Entry too
)

// Row is one record with what is known about it.
type Row struct {
	Partition int
	Entry     uint64 // of the partition's stream
	Received  time.Time
	Skew      time.Duration // receive time less send time
	Header    *record.Header
	Seq       uint64
	Record    *record.Record
	Server    series.Server
	Again     Again
	// Samples are what the record becomes, staleness markers included; only
	// for a driver with Config.Samples.
	Samples []series.Sample
}

// ID returns the record's stable unique id.
func (r *Row) ID() string { return record.RecordID(r.Header, r.Seq) }

// Reasons why records are dropped: a closed set, in this order.
const (
	DropDuplicate  = "duplicate"  // the ledger has seen it: a repeat of a producer
	DropMalformed  = "malformed"  // its frame cannot be decoded
	DropRefused    = "refused"    // the store will never take it; kept as poison
	DropIrrelevant = "irrelevant" // becomes nothing in this store
	DropReread     = "reread"     // given back: it will be read and counted in again
)

// DropReasons returns every reason.
func DropReasons() []string {
	return []string{DropDuplicate, DropMalformed, DropRefused, DropIrrelevant, DropReread}
}
