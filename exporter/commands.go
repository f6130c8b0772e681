package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"

	"nocturne/exporter/app"
	"nocturne/exporter/config"
	"nocturne/exporter/enrol"
	"nocturne/exporter/limit"
	"nocturne/exporter/metrics/machine"
	"nocturne/exporter/ownlog"
	"nocturne/exporter/source"
	"nocturne/exporter/source/evtx"
	"nocturne/exporter/source/heartbeat"
	"nocturne/exporter/source/updates"
	"nocturne/internal/record"
)

// common are the flags of every command that reads the configuration.
type common struct {
	set   *flag.FlagSet
	io    stdio
	path  *string
	data  *string
	level *string
}

func newFlags(name string, io stdio) common {
	set := flag.NewFlagSet("exporter "+name, flag.ContinueOnError)
	return common{
		set:   set,
		io:    io,
		path:  set.String("config", "", "configuration file (YAML); default "+config.DefaultPath()+", if it is there"),
		data:  set.String("data", "", "folder for enrolment and spool; overrides data of the file"),
		level: set.String("log-level", "", "debug, info, warn or error; overrides log_level"),
	}
}

// parse reads flags and file; at most n arguments may be left.
func (c *common) parse(args []string, n int) (config.Config, error) {
	if err := c.flags(args, n); err != nil {
		return config.Config{}, err
	}
	return c.load()
}

func (c *common) flags(args []string, n int) error {
	// Help that was asked for is output; what a mistake calls forth is not.
	var said bytes.Buffer
	c.set.SetOutput(&said)
	err := c.set.Parse(args)
	to := c.io.err
	if errors.Is(err, flag.ErrHelp) {
		to = c.io.out
	}
	if _, werr := said.WriteTo(to); err != nil || werr != nil {
		return errors.Join(err, werr)
	}
	if c.set.NArg() > n {
		return fmt.Errorf("unexpected argument %q", c.set.Arg(n))
	}
	return nil
}

func (c *common) load() (config.Config, error) {
	if err := trusted(*c.path); err != nil {
		return config.Default(), err
	}
	cfg, err := config.Load(*c.path)
	if *c.data != "" {
		cfg.Data = *c.data // also with a file that is wrong: `status` goes on
	}
	if err != nil {
		return cfg, err
	}
	if *c.level != "" {
		cfg.LogLevel = *c.level
	}
	return cfg, cfg.Validate()
}

