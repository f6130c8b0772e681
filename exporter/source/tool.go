package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var (
	errForeign  = errors.New("belongs to neither root nor the user of this program")
	errWritable = errors.New("anybody may write it")
)

// CheckTool tells whether a program is safe to run with our rights: an absolute
// path to a regular file that, like the directories above it, only an
// administrator or our own user can replace. A missing file is fs.ErrNotExist.
func CheckTool(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("tool %q: write an absolute path", path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("tool %s: %w", path, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("tool %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("tool %s: not a regular file", path)
	}
	for p := real; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return fmt.Errorf("tool %s: %w", path, err)
		}
		if err := checkOwner(p, info); err != nil {
			return fmt.Errorf("tool %s: %w", path, err)
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}
