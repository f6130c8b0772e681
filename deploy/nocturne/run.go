package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"nocturne/deploy/nocturne/simulate"
	"nocturne/deploy/nocturne/stack"
)

const demoServers = 20

func runCommand(ctx context.Context, e env, args []string) error {
	return start(ctx, e, stack.Run, args)
}

func demoCommand(ctx context.Context, e env, args []string) error {
	return start(ctx, e, stack.Demo, args)
}

// start parses the flags that run and demo share and runs the stack.
func start(ctx context.Context, e env, mode stack.Mode, args []string) error {
	flags := newFlags(e, string(mode))
	o := stack.Options{Mode: mode, Ports: stack.DefaultPorts(), Keep: stack.DefaultRetention(), Console: e.out}
	flags.StringVar(&o.Data, "data", "", "`folder` for everything that is kept (default: "+defaultDir(mode)+")")
	flags.Var(checked{&o.Listen, stack.CheckListen}, "listen", "`address` on the network for other servers to send to, with TLS: 0.0.0.0:9471")
	flags.StringVar(&o.Page.Listen, "page-listen", "", "`address` on the network for people to open the page, with TLS: 0.0.0.0:9480")
	flags.StringVar(&o.Page.Files.CertFile, "page-cert", "", "`file` with the page's certificate (PEM), read again when it changes")
	flags.StringVar(&o.Page.Files.KeyFile, "page-key", "", "`file` with its key")
	flags.Var(checked{&o.Keep.Metrics, stack.CheckKeepMetrics}, "keep-metrics", "`duration` that metrics are kept: months, or with a unit (d, w, y)")
	flags.Var(&o.Keep.Logs, "keep-logs", "`duration` that log events are kept: with a unit (d, w, y)")
	flags.Var(checked{&o.Keep.LogDisk, stack.CheckLogDisk}, "log-disk", "`size` on disk that log events may take; the oldest go first")
	flags.Var((*stack.Hours)(&o.Keep.Stream), "keep-stream", "`duration` that records can be read again by a part that was down")
	flags.BoolVar(&o.Verbose, "verbose", false, "show everything that the parts say")
	flags.Func("ports", "other `ports`: free, or NAME=PORT,NAME=PORT (see docs/operations.md)", o.Ports.Set)
	flags.Func("use", "a program that you run already, in place of ours: `NAME=URL` with metrics (VictoriaMetrics), logs (VictoriaLogs) or alertmanager; once for each", o.Outside.Set)
	if mode == stack.Demo {
		o.Servers = demoServers
		flags.Var((*fleetSize)(&o.Servers), "servers", "`number` of simulated servers")
		flags.Func("simulate", "further `flags` for nocturne simulate, such as --simulate=\"--every=0 --seed=7\"", func(s string) error {
			o.Simulate = strings.Fields(s)
			return nil
		})
	}
	level := flags.String("log-level", "info", levelUsage+", by nocturne itself")
	if err := parse(flags, args); err != nil {
		return err
	}
	for _, file := range []*string{&o.Page.Files.CertFile, &o.Page.Files.KeyFile} {
		if *file == "" {
			continue
		}
		path, err := filepath.Abs(*file) // others read it too, from other folders
		if err != nil {
			return err
		}
		*file = path
	}
	if err := o.Page.Check(); err != nil {
		return fmt.Errorf("%w: %s", errMisused, err)
	}
	var err error
	if o.Logger, err = newLogger(e, *level); err != nil {
		return err
	}
	if o.Data == "" {
		if o.Data, err = stack.DefaultDir(mode); err != nil {
			return err
		}
	}
	fmt.Fprintf(e.out, "Nocturne %s starts, data in %s\n", version(), o.Data)
	began := time.Now()
	err = stack.Start(ctx, o, func(s stack.State) { welcome(e, s, typed(os.Args[0], o.Data), o.Data, time.Since(began)) })
	if err == nil {
		fmt.Fprintln(e.out, "stopped")
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func defaultDir(mode stack.Mode) string {
	dir, err := stack.DefaultDir(mode)
	if err != nil {
		return "none here"
	}
	return dir
}

// typed returns how to begin a command for the stack on data, as a person at this shell has to type it: with the program
// as it was called, and with the folder when it would not be found otherwise.
func typed(program, data string) func(words string) string {
	option := ""
	if dir, err := stack.Find(""); err != nil || dir != data {
		option = " --data " + quoted(data)
	}
	return func(words string) string { return quoted(program) + " " + words + option }
}

// quoted protects what a shell would take apart.
func quoted(word string) string {
	if strings.ContainsFunc(word, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(`/\.:_-+=@%`, r)
	}) {
		return `"` + word + `"`
	}
	return word
}

// welcome says where to look, one address first.
func welcome(e env, s stack.State, cmd func(string) string, data string, took time.Duration) {
	page := s.Page.URL(s.Ports.Ruler)
	fmt.Fprintf(e.out, "\nReady after %s. Open this page:\n\n    %s\n\n", took.Round(100*time.Millisecond), page)
	say := func(what, how string) { fmt.Fprintf(e.out, "  %-20s %s\n", what, how) }
	if s.Mode == stack.Demo {
		say("watch", "a drive fails by itself within a minute, its message arrives, and it is replaced")
		say("break something", "the button on a server's page, or: "+cmd("simulate incident drive "+simulate.Fleet(1, 1)[0].Name))
	}
	if s.Listen == "" {
		say("add a server", "start again with --listen 0.0.0.0:9471, then: "+cmd("token create"))
	} else {
		say("add a server", cmd("token create"))
	}
	say("how it is", cmd("status"))
	say("metrics, logs", s.MetricsURL()+"/vmui/  "+s.LogsURL()+"/select/vmui/")
	if s.Page.Listen != "" {
		say("first login", "the link (link=) in "+stack.Layout{Dir: data}.Log("ruler"))
	}
	if len(s.Outside.Alertmanagers) > 0 {
		say("who gets messages", "as "+strings.Join(s.Outside.Alertmanagers, " and ")+" decides")
	} else {
		say("who gets messages", stack.Layout{Dir: data}.Config("alertmanager"))
	}
	say("logs of the parts", stack.Layout{Dir: data}.Logs())
	fmt.Fprint(e.out, "\nCtrl-C ends it.\n\n")
}
