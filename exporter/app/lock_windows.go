package app

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// errRunning means that another exporter uses the folder.
var errRunning = errors.New("in use by another exporter: stop it first")

// lock keeps a second exporter out; the lock goes with the process.
func lock(path string) (func() error, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if err != nil {
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			err = errRunning
		}
		return nil, errors.Join(err, f.Close())
	}
	return f.Close, nil
}
