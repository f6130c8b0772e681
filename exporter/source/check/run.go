package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Slots are how many plugins may run at the same time; shared by all checks.
type Slots chan struct{}

// NewSlots returns n free slots.
func NewSlots(n int) Slots { return make(Slots, n) }

// take waits for a free slot, and returns what gives it back.
func (s Slots) take(ctx context.Context, wait time.Duration) (free func(), err error) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	default:
	}
	select {
	case s <- struct{}{}:
		return func() { <-s }, nil
	case <-t.C:
		return nil, fmt.Errorf("all %d slots were taken for %s: raise at_once, or look at why plugins take so long", cap(s), wait)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Options are what New needs.
type Options struct {
	Spec
	// Slots and Series are shared by all checks; nil = its own.
	Slots  Slots
	Series *Series
	// Positions reads what was committed with the last records; nil = what was
	// returned last counts as committed.
	Positions source.Positions
	// Run runs the program; nil = source.Command.
	Run source.Runner
}

// New returns the source of one check.
func New(o Options) source.Source {
	// The schedule's deadline covers the wait for a slot too; that of a run is
	// kept by Collect itself.
	s := o.Schedule
	s.Deadline = s.Period
	return source.Scheduled(NewCheck(o), s)
}

// Check runs one plugin. It belongs to one goroutine.
type Check struct {
	o    Options
	seen *seen // what the last round told; nil = nothing yet
}

// NewCheck returns the collector behind New.
func NewCheck(o Options) *Check {
	if o.Slots == nil {
		o.Slots = NewSlots(1)
	}
	if o.Series == nil {
		o.Series = NewSeries(DefaultConfig("").MaxSeries)
	}
	if o.Run == nil {
		o.Run = source.Command{MaxOutput: o.MaxOutput, Dir: workDir(o.Dir), Env: environment(o.Spec, os.Getenv), User: o.User, Discreet: true}.Run
	}
	return &Check{o: o}
}

// SourceName is the name of the source of a check.
func SourceName(check string) string { return RosterName + "/" + check }

// Name implements source.Collector.
func (c *Check) Name() string { return SourceName(c.o.Name) }

// Category implements source.Collector.
func (c *Check) Category() record.Category { return record.Check }

// Position implements source.Positioned: the state that was told last.
func (c *Check) Position() []byte {
	if c.seen == nil {
		return nil
	}
	b, err := json.Marshal(c.seen)
	if err != nil {
		return nil // three texts always marshal
	}
	return b
}

// Collect runs the plugin once. A plugin that could not be run, or did not end
// well, is both: a state "unknown" with its reason, and an error that counts
// against the source. A run for which there was no slot says nothing of the
// state.
func (c *Check) Collect(ctx context.Context) ([]record.Record, error) {
	if err := c.remember(); err != nil {
		return nil, err
	}
	free, err := c.o.Slots.take(ctx, max(0, c.o.Period-c.o.Deadline))
	if err != nil {
		return nil, err
	}
	defer free()
	r, err := c.run(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(err, context.DeadlineExceeded) {
		return nil, err // the exporter stops: nothing is known
	}
	recs, next := r.records(c.o.Name, *c.seen, time.Now())
	if n := record.RecordSize(&recs[0]); n > record.MaxRecord {
		err = fmt.Errorf("a snapshot of %d bytes, at most %d: state fewer devices", n, record.MaxRecord)
		r = failed(ReasonOutput, err, r.Took)
		recs, next = r.records(c.o.Name, *c.seen, time.Now())
	}
	*c.seen = next
	return recs, err
}

// remember reads what was told, in every round anew: the records of the last
// one may not have been committed, and then their change of state is to be told
// again.
func (c *Check) remember() error {
	if c.o.Positions == nil {
		if c.seen == nil {
			c.seen = &seen{}
		}
		return nil
	}
	b, err := c.o.Positions.Position(c.Name())
	if err != nil {
		return err
	}
	c.seen = &seen{}
	if len(b) > 0 && json.Unmarshal(b, c.seen) != nil {
		c.seen = &seen{} // of another version: begin anew
	}
	return nil
}

// run runs the plugin and reads its output.
func (c *Check) run(ctx context.Context) (Result, error) {
	if err := source.CheckTool(c.o.Command[0]); err != nil {
		c.o.Series.forget(c.o.Name)
		return failed(ReasonRefused, err, 0), err
	}
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, c.o.Deadline)
	defer cancel()
	out, err := c.o.Run(limited, c.o.Command[0], c.o.Command[1:]...)
	took := time.Since(began)
	state, reason, err := verdict(err, c.o.Deadline)
	r := Result{State: state, Reason: reason, Took: took}
	if reason == "" {
		if err = c.parse(out, &r); err != nil {
			r = failed(ReasonOutput, err, took)
		}
	} else {
		r.Text = line(err.Error() + wrote(out))
	}
	if r.Text == "" {
		r.Text = "(no output)"
	}
	if r.Reason != "" {
		c.o.Series.forget(c.o.Name)
	}
	return r, err
}

// parse reads the output in the check's format into r, which has the state of
// the exit code.
func (c *Check) parse(out []byte, r *Result) error {
	switch c.o.Format {
	case FormatNocturne:
		return parseDocument(out, r)
	case FormatPrometheus:
		families, err := parsePrometheus(out)
		if err != nil {
			return err
		}
		if families == nil {
			families = []*dto.MetricFamily{}
		}
		refused := c.o.Series.take(c.o.Name, families)
		n := 0
		for _, f := range families {
			n += len(f.GetMetric())
		}
		r.Text = fmt.Sprintf("%d metrics of %d names", n, len(families))
		for _, reason := range refusedReasons {
			if k := refused[reason]; k > 0 {
				r.problem("%d metrics are not taken: %s", k, reason)
			}
		}
		return nil
	default:
		parseNagios(out, r)
		return nil
	}
}

// wrote quotes the first line of what a plugin wrote before it failed.
func wrote(out []byte) string {
	var r Result
	if parseNagios(out, &r); r.Text == "" {
		return ""
	}
	return "; it had written: " + r.Text
}

// failed is the result of a run that says nothing of what it looks at.
func failed(reason string, err error, took time.Duration) Result {
	return Result{State: Unknown, Reason: reason, Text: line(err.Error()), Took: took}
}

// verdict reads state and reason from how a program ended. An exit code of 0
// to 3 is the plugin's own word and no error.
func verdict(err error, deadline time.Duration) (State, string, error) {
	var exit interface{ ExitCode() int }
	switch {
	case err == nil:
		return OK, "", nil
	case errors.Is(err, context.DeadlineExceeded):
		return Unknown, ReasonTimeout, fmt.Errorf("no answer within %s, killed: %w", deadline, context.DeadlineExceeded)
	case errors.Is(err, source.ErrTooMuchOutput):
		return Unknown, ReasonOutput, err
	case !errors.As(err, &exit):
		return Unknown, ReasonStart, err
	}
	switch code := exit.ExitCode(); {
	case code < 0:
		return Unknown, ReasonKilled, err
	case code > int(Unknown):
		return Unknown, ReasonExitCode, err
	default:
		return State(code), "", nil
	}
}

// environment is what a plugin finds: what systems need, the check's name, and
// what the configuration adds. Nothing of the exporter's own environment comes
// along unnamed; it may hold secrets.
func environment(s Spec, getenv func(string) string) []string {
	env := map[string]string{"NOCTURNE_CHECK": s.Name}
	if runtime.GOOS == "windows" {
		for _, k := range []string{"SystemRoot", "SystemDrive", "windir", "ComSpec", "Path", "PATHEXT", "TEMP", "TMP", "ProgramData", "ProgramFiles",
			"ProgramFiles(x86)", "ProgramW6432", "CommonProgramFiles", "PSModulePath", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "OS", "COMPUTERNAME", "USERPROFILE"} {
			if v := getenv(k); v != "" {
				env[k] = v
			}
		}
	} else {
		// The C locale: decimal points, English, whatever the service got.
		env["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
		env["LC_ALL"] = "C.UTF-8"
		env["HOME"] = "/"
		if v := getenv("TZ"); v != "" {
			env["TZ"] = v
		}
	}
	for k, v := range s.Env {
		if runtime.GOOS == "windows" { // where Path and PATH are one
			maps.DeleteFunc(env, func(old, _ string) bool { return strings.EqualFold(old, k) })
		}
		env[k] = v
	}
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	slices.Sort(out)
	return out
}

// workDir is the configured folder, or the root of the disk.
func workDir(dir string) string {
	if dir != "" {
		return dir
	}
	if runtime.GOOS == "windows" {
		if root := os.Getenv("SystemDrive"); root != "" {
			return root + `\`
		}
	}
	return string(filepath.Separator)
}
