package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"nocturne/internal/stream"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

const storeFile = "ruler.db"

// HasStore says what to do where a data folder holds no store.
func HasStore(data string) error {
	_, err := os.Stat(filepath.Join(data, storeFile))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no store in %s: name the configuration of the ruler with -config", data)
	}
	return err
}

// Backup copies the store of a data folder into a new file, also while its
// ruler works.
func Backup(ctx context.Context, data, to string) error {
	return sqlite.Backup(ctx, filepath.Join(data, storeFile), to)
}

// Restore puts a backup in the place of a data folder's store; the store that
// was there stays beside it. It refuses while a ruler works on the folder, and
// a file that this program's ruler could not work with. done goes into the
// audit log; of what happened before its time the ruler tells nobody again.
func Restore(ctx context.Context, from, data string, done store.AuditEntry) (kept string, err error) {
	layout := sqlite.Config{Partitions: stream.Partitions, Hash: layoutHash}
	if err := sqlite.Check(ctx, from, layout); err != nil {
		return "", err
	}
	if err := os.MkdirAll(data, 0o750); err != nil {
		return "", fmt.Errorf("restore: %w", err)
	}
	unlock, err := lockFile(filepath.Join(data, "lock"))
	if err != nil {
		return "", fmt.Errorf("restore: a ruler works on %s, stop it first (lock: %w)", data, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	target := filepath.Join(data, storeFile)
	part := target + ".restore"
	// A restore that was killed left its copy with a log: SQLite would write that into ours.
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(part + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("restore: %w", err)
		}
	}
	if err := copyFile(from, part); err != nil {
		return "", fmt.Errorf("restore %s: %w", from, err)
	}
	layout.Path = part
	if err := sqlite.MarkRestored(ctx, layout, done); err != nil {
		return "", fmt.Errorf("restore %s: %w", from, err)
	}
	if _, err := os.Stat(part + "-wal"); !errors.Is(err, os.ErrNotExist) { // closed, it is in the file; renamed without it, the mark would be lost
		return "", errors.Join(fmt.Errorf("restore: %s-wal is still there, is another program reading the copy?", part), err)
	}
	if kept, err = putAside(target); err != nil {
		return "", fmt.Errorf("restore: put the present store aside: %w", err)
	}
	if err := os.Rename(part, target); err != nil {
		return kept, fmt.Errorf("restore: %w", err)
	}
	return kept, nil
}

// putAside renames a store, if there is one, with its log: without it the last
// commits would be missing. What an earlier restore put aside stays too. No log
// of another store stays beside either: SQLite would write it into the one that
// comes there.
func putAside(target string) (kept string, err error) {
	there := func(path string) bool {
		_, serr := os.Stat(path)
		if serr != nil && !errors.Is(serr, os.ErrNotExist) {
			err = serr
		}
		return serr == nil
	}
	if there(target) {
		kept = target + ".before-restore"
		for n := 2; there(kept); n++ {
			kept = fmt.Sprintf("%s.before-restore-%d", target, n)
		}
	}
	if err != nil {
		return "", err
	}
	ignore := func(err error) error {
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if kept == "" {
			err = ignore(os.Remove(target + suffix))
		} else {
			err = errors.Join(ignore(os.Remove(kept+suffix)), ignore(os.Rename(target+suffix, kept+suffix)))
		}
		if err != nil {
			return "", err
		}
	}
	return kept, nil
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}
