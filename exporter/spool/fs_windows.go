package spool

import (
	"os"

	"golang.org/x/sys/windows"
)

// replaceFile asks for the rename to be on disk before it returns.
func replaceFile(from, to string) error {
	f, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	t, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	if err := windows.MoveFileEx(f, t, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// syncDir has nothing to do: NTFS journals directory changes in order, and
// FlushFileBuffers on a new file flushes the entry that leads to it.
func syncDir(string) error { return nil }
