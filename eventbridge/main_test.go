package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	valid := filepath.Join(t.TempDir(), "valid.yml")
	if err := os.WriteFile(valid, []byte("log_level: warn\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string // in the error or in the output
		err  bool
	}{
		"check":          {[]string{"-config", valid, "-check"}, "configuration is valid", false},
		"check defaults": {[]string{"-check"}, "configuration is valid", false},
		"invalid":        {[]string{"-config", "config/testdata/invalid-listen.yml", "-check"}, "want ADDRESS:PORT", true},
		"missing file":   {[]string{"-config", "nowhere.yml"}, "nowhere.yml", true},
		"listen flag":    {[]string{"-check", "-listen", "here"}, `ingest.listen "here"`, true},
		"level flag":     {[]string{"-check", "-log-level", "loud"}, `log_level "loud"`, true},
		"argument":       {[]string{"start"}, "takes flags only", true},
		"unknown flag":   {[]string{"-port", "1"}, "flag provided but not defined", true},
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

// The program starts with a file, serves, and stops when it is told to.
func TestRunServes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "bridge.yml")
	text := "data: " + filepath.ToSlash(dir) + "/data\nstream: {address: \"127.0.0.1:0\"}\nadmin: {address: \"127.0.0.1:0\"}\ningest: {address: \"127.0.0.1:0\"}\nvictoriametrics: {url: \"\"}\nvictorialogs: {url: \"\"}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	out := &watcher{found: make(chan struct{}), text: "eventbridge runs"}
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-config", path}, io.Discard, out) }()
	select {
	case <-out.found:
	case err := <-done:
		t.Fatalf("ended at once: %v\n%s", err, out.b.String())
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.b.String(), "eventbridge has stopped") {
		t.Errorf("log:\n%s", out.b.String())
	}
}

// watcher keeps what is written and tells when a text appears. slog writes
// from one goroutine at a time.
type watcher struct {
	b     bytes.Buffer
	text  string
	found chan struct{}
	seen  bool
}

func (w *watcher) Write(p []byte) (int, error) {
	n, err := w.b.Write(p)
	if !w.seen && bytes.Contains(p, []byte(w.text)) {
		w.seen = true
		close(w.found)
	}
	return n, err
}
