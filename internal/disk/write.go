package disk

import (
	"errors"
	"os"
	"path/filepath"
)

// Replace writes a file so that after a crash or a power cut the old or the new
// content is there, whole; once it returned, the new one. What a crash leaves behind
// is at most path.new. Two callers at once are not served.
func Replace(path string, content []byte, mode os.FileMode) error {
	next := path + ".new"
	err := write(next, content, mode)
	if err == nil {
		err = Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, ignoreGone(os.Remove(next)))
	}
	return SyncDir(filepath.Dir(path))
}

func write(path string, content []byte, mode os.FileMode) error {
	if err := ignoreGone(os.Remove(path)); err != nil { // with the mode that it had
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}
