package sink

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// Store keeps what a driver must find again. One suite holds every
// implementation to it: sinktest.RunStore.
type Store interface {
	// Acquire takes the lease for holder, or returns ErrLease while somebody
	// else has it. The holder itself gets it again at once.
	Acquire(ctx context.Context, holder string, ttl time.Duration) error
	// Renew extends the lease, or returns ErrLease when it was lost.
	Renew(ctx context.Context, holder string, ttl time.Duration) error
	// Load returns what was saved; the zero Checkpoint when nothing was.
	Load(ctx context.Context) (Checkpoint, error)
	// Save adds a change. It returns ErrLease when another one saved since
	// this Store loaded.
	Save(ctx context.Context, d Change) error
	// Poison keeps a row that the store refused. It is bounded: old ones go.
	Poison(ctx context.Context, p Poisoned) error
}

// ErrLease says that somebody else drives this sink.
var ErrLease = errors.New("sink's lease is held by another")

// Positions is one position per partition.
type Positions [stream.Partitions]stream.Position

// Checkpoint is where to go on, and what was known there.
type Checkpoint struct {
	Positions Positions
	Items     map[string][]byte
}

// Change is what moved between two checkpoints. An item without value is gone.
type Change struct {
	Positions Positions
	Items     map[string][]byte
}

// Poisoned is a row that a store refused.
type Poisoned struct {
	At        time.Time `json:"at"`
	Reason    string    `json:"reason"`
	RecordID  string    `json:"record_id"`
	Partition int       `json:"partition"`
	Entry     uint64    `json:"entry"`
	Category  string    `json:"category"`
	Name      string    `json:"name"`
	Text      string    `json:"text"` // the beginning of the record's body
}

// Keys of items: ledger sequences and servers.
const (
	itemSequence = "l/"
	itemServer   = "s/"
)

func sequenceItem(k record.SequenceKey) string {
	return itemSequence + k.Subject.String() + "/" + k.Category.String() + "/" + k.Producer
}

func serverItem(id record.ID) string { return itemServer + id.String() }

// merge lays b over a.
func merge(a map[string][]byte, b map[string][]byte) map[string][]byte {
	if a == nil {
		a = make(map[string][]byte, len(b))
	}
	for k, v := range b {
		a[k] = v
	}
	return a
}

// appendItems encodes items, sorted, so that equal items are equal bytes.
func appendItems(dst []byte, items map[string][]byte) []byte {
	keys := make([]string, 0, len(items))
	for k := range items {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		dst = binary.AppendUvarint(dst, uint64(len(k)))
		dst = append(dst, k...)
		dst = binary.AppendUvarint(dst, uint64(len(items[k])))
		dst = append(dst, items[k]...)
	}
	return dst
}

// decodeItems reads what appendItems wrote into items.
func decodeItems(b []byte, items map[string][]byte) error {
	next := func() ([]byte, bool) {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) {
			return nil, false
		}
		v := b[w : w+int(n)]
		b = b[w+int(n):]
		return v, true
	}
	for len(b) > 0 {
		k, ok := next()
		if !ok {
			return fmt.Errorf("decode saved items: %w", record.ErrMalformed)
		}
		v, ok := next()
		if !ok {
			return fmt.Errorf("decode saved items: %w", record.ErrMalformed)
		}
		if len(v) == 0 {
			delete(items, string(k))
			continue
		}
		items[string(k)] = slices.Clone(v)
	}
	return nil
}
