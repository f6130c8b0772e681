package check

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// exit is how a program ended that a test made up.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
func (e exit) ExitCode() int { return int(e) }

// says is a plugin that a test made up.
func says(out string, err error) source.Runner {
	return func(context.Context, string, ...string) ([]byte, error) { return []byte(out), err }
}

// spec is a check of a program that exists and that nobody else may write.
func spec(t *testing.T, format string) Spec {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := DefaultSpec()
	s.Name, s.Command, s.Format = "x", []string{path, "--password", "secret"}, format
	return s
}

// told is one line about the state that a round told, and its error.
func told(t *testing.T, c *Check) string {
	t.Helper()
	recs, err := c.Collect(t.Context())
	if len(recs) == 0 {
		return fmt.Sprintf("nothing: %v", err)
	}
	r := recs[0]
	return fmt.Sprintf("%s %s, %d records, %v", r.Body, r.Attr(record.AttrCheckReason).Text(), len(recs), err)
}

func TestCollect(t *testing.T) {
	f := func(why, format, out string, err error, want string) {
		t.Helper()
		if got := told(t, NewCheck(Options{Spec: spec(t, format), Run: says(out, err)})); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", why, got, want)
		}
	}
	f("fine", "nagios", "OK - good | a=1", nil, "check x: OK - OK - good , 2 records, <nil>")
	f("code 1", "nagios", "a bit", exit(1), "check x: WARNING - a bit , 2 records, <nil>")
	f("code 2", "nagios", "bad", exit(2), "check x: CRITICAL - bad , 2 records, <nil>")
	f("code 3 and nothing written", "nagios", "", exit(3), "check x: UNKNOWN - (no output) , 2 records, <nil>")
	f("code 127", "nagios", "what?", exit(127), "check x: UNKNOWN - exit status 127; it had written: what? exit_code, 2 records, exit status 127")
	f("a signal", "nagios", "", exit(-1), "check x: UNKNOWN - exit status -1 killed, 2 records, exit status -1")
	f("too slow", "nagios", "OK", context.DeadlineExceeded, "check x: UNKNOWN - no answer within 30s, killed: context deadline exceeded; it had written: OK timeout, 2 records, no answer within 30s, killed: context deadline exceeded")
	f("too much", "nagios", "OK", source.ErrTooMuchOutput, "check x: UNKNOWN - wrote more than its limit; it had written: OK output, 2 records, wrote more than its limit")
	f("cannot be run", "nagios", "", errors.New("exec format error"), "check x: UNKNOWN - exec format error start, 2 records, exec format error")
	f("a document", "nocturne", `{"nocturne":1,"state":"critical","text":"t"}`, nil, "check x: CRITICAL - t , 2 records, <nil>")
	f("a document beside a code", "nocturne", `{"nocturne":1,"text":"t"}`, exit(1), "check x: WARNING - t , 2 records, <nil>")
	f("half a document", "nocturne", `{"nocturne":1,`, nil, "check x: UNKNOWN - not one JSON document: line 1: unexpected end of JSON input output, 2 records, not one JSON document: line 1: unexpected end of JSON input")
	f("a document that ended badly", "nocturne", `{"nocturne":1,"state":"ok"}`, exit(9), `check x: UNKNOWN - exit status 9; it had written: {"nocturne":1,"state":"ok"} exit_code, 2 records, exit status 9`)
	f("metrics", "prometheus", "a 1\nb 2\nb{c=\"d\"} 2\n", nil, "check x: OK - 3 metrics of 2 names , 2 records, <nil>")
	f("no metrics", "prometheus", "oops\n", nil, "check x: UNKNOWN - text format parsing error in line 1: expected float as value, got \"\" output, 2 records, text format parsing error in line 1: expected float as value, got \"\"")
}

