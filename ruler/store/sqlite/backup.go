package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"nocturne/ruler/store"
)

// Backup writes a copy of the store at path into a new file: one moment of it,
// also while a ruler works. The copy is compact and can be opened like any store.
func Backup(ctx context.Context, path, to string) (err error) {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("back up: %s is there already, name a new file", to)
	}
	// A name beside it first: a copy that broke off must not look like one.
	part := to + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("back up: %w", err)
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.ExecContext(ctx, "VACUUM INTO ?", part); err != nil {
		return errors.Join(fmt.Errorf("back up %s: %w", path, err), ignoreMissing(os.Remove(part)))
	}
	if err := os.Chmod(part, 0o600); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	if err := syncFile(part); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	if err := os.Rename(part, to); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	return nil
}

// Check opens a copy for reading and says whether a ruler of this program and
// layout can work with it.
func Check(ctx context.Context, path string, cfg Config) (err error) {
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	db, err := sql.Open("sqlite", dsn(path, "query_only(1)"))
	if err != nil {
		return fmt.Errorf("check %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var version int
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return fmt.Errorf("check %s: this is no store: %w", path, err)
	}
	if version == 0 || version > len(migrations) {
		return fmt.Errorf("check %s: schema version %d, this program knows 1 to %d: %w", path, version, len(migrations), store.ErrMismatch)
	}
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil || verdict != "ok" {
		return errors.Join(fmt.Errorf("check %s: the file is damaged: %.200s", path, verdict), err)
	}
	for key, want := range map[string]string{"partitions": fmt.Sprint(cfg.Partitions), "hash": cfg.Hash} {
		var got string
		if err := db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&got); err != nil {
			return fmt.Errorf("check %s: read %s: %w", path, key, err)
		}
		if got != want {
			return fmt.Errorf("check %s: it was made for %s %s, this program has %s: %w", path, key, got, want, store.ErrMismatch)
		}
	}
	return nil
}

// MarkRestored notes in a copy that it is about to take the place of a store,
// and who did that. It brings the copy to this program's schema.
func MarkRestored(ctx context.Context, cfg Config, done store.AuditEntry) (err error) {
	s, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if _, err := s.write.ExecContext(ctx, "INSERT INTO meta (key, value) VALUES ('restored', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value", strconv.FormatInt(unix(done.At), 10)); err != nil {
		return fmt.Errorf("note the restore: %w", err)
	}
	return s.Audit(ctx, done)
}

// Restored is when this store was put in the place of another, as MarkRestored
// noted it; zero = never.
func (s *Store) Restored(ctx context.Context) (time.Time, error) {
	var text string
	switch err := s.read.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'restored'").Scan(&text); {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, fmt.Errorf("read when the store was restored: %w", err)
	}
	ns, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("read when the store was restored: %w", err)
	}
	return time.Unix(0, ns), nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
