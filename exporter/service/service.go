// Package service makes the exporter a service of the operating system and
// speaks to it: systemd on Linux, the service manager on Windows. Both calls
// are repeatable: installing what is installed renews its settings.
//
// What systemd is told is pure text and a Runner, so it is tested anywhere; the
// Windows side is a thin shell around golang.org/x/sys/windows/svc/mgr. It is
// our own rather than kardianos/service because that decides by the session
// whether it is a service (wrong in containers and under Wine), and knows
// neither preshutdown nor recovery from exits, nor the kind of service SID.
//
// A Manager belongs to one goroutine. To test: go test ./exporter/service.
package service

import (
	"context"
	"errors"
	"time"
)

// Names of the service.
const (
	WindowsName = "NocturneExporter"
	// EventSource is the exporter's source in the Application event log.
	EventSource = "Nocturne Exporter"
	// Unit is the service's name for systemd, Identifier that in the journal.
	Unit       = "nocturne-exporter.service"
	Identifier = "nocturne-exporter"
)

// StopTime is how long the service may take to stop: its sources, then its
// goodbye. The exporter itself takes no longer (app.DrainTime and a little).
const StopTime = 15 * time.Second

// ErrNotInstalled means that the operating system knows no such service.
var ErrNotInstalled = errors.New("the service is not installed")

// State is what the operating system says of the service.
type State string

// States that both systems know; others are passed on in their own words.
const (
	NotInstalled State = "not installed"
	Stopped      State = "stopped"
	Running      State = "running"
	Failed       State = "failed"
)

// Options are what Install writes into the service's command line.
type Options struct {
	Exe          string // absolute path of this program
	Config, Data string // absolute paths; "" = the defaults
	// Warn hears of settings that this system does not take.
	Warn func(text string)
}

// arguments are those of the command "run".
func (o Options) arguments() []string {
	args := []string{"run"}
	if o.Config != "" {
		args = append(args, "--config", o.Config)
	}
	if o.Data != "" {
		args = append(args, "--data", o.Data)
	}
	return args
}

// Manager speaks to the service manager. Its errors say what to do; most calls
// need an administrator.
type Manager interface {
	// Install makes the service start with the machine. It does not start it.
	Install(ctx context.Context, o Options) error
	// Uninstall stops and removes the service; its data stays.
	Uninstall(ctx context.Context) error
	Start(ctx context.Context) error
	// Stop returns when the service has ended.
	Stop(ctx context.Context) error
	// Reload asks the running service to read its configuration again.
	Reload(ctx context.Context) error
	State(ctx context.Context) (State, error)
	Close() error
}