// trusted refuses a configuration that somebody else could have written: it
// names programs that the service starts. On Windows anybody may make files
// below ProgramData; in /etc nobody may.
func trusted(path string) error {
	if runtime.GOOS != "windows" {
		return nil
	}
	if path == "" {
		path = config.DefaultPath()
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := source.CheckFile(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read config: %w", err)
	}
	return nil
}

// newLog returns a log and what changes its level.
func newLog(cfg config.Config, w io.Writer) (*slog.Logger, *slog.LevelVar, error) {
	level, err := cfg.Level()
	v := &slog.LevelVar{}
	v.Set(level)
	f, file := w.(*os.File)
	return slog.New(ownlog.Text(w, v, file && ownlog.InJournal(f, os.Getenv))), v, err
}

func runExporter(ctx context.Context, args []string, io stdio) error {
	f := newFlags("run", io)
	listen := f.set.String("listen", "", "serve /metrics here; overrides metrics.listen")
	check := f.set.Bool("check", false, "check the configuration and exit")
	service := f.set.Bool("service", false, "run under the Windows service manager")
	if err := f.flags(args, 0); err != nil {
		return err
	}
	load := func() (config.Config, error) {
		cfg, err := f.load()
		if err != nil || *listen == "" {
			return cfg, err
		}
		cfg.Metrics.Listen = *listen
		return cfg, cfg.Validate()
	}
	cfg, err := load()
	if err != nil {
		if *service {
			serviceFailed(err) // nobody sees what a service prints
		}
		return err
	}
	if *check {
		return valid(cfg, io.err)
	}
	reload := app.NewReloader(load)
	if *service {
		return serviceMain(cfg, reload)
	}
	log, level, err := newLog(cfg, io.err)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // Windows has none: nothing comes
	defer signal.Stop(hangup)
	go func() {
		for {
			select {
			case <-hangup:
				reload.Ask()
			case <-ctx.Done():
				return
			}
		}
	}()
	return runApp(ctx, app.Options{Config: cfg, Version: version(), Log: log, Stdout: io.out, Reload: reload}, level)
}

// runApp runs exporters one after the other until ctx ends or one fails.
// valid says so, unless a check file is not.
func valid(cfg config.Config, w io.Writer) error {
	if _, refused := cfg.AllChecks(); len(refused) > 0 {
		return errors.Join(refused...)
	}
	_, err := fmt.Fprintln(w, "configuration is valid")
	return err
}

func runApp(ctx context.Context, o app.Options, level *slog.LevelVar) error {
	if err := limit.Apply(o.Config.Limits); err != nil {
		o.Log.Warn("not every limit holds", "err", err)
	}
	var next *config.Config // to go on with after a reload
	for {
		var a *app.App
		var err error
		if next == nil {
			a, err = app.New(o)
		} else if a, o.Config, err = app.Rebuild(o, *next); err == nil {
			l, _ := o.Config.Level() // it is validated
			level.Set(l)
		}
		next = nil
		if errors.Is(err, enrol.ErrNotEnrolled) {
			if err = awaitEnrolment(ctx, o); err == nil {
				continue
			}
			if ctx.Err() != nil { // stopped while it waited
				return nil
			}
		}
		if err != nil {
			return err
		}
		if err = a.Run(ctx); errors.Is(err, app.ErrStuck) {
			if ctx.Err() != nil { // asked to stop: nobody is to start it again
				o.Log.Error("stopped without a goodbye", "err", err)
				return nil
			}
			return err // Close would not return
		}
		if errors.Is(err, app.ErrReload) {
			c := a.Next()
			next, err = &c, app.ErrRestart
		}
		if cerr := a.Close(); cerr != nil || !errors.Is(err, app.ErrRestart) {
			return errors.Join(err, cerr)
		}
	}
}

// awaitEnrolment waits until this machine is a server of a fleet.
func awaitEnrolment(ctx context.Context, o app.Options) error {
	awake, sleep := context.WithCancel(ctx)
	var asleep sync.WaitGroup
	asleep.Go(func() { app.Awake(awake, o.Log) })
	defer asleep.Wait()
	defer sleep()
	return enrol.Await(ctx, o.Config.Data, func(ctx context.Context, r enrol.Request) error {
		_, err := join(ctx, o.Config, r, false)
		return err
	}, o.Log)
}

// join enrols under the folder's lock. A foreign machine is one that nothing
// of this one is told about.
func join(ctx context.Context, cfg config.Config, r enrol.Request, foreign bool) (*enrol.State, error) {
	unlock, err := app.Lock(cfg.Data)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unlock() }()
	r.Version = version()
	if !foreign {
		describe(ctx, &r)
		if r.Reported, err = app.Reported(cfg); err != nil {
			return nil, err
		}
	}
	return enrol.Enrol(ctx, cfg.Data, r)
}

func runEnrol(ctx context.Context, args []string, io stdio) error {
	f := newFlags("enrol", io)
	server := f.set.String("server", "", "the eventbridge: https://HOST:PORT")
	token := f.set.String("token", "", `join token; "-" reads it from standard input, so that it is in no list of processes`)
	tokenFile := f.set.String("token-file", "", "read the join token from this file")
	later := f.set.Bool("later", false, "do not ask now: keep the token in the data folder, the service enrols with it as soon as it can; does nothing when this machine is enrolled")
	fingerprint := f.set.String("ca-fingerprint", "", "SHA-256 of the eventbridge's CA certificate")
	caFile := f.set.String("ca-file", "", "CA certificates (PEM) to believe instead")
	name := f.set.String("name", "", "this server's name; default its host name")
	keep := f.set.Bool("keep", false, "do nothing when this machine is enrolled there already")
	forImport := f.set.Bool("for-import", false, "an identity for event log files of another machine: nothing of this one is told; needs --name")
	var labels enrol.Labels
	for _, l := range [...]struct {
		name string
		to   *string
	}{{"site", &labels.Site}, {"rack", &labels.Rack}, {"role", &labels.Role}, {"owner", &labels.Owner}} {
		f.set.StringVar(l.to, l.name, "", "the "+l.name+" that this machine reports from now on; the token's and the register's go first")
	}
	force := f.set.Bool("force", false, "enrol again although this machine is enrolled: it may become another server")
	cfg, err := f.parse(args, 0)
	if err != nil {
		return err
	}
	if *server == "" || (*token == "") == (*tokenFile == "") {
		return errors.New("enrol needs --server URL and --token TOKEN (or --token-file FILE): paste the line that `nocturne token create` printed")
	}
	if *forImport && (*name == "" || *later) {
		return errors.New("enrol --for-import needs --name NAME, the name of the machine that wrote the event log, and no --later")
	}
	if labels != (enrol.Labels{}) && !*forImport {
		if err := enrol.SaveLabels(cfg.Data, labels); err != nil {
			return err
		}
	}
	r := enrol.Request{URL: *server, CAFingerprint: *fingerprint, CAFile: *caFile, Name: *name}
	old, err := enrol.Load(cfg.Data)
	switch {
	case err == nil && (*later || *keep && old.URL == strings.TrimRight(*server, "/")):
		_, err := fmt.Fprintf(io.out, "enrolled already as %s (server id %s) at %s\n", old.Server, old.ServerID, old.URL)
		return err
	case err == nil && !*force:
		return fmt.Errorf("this machine is enrolled as %s (server id %s) at %s: add --force to enrol again", old.Server, old.ServerID, old.URL)
	case err != nil && !errors.Is(err, enrol.ErrNotEnrolled) && !*force:
		return fmt.Errorf("%w; add --force to enrol again", err)
	}
	if r.Token, err = readToken(*token, *tokenFile, io.in); err != nil {
		return err
	}
	if *later {
		if err := enrol.Keep(cfg.Data, r); err != nil {
			return err
		}
		_, err := fmt.Fprintf(io.out, "the service will enrol at %s\n", r.URL)
		return err
	}
	s, err := join(ctx, cfg, r, *forImport)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(io.out, "enrolled as %s (server id %s) at %s\n", s.Server, s.ServerID, s.URL)
	return err
}

