package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// command is what the ruler does instead of running: `ruler rules check FILE`.
type command struct {
	name    string // "rules check"
	args    string // for the usage line
	summary string
	run     func(ctx context.Context, args []string, stdout, stderr io.Writer) error
}

// commands is the table: one line each, the code beside what it is about.
func commands() []command {
	return slices.Concat(
		tokenCommands(),
		userCommands(),
		runningCommands(),
		noiseCommands(),
		backupCommands(),
		fileCommands(),
	)
}

// errUsage is wrapped by a command that was called wrongly.
var errUsage = errors.New("wrong usage")

// find returns the command that the arguments begin with, and what follows it.
func find(args []string) (command, []string, bool) {
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return c, args[len(words):], true
		}
	}
	return command{}, nil, false
}

// argsOf is the rest of a command's usage line.
func argsOf(name string) string {
	for _, c := range commands() {
		if c.name == name {
			return c.args
		}
	}
	return ""
}

// asked tells whether a group of commands is asked for help, `ruler rules
// -help`, and which: "" are all.
func asked(args []string) (group string, ok bool) {
	switch {
	case len(args) == 1 && args[0] == "help":
		return "", true
	case len(args) == 2 && slices.Contains([]string{"-h", "-help", "--help", "help"}, args[1]):
		group = args[0] + " "
		return group, slices.ContainsFunc(commands(), func(c command) bool { return strings.HasPrefix(c.name, group) })
	}
	return "", false
}

// usage lists the commands of a group.
func usage(w io.Writer, group string) {
	for _, c := range commands() {
		if !strings.HasPrefix(c.name, group) {
			continue
		}
		fmt.Fprintf(w, "  ruler %s %s\n    \t%s\n", c.name, c.args, c.summary)
	}
}

// unknown says what was meant instead of a word that is no command.
func unknown(args []string) error {
	var near []string
	for _, c := range commands() {
		if first, _, _ := strings.Cut(c.name, " "); first == args[0] {
			near = append(near, c.name)
		}
	}
	if len(near) > 0 {
		return fmt.Errorf("%q is no command, there is: %s: %w", strings.Join(args, " "), strings.Join(near, ", "), errUsage)
	}
	return fmt.Errorf("unexpected argument %q: without a command the ruler takes flags only; ruler -help lists the commands: %w", args[0], errUsage)
}
