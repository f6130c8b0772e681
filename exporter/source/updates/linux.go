package updates

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"nocturne/exporter/source"
)

// readLinux asks the package manager that this machine has. The errors of the
// tools leave their part of the report out.
func (r *Reader) readLinux(ctx context.Context) (*Report, error) {
	switch {
	case r.has("usr/bin/apt-get") && r.has("var/lib/dpkg/status"):
		return r.readAPT(ctx)
	case r.has("usr/bin/dnf"):
		return r.readDNF(ctx)
	}
	return nil, fmt.Errorf("neither apt nor dnf is here: %w", errors.ErrUnsupported)
}

func (r *Reader) path(name string) string { return filepath.Join(r.o.Root, name) }

func (r *Reader) has(name string) bool {
	_, err := os.Stat(r.path(name))
	return err == nil
}

// changed returns when a file or folder was last changed, zero when it is not
// there.
func (r *Reader) changed(name string) time.Time {
	info, err := os.Stat(r.path(name))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// tool runs a tool that only an administrator can replace. Where the root is
// not the machine's, the runner is a test's.
func (r *Reader) tool(ctx context.Context, name string, args ...string) ([]byte, error) {
	if r.o.Root == "/" {
		if err := source.CheckTool(name); err != nil {
			return nil, err
		}
	}
	return r.o.Run(ctx, name, args...)
}

// code returns how a program ended, -1 when it did not end by itself.
func code(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err == nil {
		return 0
	}
	return -1
}

// maxLog bounds what is read of one log, unpacked.
const maxLog = 4 << 20

// readLog reads a log that may be packed; the newest of it when it is long.
func (r *Reader) readLog(name string) ([]byte, error) {
	f, err := os.Open(r.path(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	if !strings.HasSuffix(name, ".gz") {
		if info, err := f.Stat(); err == nil && info.Size() > maxLog {
			if _, err := f.Seek(-maxLog, io.SeekEnd); err != nil {
				return nil, err
			}
		}
		return io.ReadAll(io.LimitReader(f, maxLog))
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("log %s: %w", name, err)
	}
	b, err := io.ReadAll(io.LimitReader(z, maxLog))
	if err != nil {
		return nil, fmt.Errorf("log %s: %w", name, err)
	}
	return b, nil
}

// missing tells whether a file is not there, which is no failure.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
