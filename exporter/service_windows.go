package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"

	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/eventlog"

	"nocturne/exporter/app"
	"nocturne/exporter/config"
	"nocturne/exporter/enrol"
	"nocturne/exporter/ownlog"
	"nocturne/exporter/service"
)

// serviceMain runs the exporter for the service manager. It does not ask
// whether it was started by one: that question has the wrong answer in
// containers and under Wine, and the flag says it already.
func serviceMain(cfg config.Config, reload *app.Reloader) error {
	if err := enrol.Folder(cfg.Data); err != nil {
		return err
	}
	file, err := app.OpenLogFile(filepath.Join(cfg.Data, "exporter.log"))
	if err != nil {
		return err
	}
	defer file.Close()
	log, level, err := newLog(cfg, file)
	if err != nil {
		return err
	}
	if w, err := eventlog.Open(service.EventSource); err == nil {
		defer w.Close()
		log = slog.New(slog.NewMultiHandler(log.Handler(), ownlog.Events(w)))
	} else {
		log.Warn("the event log cannot be written, this file has everything", "err", err)
	}
	h := &handler{o: app.Options{Config: cfg, Version: version(), Log: log, Reload: reload}, level: level}
	if err := svc.Run(service.WindowsName, h); err != nil {
		return fmt.Errorf("talk to the service manager: %w", err)
	}
	return nil
}

// serviceFailed writes down why the service did not come up.
func serviceFailed(err error) {
	if w, werr := eventlog.Open(service.EventSource); werr == nil {
		slog.New(ownlog.Events(w)).Error("exporter failed", "err", err)
		_ = w.Close()
	}
}

// handler turns the service manager's wishes into a cancelled context.
type handler struct {
	o     app.Options
	level *slog.LevelVar
}

// Execute implements svc.Handler. It reports Running at once: the manager gives
// a service 30 s, and a slow disk must not cost the start.
func (h *handler) Execute(_ []string, requests <-chan svc.ChangeRequest, status chan<- svc.Status) (bool, uint32) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- runApp(ctx, h.o, h.level) }()
	status <- svc.Status{State: svc.Running, Accepts: svc.AcceptStop | svc.AcceptShutdown | svc.AcceptPreShutdown | svc.AcceptParamChange}
	for {
		select {
		case err := <-done:
			return h.ended(err)
		case r := <-requests:
			switch r.Cmd {
			case svc.Interrogate:
				status <- r.CurrentStatus
			case svc.ParamChange: // exporter reload, sc control NocturneExporter paramchange
				h.o.Reload.Ask()
			case svc.Stop:
				cancel(context.Canceled)
				status <- svc.Status{State: svc.StopPending, WaitHint: uint32(service.StopTime.Milliseconds())}
			case svc.Shutdown, svc.PreShutdown: // the latter while there is a network
				cancel(app.ErrShutdown)
				status <- svc.Status{State: svc.StopPending, WaitHint: uint32(service.StopTime.Milliseconds())}
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
