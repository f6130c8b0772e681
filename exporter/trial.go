package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"nocturne/exporter/app"
	"nocturne/exporter/output/console"
	"nocturne/exporter/output/jsonlines"
	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// runTest looks through one source and prints what it would send.
func runTest(ctx context.Context, args []string, io stdio) error {
	f := newFlags("test", io)
	asJSON := f.set.Bool("json", false, "print records as lines of JSON")
	limit := f.set.Duration("for", 5*time.Second, "how long to listen to a source that streams")
	name := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") { // flags may follow it
		name, args = args[0], args[1:]
	}
	cfg, err := f.parse(args, 1)
	if err != nil {
		return err
	}
	if f.set.NArg() == 1 {
		if name != "" {
			return fmt.Errorf("unexpected argument %q", f.set.Arg(0))
		}
		name = f.set.Arg(0)
	}
	log, _, err := newLog(cfg, io.err)
	if err != nil {
		return err
	}
	t, err := app.NewTrial(app.Options{Config: cfg, Version: version(), Log: slog.New(quiet{log.Handler()})})
	if err != nil {
		return err
	}
	defer func() { _ = t.Close() }()
	if name == "" {
		return listSources(io.out, t)
	}
	s, err := t.Find(name)
	if err != nil {
		return err
	}
	if !elevated() {
		fmt.Fprintln(io.err, "note: without administrator's rights parts of what the service sees may be missing (docs/exporter.md, Rights)")
	}
	if !s.Enabled {
		fmt.Fprintf(io.err, "note: %s is not turned on in the configuration\n", s.Name())
	}
	return look(ctx, s, *limit, *asJSON, io)
}

// quiet leaves out what is told of every start.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && q.Handler.Enabled(ctx, l)
}

func look(ctx context.Context, s app.TrialSource, limit time.Duration, asJSON bool, io stdio) error {
	var mu sync.Mutex
	count := 0
	began := time.Now()
	err := source.Once(ctx, s.Source, limit, func(_ context.Context, recs []record.Record, _ []byte) error {
		mu.Lock()
		defer mu.Unlock()
		for i := range recs {
			count++
			if asJSON {
				if _, err := io.out.Write(jsonlines.AppendLine(nil, s.Category(), &recs[i])); err != nil {
					return err
				}
			} else if err := console.Readable(io.out, s.Category(), &recs[i]); err != nil {
				return err
			}
		}
		return nil
	})
	noun := "records"
	if count == 1 {
		noun = "record"
	}
	fmt.Fprintf(io.err, "%d %s in %s; nothing was sent\n", count, noun, time.Since(began).Round(time.Millisecond))
	switch {
	case err != nil:
		return fmt.Errorf("source %s: %w", s.Name(), err)
	case count == 0 && s.Name() == "check":
		fmt.Fprintln(io.err, "each check is a source of its own: `exporter test` lists them, `exporter test check/NAME` runs one")
	case count == 0:
		fmt.Fprintln(io.err, "no failure: the source saw nothing to tell of")
	}
	return nil
}

func listSources(w io.Writer, t *app.Trial) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "SOURCE\tCATEGORY\tON\tLOOKS")
	for _, s := range t.All {
		on, looks := "no", "all the time"
		if s.Enabled {
			on = "yes"
		}
		if sch, ok := source.ScheduleOf(s.Source); ok {
			looks = "every " + sch.Period.String()
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\n", s.Name(), s.Category(), on, looks)
	}
	return tab.Flush()
}
