package metricrule

import (
	"os"
	"path/filepath"
	"testing"
)

// builtin are the default rules.
func builtin(t testing.TB) *Pack {
	t.Helper()
	names, err := filepath.Glob("../../alerts/metrics/*.yml")
	if err != nil || len(names) == 0 {
		t.Fatal("no default rules", err)
	}
	var files []*File
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Parse(name, data)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := NewPack(files, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
