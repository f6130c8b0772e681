//go:build unix

package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nocturne/exporter/app"
)

// SIGHUP reads the file again; a file that is wrong changes nothing.
func TestReloadBySignal(t *testing.T) {
	data, path := t.TempDir(), filepath.Join(t.TempDir(), "e.yml")
	file := func(more string) {
		t.Helper()
		text := "metrics: {listen: \"\", machine: false}\nhardware: {enabled: false}\noutputs:\n  - {name: screen, type: console}\n" + more
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	await := func(what string, ok func(*app.Status) bool) {
		t.Helper()
		limit, poll := time.After(time.Minute), time.NewTicker(10*time.Millisecond)
		defer poll.Stop()
		for {
			s, err := app.ReadStatus(data)
			if err == nil && ok(s) {
				return
			}
			select {
			case <-poll.C:
			case <-limit:
				t.Fatalf("%s: %+v, %v", what, s, err)
			}
		}
	}
	file("")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"run", "--config", path, "--data", data}, stdio{strings.NewReader(""), t.Output(), t.Output()})
	}()
	await("start", func(s *app.Status) bool { return len(s.Outputs) == 1 && s.Stopped == nil })
	file("  - {name: second, type: console}\n")
	hangUp(t)
	await("another output", func(s *app.Status) bool { return len(s.Outputs) == 2 && s.Stopped == nil })
	file("  - {name: third, typ: console}\n")
	hangUp(t)
	await("the refusal", func(s *app.Status) bool {
		return len(s.Problems) > 0 && strings.Contains(s.Problems[len(s.Problems)-1].Err, "line 5: unknown key typ: did you mean type?")
	})
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	await("the end", func(s *app.Status) bool { return s.Stopped != nil && len(s.Outputs) == 2 })
}

func hangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
