// Package sqlite keeps the ruler's state in one SQLite file: write-ahead log,
// synchronous=FULL, one connection that writes and a few that read. A commit
// has been fsynced when it returns.
//
// A Store is safe for concurrent use. To test: go test ./ruler/store/sqlite,
// which runs storetest.Run against a file in a temporary folder.
package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"nocturne/ruler/store"
)

//go:embed schema.sql
var schema1 string

//go:embed inventory.sql
var schemaInventory string

//go:embed fleet.sql
var schemaFleet string

//go:embed moves.sql
var schemaMoves string

//go:embed register.sql
var schemaRegister string

//go:embed tokens.sql
var schemaTokens string

//go:embed desk.sql
var schemaDesk string

//go:embed feed.sql
var schemaFeed string

//go:embed absence.sql
var schemaAbsence string

//go:embed rules.sql
var schemaRules string

//go:embed kinds.sql
var schemaKinds string

//go:embed users.sql
var schemaUsers string

//go:embed windows.sql
var schemaWindows string

//go:embed models.sql
var schemaModels string

//go:embed planned.sql
var schemaPlanned string

//go:embed groups.sql
var schemaGroups string

//go:embed switches.sql
var schemaSwitches string

//go:embed plans.sql
var schemaPlans string

//go:embed turns.sql
var schemaTurns string

// migrations bring the file from version i to i+1.
var migrations = []string{
	schema1,
	schemaInventory,
	schemaTokens,
	schemaDesk,
	schemaFeed,
	schemaAbsence,
	schemaRules,
	schemaFleet,
	schemaRegister,
	schemaMoves,
	schemaKinds,
	schemaUsers,
	schemaWindows,
	schemaModels,
	schemaPlanned,
	schemaGroups,
	schemaSwitches,
	schemaPlans,
	schemaTurns,
}

const readers = 4

// Config says where the file is and which stream it belongs to.
type Config struct {
	Path string
	// Partitions and Hash are the stream's layout. They are stored with the
	// first start; another layout is refused, for positions would be wrong.
	Partitions int
	Hash       string
	// Keep refuses a file of another schema version instead of migrating it: for
	// commands that run beside a ruler.
	Keep bool
	// Upgrade, if set, is called before a store of an earlier schema version is
	// migrated, which takes minutes where it is large.
	Upgrade func(from, to int)
}

// Store implements store.Store.
type Store struct {
	path  string
	write *sql.DB
	read  *sql.DB
	stmts statements

	commits, rows atomic.Int64
	news          broadcast
}

var _ store.Store = (*Store)(nil)

// Open opens or makes the file and brings its schema up to date.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(cfg.Path), 0o750); err != nil {
		return nil, fmt.Errorf("open store %s: %w", cfg.Path, err)
	}
	if err := create(cfg.Path); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{path: cfg.Path}
	if err := s.open(ctx, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", cfg.Path, err), s.Close())
	}
	return s, nil
}

// create makes a new file for its owner alone: SQLite would let everybody read
// it, and gives its log the same mode. One that is there is not touched, because
// to close it here would end the locks of whoever has it open in this process.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func (s *Store) open(ctx context.Context, cfg Config) error {
	var err error
	if s.write, err = sql.Open("sqlite", dsn(cfg.Path, "journal_mode(WAL)", "synchronous(FULL)", "wal_autocheckpoint(4000)")+"&_txlock=immediate"); err != nil {
		return err
	}
	s.write.SetMaxOpenConns(1)
	s.write.SetMaxIdleConns(1)
	if err := migrate(ctx, s.write, cfg); err != nil {
		return err
	}
	if err := checkLayout(ctx, s.write, cfg); err != nil {
		return err
	}
	if err := s.stmts.prepare(ctx, s.write); err != nil {
		return err
	}
	if s.read, err = sql.Open("sqlite", dsn(cfg.Path, "query_only(1)")); err != nil {
		return err
	}
	s.read.SetMaxOpenConns(readers)
	s.read.SetMaxIdleConns(readers)
	return s.read.PingContext(ctx)
}

func dsn(path string, pragmas ...string) string {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout(10000)")
	q.Add("_pragma", "foreign_keys(0)")
	q.Add("_pragma", "temp_store(MEMORY)")
	q.Add("_pragma", "cache_size(-16000)")
	for _, p := range pragmas {
		q.Add("_pragma", p)
	}
	p := filepath.ToSlash(path)
	switch {
	case filepath.VolumeName(path) != "": // C:/x is file:///C:/x
		p = "///" + (&url.URL{Path: p}).EscapedPath()
	case strings.HasPrefix(p, "/"):
		p = "//" + (&url.URL{Path: p}).EscapedPath()
	default:
		p = (&url.URL{Path: p}).EscapedPath()
	}
	return "file:" + p + "?" + q.Encode()
}

func migrate(ctx context.Context, db *sql.DB, cfg Config) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if version > len(migrations) {
		return fmt.Errorf("schema version %d is newer than this program knows (%d), start the newer ruler: %w", version, len(migrations), store.ErrMismatch)
	}
	if cfg.Keep && version > 0 && version < len(migrations) {
		return fmt.Errorf("schema version %d is older than this program's (%d), restart the ruler first: %w", version, len(migrations), store.ErrMismatch)
	}
	if cfg.Upgrade != nil && version > 0 && version < len(migrations) {
		cfg.Upgrade(version, len(migrations))
	}
	for v := version; v < len(migrations); v++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("migrate to schema version %d: %w", v+1, err)
		}
		_, err = tx.ExecContext(ctx, migrations[v]+";PRAGMA user_version="+strconv.Itoa(v+1))
		if err == nil {
			err = tx.Commit()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("migrate to schema version %d: %w", v+1, err), tx.Rollback())
		}
	}
	return nil
}

// checkLayout refuses a file whose positions belong to another layout.
func checkLayout(ctx context.Context, db *sql.DB, cfg Config) error {
	for key, want := range map[string]string{"partitions": strconv.Itoa(cfg.Partitions), "hash": cfg.Hash} {
		if _, err := db.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING", key, want); err != nil {
			return fmt.Errorf("write %s: %w", key, err)
		}
		var got string
		if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&got); err != nil {
			return fmt.Errorf("read %s: %w", key, err)
		}
		if got != want {
			return fmt.Errorf("the store was made for %s %s, the stream has %s: %w", key, got, want, store.ErrMismatch)
		}
	}
	return nil
}

// Close waits for the running commit and closes the file.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Bytes is the size of the file and its log.
func (s *Store) Bytes() int64 {
	db, wal := s.FileBytes()
	return db + wal
}

// FileBytes are the sizes of the file and of its log, which grows until the next
// checkpoint and is then written from its beginning again.
func (s *Store) FileBytes() (db, wal int64) {
	size := func(path string) int64 {
		fi, err := os.Stat(path)
		if err != nil {
			return 0
		}
		return fi.Size()
	}
	return size(s.path), size(s.path + "-wal")
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func moment(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}
