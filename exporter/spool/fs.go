package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"

	"nocturne/internal/disk"
)

// FS is the little of a file system that the spool needs, so that a test can
// put one in its place that forgets unsynced writes. Names are relative.
// One goroutine at a time changes files; others may read beside it, never the
// bytes that are being written.
type FS interface {
	// Create makes an empty file, replacing one of the same name.
	Create(name string) (File, error)
	// Open opens a file that exists for reading and writing.
	Open(name string) (File, error)
	// Rename replaces newname atomically.
	Rename(oldname, newname string) error
	Remove(name string) error
	// List returns the names of the files, in ascending order.
	List() ([]string, error)
	// SyncDir makes the creations, renames and removals before it durable.
	SyncDir() error
}

// File is an open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when what was written is durable.
	Sync() error
	Truncate(size int64) error
	Size() (int64, error)
	Close() error
}

// Dir is the FS of a directory of the operating system, which it creates,
// readable by its owner only.
func Dir(path string) (FS, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	return osFS{path}, nil
}

type osFS struct{ dir string }

func (d osFS) path(name string) string { return filepath.Join(d.dir, name) }

func (d osFS) Create(name string) (File, error) {
	return d.open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (d osFS) Open(name string) (File, error) { return d.open(name, os.O_RDWR) }

func (d osFS) open(name string, flag int) (File, error) {
	f, err := os.OpenFile(d.path(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d osFS) Rename(oldname, newname string) error {
	return disk.Rename(d.path(oldname), d.path(newname))
}

func (d osFS) Remove(name string) error { return os.Remove(d.path(name)) }

func (d osFS) List() ([]string, error) {
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

func (d osFS) SyncDir() error { return disk.SyncDir(d.dir) }

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// writeFile replaces a file by a new one with this content, so that after a
// crash either the old or the new one is there, whole.
func writeFile(fsys FS, name string, content []byte) error {
	tmp := name + tmpSuffix
	f, err := fsys.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, ignoreMissing(fsys.Remove(tmp)))
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return err
	}
	return fsys.SyncDir()
}

// readFile returns a file's content; nil without an error when there is none.
func readFile(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && (!errors.Is(err, io.EOF) || n < len(b)) {
		return nil, err
	}
	return b, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
