// The exporter watches one server: it reads its sources, keeps what it saw on
// disk and sends it to one or several outputs. See docs/exporter.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"syscall"

	"nocturne/exporter/metrics/machine"
	"nocturne/exporter/source/evtx"
	"nocturne/exporter/source/updates"
)

const usage = `The exporter watches this server and tells an eventbridge what it sees.

  exporter [run]                    watch until it is stopped
  exporter enrol --server URL --token TOKEN
                                    join the fleet: paste the line of "nocturne token create"
  exporter import FILE.evtx         send the events of a Windows event log file

  exporter install|uninstall        make it a service that starts with the machine, or end that
  exporter start|stop|reload        the service; reload reads the configuration again
  exporter status                   is it well? 0 = yes, 1 = something fails, 3 = it does not run
  exporter check-config             say what is wrong with the configuration
  exporter test [SOURCE]            look once and print what would be sent, or list the sources
  exporter version

exporter COMMAND --help lists a command's flags.
`

// commands by name; "run" is meant when none is named.
var commands = map[string]func(ctx context.Context, args []string, io stdio) error{
	"run":              runExporter,
	"enrol":            runEnrol,
	"import":           runImport,
	evtx.Subcommand:    runEvtxChild,
	machine.Subcommand: runMachineChild,
	updates.Subcommand: runUpdatesChild,
	"install":          manage("install"),
	"uninstall":        manage("uninstall"),
	"start":            manage("start"),
	"stop":             manage("stop"),
	"reload":           manage("reload"),
	"status":           runStatus,
	"check-config":     runCheck,
	"test":             runTest,
	"version": func(_ context.Context, _ []string, io stdio) error {
		_, err := fmt.Fprintln(io.out, version())
		return err
	},
}

// stdio are the standard streams.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func main() {
	// A second signal changes nothing: a terminal and a supervisor may each send
	// one, and stopping is bounded in time by itself.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	var code exitCode
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &code):
		os.Exit(int(code)) // what there was to say is said
	default:
		fmt.Fprintln(os.Stderr, "exporter:", err)
		os.Exit(1)
	}
}

// exitCode ends the program without another word.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// run carries out a command line. flag.ErrHelp means that help was asked for
// and printed.
func run(ctx context.Context, args []string, io stdio) error {
	name := "run"
	if len(args) > 0 {
		switch {
		case slices.Contains([]string{"help", "-h", "-help", "--help"}, args[0]):
			fmt.Fprint(io.out, usage)
			return flag.ErrHelp
		case slices.Contains([]string{"-version", "--version"}, args[0]):
			name, args = "version", nil
		case args[0] != "" && args[0][0] != '-':
			name, args = args[0], args[1:]
		}
	}
	command, ok := commands[name]
	if !ok {
		fmt.Fprint(io.err, usage)
		return fmt.Errorf("unknown command %q", name)
	}
	return command(ctx, args, io)
}

// versionText is set by who builds packages (deploy/package).
var versionText string

// version is the package's, else the commit it was built from.
func version() string {
	if versionText != "" {
		return versionText
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return info.Main.Version
}
