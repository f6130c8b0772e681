package disk

import (
	"os"

	"golang.org/x/sys/windows"
)

// Of says how full the disk of a folder is.
func Of(dir string) (Space, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return Space{}, err
	}
	var s Space
	return s, windows.GetDiskFreeSpaceEx(path, &s.Free, &s.Total, nil)
}

// Rename gives a file another name, in place of a file that has it, and asks for
// that to be on disk before it returns.
func Rename(from, to string) error {
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

// SyncDir has nothing to do: NTFS journals directory changes in order, and
// FlushFileBuffers on a new file flushes the entry that leads to it.
func SyncDir(string) error { return nil }
