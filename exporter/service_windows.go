package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"nocturne/exporter/app"
	"nocturne/exporter/config"
)

const (
	serviceName = "NocturneExporter"
	serviceText = "Watches this server and tells Nocturne what it sees."
	stopTime    = app.DrainTime + 10*time.Second
)

// serviceMain runs the exporter for the service manager. It does not ask
// whether it was started by one: that question has the wrong answer in
// containers and under Wine, and the flag says it already.
func serviceMain(cfg config.Config) error {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return err
	}
	file, err := app.OpenLogFile(filepath.Join(cfg.Data, "exporter.log"))
	if err != nil {
		return err
	}
	defer file.Close()
	log, err := newLog(cfg, file)
	if err != nil {
		return err
	}
	h := &handler{o: app.Options{Config: cfg, Version: version(), Log: log}}
	if err := svc.Run(serviceName, h); err != nil {
		return fmt.Errorf("talk to the service manager: %w", err)
	}
	return nil
}

// handler turns the service manager's wishes into a cancelled context.
type handler struct{ o app.Options }

// Execute implements svc.Handler. It reports Running at once: the manager gives
// a service 30 s, and a slow disk must not cost the start.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- runApp(ctx, h.o) }()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown}
	for {
		select {
		case err := <-done:
			return h.ended(err)
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.Stop:
				cancel(context.Canceled)
				status <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopTime.Milliseconds())}
			case svc.Shutdown:
				cancel(app.ErrShutdown)
				status <- svc.Status{State: svc.StopPending, WaitHint: uint32(stopTime.Milliseconds())}
			}
		}
	}
}

// ended gives an exit code that makes the manager's recovery actions work.
func (h *handler) ended(err error) (bool, uint32) {
	if err == nil {
		return false, 0
	}
	h.o.Log.Error("exporter failed", "err", err)
	return true, 1
}

func runService(ctx context.Context, args []string, io stdio) error {
	f := newFlags("service", io)
	if len(args) == 0 {
		return errors.New("service needs one of install, uninstall, start, stop, status")
	}
	verb := args[0]
	if strings.HasPrefix(verb, "-") { // as in service --help
		if _, err := f.parse(args, 0); err != nil {
			return err
		}
	}
	if _, err := f.parse(args[1:], 0); err != nil {
		return err
	}
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("connect to the service manager (as administrator?): %w", err)
	}
	defer m.Disconnect()
	if verb == "install" {
		return install(m, &f, io)
	}
	s, err := m.OpenService(serviceName)
	if err != nil {
		return fmt.Errorf("open service %s: %w", serviceName, err)
	}
	defer s.Close()
	switch verb {
	case "uninstall":
		if err := stopService(ctx, s); err != nil && !errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
			fmt.Fprintln(io.err, "stop:", err)
		}
		err = s.Delete()
	case "start":
		err = s.Start()
	case "stop":
		err = stopService(ctx, s)
	case "status":
		var st svc.Status
		if st, err = s.Query(); err == nil {
			fmt.Fprintln(io.out, stateName(st.State))
		}
	default:
		return fmt.Errorf("service %q: want install, uninstall, start, stop or status", verb)
	}
	if err != nil {
		return fmt.Errorf("%s service %s: %w", verb, serviceName, err)
	}
	return nil
}

func install(m *mgr.Mgr, f *common, io stdio) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"run", "--service"}
	for flag, path := range map[string]string{"--config": *f.path, "--data": *f.data} {
		if path == "" {
			continue
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		args = append(args, flag, abs)
	}
	s, err := m.CreateService(serviceName, exe, mgr.Config{DisplayName: "Nocturne exporter", Description: serviceText, StartType: mgr.StartAutomatic}, args...)
	if err != nil {
		return fmt.Errorf("install service %s: %w", serviceName, err)
	}
	defer s.Close()
	restart := func(d time.Duration) mgr.RecoveryAction {
		return mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: d}
	}
	err = s.SetRecoveryActions([]mgr.RecoveryAction{restart(5 * time.Second), restart(30 * time.Second), restart(time.Minute)}, 24*60*60)
	if err == nil {
		err = s.SetRecoveryActionsOnNonCrashFailures(true)
	}
	if err != nil { // Wine knows no such thing
		fmt.Fprintln(io.err, "the service will not be restarted after a failure:", err)
	}
	fmt.Fprintf(io.out, "installed service %s\n", serviceName)
	return nil
}

func stopService(ctx context.Context, s *mgr.Service) error {
	st, err := s.Control(svc.Stop)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime+5*time.Second)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for st.State != svc.Stopped {
		select {
		case <-ctx.Done():
			return fmt.Errorf("still %s", stateName(st.State))
		case <-tick.C:
		}
		if st, err = s.Query(); err != nil {
			return err
		}
	}
	return nil
}

func stateName(s svc.State) string {
	names := map[svc.State]string{
		svc.Stopped: "stopped", svc.StartPending: "starting", svc.StopPending: "stopping", svc.Running: "running",
		svc.ContinuePending: "continuing", svc.PausePending: "pausing", svc.Paused: "paused",
	}
	if n, ok := names[s]; ok {
		return n
	}
	return fmt.Sprintf("state %d", s)
}
