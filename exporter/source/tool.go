package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

var (
	errForeign  = errors.New("belongs to neither an administrator nor the user of this program")
	errWritable = errors.New("others may write it")
)

// CheckTool tells whether a program is safe to run with our rights: an absolute
// path to a regular file that, like the directories above it and above every
// link that leads to it, only an administrator or our own user can replace. A missing file is fs.ErrNotExist.
func CheckTool(path string) error { return checkPath("tool", path, holdsProgram) }

// CheckFile tells the same of a file that is only read: what lies beside it
// does not matter.
func CheckFile(path string) error { return checkPath("file", path, aboveProgram) }

func checkPath(kind, path string, folder place) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%s %q: write an absolute path", kind, path)
	}
	if err := checkChain(path, folder); err != nil {
		return fmt.Errorf("%s %s: %w", kind, path, err)
	}
	return nil
}

var (
	errNotRegular = errors.New("not a regular file")
	errLinks      = errors.New("too many links lead to one another")
)

// maxLinks bounds the links on the way to a program, as Linux does.
const maxLinks = 40

// checkChain follows a path link by link: whoever may write a folder on the way
// decides where it leads, so every folder of every link counts.
func checkChain(path string, folder place) error {
	path = filepath.Clean(path)
	for range maxLinks {
		link, target, rest, err := firstLink(path)
		if err != nil {
			return err
		}
		if link == "" {
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if !info.Mode().IsRegular() {
				return errNotRegular
			}
			if err := checkOwner(path, info, isProgram); err != nil {
				return err
			}
			return checkAbove(path, folder)
		}
		if err := checkAbove(link, aboveProgram); err != nil {
			return err
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(link), target)
		}
		path = filepath.Join(target, rest)
	}
	return errLinks
}

// checkAbove looks at the folder that holds path, then at those above it. None
// of them is a link.
func checkAbove(path string, holds place) error {
	for p := filepath.Dir(path); ; p, holds = filepath.Dir(p), aboveProgram {
		info, err := os.Stat(p)
		if err != nil {
			return err
		}
		if err := checkOwner(p, info, holds); err != nil {
			return err
		}
		if p == filepath.Dir(p) {
			return nil
		}
	}
}

// firstLink returns the first part of a path that is a link, where it leads,
// and what of the path follows it; "" when there is none.
func firstLink(path string) (link, target, rest string, err error) {
	root := filepath.VolumeName(path) + string(filepath.Separator)
	at := root
	parts := strings.Split(strings.TrimPrefix(path, root), string(filepath.Separator))
	for i, part := range parts {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if err != nil {
			return "", "", "", err
		}
		// Windows calls a junction irregular.
		if info.Mode()&(os.ModeSymlink|os.ModeIrregular) == 0 {
			continue
		}
		target, err := os.Readlink(at)
		if err != nil {
			if info.Mode()&os.ModeSymlink == 0 {
				continue // some other reparse point, such as a file in a cloud
			}
			return "", "", "", err
		}
		return at, target, filepath.Join(parts[i+1:]...), nil
	}
	return "", "", "", nil
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
