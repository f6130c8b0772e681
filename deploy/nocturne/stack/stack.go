// Package stack puts the whole of Nocturne together on one machine: which programs, in which order, on which ports, with
// which configuration and in which folders. The programs run under [nocturne/deploy/nocturne/supervise].
//
// Everything lives in one data folder. Files under config/ are written anew at every start, except alertmanager.yml once
// somebody made it theirs (its first line says how). Nothing here listens anywhere but on loopback, unless Listen or Page says so.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"nocturne/deploy/nocturne/supervise"
)

// portPatience is how long a start waits for the processes of a killed predecessor to give their ports back.
const portPatience = 5 * time.Second

// Options are what a person chooses.
type Options struct {
	Mode    Mode
	Data    string // data folder
	Bin     string // folder with the programs; that of the running program when empty
	Listen  string // address on the network for servers to reach us, TLS; "" = this machine only
	Page    Page   // checked
	Ports   Ports
	Outside Outside
	Keep    Retention
	Servers int // simulated ones, in demo
	// Simulate are further arguments of nocturne simulate, in demo.
	Simulate []string
	Verbose  bool

	Console io.Writer
	Logger  *slog.Logger
}

// Start runs a stack until ctx ends. ready is called with the state once everything is up.
func Start(ctx context.Context, o Options, ready func(State)) (err error) {
	if port := o.Page.Port(); port != 0 {
		o.Ports.Ruler = port
	}
	if o.Bin == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find our own folder: %w", err)
		}
		o.Bin = filepath.Dir(self)
	}
	lock, err := supervise.Lock(o.Data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	own, err := supervise.OpenLog(Layout{o.Data}.Log("nocturne"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	o.Logger = also(o.Logger, own)
	s := &stack{Options: o, Layout: Layout{o.Data}, state: State{
		Mode: o.Mode, PID: os.Getpid(), Started: time.Now().UTC(), Listen: o.Listen, Page: o.Page, Ports: o.Ports, Outside: o.Outside,
	}}
	if err := s.findPrograms(); err != nil {
		return err
	}
	stages := s.stages()
	if err := supervise.TakenPorts(ctx, stages, portPatience); err != nil {
		return err
	}
	if err := s.writeConfigs(); err != nil {
		return err
	}
	group, err := supervise.New(supervise.Config{
		Stages: stages, LogDir: s.Logs(), Console: o.Console, Verbose: o.Verbose, Logger: o.Logger, Changed: s.changed,
	})
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(s.State()) }() // a leftover is harmless: the lock decides
	return group.Run(ctx, func() {
		now := time.Now().UTC()
		ready(s.update(func(st *State) { st.Ready = &now }))
	})
}

// also returns a logger that writes to a file too: what the supervisor says must outlive the terminal.
func also(l *slog.Logger, file io.Writer) *slog.Logger {
	return slog.New(slog.NewMultiHandler(l.Handler(), slog.NewTextHandler(file, nil)))
}

// stack is one start.
type stack struct {
	Options
	Layout
	mu    sync.Mutex
	state State
}

func (s *stack) changed(parts []supervise.Status) {
	s.update(func(st *State) { st.Parts = parts })
}

// update changes the state and writes it.
func (s *stack) update(change func(*State)) State {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.state)
	if err := s.state.write(s.State()); err != nil {
		s.Logger.Warn("state for nocturne status not written", "err", err)
	}
	return s.state
}

func (s *stack) program(name string) string {
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(s.Bin, name)
}

// findPrograms says which are missing before anything starts.
func (s *stack) findPrograms() error {
	programs := []string{"nocturne", "eventbridge", "ruler", "exporter"}
	if s.Outside.Metrics == "" {
		programs = append(programs, "victoria-metrics")
	}
	if s.Outside.Logs == "" {
		programs = append(programs, "victoria-logs")
	}
	var missing []string
	for _, name := range programs {
		if _, err := os.Stat(s.program(name)); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not found in %s: %v; build them with: make build", s.Bin, missing)
	}
	return nil
}
