package main

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	valid := write("valid.yml", "log_level: warn\n")
	write("rules.yml", "id: x\n")
	badRules := write("bad-rules.cfg", "rules: {dirs: ["+filepath.ToSlash(dir)+"]}\n")
	unknown := write("override.cfg", "rules: {overrides: {no-such-rule: {severity: info}}}\n")
	for name, c := range map[string]struct {
		args []string
		want string // in the error or in the output
		err  bool
	}{
		"check":            {[]string{"-config", valid, "-check"}, "configuration is valid, ", false},
		"check defaults":   {[]string{"-check"}, "rules", false},
		"invalid":          {[]string{"-config", "config/testdata/invalid-listen.yml", "-check"}, "want HOST:PORT", true},
		"invalid rules":    {[]string{"-config", badRules, "-check"}, "rules.yml", true},
		"unknown override": {[]string{"-config", unknown, "-check"}, "no-such-rule", true},
		"missing file":     {[]string{"-config", "nowhere.yml"}, "nowhere.yml", true},
		"listen flag":      {[]string{"-check", "-listen", "here"}, `listen "here"`, true},
		"level flag":       {[]string{"-check", "-log-level", "loud"}, `log_level "loud"`, true},
		"argument":         {[]string{"start"}, "takes flags only", true},
		"unknown flag":     {[]string{"-port", "1"}, "flag provided but not defined", true},
	} {
		var out bytes.Buffer
		err := run(t.Context(), c.args, &out, &out)
		text := out.String()
		if err != nil {
			text += err.Error()
		}
		if (err != nil) != c.err || !strings.Contains(text, c.want) {
			t.Errorf("%s: %v\n%s", name, err, out.String())
		}
	}
	// Help that was asked for is output, and no mistake: main ends with 0.
	var stdout, stderr bytes.Buffer
	if err := run(t.Context(), []string{"-help"}, &stdout, &stderr); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("help: %v", err)
	}
	if !strings.Contains(stdout.String(), "-config") || stderr.Len() > 0 {
		t.Errorf("help: stdout %q, stderr %q", stdout.String(), stderr.String())
	}
	stdout.Reset()
	if err := run(t.Context(), []string{"-port"}, &stdout, &stderr); err == nil || stdout.Len() > 0 || stderr.Len() == 0 {
		t.Errorf("unknown flag: %v, stdout %q, stderr %q", err, stdout.String(), stderr.String())
	}
}

