// The ruler keeps the state of every server, finds what changed, failed or fell
// silent, tells Alertmanager, and serves the page and the API. See docs/ruler.md.
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

	"nocturne/internal/trust"
	"nocturne/ruler/app"
	"nocturne/ruler/config"
	"nocturne/ruler/metricrule"
	"nocturne/ruler/rulebook"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "ruler:", err)
		os.Exit(1)
	}
}

// run carries out a command line. flag.ErrHelp means that help was asked for
// and printed.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if c, rest, ok := find(args); ok {
		return c.run(ctx, rest, stdout, stderr)
	}
	if group, ok := asked(args); ok {
		if group == "" {
			return run(ctx, []string{"-help"}, stdout, stderr)
		}
		usage(stdout, group)
		return flag.ErrHelp
	}
	fs := flag.NewFlagSet("ruler", flag.ContinueOnError)
	path := fs.String("config", "", "configuration file (YAML); without one the defaults hold")
	listen := fs.String("listen", "", "address of the page, the API and /metrics; overrides listen")
	level := fs.String("log-level", "", "debug, info, warn or error; overrides log_level")
	check := fs.Bool("check", false, "check the configuration and the rules, and exit")
	// Help that was asked for is output; what a mistake calls forth is not.
	var said bytes.Buffer
	fs.SetOutput(&said)
	err := fs.Parse(args)
	to := stderr
	if errors.Is(err, flag.ErrHelp) {
		to = stdout
		usage(&said, "")
	}
	if _, werr := said.WriteTo(to); err != nil || werr != nil {
		return errors.Join(err, werr)
	}
	if fs.NArg() > 0 {
		return unknown(fs.Args())
	}
	cfg, err := config.Load(*path)
	if err != nil {
		return err
	}
	files := func() (rulebook.Files, error) {
		now, err := config.Load(*path)
		if err != nil {
			return rulebook.Files{}, err
		}
		return now.Rules.Files()
	}
	reloadMetrics := func() (*metricrule.Pack, error) {
		now, err := config.Load(*path)
		if err != nil {
			return nil, err
		}
		return now.Rules.LoadMetrics()
	}
	if *listen != "" {
		cfg.Listen = *listen
	}
	if *level != "" {
		cfg.LogLevel = *level
	}
	if err := cfg.Validate(); err != nil {
		return err
	}
	rules, err := cfg.Rules.Load()
	if err != nil {
		return err
	}
	metrics, err := cfg.Rules.LoadMetrics()
	if err != nil {
		return err
	}
	if *check {
		if !cfg.TLS.IsZero() {
			if _, err := trust.Show(cfg.TLS.Files, nil); err != nil {
				return fmt.Errorf("tls: %w", err)
			}
		}
		fmt.Fprintf(stderr, "configuration is valid, %d rules, %d metric rules\n", len(rules), len(metrics.Rules()))
		return nil
	}
	lvl, err := cfg.Level()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: lvl}))
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	a, err := app.New(app.Options{Config: cfg, Rules: files, Metrics: metrics, Log: log, ReloadMetrics: reloadMetrics, Hangup: hangup, Version: version()})
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
