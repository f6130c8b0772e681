package app

import (
	"errors"
	"io/fs"
	"os"
	"sync"
)

// maxLogFile is the size at which a log file becomes the old one.
const maxLogFile = 10 << 20

// LogFile is a log that stays below twice maxLogFile, for a service, which has
// no console. It is safe for concurrent use.
type LogFile struct {
	mu   sync.Mutex
	path string
	f    *os.File
	size int64
}

// OpenLogFile appends to a log file, readable by its owner only.
func OpenLogFile(path string) (*LogFile, error) {
	l := &LogFile{path: path}
	return l, l.open()
}

func (l *LogFile) open() error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.f, l.size = f, info.Size()
	return nil
}

// Write implements io.Writer.
func (l *LogFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(b)) > maxLogFile {
		if err := l.turn(); err != nil {
			return 0, err
		}
	}
	n, err := l.f.Write(b)
	l.size += int64(n)
	return n, err
}

// turn makes the file the old one and begins another.
func (l *LogFile) turn() error {
	if err := l.f.Close(); err != nil {
		return err
	}
	old := l.path + ".old"
	if err := os.Remove(old); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, l.open())
	}
	if err := os.Rename(l.path, old); err != nil {
		return errors.Join(err, l.open())
	}
	return l.open()
}

// Close closes the file.
func (l *LogFile) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.f.Close()
}
