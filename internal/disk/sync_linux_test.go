package disk

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The content is on disk before the name leads to it, and the name before Replace
// returns.
func TestReplaceSyncs(t *testing.T) {
	if path := os.Getenv("NOCTURNE_REPLACE"); path != "" {
		if err := Replace(path, []byte("new"), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	dir := t.TempDir()
	path, log := filepath.Join(dir, "bridge.id"), filepath.Join(t.TempDir(), "trace")
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-y", "-e", "trace=write,fsync,fdatasync,rename,renameat,renameat2", "-o", log, os.Args[0], "-test.run=^TestReplaceSyncs$")
	cmd.Env = append(os.Environ(), "NOCTURNE_REPLACE="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	call := regexp.MustCompile(`^\d+ +(\w+)\(`)
	for row := range strings.Lines(string(text)) {
		if m := call.FindStringSubmatch(row); m != nil && strings.Contains(row, dir) {
			got = append(got, strings.TrimRight(m[1], "at2"))
		}
	}
	if want := "write fsync rename fsync"; strings.Join(got, " ") != want {
		t.Errorf("%s, want %s:\n%s", strings.Join(got, " "), want, text)
	}
}
