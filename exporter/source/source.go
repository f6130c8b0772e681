// Package source holds the Source interface, the supervisor that runs sources,
// the schedule of those that look now and then, and the runner of external
// commands. Each thing observed has a folder of its own below this one.
//
// A source turns what a machine says into records and hands them to Emit. It
// decides nothing: no rule, no difference, no history. What it reads goes
// through a root path or a Runner field, so that a fixture can stand in.
//
// Supervise owns the goroutines: one for each source. A source may be written
// as if it were alone; its Run is never called twice at once.
//
// To test: go test ./exporter/source/...
package source

import (
	"context"

	"nocturne/internal/record"
)

// Source observes one thing on this machine.
type Source interface {
	// Name is unique in the program and constant: it is the key of the
	// source's position and a metric label.
	Name() string
	// Category is the category of everything the source emits.
	Category() record.Category
	// Run observes until ctx ends. It returns nil when there is nothing more
	// to see, an error that wraps errors.ErrUnsupported when this machine
	// cannot be asked at all, and any other error to be started again later.
	// It returns soon after ctx ends, with any error.
	Run(ctx context.Context, emit Emit) error
}

// Emit hands over records and, in the same commit, the position after them;
// a nil position leaves the stored one as it is. It returns when the spool has
// both. An error means that neither was kept: the source returns it. It blocks
// while the spool is busy, and may be called by one goroutine at a time.
type Emit func(ctx context.Context, recs []record.Record, position []byte) error

// Positions reads what Emit stored.
type Positions interface {
	// Position returns the last position of a source, or nil when it has none.
	Position(source string) ([]byte, error)
}

// NoPositions is a Positions that knows none: every source starts anew.
type NoPositions struct{}

// Position returns nil.
func (NoPositions) Position(string) ([]byte, error) { return nil, nil }
