package disk

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	s, err := Of(t.TempDir())
	if err != nil || s.Free == 0 || s.Total < s.Free {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := Of(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there has a disk")
	}
}

func TestSizes(t *testing.T) {
	dir := t.TempDir()
	for name, n := range map[string]int{"a/b/one": 3, "a/two": 4, "c": 5} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Sizes(dir, func(path string) string { first, _, _ := strings.Cut(path, "/"); return first })
	if want := map[string]int64{"a": 7, "c": 5}; err != nil || !maps.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	if got, err := Sizes(filepath.Join(dir, "gone"), func(string) string { return "" }); err != nil || len(got) != 0 {
		t.Errorf("a folder that is gone: %v %v", got, err)
	}
}
