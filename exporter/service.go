package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"nocturne/exporter/config"
	"nocturne/exporter/enrol"
	"nocturne/exporter/service"
)

// manage returns the command that does one thing to the service.
func manage(verb string) func(ctx context.Context, args []string, io stdio) error {
	return func(ctx context.Context, args []string, io stdio) error {
		f := newFlags(verb, io)
		if err := f.flags(args, 0); err != nil {
			return err
		}
		cfg, err := f.load() // a service with a file that is wrong would not start
		if err != nil && verb != "stop" && verb != "uninstall" {
			return err
		}
		m, err := service.Open()
		if err != nil {
			return err
		}
		defer func() { _ = m.Close() }()
		done := map[string]string{"install": "installed", "uninstall": "uninstalled", "start": "started", "stop": "stopped", "reload": "told to read its configuration"}[verb]
		switch verb {
		case "install":
			err = install(ctx, m, &f, io)
		case "uninstall":
			if err = m.Uninstall(ctx); err == nil {
				done += "; its data stays in " + cfg.Data
			}
		case "start":
			err = m.Start(ctx)
		case "stop":
			err = m.Stop(ctx)
		case "reload":
			err = m.Reload(ctx)
		}
		if errors.Is(err, service.ErrNotInstalled) {
			return fmt.Errorf("%w: `exporter install` does it", err)
		}
		if err == nil {
			_, err = fmt.Fprintln(io.out, "service "+done)
		}
		return err
	}
}

func install(ctx context.Context, m service.Manager, f *common, io stdio) error {
	o := service.Options{Warn: func(text string) { fmt.Fprintln(io.err, "warning:", text) }}
	var err error
	if o.Exe, err = os.Executable(); err != nil {
		return err
	}
	for _, p := range []struct{ from, to *string }{{f.path, &o.Config}, {f.data, &o.Data}} {
		if *p.from == "" {
			continue
		}
		if *p.to, err = filepath.Abs(*p.from); err != nil {
			return err
		}
	}
	if runtime.GOOS == "windows" { // anybody may make files below ProgramData, and the checks there are programs
		if err := enrol.Protect(filepath.Dir(config.DefaultPath())); err != nil {
			return err
		}
	}
	return m.Install(ctx, o)
}

func runCheck(_ context.Context, args []string, io stdio) error {
	f := newFlags("check-config", io)
	cfg, err := f.parse(args, 0)
	if err != nil {
		return err
	}
	return valid(cfg, io.out)
}
