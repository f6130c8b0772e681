package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"nocturne/deploy/nocturne/simulate"
)

// levelUsage describes --log-level.
const levelUsage = "`level` of what is told: debug, info, warn or error"

// flagSet is the flags of a command. Unlike those of package flag, its help is asked for or not shown at all: a mistake
// must not drown in it.
type flagSet struct {
	*flag.FlagSet
	help io.Writer
}

// newFlags is the flag set of a command; its help says what the command is for.
func newFlags(e env, name string) flagSet {
	flags := flagSet{flag.NewFlagSet(name, flag.ContinueOnError), e.out}
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	return flags
}

// read parses flags and prints the help when it is asked for.
func (f flagSet) read(args []string) error {
	err := f.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		f.print()
		return err
	case err != nil:
		return fmt.Errorf("%w: %s", errMisused, f.instead(twoDashes(err.Error())))
	}
	return nil
}

var flagName = regexp.MustCompile(`^(flag provided but not defined: |flag needs an argument: |invalid (?:boolean )?value "(?:[^"\\]|\\.)*" for (?:flag )?)-`)

// twoDashes writes flags in package flag's errors as our documents do.
func twoDashes(text string) string { return flagName.ReplaceAllString(text, "$1--") }

// instead says what to write where package flag says "parse error" and no more.
func (f flagSet) instead(text string) string {
	rest, ok := strings.CutSuffix(text, ": parse error")
	if !ok {
		return text
	}
	fl := f.Lookup(rest[strings.LastIndex(rest, "--")+2:])
	if fl == nil {
		return text
	}
	if g, ok := fl.Value.(flag.Getter); ok {
		switch g.Get().(type) {
		case time.Duration:
			return rest + ": want a time like 90m or 24h (90 days are 2160h)"
		case int:
			return rest + ": want a whole number"
		}
	}
	return text
}

func (f flagSet) print() {
	for _, c := range commands() {
		if c.name == f.Name() {
			fmt.Fprintf(f.help, "nocturne %s %s\n  %s\n", c.name, c.usage, c.summary)
		}
	}
	title := "\nFlags:\n"
	f.VisitAll(func(fl *flag.Flag) {
		word, usage := flag.UnquoteUsage(fl)
		if word != "" {
			word = " " + strings.ToUpper(word)
		}
		if d := fl.DefValue; d != "" && d != "0" && d != "0s" && d != "false" && !strings.Contains(usage, "(default") {
			usage += " (default " + d + ")"
		}
		fmt.Fprintf(f.help, "%s  --%s%s\n        %s\n", title, fl.Name, word, usage)
		title = ""
	})
}

// parse reads flags and wants exactly the named arguments after them.
func parse(flags flagSet, args []string, want ...string) error {
	if err := flags.read(args); err != nil {
		return err
	}
	if flags.NArg() != len(want) {
		return fmt.Errorf("%w: want %s, got %q", errMisused, wanted(want), flags.Args())
	}
	return nil
}

// parseMixed reads flags wherever they stand and returns the other words.
func parseMixed(flags flagSet, args []string) (words []string, err error) {
	for {
		if err := flags.read(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
}

// checked is a text flag that is looked at before anything starts.
type checked struct {
	text  *string
	check func(string) error
}

func (c checked) String() string {
	if c.text == nil { // package flag asks a zero value
		return ""
	}
	return *c.text
}

func (c checked) Set(text string) error {
	if err := c.check(text); err != nil {
		return err
	}
	*c.text = text
	return nil
}

// fleetSize is a number of simulated servers.
type fleetSize int

func (n *fleetSize) String() string { return strconv.Itoa(int(*n)) }

func (n *fleetSize) Set(text string) error {
	i, err := strconv.Atoi(text)
	if err != nil || i < 1 || i > simulate.MaxServers {
		return fmt.Errorf("want a number from 1 to %d", simulate.MaxServers)
	}
	*n = fleetSize(i)
	return nil
}
