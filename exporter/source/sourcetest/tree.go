// Package sourcetest helps the tests of sources that read a machine's files.
package sourcetest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Tree writes files below a folder of the test and returns the folder; a text
// that begins with "->" is a symbolic link.
func Tree(t testing.TB, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(text, "->"); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}
