package store

import (
	"context"
	"time"

	"nocturne/internal/record"
)

// Register is what people say that there is.
type Register interface {
	// Register lists entries by name, with the server that each one means.
	Register(ctx context.Context, q RegisterQuery) (RegisterPage, error)
}

// RegisterWriter changes it. Every Store is one.
type RegisterWriter interface {
	// PutRegister writes entries in one transaction, or none: where an entry's
	// Version is not that of the row (0 = there is none), it wraps ErrStale.
	PutRegister(ctx context.Context, entries []RegisterEntry) error
	// DeleteRegister takes an entry out; ErrNotFound when there is none.
	DeleteRegister(ctx context.Context, name string) error
}

// AnyVersion as the version of an entry writes it whatever there is.
const AnyVersion = -1

// RegisterEntry is a server as people know it.
type RegisterEntry struct {
	Name                    string // compared without regard to case
	Serial                  string // of the machine
	Site, Rack, Role, Owner string // "" = nothing is said
	Warranty                time.Time
	Contract, Note          string
	Created, Changed        time.Time
	By                      string
	Version                 int64

	// Server is the one that it means, by name or by serial; filled in by
	// readers, without ID when there is none.
	Server Server
}

// RegisterQuery selects entries. Empty fields match all.
type RegisterQuery struct {
	Text  string // part of name, serial, site, owner, contract or note
	Names []string
	// Servers keeps entries that mean one of these; nil = all.
	Servers []record.ID
	// Missing keeps those without a server that was ever heard, or the others.
	Missing        *bool
	WarrantyBefore time.Time
	// Drift keeps those whose server has other labels than the entry says.
	Drift  bool
	Offset int
	Limit  int // 0 = 100, at most 100,000
}

// RegisterPage is one page and the number of all matches.
type RegisterPage struct {
	Entries []RegisterEntry
	Total   int
}
