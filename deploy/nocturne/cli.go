package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
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
	switch word {
	case "version", "--version", "-version":
		fmt.Fprintln(e.out, "nocturne", version())
		return exitOK
	case "help", "--help", "-help", "-h":
		printHelp(e)
		return exitOK
	case "":
		printHelp(env{e.err, e.err})
		return exitMisused
	}
	fmt.Fprintf(e.err, "nocturne: no command is called %q; nocturne help lists them\n", strings.Join(args, " "))
	return exitMisused
}

func printHelp(e env) {
	fmt.Fprint(e.out, "Nocturne watches a fleet of servers through the night.\n\n")
	for _, part := range []bool{false, true} {
		if part {
			fmt.Fprint(e.out, "\nParts, which run and demo start:\n")
		}
		for _, c := range commands() {
			if c.part == part {
				fmt.Fprintf(e.out, "  nocturne %-14s %s\n", c.name, c.summary)
			}
		}
	}
	fmt.Fprint(e.out, "\nnocturne COMMAND --help lists the flags of a command.\n")
}

// newFlags is the flag set of a command; its help says what the command is for.
func newFlags(e env, name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(e.err)
	flags.Usage = func() {
		for _, c := range commands() {
			if c.name == name {
				fmt.Fprintf(flags.Output(), "nocturne %s %s\n  %s\n", c.name, c.usage, c.summary)
			}
		}
		if hasFlags(flags) {
			fmt.Fprint(flags.Output(), "\nFlags:\n")
			flags.PrintDefaults()
		}
	}
	return flags
}

func hasFlags(flags *flag.FlagSet) (has bool) {
	flags.VisitAll(func(*flag.Flag) { has = true })
	return has
}

// parse reads flags and wants exactly the named arguments after them.
func parse(flags *flag.FlagSet, args []string, want ...string) error {
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return fmt.Errorf("%w: see above", errMisused)
	}
	if flags.NArg() != len(want) {
		return fmt.Errorf("%w: want %s, got %q", errMisused, wanted(want), flags.Args())
	}
	return nil
}

// parseMixed reads flags wherever they stand and returns the other words.
func parseMixed(flags *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, fmt.Errorf("%w: see above", errMisused)
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
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
