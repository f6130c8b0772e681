//go:build unix

package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// Of says how full the disk of a folder is.
func Of(dir string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return Space{}, err
	}
	size := uint64(st.Bsize)
	return Space{Free: st.Bavail * size, Total: st.Blocks * size}, nil
}

// Rename gives a file another name, in place of a file that has it; SyncDir makes
// that last.
func Rename(from, to string) error { return os.Rename(from, to) }

// SyncDir makes the names in a folder last through a power cut, as far as its file
// system can: some of networks cannot, and say so.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}
