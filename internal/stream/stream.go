// Package stream is the durable log between the eventbridge and its consumers:
// 16 partitions of entries over NATS JetStream, every append on disk before it
// is answered.
//
// The bridge gathers the frames that arrive for a partition into one entry and
// appends it; a consumer reads a partition in order from a position that it
// keeps itself. Ticks travel in the same log, so that whoever reads it has one
// clock: the time of the append.
//
// A Conn is safe for concurrent use. To test against it, use streamtest: New
// for an in-memory Log, Server for a real JetStream in a temporary folder.
package stream

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"time"

	"nocturne/internal/record"
)

// Partitions is P. It is stored with the streams; another value refuses to start.
const Partitions = 16

// hashSpace is the fixed number of buckets that partitions divide among them,
// so that P can change later without moving more than it must.
const hashSpace = 1024

// Partition returns the partition of a subject: (fnv32a(subject) % 1024) % P.
func Partition(subject record.ID) int {
	h := fnv.New32a()
	h.Write(subject[:])
	return int(h.Sum32()%hashSpace) % Partitions
}

// StreamName returns the JetStream stream of a partition, "EV-00" to "EV-15".
func StreamName(p int) string { return fmt.Sprintf("EV-%02d", p) }

// Subject returns the NATS subject of a partition, "ev.00" to "ev.15".
func Subject(p int) string { return fmt.Sprintf("ev.%02d", p) }

// Position is a place in one partition. Entry 0 is before the first entry.
type Position struct {
	Incarnation string // which life of the stream; another one means the volume was lost
	Entry       uint64 // JetStream's stream sequence, from 1
}

// Message is one entry as it stands in the log.
type Message struct {
	Partition int
	Position  Position
	Time      time.Time // of the append: stream time
	Data      []byte    // an encoded Entry
}

// ErrIncarnation says that a position belongs to another life of the stream:
// the reader starts over from the first entry of this one.
var ErrIncarnation = errors.New("position is of another incarnation of the stream")

// Log is the durable log. Every method is safe for concurrent use.
type Log interface {
	// Append adds an entry and returns once it is on disk. After an error the
	// entry may be there or not: appending it again is right, the ledger of
	// every consumer tells the two apart.
	Append(ctx context.Context, partition int, entry []byte) (Position, error)
	// First returns the position before the oldest entry that is still there.
	First(ctx context.Context, partition int) (Position, error)
	// Head returns the position of the newest entry, Entry 0 when there is none.
	Head(ctx context.Context, partition int) (Position, error)
	// Read calls fn with every entry after from, in order and without holes but
	// those that retention made, and waits for more until ctx ends. A zero from
	// means from the first. It returns fn's error, or ErrIncarnation when from
	// belongs to another life or lies past the head. fn keeps Data if it likes.
	Read(ctx context.Context, partition int, from Position, fn func(Message) error) error
}
