package service

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeSystemd is a machine with a systemctl that notes what it is told.
type fakeSystemd struct {
	Systemd
	show  string // what it says of the unit
	calls []string
	err   error
}

func newFake(t *testing.T) *fakeSystemd {
	t.Helper()
	f := &fakeSystemd{show: "LoadState=not-found\nActiveState=inactive\nFragmentPath=\n"}
	f.Root = t.TempDir()
	for _, dir := range []string{"run/systemd/system", "usr/bin", "etc/systemd/system"} {
		if err := os.MkdirAll(filepath.Join(f.Root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(f.Root, "usr/bin/systemctl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f.Run = func(_ context.Context, name string, args ...string) ([]byte, error) {
		if name != "/usr/bin/systemctl" {
			t.Errorf("ran %s", name)
		}
		if args[0] == "show" {
			return []byte(f.show), nil
		}
		f.calls = append(f.calls, strings.Join(args, " "))
		return nil, f.err
	}
	return f
}

func (f *fakeSystemd) unit() string { return filepath.Join(f.Root, "etc/systemd/system", Unit) }

func TestInstallWritesTheUnit(t *testing.T) {
	f := newFake(t)
	o := Options{Exe: "/opt/my tools/exporter", Config: "/etc/100%.yml", Data: "/my data", Warn: func(text string) { t.Error(text) }}
	if err := f.Install(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.unit())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nExecStart=\"/opt/my tools/exporter\" run --config /etc/100%%.yml --data \"/my data\"\n", "\nReadWritePaths=\"-/my data\"\n", "\nNoNewPrivileges=yes\n", "\nWantedBy=multi-user.target\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
	if strings.Count(string(b), "ExecStart=") != 1 {
		t.Error("more than one ExecStart")
	}
	if want := []string{"daemon-reload", "enable " + Unit}; !slices.Equal(f.calls, want) {
		t.Errorf("systemctl %q, want %q", f.calls, want)
	}
}

func TestAPackagesUnitIsLeftAlone(t *testing.T) {
	f := newFake(t)
	f.show = "LoadState=loaded\nActiveState=inactive\nFragmentPath=/usr/lib/systemd/system/nocturne-exporter.service\n"
	var warned string
	if err := f.Install(t.Context(), Options{Exe: "/x", Warn: func(text string) { warned = text }}); err != nil || !strings.Contains(warned, "package") {
		t.Errorf("%v, warned %q", err, warned)
	}
	if _, err := os.Stat(f.unit()); err == nil {
		t.Error("a unit of our own hides the package's")
	}
	if err := f.Uninstall(t.Context()); err == nil || !strings.Contains(err.Error(), "remove the package") {
		t.Error(err)
	}
}

func TestUninstall(t *testing.T) {
	f := newFake(t)
	if err := f.Uninstall(t.Context()); !errors.Is(err, ErrNotInstalled) {
		t.Error(err)
	}
	if err := f.Install(t.Context(), Options{Exe: "/x"}); err != nil {
		t.Fatal(err)
	}
	f.show, f.calls = "LoadState=loaded\nActiveState=active\nFragmentPath=/etc/systemd/system/nocturne-exporter.service\n", nil
	if err := f.Uninstall(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(f.unit()); err == nil {
		t.Error("the unit is still there")
	}
	if want := []string{"disable --now " + Unit, "daemon-reload"}; !slices.Equal(f.calls, want) {
		t.Errorf("systemctl %q, want %q", f.calls, want)
	}
}

func TestVerbs(t *testing.T) {
	f := newFake(t)
	for _, do := range []func(context.Context) error{f.Start, f.Stop, f.Reload} {
		if err := do(t.Context()); !errors.Is(err, ErrNotInstalled) {
			t.Error(err)
		}
	}
	f.show = "LoadState=loaded\nActiveState=active\n"
	for _, do := range []func(context.Context) error{f.Start, f.Stop, f.Reload} {
		if err := do(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if want := []string{"start " + Unit, "stop " + Unit, "reload " + Unit}; !slices.Equal(f.calls, want) {
		t.Errorf("systemctl %q, want %q", f.calls, want)
	}
}

func TestStates(t *testing.T) {
	f := func(load, active, sub string, want State) {
		t.Helper()
		if got := stateOf(map[string]string{"LoadState": load, "ActiveState": active, "SubState": sub}); got != want {
			t.Errorf("%s %s %s: %q, want %q", load, active, sub, got, want)
		}
	}
	f("not-found", "inactive", "dead", NotInstalled)
	f("loaded", "active", "running", Running)
	f("loaded", "reloading", "reload", Running)
	f("loaded", "inactive", "dead", Stopped)
	f("loaded", "failed", "failed", Failed)
	f("loaded", "activating", "auto-restart", "activating (auto-restart)")
}

func TestWithoutSystemd(t *testing.T) {
	s := &Systemd{Root: t.TempDir()}
	if err := s.Install(t.Context(), Options{}); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "your own supervisor") {
		t.Error(err)
	}
}