func TestTokenCommands(t *testing.T) {
	dir := t.TempDir()
	cfg := filepath.Join(dir, "ruler.yml")
	if err := os.WriteFile(cfg, []byte("data: "+filepath.ToSlash(dir)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call := func(args ...string) (stdout, stderr string, err error) {
		var out, rest bytes.Buffer
		err = run(t.Context(), args, &out, &rest)
		return out.String(), rest.String(), err
	}
	secret, said, err := call("tokens", "add", "-config", cfg, "-name", "alice", "-role", "editor", "-expires", "90d")
	if err != nil || !strings.HasPrefix(secret, "nocturne_") || !strings.Contains(said, "alice") {
		t.Fatalf("add: %q %q %v", secret, said, err)
	}
	if _, _, err := call("tokens", "add", "-config", cfg, "-name", "alice"); err == nil || !strings.Contains(err.Error(), "taken") {
		t.Errorf("a name twice: %v", err)
	}
	if _, _, err := call("tokens", "add", "-config", cfg, "-name", "bob", "-role", "root"); err == nil || !strings.Contains(err.Error(), "viewer, editor or admin") {
		t.Errorf("an unknown role: %v", err)
	}
	if list, _, err := call("tokens", "list", "-config", cfg); err != nil || !strings.Contains(list, "alice") || !strings.Contains(list, "until ") || strings.Contains(list, strings.TrimSpace(secret)) {
		t.Errorf("list: %q %v", list, err)
	}
	if _, _, err := call("tokens", "revoke", "-config", cfg); !errors.Is(err, errUsage) {
		t.Errorf("revoke nothing: %v", err)
	}
	if _, _, err := call("tokens", "revoke", "-config", cfg, "alice"); err != nil {
		t.Errorf("revoke: %v", err)
	}
	if _, _, err := call("tokens", "revoke", "-config", cfg, "alice"); err == nil {
		t.Error("revoked twice")
	}
	if table, said, err := call("rules", "noise", "-config", cfg, "-since", "30d"); err != nil || !strings.Contains(table, "PER SERVER AND WEEK") || !strings.Contains(said, "0 messages about 0 servers") {
		t.Errorf("noise: %q %q %v", table, said, err)
	}
	if list, _, _ := call("tokens", "list", "-config", cfg); !strings.Contains(list, "revoked ") {
		t.Errorf("list: %q", list)
	}
}

func TestUserCommands(t *testing.T) {
	dir := t.TempDir()
	cfg := filepath.Join(dir, "ruler.yml")
	if err := os.WriteFile(cfg, []byte("data: "+filepath.ToSlash(dir)+"\nlisten: 0.0.0.0:9480\ntls: {cert_file: page.pem, key_file: page.key}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call := func(args ...string) (string, string, error) {
		var out, rest bytes.Buffer
		err := run(t.Context(), args, &out, &rest)
		return out.String(), rest.String(), err
	}
	for _, args := range [][]string{{"users", "link", "-config", cfg}, {"users", "add", "-config", cfg, "-name", "ada", "-role", "admin"}, {"users", "link", "-config", cfg, "ADA"}} {
		if link, said, err := call(args...); err != nil || !strings.HasPrefix(link, "https://localhost:9480/welcome#") || !strings.Contains(said, "works once") {
			t.Errorf("%q: %q %q %v", args, link, said, err)
		}
	}
	for want, args := range map[string][]string{
		"taken":                   {"users", "add", "-config", cfg, "-name", "Ada"},
		"does not fit":            {"users", "add", "-config", cfg, "-name", "a b"},
		"no user \"bob\"":         {"users", "link", "-config", cfg, "bob"},
		"viewer, editor or admin": {"users", "role", "-config", cfg, "ada", "root"},
		"name a user and a role":  {"users", "role", "-config", cfg, "ada"},
		"name one user":           {"users", "remove", "-config", cfg},
		"there is no user":        {"users", "remove", "-config", cfg, "bob"},
		"\"bob\" is too much":     {"users", "link", "-config", cfg, "ada", "bob"},
	} {
		if _, _, err := call(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", args, err, want)
		}
	}
	if _, _, err := call("users", "role", "-config", cfg, "ada", "editor"); err != nil {
		t.Errorf("role: %v", err)
	}
	if list, _, err := call("users", "list", "-config", cfg); err != nil || !strings.Contains(list, "ada") || !strings.Contains(list, "editor") || !strings.Contains(list, "invited until") {
		t.Errorf("list: %q %v", list, err)
	}
	if _, _, err := call("users", "remove", "-config", cfg, "ada"); err != nil {
		t.Errorf("remove: %v", err)
	}
}

// A flag counts wherever it stands: one that is passed over would mean another
// store. What only reads a store makes none, and nothing surplus is passed over.
func TestCommandsOfTheStore(t *testing.T) {
	dir := t.TempDir()
	cfg, data, copied := filepath.Join(dir, "ruler.yml"), filepath.Join(dir, "data"), filepath.Join(dir, "copy.db")
	if err := os.WriteFile(cfg, []byte("data: "+filepath.ToSlash(data)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	call := func(line ...string) (stdout string, err error) {
		var out, rest bytes.Buffer
		err = run(t.Context(), line, &out, &rest)
		return out.String(), err
	}
	for _, line := range []string{"tokens list", "tokens revoke x", "users list", "users role x viewer", "users remove x", "rules noise", "backup " + copied} {
		_, err := call(append(strings.Fields(line), "-config", cfg)...)
		if err == nil || !strings.Contains(err.Error(), "no store") || !strings.Contains(err.Error(), "-config") {
			t.Errorf("%s without a store: %v", line, err)
		}
	}
	if _, err := os.Stat(data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading made a store: %v", err)
	}
	for _, line := range []string{"tokens add -name a", "users add -name bob", "users role bob editor", "tokens list", "users list", "rules noise", "backup " + copied, "restore " + copied, "tokens revoke a"} {
		if _, err := call(append(strings.Fields(line), "-config", cfg)...); err != nil {
			t.Errorf("%s -config FILE: %v", line, err)
		}
	}
	for _, line := range []string{"tokens add -name b more", "tokens list more", "users add -name c more", "users list more", "rules noise more", "backup a b", "restore", "users remove a b"} {
		if _, err := call(append(strings.Fields(line), "-config", cfg)...); !errors.Is(err, errUsage) {
			t.Errorf("%s: %v", line, err)
		}
	}
	for _, line := range []string{"tokens -help", "users --help", "rules -h", "help"} {
		out, err := call(strings.Fields(line)...)
		if first, _, _ := strings.Cut(line, " "); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out, "ruler "+strings.TrimPrefix(first, "help")) {
			t.Errorf("%s: %q, %v", line, out, err)
		}
	}
	if out, err := call("backup", "-help"); !errors.Is(err, flag.ErrHelp) || !strings.Contains(out, "[-config FILE] FILE") {
		t.Errorf("backup -help: %q, %v", out, err)
	}
}
