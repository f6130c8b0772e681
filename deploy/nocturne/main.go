// Nocturne runs the whole of Nocturne on one machine, and talks to what runs.
//
//	nocturne run     watch this machine and the servers you add
//	nocturne demo    the same with a simulated fleet that breaks
//	nocturne help    everything else
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
	"strings"
	"syscall"
)

// command is one word after `nocturne`.
type command struct {
	name    string
	usage   string // after the name
	summary string
	part    bool // started by run and demo, seldom by a person
	run     func(ctx context.Context, e env, args []string) error
}

// env is what a command may touch.
type env struct{ out, err io.Writer }

func commands() []command {
	return []command{
		{name: "run", usage: "[flags]", summary: "watch this machine and the servers you add", run: runCommand},
		{name: "demo", usage: "[flags]", summary: "the same with a simulated fleet that breaks", run: demoCommand},
		{name: "status", usage: "[flags]", summary: "what is up, how far behind, how much lost", run: statusCommand},
		{name: "token create", usage: "[flags]", summary: "print the line that adds a server", run: tokenCommand},
		{name: "servers", usage: "list | approve ID | revoke ID | decommission ID", summary: "the register of servers", run: serversCommand},
		{name: "simulate", usage: "[flags] | incident KIND SERVER", summary: "play servers, or break one", run: simulateCommand},
		{name: "alertmanager", usage: "[flags]", summary: "Alertmanager", part: true, run: alertmanagerCommand},
		{name: "receiver", usage: "[flags]", summary: "keep delivered messages", part: true, run: receiverCommand},
	}
}

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		cancel() // a second Ctrl-C ends us at once, and with us every child
	}()
	code := run(ctx, os.Args[1:], env{os.Stdout, os.Stderr})
	cancel()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK      = 0
	exitFailed  = 1
	exitMisused = 2
)

// errMisused wraps what is wrong with the command line.
var errMisused = errors.New("usage")

func run(ctx context.Context, args []string, e env) int {
	cmd, rest := find(args)
	if cmd == nil {
		return help(args, e)
	}
	err := cmd.run(ctx, e, rest)
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return exitOK
	case errors.Is(err, errMisused):
		fmt.Fprintf(e.err, "usage: nocturne %s %s, more with --help\nnocturne %s: %s\n", cmd.name, cmd.usage, cmd.name, strings.TrimPrefix(err.Error(), errMisused.Error()+": "))
		return exitMisused
	case errors.Is(err, errQuiet):
		return exitFailed
	}
	fmt.Fprintf(e.err, "nocturne %s: %v\n", cmd.name, err)
	return exitFailed
}

// version is the module's, or the commit it was built from.
func version() string {
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
