// Package disk tells how full a disk is and what a folder takes of it, and writes
// files that last.
package disk

import (
	"errors"
	"io/fs"
	"path/filepath"
)

// Space is the disk that a folder lies on.
type Space struct {
	Free  uint64 // what we may still use
	Total uint64
}

// Sizes sums up the sizes of the files below dir by what name says of each, by
// its path from dir with slashes. Files that vanish meanwhile do not count.
func Sizes(dir string, name func(path string) string) (map[string]int64, error) {
	sums := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return ignoreGone(err)
		}
		info, err := e.Info()
		if err != nil {
			return ignoreGone(err)
		}
		rel, err := filepath.Rel(dir, path)
		if err == nil {
			sums[name(filepath.ToSlash(rel))] += info.Size()
		}
		return err
	})
	return sums, err
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
