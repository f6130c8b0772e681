package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"nocturne/deploy/nocturne/stack"
)

// call runs a command line as main does.
func call(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e strings.Builder
	code = run(t.Context(), args, env{&o, &e})
	return code, o.String(), e.String()
}

func TestCommandLine(t *testing.T) {
	tests := []struct {
		args []string
		code int
		want string // in either output
	}{
		{nil, exitMisused, "nocturne demo"},
		{[]string{"help"}, exitOK, "nocturne token create"},
		{[]string{"version"}, exitOK, "nocturne "},
		{[]string{"frobnicate"}, exitMisused, `no command is called "frobnicate"`},
		{[]string{"token"}, exitMisused, `no command is called "token"`},
		{[]string{"run", "--help"}, exitOK, "-keep-metrics"},
		{[]string{"run", "extra"}, exitMisused, "want no arguments"},
		{[]string{"run", "--ports", "web=1"}, exitMisused, `no port is called "web"`},
		{[]string{"run", "--log-level", "loud"}, exitMisused, "want debug, info, warn or error"},
		{[]string{"run", "--servers", "3"}, exitMisused, "not defined"},
		{[]string{"status", "--data", t.TempDir()}, exitFailed, "nocturne is not running"},
		{[]string{"token", "create", "--data", t.TempDir()}, exitFailed, "start it with nocturne run"},
		{[]string{"servers", "revoke"}, exitMisused, "a server's id or name"},
		{[]string{"servers", "list", "--data", t.TempDir()}, exitFailed, "start it with nocturne run"},
		{[]string{"servers", "frobnicate", "x"}, exitMisused, "want list"},
		{[]string{"simulate", "incident", "drive"}, exitMisused, "incident KIND SERVER"},
		{[]string{"simulate", "--data", t.TempDir()}, exitFailed, "start it with nocturne demo"},
		{[]string{"alertmanager", "--config", "missing.yml", "--data", t.TempDir()}, exitFailed, "missing.yml"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			code, out, errs := call(t, tt.args...)
			if code != tt.code || !strings.Contains(out+errs, tt.want) {
				t.Errorf("code %d, out %q, err %q; want %d and %q", code, out, errs, tt.code, tt.want)
			}
		})
	}
}

func TestReceiverCommandServesUntilToldToStop(t *testing.T) {
	var ports stack.Ports
	if err := ports.Set("free"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"receiver", "--data", t.TempDir(), "--listen", stack.Addr(ports.Receiver)}, env{io.Discard, t.Output()})
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for url := stack.URL(ports.Receiver) + "/messages"; ; <-tick.C {
		res, err := http.Get(url)
		if err != nil {
			continue
		}
		var got struct{ Messages []any }
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.Messages == nil {
			t.Errorf("messages: %+v, %v", got, err)
		}
		res.Body.Close()
		break
	}
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("code %d after an ordinary stop", code)
	}
}

func TestPlain(t *testing.T) {
	if got := plain("db\x1b[2J7\nü"); got != "db?[2J7?ü" {
		t.Errorf("%q", got)
	}
}
