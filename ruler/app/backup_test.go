package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

// A backup of a store that is being written can be restored; what is no backup
// and what belongs to another layout is refused, and so is a ruler that runs.
func TestBackupAndRestore(t *testing.T) {
	dir := t.TempDir()
	data, copied := filepath.Join(dir, "data"), filepath.Join(dir, "copy.db")
	cfg := sqlite.Config{Path: filepath.Join(data, storeFile), Partitions: stream.Partitions, Hash: layoutHash}
	open := func() *sqlite.Store {
		s, err := sqlite.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	names := func(s *sqlite.Store) int {
		p, err := s.Servers(t.Context(), store.ServerQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return p.Total
	}
	s := open()
	c, err := s.Claim(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	commit := func(n byte) {
		from := store.Position{}
		if n > 1 {
			from = store.Position{Incarnation: "x", Entry: uint64(n - 1)}
		}
		if err := s.Commit(t.Context(), []store.PartitionCommit{{Epoch: c.Epoch, From: from, To: store.Position{Incarnation: "x", Entry: uint64(n)}, Servers: []store.ServerWrite{{ID: record.ID{n}}}}}); err != nil {
			t.Fatal(err)
		}
	}
	commit(1)
	if err := Backup(t.Context(), data, copied); err != nil {
		t.Fatal(err)
	}
	commit(2)
	if err := Backup(t.Context(), data, copied); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("over a backup: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockFile(filepath.Join(data, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), copied, data, done); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("while a ruler works: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.db")
	if err := os.WriteFile(bad, []byte(strings.Repeat("no store", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), bad, data, done); err == nil {
		t.Error("what is no store was restored")
	}
	other, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "other.db"), Partitions: 64, Hash: layoutHash})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(context.Background(), filepath.Join(dir, "other.db"), data, done); !errors.Is(err, store.ErrMismatch) {
		t.Errorf("another layout: %v", err)
	}
	kept, err := Restore(t.Context(), copied, data, done)
	if err != nil || kept == "" {
		t.Fatalf("%q, %v", kept, err)
	}
	s = open()
	if n := names(s); n != 1 {
		t.Errorf("%d servers, want the one of the backup", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Restore(t.Context(), copied, data, done) // it was the wrong backup: nothing is lost by trying another
	if err != nil || again == kept {
		t.Fatalf("%q, %v", again, err)
	}
	cfg.Path = kept
	s = open()
	defer s.Close()
	if n := names(s); n != 2 {
		t.Errorf("%d servers in the store that was there, want 2", n)
	}
}

var done = store.AuditEntry{At: time.Now(), Actor: "ada", Action: "store.restore"}

// The damaged store was deleted by hand and its log was not: a restored store
// must not take what is in the log of another one. The same holds for the store
// that is put aside twice, and for the copy of a restore that was killed.
func TestRestoreLeavesNoOtherLog(t *testing.T) {
	dir := t.TempDir()
	data, copied := filepath.Join(dir, "data"), filepath.Join(dir, "copy.db")
	target := filepath.Join(data, storeFile)
	cfg := sqlite.Config{Path: target, Partitions: stream.Partitions, Hash: layoutHash}
	s, err := sqlite.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), data, copied); err != nil {
		t.Fatal(err)
	}
	c, err := s.Claim(t.Context(), 0, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(t.Context(), []store.PartitionCommit{{Epoch: c.Epoch, To: store.Position{Incarnation: "x", Entry: 1}, Servers: []store.ServerWrite{{ID: record.ID{1}}}}}); err != nil {
		t.Fatal(err)
	}
	wal, err := os.ReadFile(target + "-wal") // as after a crash
	if err != nil || len(wal) == 0 {
		t.Fatalf("%d bytes of log, %v", len(wal), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	for _, beside := range []string{target + "-wal", target + ".before-restore-wal", target + ".restore-wal"} {
		if err := os.WriteFile(beside, wal, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := Restore(t.Context(), copied, data, done); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{target, target + ".before-restore"} {
		if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s has a log that is not its own: %v", filepath.Base(path), err)
		}
		cfg.Path = path
		s, err := sqlite.Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Servers(t.Context(), store.ServerQuery{State: store.ServerStates()})
		if err != nil || p.Total != 0 {
			t.Errorf("%s: %d servers, %v; the backup has none", filepath.Base(path), p.Total, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
