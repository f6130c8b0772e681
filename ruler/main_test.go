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
