package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

const (
	displayName = "Nocturne exporter"
	description = "Watches this server and tells Nocturne what it sees."
)

// scm is the Manager of Windows.
type scm struct{ m *mgr.Mgr }

// Open connects to the service manager.
func Open() (Manager, error) {
	m, err := mgr.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect to the service manager (as administrator?): %w", err)
	}
	return &scm{m}, nil
}

func (s *scm) Close() error { return s.m.Disconnect() }

// with opens the service for one call.
func (s *scm) with(verb string, do func(*mgr.Service) error) error {
	sv, err := s.m.OpenService(WindowsName)
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		err = ErrNotInstalled
	}
	if err != nil {
		return fmt.Errorf("%s service %s: %w", verb, WindowsName, err)
	}
	defer sv.Close()
	if err := do(sv); err != nil {
		return fmt.Errorf("%s service %s: %w", verb, WindowsName, err)
	}
	return nil
}

// Install implements Manager. What only newer systems know, or Wine does not,
// is a warning.
func (s *scm) Install(_ context.Context, o Options) error {
	args := append(o.arguments(), "--service")
	sv, err := s.m.OpenService(WindowsName)
	switch {
	case err == nil:
		err = setCommand(sv, o.Exe, args)
	case errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST):
		sv, err = s.m.CreateService(WindowsName, o.Exe, mgr.Config{DisplayName: displayName, Description: description, StartType: mgr.StartAutomatic}, args...)
	}
	if err != nil {
		return fmt.Errorf("install service %s: %w", WindowsName, err)
	}
	defer sv.Close()
	for _, set := range []struct {
		without string
		do      func(*mgr.Service) error
	}{
		{"it is not restarted after a failure", recovery},
		{"it starts with the first services instead of after them", delayed},
		{"a shutdown of the machine may come before its goodbye", preshutdown},
		{"it has no security identifier of its own", sid},
		{"its entries in the event log have no text", func(*mgr.Service) error { return registerEvents() }},
	} {
		if err := set.do(sv); err != nil {
			o.Warn(fmt.Sprintf("%s: %v", set.without, err))
		}
	}
	return nil
}

// setCommand renews the command line; nothing else of an administrator's
// settings (account, start type) is touched.
func setCommand(sv *mgr.Service, exe string, args []string) error {
	line := syscall.EscapeArg(exe)
	for _, a := range args {
		line += " " + syscall.EscapeArg(a)
	}
	p, err := windows.UTF16PtrFromString(line)
	if err != nil {
		return err
	}
	const same = windows.SERVICE_NO_CHANGE
	return windows.ChangeServiceConfig(sv.Handle, same, same, same, p, nil, nil, nil, nil, nil, nil)
}

// recovery restarts after a crash, and after an exit with an error too.
func recovery(sv *mgr.Service) error {
	restart := func(d time.Duration) mgr.RecoveryAction {
		return mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: d}
	}
	const forgotten = 24 * 60 * 60 // seconds without a failure
	return errors.Join(
		sv.SetRecoveryActions([]mgr.RecoveryAction{restart(5 * time.Second), restart(30 * time.Second), restart(time.Minute)}, forgotten),
		sv.SetRecoveryActionsOnNonCrashFailures(true))
}

func set(sv *mgr.Service, level uint32, info unsafe.Pointer) error {
	return windows.ChangeServiceConfig2(sv.Handle, level, (*byte)(info))
}

// delayed lets the machine's own services start first.
func delayed(sv *mgr.Service) error {
	info := windows.SERVICE_DELAYED_AUTO_START_INFO{IsDelayedAutoStartUp: 1}
	return set(sv, windows.SERVICE_CONFIG_DELAYED_AUTO_START_INFO, unsafe.Pointer(&info))
}

// preshutdown asks for time before the network goes.
func preshutdown(sv *mgr.Service) error {
	timeout := uint32(StopTime.Milliseconds()) // SERVICE_PRESHUTDOWN_INFO is this one number
	return set(sv, windows.SERVICE_CONFIG_PRESHUTDOWN_INFO, unsafe.Pointer(&timeout))
}

// sid gives the service an identifier that access lists can name
// (NT SERVICE\NocturneExporter) and takes nothing away.
func sid(sv *mgr.Service) error {
	kind := uint32(windows.SERVICE_SID_TYPE_UNRESTRICTED)
	return set(sv, windows.SERVICE_CONFIG_SERVICE_SID_INFO, unsafe.Pointer(&kind))
}

// registerEvents makes the event log find a text for our ids: that of
// EventCreate.exe, which is the message itself.
func registerEvents() error {
	err := eventlog.InstallAsEventCreate(EventSource, eventlog.Info|eventlog.Warning|eventlog.Error)
	if err != nil && strings.Contains(err.Error(), "already exists") {
		return nil
	}
	return err
}

// Uninstall implements Manager.
func (s *scm) Uninstall(ctx context.Context) error {
	return s.with("uninstall", func(sv *mgr.Service) error {
		if err := stop(ctx, sv); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
			return fmt.Errorf("stop it first: %w", err)
		}
		_ = eventlog.Remove(EventSource) // absent where it was not registered
		return sv.Delete()
	})
}

// Start implements Manager.
func (s *scm) Start(context.Context) error {
	return s.with("start", func(sv *mgr.Service) error { return sv.Start() })
}

// Stop implements Manager.
func (s *scm) Stop(ctx context.Context) error {
	return s.with("stop", func(sv *mgr.Service) error { return stop(ctx, sv) })
}

// Reload implements Manager.
func (s *scm) Reload(context.Context) error {
	return s.with("reload", func(sv *mgr.Service) error {
		_, err := sv.Control(svc.ParamChange)
		return err
	})
}

// State implements Manager.
func (s *scm) State(context.Context) (State, error) {
	state := NotInstalled
	err := s.with("ask", func(sv *mgr.Service) error {
		st, err := sv.Query()
		state = stateName(st)
		return err
	})
	if errors.Is(err, ErrNotInstalled) {
		return NotInstalled, nil
	}
	return state, err
}

func stop(ctx context.Context, sv *mgr.Service) error {
	st, err := sv.Control(svc.Stop)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, StopTime+5*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for st.State != svc.Stopped {
		select {
		case <-ctx.Done():
			return fmt.Errorf("still %s", stateName(st))
		case <-tick.C:
		}
		if st, err = sv.Query(); err != nil {
			return err
		}
	}
	return nil
}

func stateName(st svc.Status) State {
	switch st.State {
	case svc.Stopped:
		if c := windows.Errno(st.Win32ExitCode); c != 0 && c != windows.ERROR_SERVICE_NEVER_STARTED {
			return Failed
		}
		return Stopped
	case svc.Running:
		return Running
	case svc.StartPending:
		return "starting"
	case svc.StopPending:
		return "stopping"
	}
	return State(fmt.Sprintf("state %d", st.State))
}
