package app

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWatchdog(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	t.Run("alive", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var sent []string
			w := newWatchdog(func(string) string { return "" }, func(time.Time) error { return nil }, quiet)
			w.send = func(s string) { sent = append(sent, s) }
			ctx, cancel := context.WithTimeout(t.Context(), 35*time.Second)
			defer cancel()
			if err := w.run(ctx); err != nil || strings.Join(sent, " ") != "READY=1 WATCHDOG=1 WATCHDOG=1 WATCHDOG=1" {
				t.Errorf("%v, %v", sent, err)
			}
		})
	})
	t.Run("a commit hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var c commits
			c.begin(time.Now())
			var last time.Time
			w := newWatchdog(func(string) string { return "" }, c.stuck, quiet)
			w.send = func(s string) {
				if s == "WATCHDOG=1" {
					last = time.Now()
				}
			}
			began := time.Now()
			err := w.run(t.Context())
			if !errors.Is(err, ErrStuck) || time.Since(began) != deadCommit+watchPeriod || last.Sub(began) != slowCommit {
				t.Errorf("last sign of life after %s, end after %s: %v", last.Sub(began), time.Since(began), err)
			}
		})
	})
}

func TestSystemdIsTold(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("systemd is not there")
	}
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "6000000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}
	w := newWatchdog(func(k string) string { return env[k] }, nil, slog.New(slog.DiscardHandler))
	if w.period != 2*time.Second {
		t.Errorf("period %s, want a third of what systemd waits", w.period)
	}
	env["WATCHDOG_PID"] = "1"
	if other := newWatchdog(func(k string) string { return env[k] }, nil, slog.New(slog.DiscardHandler)); other.period != watchPeriod {
		t.Errorf("another process' watchdog: %s", other.period)
	}
	w.send("READY=1")
	b := make([]byte, 100)
	n, err := l.Read(b)
	if err != nil || string(b[:n]) != "READY=1" {
		t.Errorf("%q, %v", b[:n], err)
	}
}
