//go:build !windows

package enrol

import "os"

// restrict lets only the owner into the directory.
func restrict(dir string) error { return os.Chmod(dir, 0o700) }
