// Package corpus finds the folder of real captures that tests read in place.
// It is not part of the project; where it is absent, tests that need it say so.
package corpus

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir returns the corpus folder, from NOCTURNE_CORPUS or ../shared/corpus
// beside the repository. Where there is none the test is skipped, and says why.
func Dir(t testing.TB) string {
	t.Helper()
	dir, ok := find()
	if !ok {
		t.Skipf("no corpus of real captures at %s; set NOCTURNE_CORPUS to run this test", dir)
	}
	return dir
}

// find returns where the corpus is, or would be.
func find() (dir string, ok bool) {
	dir = os.Getenv("NOCTURNE_CORPUS")
	if dir == "" {
		// A test runs in its package's folder.
		root, err := os.Getwd()
		for err == nil && root != filepath.Dir(root) {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(filepath.Dir(root), "shared", "corpus")
	}
	_, err := os.Stat(filepath.Join(dir, "MANIFEST.md"))
	return dir, err == nil
}

// maxSeed keeps seeds small enough for a fuzzer to change something in them.
const maxSeed = 16 << 10

// Seeds gives a fuzz target the corpus files that match a pattern, such as
// "smart/*/*.json", where there is a corpus; without one its own seeds are left.
func Seeds(f *testing.F, pattern string) {
	f.Helper()
	dir, ok := find()
	if !ok {
		return
	}
	files, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
	if err != nil || len(files) == 0 {
		f.Fatalf("no corpus file matches %s: %v", pattern, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) <= maxSeed {
			f.Add(b)
		}
	}
}

// File returns the path of one file of the corpus.
func File(t testing.TB, name ...string) string {
	t.Helper()
	return filepath.Join(append([]string{Dir(t)}, name...)...)
}
