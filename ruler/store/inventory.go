package store

import (
	"context"
	"time"

	"nocturne/internal/record"
)

// Inventory is the part of a Reader that knows what was when.
type Inventory interface {
	// ServerAt returns a server as it was at a time; ErrNotFound when it is not
	// known at all. Parts that were not known then are zero.
	ServerAt(ctx context.Context, id record.ID, at time.Time) (ServerPast, error)
	// Snapshot returns a snapshot's bytes by content hash.
	Snapshot(ctx context.Context, hash Hash) ([]byte, error)
	// Occupants lists where serial numbers sat, the latest arrival first.
	Occupants(ctx context.Context, q OccupantQuery) (OccupantPage, error)
	// Stays calls fn with every place where any of these serial numbers sat, in no
	// order, without names of servers and when those were heard.
	Stays(ctx context.Context, serials []string, fn func(*Occupant) error) error
}

// ServerPast is a server at a time in the past.
type ServerPast struct {
	At time.Time
	// Known is the time of the oldest thing that is kept about the server.
	Known  time.Time
	Labels *ServerLabels // nil = not known then
	Facts  *ServerFacts
	State  *StateWrite
	// Snapshots are the configurations that held then, one per category.
	Snapshots []HistoryEntry
}

// Occupant is a serial number at a place for a time.
type Occupant struct {
	Serial   string
	Server   record.ID
	Name     string // of the server; filled in by readers
	Category record.Category
	Type     string
	Place    string
	Model    string
	Since    time.Time
	Until    time.Time // zero = it is there
	// Retired says that Until is when its server was decommissioned with it. Should
	// the server be taken back into service, it is there again.
	Retired bool
	// LastSeen is when its server was last heard, of one that is there.
	LastSeen  time.Time
	Simulated bool
}

// MaxStays bounds the places of one serial number that Travelled lists.
const MaxStays = 32

// OccupantQuery selects occupants. Empty fields match all.
type OccupantQuery struct {
	Serial string // exactly
	Text   string // part of serial or model
	Type   string
	Server record.ID
	Offset int
	Limit  int // 0 = 100, at most 1000
}

// OccupantPage is one page and the number of all matches.
type OccupantPage struct {
	Occupants []Occupant
	Total     int
}
