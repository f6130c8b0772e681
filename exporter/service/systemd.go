package service

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nocturne/exporter/source"
)

// UnitText is the unit as packages install it: for /usr/bin/nocturne-exporter
// and the default paths.
//
//go:embed nocturne-exporter.service
var UnitText string

// unitDir is where an administrator's units lie; those of packages lie below
// /usr/lib or /lib and are left alone.
const unitDir = "/etc/systemd/system"

// Systemd is the Manager of a machine where systemd is process 1.
type Systemd struct {
	Run  source.Runner
	Root string // put before every path; "" = "/"
}

var errNoSystemd = fmt.Errorf("systemd does not run here: let your own supervisor start `exporter run`; SIGTERM stops it, SIGHUP makes it read its configuration again: %w", errors.ErrUnsupported)

func (s *Systemd) systemctl(ctx context.Context, args ...string) (string, error) {
	if _, err := os.Stat(filepath.Join("/", s.Root, "run/systemd/system")); err != nil {
		return "", errNoSystemd
	}
	for _, path := range []string{"/usr/bin/systemctl", "/bin/systemctl"} {
		if _, err := os.Stat(filepath.Join("/", s.Root, path)); err == nil {
			out, err := s.Run(ctx, path, args...)
			return string(out), err
		}
	}
	return "", errNoSystemd
}

// properties asks what systemd knows of the unit.
func (s *Systemd) properties(ctx context.Context) (map[string]string, error) {
	out, err := s.systemctl(ctx, "show", "--no-pager", "--property=LoadState,ActiveState,SubState,Result,FragmentPath,MainPID", Unit)
	if err != nil {
		return nil, err
	}
	p := map[string]string{}
	for line := range strings.Lines(out) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			p[k] = v
		}
	}
	return p, nil
}

// State implements Manager.
func (s *Systemd) State(ctx context.Context) (State, error) {
	p, err := s.properties(ctx)
	if err != nil {
		return "", err
	}
	return stateOf(p), nil
}

func stateOf(p map[string]string) State {
	switch {
	case p["LoadState"] == "not-found":
		return NotInstalled
	case p["ActiveState"] == "active", p["ActiveState"] == "reloading":
		return Running
	case p["ActiveState"] == "failed":
		return Failed
	case p["ActiveState"] == "inactive":
		return Stopped
	}
	return State(p["ActiveState"] + " (" + p["SubState"] + ")") // activating (auto-restart)
}

// Install implements Manager. Where a package brought the unit it only enables it.
func (s *Systemd) Install(ctx context.Context, o Options) error {
	p, err := s.properties(ctx)
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	path := filepath.Join("/", s.Root, unitDir, Unit)
	if fragment := p["FragmentPath"]; fragment == "" || fragment == filepath.Join(unitDir, Unit) {
		if err := os.WriteFile(path, []byte(unitFor(o)), 0o644); err != nil {
			return fmt.Errorf("install (as root?): %w", err)
		}
	} else {
		o.Warn("a package has installed " + fragment + ": it stays as it is")
	}
	if _, err := s.systemctl(ctx, "daemon-reload"); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if _, err := s.systemctl(ctx, "enable", Unit); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return nil
}

// unitFor is UnitText with another command line. systemd splits it at spaces
// and expands % and $.
func unitFor(o Options) string {
	words := append([]string{o.Exe}, o.arguments()...)
	for i, w := range words {
		words[i] = quoted(strings.ReplaceAll(w, "$", "$$"))
	}
	var out strings.Builder
	for line := range strings.Lines(UnitText) {
		if strings.HasPrefix(line, "ExecStart=") {
			line = "ExecStart=" + strings.Join(words, " ") + "\n"
		}
		out.WriteString(line)
		if o.Data != "" && line == "StateDirectoryMode=0700\n" { // its own folder must be there
			out.WriteString("ReadWritePaths=" + quoted("-"+o.Data) + "\n")
		}
	}
	return out.String()
}

// quoted is one word of a unit: % stands for itself, spaces stay.
func quoted(w string) string {
	w = strings.ReplaceAll(w, "%", "%%")
	if strings.ContainsAny(w, " \t\"'\\;") {
		w = `"` + strings.ReplaceAll(strings.ReplaceAll(w, `\`, `\\`), `"`, `\"`) + `"`
	}
	return w
}

// Uninstall implements Manager.
func (s *Systemd) Uninstall(ctx context.Context) error {
	p, err := s.properties(ctx)
	if err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	if stateOf(p) == NotInstalled {
		return ErrNotInstalled
	}
	if fragment := p["FragmentPath"]; fragment != "" && fragment != filepath.Join(unitDir, Unit) {
		return fmt.Errorf("uninstall: a package has installed %s: remove the package instead", fragment)
	}
	if _, err := s.systemctl(ctx, "disable", "--now", Unit); err != nil {
		return fmt.Errorf("uninstall (as root?): %w", err)
	}
	if err := os.Remove(filepath.Join("/", s.Root, unitDir, Unit)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("uninstall: %w", err)
	}
	if _, err := s.systemctl(ctx, "daemon-reload"); err != nil {
		return fmt.Errorf("uninstall: %w", err)
	}
	return nil
}

// installed runs a verb on a unit that is there.
func (s *Systemd) installed(ctx context.Context, verb string) error {
	state, err := s.State(ctx)
	if err == nil && state == NotInstalled {
		err = ErrNotInstalled
	}
	if err == nil {
		_, err = s.systemctl(ctx, verb, Unit)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	return nil
}

// Start implements Manager.
func (s *Systemd) Start(ctx context.Context) error { return s.installed(ctx, "start") }

// Stop implements Manager.
func (s *Systemd) Stop(ctx context.Context) error { return s.installed(ctx, "stop") }

// Reload implements Manager.
func (s *Systemd) Reload(ctx context.Context) error { return s.installed(ctx, "reload") }

// Close implements Manager.
func (s *Systemd) Close() error { return nil }
