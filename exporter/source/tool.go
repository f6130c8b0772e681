package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

var (
	errForeign  = errors.New("belongs to neither an administrator nor the user of this program")
	errWritable = errors.New("others may write it")
)

// CheckTool tells whether a program is safe to run with our rights: an absolute
// path to a regular file that, like the directories above it, only an
// administrator or our own user can replace. A missing file is fs.ErrNotExist.
func CheckTool(path string) error { return checkPath("tool", path, holdsProgram) }

// CheckFile tells the same of a file that is only read: what lies beside it
// does not matter.
func CheckFile(path string) error { return checkPath("file", path, aboveProgram) }

func checkPath(kind, path string, folder place) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s %q: write an absolute path", kind, path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, path, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s %s: not a regular file", kind, path)
	}
	what := isProgram
	for p := real; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind, path, err)
		}
		if err := checkOwner(p, info, what); err != nil {
			return fmt.Errorf("%s %s: %w", kind, path, err)
		}
		if p == filepath.Dir(p) {
			return nil
		}
		if what == isProgram {
			what = folder
		} else {
			what = aboveProgram
		}
	}
}

// CheckFolder tells whether only an administrator or our own user decides what
// is in a folder. The folders above it are not looked at.
func CheckFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil {
		err = checkOwner(path, info, holdsProgram)
	}
	if err != nil {
		return fmt.Errorf("folder %s: %w", path, err)
	}
	return nil
}
