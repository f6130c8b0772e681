package config

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestCheckFiles: each file is one check; one that is wrong is left out and
// said, with its line.
func TestCheckFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the programs that the files name are written for Linux")
	}
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	write("load.yml", "command: [/usr/lib/nagios/plugins/check_load, -w, '8']\nperiod: 5m\n", 0o644)
	write("certs.yml", "name: certificates\ncommand: [/usr/local/bin/certs]\nformat: nocturne\nperiod: 20s\n", 0o644)
	write("twice.yml", "name: load\ncommand: [/bin/x]\n", 0o644)
	write("unknown.yml", "command: [/bin/x]\nperiode: 5m\n", 0o644)
	write("relative.yml", "period: 1m\ncommand: [x]\n", 0o644)
	write("empty.yml", "# nothing\n", 0o644)
	write("open.yml", "command: [/bin/x]\n", 0o666)
	write("large.yml", "# "+strings.Repeat("x", maxCheckFile), 0o644)
	write("notes.txt", "not a check", 0o644)
	c := Default()
	if err := c.Decode([]byte("check: {folder: '" + dir + "', checks: [{name: disk, command: [/bin/disk], deadline: 10s}]}")); err != nil {
		t.Fatal(err)
	}
	specs, refused := c.AllChecks()
	err := errors.Join(refused...)
	var names []string
	for _, s := range specs {
		names = append(names, s.Name)
	}
	if got := strings.Join(names, " "); got != "disk certificates load" {
		t.Errorf("checks %s", got)
	}
	if s := specs[1]; s.Format != "nocturne" || s.Period != 20*time.Second || s.Deadline != 10*time.Second || s.Jitter != 2*time.Second {
		t.Errorf("%+v: want deadline and jitter to keep to the period", s)
	}
	if s := specs[2]; s.Period != 5*time.Minute || s.Deadline != 30*time.Second || s.MaxOutput != 256<<10 {
		t.Errorf("%+v", s)
	}
	at := func(name string) string { return "check file " + filepath.Join(dir, name) + ": " }
	want := []string{
		at("empty.yml") + "empty: write at least a command",
		at("large.yml") + "over 65536 bytes: write one check",
		at("open.yml") + "tool " + filepath.Join(dir, "open.yml") + ": trust " + filepath.Join(dir, "open.yml") + ": others may write it",
		at("relative.yml") + `line 2: command "x": write the absolute path of the program`,
		at("twice.yml") + `check checks "load": two have this name, give each its own`,
		at("unknown.yml") + "line 2: unknown key periode: did you mean period?",
	}
	if err == nil || err.Error() != strings.Join(want, "\n") {
		t.Errorf("got\n%v\nwant\n%s", err, strings.Join(want, "\n"))
	}
	c.Check.Folder = filepath.Join(dir, "absent")
	if specs, refused := c.AllChecks(); len(refused) > 0 || len(specs) != 1 {
		t.Errorf("%d checks, %v", len(specs), refused)
	}
}

// A check folder that cannot be read is a refusal, not a folder without checks:
// what was known of them holds.
func TestCheckFolderCannotBeRead(t *testing.T) {
	c := Default()
	c.Check.Folder = filepath.Join(t.TempDir(), "checks.d")
	if specs, refused := c.AllChecks(); len(specs) > 0 || len(refused) > 0 {
		t.Errorf("no folder: %v, %v", specs, refused)
	}
	if err := os.WriteFile(c.Check.Folder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, refused := c.AllChecks(); len(refused) != 1 {
		t.Errorf("not a folder: %v", refused)
	}
}
