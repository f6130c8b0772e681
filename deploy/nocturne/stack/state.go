package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"nocturne/deploy/nocturne/supervise"
)

// State is what a running stack writes into its data folder for `nocturne status` and the tests.
type State struct {
	Mode    Mode               `json:"mode"`
	PID     int                `json:"pid"`
	Started time.Time          `json:"started"`
	Ready   *time.Time         `json:"ready,omitempty"` // when everything was ready for the first time
	Listen  string             `json:"listen,omitempty"`
	Page    Page               `json:"page,omitzero"`
	Ports   Ports              `json:"ports"`
	Outside Outside            `json:"outside"`
	Parts   []supervise.Status `json:"parts"`
}

// write replaces the file in one step. It is no durable state: a start rewrites it.
func (s *State) write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	if err := os.WriteFile(path+".next", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		return fmt.Errorf("write state: %w", err)
	}
	return nil
}

// ErrNotRunning says that no stack holds the data folder.
var ErrNotRunning = errors.New("nocturne is not running")

// ReadState returns the state of the stack that runs on a data folder, or [ErrNotRunning].
func ReadState(dir string) (State, error) {
	var s State
	if !supervise.Locked(dir) {
		return s, fmt.Errorf("%w on %s", ErrNotRunning, dir)
	}
	text, err := os.ReadFile(Layout{dir}.State())
	if err != nil {
		return s, fmt.Errorf("read state: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read state: %w", err)
	}
	return s, nil
}

// Running returns the stack to talk to, and its data folder: the one given, else that of [Find].
func Running(given string) (dir string, s State, err error) {
	if dir, err = Find(given); err != nil {
		return "", s, err
	}
	s, err = ReadState(dir)
	switch {
	case errors.Is(err, ErrNotRunning) && given == "":
		tried := dir
		if demo, e := DefaultDir(Demo); e == nil {
			tried += " nor on " + demo
		}
		return dir, s, fmt.Errorf("%w, neither on %s: start it with nocturne run or nocturne demo, or name its folder with --data", ErrNotRunning, tried)
	case errors.Is(err, ErrNotRunning):
		return dir, s, fmt.Errorf("%w: start it with nocturne run or nocturne demo, or name another folder with --data", err)
	}
	return dir, s, err
}

// Find returns the data folder to talk to: the one given, else run's own, or demo's own when only that one runs. It knows
// of no other.
func Find(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	run, err := DefaultDir(Run)
	if err != nil {
		return "", err
	}
	demo, err := DefaultDir(Demo)
	if err != nil {
		return "", err
	}
	if !supervise.Locked(run) && supervise.Locked(demo) {
		return demo, nil
	}
	return run, nil
}