func TestRefusedProgram(t *testing.T) {
	s := spec(t, "nagios")
	ran := false
	run := func(context.Context, string, ...string) ([]byte, error) { ran = true; return nil, nil }
	c := NewCheck(Options{Spec: s, Run: run})
	if err := os.Remove(s.Command[0]); err != nil {
		t.Fatal(err)
	}
	if got := told(t, c); !strings.Contains(got, "UNKNOWN") || !strings.Contains(got, "refused, 2 records") || !strings.Contains(got, "no such file") || ran {
		t.Errorf("%s, ran %t", got, ran)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := os.WriteFile(s.Command[0], nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(s.Command[0], 0o777); err != nil { // past the umask
		t.Fatal(err)
	}
	if got := told(t, c); !strings.Contains(got, "others may write it") || ran {
		t.Errorf("%s, ran %t", got, ran)
	}
}

// A state is told once, with everything; the field text keeps what was said
// when it began, also over a restart.
func TestStateIsToldOnce(t *testing.T) {
	positions := position{}
	out, code := "load 1\nlong", error(nil)
	o := Options{Spec: spec(t, "nagios"), Positions: positions, Run: func(context.Context, string, ...string) ([]byte, error) { return []byte(out), code }}
	c := NewCheck(o)
	round := func(want string) {
		t.Helper()
		recs, err := c.Collect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		positions[c.Name()] = c.Position()
		d := recs[0].Snapshot.Devices[0]
		got := fmt.Sprintf("%d %s %q", len(recs), d.Field("state").Text(), d.Field("text").Text())
		if len(recs) > 1 {
			got += fmt.Sprintf(" before=%q details=%q %s", recs[1].Attr(record.AttrCheckBefore).Text(), recs[1].Attr(record.AttrCheckDetails).Text(), recs[1].Severity)
		}
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	round(`2 ok "load 1" before="" details="long" info`)
	out = "load 2"
	round(`1 ok "load 1"`)
	code = exit(2)
	round(`2 critical "load 2" before="ok" details="" error`)
	c = NewCheck(o)
	out = "load 3"
	round(`1 critical "load 2"`)
	code = nil
	if recs, err := c.Collect(t.Context()); len(recs) != 2 || err != nil { // and the spool could not commit it
		t.Errorf("%d records, %v", len(recs), err)
	}
	round(`2 ok "load 3" before="critical" details="" info`)
	code = exit(2)
	round(`2 critical "load 3" before="ok" details="" error`)
	positions[c.Name()] = []byte("of another version")
	c = NewCheck(o)
	round(`2 critical "load 3" before="" details="" error`)
}

type position map[string][]byte

func (p position) Position(name string) ([]byte, error) { return p[name], nil }

func TestSnapshotTooLarge(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"nocturne":1,"state":"ok","snapshot":{"devices":[`)
	for i := range maxDevices {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"type":"a","place":"%d","fields":{"b":"%s"}}`, i, strings.Repeat("x", 200))
	}
	b.WriteString("]}}")
	got := told(t, NewCheck(Options{Spec: spec(t, "nocturne"), Run: says(b.String(), nil)}))
	if !strings.HasPrefix(got, "check x: UNKNOWN - a snapshot of ") || !strings.Contains(got, "state fewer devices output, 2 records") {
		t.Error(got)
	}
}

// Two checks and one slot: the second waits its turn, and gives up what the
// period leaves it when the first takes too long.
func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := NewSlots(1)
		busy := func(d time.Duration) *Check {
			return NewCheck(Options{Spec: spec(t, "nagios"), Slots: slots, Run: func(ctx context.Context, _ string, _ ...string) ([]byte, error) {
				select {
				case <-time.After(d):
					return []byte("OK"), nil
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}})
		}
		first, second := busy(20*time.Second), busy(time.Second)
		done := make(chan string, 1)
		go func() { done <- told(t, first) }()
		synctest.Wait()
		began := time.Now()
		if got := told(t, second); !strings.HasPrefix(got, "check x: OK") || time.Since(began) != 21*time.Second {
			t.Errorf("%s after %s", got, time.Since(began))
		}
		<-done
		slow := busy(time.Hour)
		slow.o.Deadline, slow.o.Period = time.Minute, 2*time.Minute
		go func() { done <- told(t, slow) }()
		synctest.Wait()
		if got, want := told(t, second), "nothing: all 1 slots were taken for 30s: raise at_once, or look at why plugins take so long"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := <-done; !strings.Contains(got, "no answer within 1m0s, killed") {
			t.Error(got)
		}
		// The exporter stops: that says nothing of the state.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if recs, err := second.Collect(ctx); len(recs) > 0 || err == nil {
			t.Errorf("%d records, %v", len(recs), err)
		}
	})
}

// The real runner: what reaches a plugin, and that its arguments reach nobody
// else.
func TestRealProgram(t *testing.T) {
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("the plugin that stands in is a shell script")
	}
	t.Setenv("NOCTURNE_TEST_SECRET", "in the exporter's environment")
	s := spec(t, "nagios")
	s.Env = map[string]string{"A": "b c"}
	write := func(body string) {
		t.Helper()
		if err := os.WriteFile(s.Command[0], []byte("#!/bin/sh\n"+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(`echo "$# $1 $A $NOCTURNE_CHECK $PWD [$NOCTURNE_TEST_SECRET]"`)
	if got, want := told(t, NewCheck(Options{Spec: s})), "check x: OK - 2 --password b c x / [] , 2 records, <nil>"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	write("echo broken >&2; exit 4")
	if got := told(t, NewCheck(Options{Spec: s})); !strings.Contains(got, "run plugin: exit status 4: broken") || strings.Contains(got, "secret") {
		t.Errorf("%s: want the error without the arguments", got)
	}
	write("kill -SEGV $$")
	if got := told(t, NewCheck(Options{Spec: s})); !strings.Contains(got, "signal: segmentation fault") || !strings.Contains(got, " killed, ") {
		t.Error(got)
	}
	s.MaxOutput = 1024
	write("while :; do echo 0123456789; done")
	if got := told(t, NewCheck(Options{Spec: s})); !strings.Contains(got, "wrote more than its limit") {
		t.Error(got)
	}
}

func TestEnvironment(t *testing.T) {
	got := environment(Spec{Name: "n", Env: map[string]string{"PATH": "/x", "B": "c"}}, func(k string) string { return map[string]string{"TZ": "UTC", "SECRET": "s"}[k] })
	if slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, "SECRET") }) || !slices.Contains(got, "PATH=/x") || !slices.Contains(got, "NOCTURNE_CHECK=n") || !slices.IsSorted(got) {
		t.Errorf("%q", got)
	}
}