// readToken returns a token that was given by itself, by a file or, as "-", on
// standard input.
func readToken(token, file string, in io.Reader) (string, error) {
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read token: %w", err)
		}
		defer f.Close()
		in = f
	} else if token != "-" {
		return token, nil
	}
	b, err := io.ReadAll(io.LimitReader(in, 4096))
	if err != nil {
		return "", fmt.Errorf("read token: %w", err)
	}
	if token = strings.TrimSpace(string(b)); token == "" {
		return "", errors.New("read token: there is none")
	}
	return token, nil
}

// describe says what the machine says of itself.
func describe(ctx context.Context, r *enrol.Request) {
	beat := record.Record{}
	if recs, err := heartbeat.NewBeat(heartbeat.Options{Config: heartbeat.DefaultConfig()}).Collect(ctx); len(recs) > 0 {
		_, beat = err, recs[0] // what cannot be read is left out
	}
	say := func(key string) string { return beat.Attr(key).Str() }
	r.OS = say(record.AttrOSName)
	if r.Name == "" {
		r.Name = say(record.AttrName)
	}
	if r.Name == "" {
		r.Name, _ = os.Hostname()
	}
	if r.OS == "" {
		r.OS = runtime.GOOS
	}
	r.Evidence = enrol.Evidence{MachineID: say(record.AttrMachineID), SMBIOSUUID: say(record.AttrSMBIOSUUID)}
}

func runImport(ctx context.Context, args []string, io stdio) error {
	f := newFlags("import", io)
	cfg, err := f.parse(args, 1)
	if err != nil {
		return err
	}
	if f.set.NArg() != 1 {
		return errors.New("import needs the path of one .evtx file")
	}
	log, _, err := newLog(cfg, io.err)
	if err != nil {
		return err
	}
	if err := evtx.Check(f.set.Arg(0)); err != nil { // before anything is touched
		return err
	}
	var report evtx.Report
	err = app.Import(ctx, app.Options{Config: cfg, Version: version(), Log: log, Stdout: io.out}, func(ctx context.Context, emit source.Emit) error {
		var err error
		report, err = evtx.Import(ctx, f.set.Arg(0), emit, evtx.Options{})
		return err
	})
	for _, p := range report.Problems {
		fmt.Fprintln(io.err, "unreadable:", p)
	}
	if err != nil && report.Records+report.Duplicates+report.Unreadable == 0 {
		return err
	}
	fmt.Fprintf(io.err, "%d events read, %d left out (the same channel, computer and record id again), %d unreadable\n",
		report.Records, report.Duplicates, report.Unreadable)
	for _, name := range slices.Sorted(maps.Keys(report.Computers)) {
		fmt.Fprintf(io.err, "%d events of computer %.80q\n", report.Computers[name], name)
	}
	return err
}

// runEvtxChild is the part of import that reads a hostile file.
func runEvtxChild(_ context.Context, args []string, io stdio) error {
	if code := evtx.Child(args, io.out); code != 0 {
		return fmt.Errorf("%s ended with %d", evtx.Subcommand, code)
	}
	return nil
}

// runMachineChild is the part of run that collects the operating system's
// metrics. Signals are for the parent, which ends its child.
func runMachineChild(_ context.Context, args []string, io stdio) error {
	if code := machine.Child(args, io.in, io.out, io.err); code != 0 {
		return fmt.Errorf("%s ended with %d", machine.Subcommand, code)
	}
	return nil
}

// runUpdatesChild is the part of run that asks the Windows Update Agent.
func runUpdatesChild(_ context.Context, args []string, io stdio) error {
	if code := updates.Child(args, io.out, io.err); code != 0 {
		return exitCode(code) // what there was to say is said
	}
	return nil
}
