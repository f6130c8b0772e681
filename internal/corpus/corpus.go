// Package corpus finds the folder of real captures that tests read in place.
// It is not part of the project; where it is absent, tests that need it say so.
package corpus

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Dir returns the corpus folder, from NOCTURNE_CORPUS or ../shared/corpus
// beside the repository. Where there is none the test is skipped, and says why.
func Dir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("NOCTURNE_CORPUS")
	if dir == "" {
		_, file, _, _ := runtime.Caller(0)
		dir = filepath.Join(filepath.Dir(file), "..", "..", "..", "shared", "corpus")
	}
	if _, err := os.Stat(filepath.Join(dir, "MANIFEST.md")); err != nil {
		t.Skipf("no corpus of real captures at %s; set NOCTURNE_CORPUS to run this test", dir)
	}
	return dir
}

// File returns the path of one file of the corpus.
func File(t testing.TB, name ...string) string {
	t.Helper()
	return filepath.Join(append([]string{Dir(t)}, name...)...)
}