// TestRoster: a check that was taken out is gone, once, with what it stated, and
// nothing is said of the others.
func TestRoster(t *testing.T) {
	positions := position{}
	run := func(refused error, names ...string) string {
		var specs []Spec
		for _, n := range names {
			specs = append(specs, Spec{Name: n})
		}
		var out []string
		err := NewRoster(specs, refused, positions).Run(t.Context(), func(_ context.Context, recs []record.Record, pos []byte) error {
			positions[RosterName] = pos
			for _, r := range recs {
				b, err := json.Marshal(r.Snapshot)
				if err != nil {
					return err
				}
				out = append(out, r.Name+" "+r.Body+" "+string(b))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(out, "\n")
	}
	f := func(want, got string) {
		t.Helper()
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	f("", run(nil))
	f("", run(nil, "b", "a"))
	positions["check/a"] = []byte(`{"state":"ok","text":"","types":["licence","dongle"]}`)
	f(`nocturne.snapshot no longer configured: check a {"Sections":[{"Type":"check","Scope":"a"},{"Type":"licence","Scope":"a"},{"Type":"dongle","Scope":"a"}],"Devices":null}`, run(nil, "b"))
	f("", run(nil, "b"))
	f(`nocturne.source.failed source check: file x null`, run(errors.New("file x"), "b"))
	f(`nocturne.source.failed source check: file b null`, run(errors.New("file b"))) // a mistake in a file takes no check out
	f("", run(nil, "b"))
	f(`nocturne.source.failed source check: file b null`, run(errors.New("file b")))
	f(`nocturne.snapshot no longer configured: check b {"Sections":[{"Type":"check","Scope":"b"}],"Devices":null}`, run(nil))
	f("", run(nil))
}

func TestValidate(t *testing.T) {
	f := func(change func(*Spec), want string) {
		t.Helper()
		s := DefaultSpec()
		s.Name, s.Command = "a", []string{"/bin/x"}
		change(&s)
		if err := s.Validate(); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(func(*Spec) {}, "")
	f(func(s *Spec) { s.Name = "a/b" }, `name "a/b": write lower-case letters, digits, dots, dashes and underscores, at most 64`)
	f(func(s *Spec) { s.Command = []string{"x"} }, `command "x": write the absolute path of the program`)
	f(func(s *Spec) { s.Command = []string{"/x", "a\x00"} }, "command: write no zero bytes")
	f(func(s *Spec) { s.Format = "xml" }, `format "xml": write nagios, prometheus or nocturne`)
	f(func(s *Spec) { s.Dir = "x" }, `dir "x": write an absolute path`)
	f(func(s *Spec) { s.MaxOutput = 1 }, "max_output 1: write a number of bytes from 1024 to 4194304")
	f(func(s *Spec) { s.Env = map[string]string{"a=b": ""} }, `env "a=b": write a name of letters, digits and underscores, and a text`)
	f(func(s *Spec) { s.Deadline = time.Hour }, "deadline 1h0m0s: write more than 0s and at most the period 1m0s")
}

// The source is one for each check, and its metrics are bounded by the
// configuration.
func TestSourceOfACheck(t *testing.T) {
	s := New(Options{Spec: spec(t, "nagios"), Run: says("OK", nil)})
	if s.Name() != "check/x" || s.Category() != record.Check {
		t.Errorf("%s %s", s.Name(), s.Category())
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	reg := prometheus.NewRegistry()
	var got [][]byte
	err := source.Supervise(ctx, source.Options{Sources: []source.Source{s}, Registerer: reg, Log: slog.New(slog.DiscardHandler), Emitter: func(source.Source) source.Emit {
		return func(_ context.Context, recs []record.Record, pos []byte) error {
			got = append(got, pos)
			cancel()
			return nil
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if want := [][]byte{[]byte(`{"state":"ok","text":"OK"}`)}; !reflect.DeepEqual(got, want) {
		t.Errorf("positions %s, want %s: the state is committed with the records", got, want)
	}
}
