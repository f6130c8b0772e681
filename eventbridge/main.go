// The eventbridge takes records from servers, puts them into the stream and
// drives the sinks. See docs/eventbridge.md.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"nocturne/eventbridge/app"
	"nocturne/eventbridge/config"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "eventbridge:", err)
		os.Exit(1)
	}
}

// run carries out a command line. flag.ErrHelp means that help was asked for
// and printed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flag.NewFlagSet("eventbridge", flag.ContinueOnError)
	path := fs.String("config", "", "configuration file (YAML); without one the defaults hold")
	listen := fs.String("listen", "", "also take records from the network, by TLS, at this address, such as 0.0.0.0:9471")
	level := fs.String("log-level", "", "debug, info, warn or error; overrides log_level")
	check := fs.Bool("check", false, "check the configuration and exit")
	// Help that was asked for is output; what a mistake calls forth is not.
	var said bytes.Buffer
	fs.SetOutput(&said)
	err := fs.Parse(args)
	to := stderr
	if errors.Is(err, flag.ErrHelp) {
		to = stdout
	}
	if _, werr := said.WriteTo(to); err != nil || werr != nil {
		return errors.Join(err, werr)
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: the eventbridge takes flags only", fs.Arg(0))
	}
	cfg, err := config.Load(*path)
	if err != nil {
		return err
	}
	if *listen != "" {
		cfg.Ingest.Listen = *listen
	}
	if *level != "" {
		cfg.LogLevel = *level
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	if *check {
		fmt.Fprintln(stderr, "configuration is valid")
		return nil
	}
	lvl, err := cfg.Level()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: lvl}))
	a, err := app.New(app.Options{Config: cfg, Version: version(), Log: log})
	if err != nil {
		return err
	}
	return errors.Join(a.Run(ctx), a.Close())
}

// version is the module's, or the commit it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}
