// Package store is the ruler's one SQL state: servers, devices, snapshots by
// content hash, changes, notifications with their evidence, the audit log, and
// per partition a position with the working state that belongs to it.
//
// Facts are rows, written only when their meaning changes. Working state (the
// ledger, windows, half-done sequences) is one appended delta per partition and
// commit, folded into a base every few minutes by whoever owns the partition.
//
// A Store is safe for concurrent use: one writer, many readers. The API answers
// from a Reader, never from the memory of an engine. Every implementation
// passes storetest.Run; sqlite is the embedded default.
package store

import (
	"context"
	"errors"
	"io"
	"time"

	"nocturne/internal/record"
)

// The kinds of failure a caller tells apart.
var (
	// ErrFenced: the partition's position was not where the commit said, or
	// another owner has raised its epoch. Nothing was written. The caller
	// forgets its state and, if it still should own the partition, claims anew.
	ErrFenced = errors.New("fenced")
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("not found")
	// ErrStale: somebody changed the row since it was read.
	ErrStale = errors.New("stale")
	// ErrMismatch: the database belongs to another partition layout or a newer
	// program. Stop and tell the operator.
	ErrMismatch = errors.New("mismatch")
)

// Position is where a partition's consumer stands in the stream.
type Position struct {
	Incarnation string `json:"incarnation"`
	Entry       uint64 `json:"entry"`
}

// Store is the whole state.
type Store interface {
	Reader
	TokenStore
	UserStore
	DeskStore
	FeedStore
	Rules
	RegisterWriter

	// Claim makes owner the only one whose commits of the partition pass: it
	// raises the epoch, then loads what the previous owner committed.
	Claim(ctx context.Context, partition int, owner string) (Claim, error)
	// Commit writes all partitions in one transaction that begins by moving
	// each position where partition, epoch and old position match. When one
	// does not match nothing is written, and the error is a *FencedError
	// wrapping ErrFenced that names the partition.
	Commit(ctx context.Context, commits []PartitionCommit) error

	// Facts returns what partitions emitted for the fleet operator, in order,
	// after a sequence number.
	Facts(ctx context.Context, after uint64, limit int) ([]Fact, error)
	// Groups counts the servers that should be heard from, by site, rack and subnet.
	Groups(ctx context.Context) ([]GroupSize, error)
	// GroupsAt counts them as it was at a moment of stream time, with the subnets
	// of now.
	GroupsAt(ctx context.Context, at time.Time) ([]GroupSize, error)
	// Travelled lists where the serial numbers sat, and sit, that came to a server
	// or left it at exactly that time, of one category, where another server knows
	// them too: at most MaxStays of each, the latest, as it was known at a moment
	// of stream time.
	Travelled(ctx context.Context, server record.ID, category record.Category, at, known time.Time) ([]Occupant, error)
	// Sharing counts the servers that connect from an address.
	Sharing(ctx context.Context, address string) (int, error)

	// Outbox returns every open notification that people are to be told of, and
	// those that were resolved since; of older ones those whose end a target that
	// accepted the beginning has not accepted. Muted, folded and held ones are
	// left out.
	Outbox(ctx context.Context, resolvedSince time.Time) ([]Outgoing, error)
	// RecordDeliveries notes results of handing notifications to targets. What was
	// accepted stays accepted when a repeat of it fails.
	RecordDeliveries(ctx context.Context, ds []Delivery) error
	// Audit appends to the audit log.
	Audit(ctx context.Context, e AuditEntry) error
	// Prune deletes facts older than the retention, and says how many rows.
	Prune(ctx context.Context, before Limits) (int64, error)

	io.Closer
}

// Reader is what the API needs. Its answers are consistent per call.
type Reader interface {
	Inventory
	Fleet
	Register

	// Servers lists a page and the number of all matches.
	Servers(ctx context.Context, q ServerQuery) (ServerPage, error)
	// Server returns one server with its devices; ErrNotFound when unknown.
	Server(ctx context.Context, id record.ID) (ServerDetail, error)
	// History lists the snapshots a server had, newest first.
	History(ctx context.Context, q HistoryQuery) ([]HistoryEntry, error)
	// Changes lists changes, newest first.
	Changes(ctx context.Context, q ChangeQuery) (ChangePage, error)
	// Notifications lists notifications, newest change first.
	Notifications(ctx context.Context, q NotificationQuery) (NotificationPage, error)
	// Notification returns one with parts, evidence, deliveries and members.
	Notification(ctx context.Context, id string) (NotificationDetail, error)
	// Silent lists the servers that are silent now, the longest first.
	Silent(ctx context.Context) ([]SilentServer, error)
	// Overview counts the fleet.
	Overview(ctx context.Context) (Overview, error)
	// Pipeline says how far each partition's consumer is, and the ledger's sums.
	Pipeline(ctx context.Context) (Pipeline, error)
	// Noise counts what people heard since a time, by rule.
	Noise(ctx context.Context, since time.Time) (Noise, error)
	// AuditLog lists the newest entries first.
	AuditLog(ctx context.Context, q AuditQuery) ([]AuditEntry, error)
}

// FencedError says which partition's commit was refused, and why.
type FencedError struct {
	Partition int
	Detail    string
}

func (e *FencedError) Error() string { return e.Detail }

// Unwrap makes errors.Is(err, ErrFenced) true.
func (e *FencedError) Unwrap() error { return ErrFenced }

// Limits say before which time each kind of fact is deleted.
type Limits struct {
	Changes       time.Time
	History       time.Time // configurations, labels, facts and states of servers, who sat where
	Notifications time.Time // resolved ones, with all that belongs to them
	Evidence      time.Time // records of resolved notifications
	Audit         time.Time
}

// Before is one limit for everything.
func Before(t time.Time) Limits { return Limits{t, t, t, t, t} }
