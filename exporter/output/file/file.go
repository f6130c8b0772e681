// Package file writes records as JSON lines to a file, as the console output
// does to the screen. A frame counts as stored after the file was synced to
// disk. The file is rotated by size and a stated number of old ones is kept;
// only the exporter's user can read them, on Windows whoever the folder lets in.
//
// What a write could not finish is cut off again, also after a crash: a reader
// may see a line twice, never half of one.
//
// An Output belongs to one driver. To test: go test ./exporter/output/file.
package file

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"nocturne/exporter/output"
	"nocturne/exporter/output/jsonlines"
	"nocturne/exporter/spool"
	"nocturne/internal/disk"
)

// Config is what an output of type file needs beside what all have.
type Config struct {
	// Path is the file that is written; older ones are Path.1, Path.2 …
	Path string `yaml:"path"`
	// MaxBytes is when the file is rotated; one batch may go beyond it.
	MaxBytes int64 `yaml:"max_bytes"`
	// MaxFiles is how many files there are at most, the one that is written
	// among them.
	MaxFiles int `yaml:"max_files"`
}

// DefaultConfig has no path.
func DefaultConfig() Config { return Config{MaxBytes: 64 << 20, MaxFiles: 5} }

// Validate says what to write instead.
func (c Config) Validate() error {
	switch {
	case !filepath.IsAbs(c.Path):
		return fmt.Errorf("file path %q: write an absolute path", c.Path)
	case c.MaxBytes < 64<<10 || c.MaxBytes > 64<<30:
		return fmt.Errorf("file max_bytes %d: write a number from 65536 to 68719476736", c.MaxBytes)
	case c.MaxFiles < 1 || c.MaxFiles > 1000:
		return fmt.Errorf("file max_files %d: write a number from 1 to 1000", c.MaxFiles)
	}
	return nil
}

// handle is the file that is written.
type handle interface {
	io.WriteCloser
	Sync() error
	Truncate(size int64) error
}

// Output writes to one file.
type Output struct {
	cfg  Config
	f    handle // nil = not open
	size int64
	wrap func(*os.File) handle // for tests

	rename func(from, to string) error // os.Rename, but in tests
}

// New returns an output that opens its file at its first Hello.
func New(cfg Config) *Output {
	return &Output{cfg: cfg, wrap: func(f *os.File) handle { return f }, rename: os.Rename}
}

// Hello implements output.Output.
func (o *Output) Hello(context.Context, []byte) (output.Greeting, error) {
	return output.Greeting{}, o.open()
}

// open opens the file at its end, without half a line that a crash left there.
func (o *Output) open() error {
	if o.f != nil {
		return nil
	}
	f, err := os.OpenFile(o.cfg.Path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return failure(err)
	}
	if o.size, err = whole(f); err == nil {
		err = errors.Join(f.Truncate(o.size), disk.SyncDir(filepath.Dir(o.cfg.Path)))
	}
	if err != nil {
		return failure(errors.Join(err, f.Close()))
	}
	o.f = o.wrap(f)
	return nil
}

// tailBytes is more than the longest line.
const tailBytes = 8 << 20

// whole returns the size of a file up to the end of its last whole line.
func whole(f *os.File) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", f.Name())
	}
	n := info.Size()
	tail := make([]byte, min(n, tailBytes))
	if _, err := f.ReadAt(tail, n-int64(len(tail))); err != nil {
		return 0, err
	}
	return n - int64(len(tail)) + int64(bytes.LastIndexByte(tail, '\n')) + 1, nil
}

// failure says how to go on: rights and folders are for a person.
func failure(err error) error {
	if f := (*output.Failure)(nil); errors.As(err, &f) {
		return err
	}
	kind := output.Busy
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		kind = output.Denied
	}
	return &output.Failure{Kind: kind, Err: fmt.Errorf("write file: %w", err)}
}

// Send implements output.Output: one write and one sync for all frames.
func (o *Output) Send(ctx context.Context, frames []spool.Frame) (output.Answer, error) {
	if err := ctx.Err(); err != nil {
		return output.Answer{}, err
	}
	if err := o.open(); err != nil {
		return output.Answer{}, err
	}
	var a output.Answer
	var text []byte
	for i := range frames {
		b, err := jsonlines.Records(&frames[i])
		if err != nil {
			a.Verdicts = append(a.Verdicts, spool.Refused)
			a.Reasons = append(a.Reasons, err.Error())
			continue
		}
		text = append(text, b...)
		a.Verdicts = append(a.Verdicts, spool.Stored)
	}
	if err := o.append(text); err != nil {
		return output.Answer{}, failure(err)
	}
	return a, nil
}

func (o *Output) append(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	if o.size > 0 && o.size+int64(len(text)) > o.cfg.MaxBytes {
		if err := o.rotate(); err != nil {
			return err
		}
	}
	_, err := o.f.Write(text)
	if err == nil {
		err = o.f.Sync()
	}
	if err != nil {
		// Cut off what was written; where that fails too, opening it does.
		err = errors.Join(err, o.f.Truncate(o.size), o.f.Close())
		o.f = nil
		return err
	}
	o.size += int64(len(text))
	return nil
}

// rotate gives the file the number 1 and every older one the next, up to a
// number that is free; without one the oldest goes. Windows renames no file that
// a reader has open: rotate is then tried again and again, and must not push
// another old file out each time.
func (o *Output) rotate() error {
	err := o.f.Close()
	o.f = nil
	if err != nil {
		return err
	}
	if o.cfg.MaxFiles == 1 {
		if err := os.Remove(o.cfg.Path); err != nil {
			return err
		}
		return o.open()
	}
	free := 1
	for free < o.cfg.MaxFiles-1 {
		if _, err := os.Lstat(o.numbered(free)); errors.Is(err, fs.ErrNotExist) {
			break
		}
		free++
	}
	for n := free; n > 0; n-- {
		// Renaming replaces: the oldest one goes by that.
		if err := o.rename(o.numbered(n-1), o.numbered(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return o.open()
}

func (o *Output) numbered(n int) string {
	if n == 0 {
		return o.cfg.Path
	}
	return o.cfg.Path + "." + strconv.Itoa(n)
}

// Close implements output.Output.
func (o *Output) Close() error {
	if o.f == nil {
		return nil
	}
	err := o.f.Close()
	o.f = nil
	return err
}
