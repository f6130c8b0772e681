//go:build !windows

package app

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// errRunning means that another exporter uses the folder.
var errRunning = errors.New("in use by another exporter: stop it first")

// lock keeps a second exporter out; the lock goes with the process.
func lock(path string) (func() error, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errRunning
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
