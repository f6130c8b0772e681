package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
)

// errQuiet fails a command that has said everything already.
var errQuiet = errors.New("failed")

// find returns the command that args begin with, and its own arguments.
func find(args []string) (*command, []string) {
	for _, c := range commands() {
		words := strings.Fields(c.name)
		if len(args) >= len(words) && strings.Join(args[:len(words)], " ") == c.name {
			return &c, args[len(words):]
		}
	}
	return nil, nil
}

func help(args []string, e env) int {
	word := ""
	if len(args) > 0 {
		word = args[0]
	}
	if group := within(word); len(group) > 0 { // half of a command's name
		return helpGroup(word, group, args[1:], e)
	}
	switch word {
	case "version", "--version", "-version":
		fmt.Fprintln(e.out, "nocturne", version())
		return exitOK
	case "help", "--help", "-help", "-h":
		if len(args) > 1 {
			return run(context.Background(), append(args[1:], "--help"), e) // help does nothing that could be ended
		}
		printHelp(e.out)
		return exitOK
	case "":
		printHelp(e.err)
		return exitMisused
	}
	fmt.Fprintf(e.err, "nocturne: no command is called %q; nocturne help lists them\n", strings.Join(args, " "))
	return exitMisused
}

// within returns the commands whose names begin with a word and go on after it.
func within(word string) (found []command) {
	for _, c := range commands() {
		if strings.HasPrefix(c.name, word+" ") {
			found = append(found, c)
		}
	}
	return found
}

func helpGroup(word string, group []command, rest []string, e env) int {
	if len(rest) > 0 && slices.Contains(helpFlags(), rest[0]) {
		for _, c := range group {
			fmt.Fprintf(e.out, "nocturne %s %s\n  %s\n", c.name, c.usage, c.summary)
		}
		fmt.Fprintln(e.out, "\nnocturne COMMAND --help lists the flags of a command.")
		return exitOK
	}
	names := make([]string, len(group))
	for i, c := range group {
		names[i] = "nocturne " + c.name
	}
	fmt.Fprintf(e.err, "nocturne %s: want %s\n", word, strings.Join(names, " or "))
	return exitMisused
}

func helpFlags() []string { return []string{"--help", "-help", "-h", "help"} }

func printHelp(w io.Writer) {
	fmt.Fprint(w, "Nocturne watches a fleet of servers through the night.\n\n")
	for _, part := range []bool{false, true} {
		if part {
			fmt.Fprint(w, "\nParts, which run and demo start:\n")
		}
		for _, c := range commands() {
			if c.part == part {
				fmt.Fprintf(w, "  nocturne %-14s %s\n", c.name, c.summary)
			}
		}
	}
	fmt.Fprint(w, "\nnocturne COMMAND --help lists the flags of a command.\n")
}

func wanted(want []string) string {
	if len(want) == 0 {
		return "no arguments"
	}
	return strings.Join(want, " ")
}

func newLogger(e env, level string) (*slog.Logger, error) {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("%w: --log-level %q: want debug, info, warn or error", errMisused, level)
	}
	return slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: l})), nil
}
