package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"nocturne/exporter/source/heartbeat"
	"nocturne/internal/record"
)

func TestCause(t *testing.T) {
	now := time.Now()
	f := func(why string, asked error, said *heartbeat.Shutdown, event, replaced bool, want heartbeat.Cause) {
		t.Helper()
		w := &witnesses{events: &heartbeat.Shutdowns{}, system: func() *heartbeat.Shutdown { return said }, replaced: func() bool { return replaced }}
		if event {
			w.events.Observe([]record.Record{{Time: now, Name: record.NameWindowsEvent, Attrs: []record.Attr{
				{Key: record.AttrProvider, Value: record.String("User32")}, {Key: record.AttrEventID, Value: record.Int(1074)}, {Key: record.AttrData + "param3", Value: record.String("because")},
			}}})
		}
		got := w.cause(asked, now)
		if got.Reason != want.Reason || (got.Shutdown == nil) != (want.Shutdown == nil) {
			t.Errorf("%s: %+v", why, got)
			return
		}
		if s := got.Shutdown; s != nil && (s.Why != want.Shutdown.Why || s.Action != want.Shutdown.Action) {
			t.Errorf("%s: %+v", why, s)
		}
	}
	stop, down, update := heartbeat.Cause{Reason: "stop"}, heartbeat.Cause{Reason: "shutdown"}, heartbeat.Cause{Reason: "update"}
	f("asked to stop", context.Canceled, nil, true, false, stop)
	f("nobody says why", ErrShutdown, nil, false, false, down)
	f("the event log says why", ErrShutdown, nil, true, false, heartbeat.Cause{Reason: "shutdown", Shutdown: &heartbeat.Shutdown{Why: "because"}})
	f("systemd says so, logind why", context.Canceled, &heartbeat.Shutdown{Action: "reboot"}, true, true, heartbeat.Cause{Reason: "shutdown", Shutdown: &heartbeat.Shutdown{Action: "reboot", Why: "because"}})
	f("another program", context.Canceled, nil, false, true, update)
}

func TestOtherFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exporter")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(path, "one")
	was, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if otherFile(was, path) {
		t.Error("it is the same")
	}
	write(path+".new", "two") // as dpkg and rpm do it
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if !otherFile(was, path) {
		t.Error("it was replaced")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if otherFile(was, path) {
		t.Error("removed is not replaced")
	}
}

// A commit that hangs does not keep a service from stopping.
func TestGoodbyeDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		began := time.Now()
		err := within(goodbyeTime, func() error { <-release; return nil })
		if !errors.Is(err, ErrStuck) || time.Since(began) != goodbyeTime {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
		close(release)
		refused := errors.New("the disk is full")
		if err := within(goodbyeTime, func() error { return refused }); !errors.Is(err, refused) {
			t.Error(err)
		}
	})
}
