package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"nocturne/internal/record"
)

// stub is a source or a collector made of functions.
type stub struct {
	name     string
	category record.Category
	run      func(ctx context.Context, emit Emit) error
	collect  func(ctx context.Context) ([]record.Record, error)
}

func (s stub) Name() string                                         { return s.name }
func (s stub) Category() record.Category                            { return s.category }
func (s stub) Run(ctx context.Context, emit Emit) error             { return s.run(ctx, emit) }
func (s stub) Collect(ctx context.Context) ([]record.Record, error) { return s.collect(ctx) }

// log collects what was emitted, in order.
type sink struct {
	mu   sync.Mutex
	recs []string
}

func (s *sink) emitter(src Source) Emit {
	return func(_ context.Context, recs []record.Record, _ []byte) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, r := range recs {
			s.recs = append(s.recs, src.Name()+" "+r.Body)
		}
		return nil
	}
}

func (s *sink) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.recs, "\n")
}

func rec(body string) []record.Record { return []record.Record{{Body: body}} }

func options(s *sink, reg prometheus.Registerer, sources ...Source) Options {
	return Options{Sources: sources, Emitter: s.emitter, Log: slog.New(slog.DiscardHandler), Registerer: reg}
}

// metric compares the series of one family: "absent 0, flaky 2".
func metric(t *testing.T, reg *prometheus.Registry, name, want string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		if f.GetName() != "exporter_source_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			got = append(got, fmt.Sprint(m.GetLabel()[0].GetValue(), " ", m.GetGauge().GetValue()+m.GetCounter().GetValue()))
		}
	}
	if strings.Join(got, ", ") != want {
		t.Errorf("%s: %q, want %q", name, got, want)
	}
}

func TestSuperviseRestartsAndContains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := &sink{}, prometheus.NewRegistry()
		began, runs, asked := time.Now(), 0, 0
		var at []time.Duration
		flaky := stub{name: "flaky", category: record.EventLog, run: func(ctx context.Context, emit Emit) error {
			runs++
			at = append(at, time.Since(began).Round(time.Second))
			switch runs {
			case 1:
				return errors.New("not yet")
			case 2:
				panic("index out of range")
			}
			if err := emit(ctx, rec("alive"), nil); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		absent := stub{name: "absent", category: record.SMART, run: func(context.Context, Emit) error {
			asked++
			return fmt.Errorf("no such thing: %w", errors.ErrUnsupported)
		}}
		done := stub{name: "done", category: record.Check, run: func(context.Context, Emit) error { return nil }}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Supervise(ctx, options(s, reg, flaky, absent, done)) }()
		time.Sleep(time.Minute)
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		want := "flaky source flaky: not yet\nflaky source flaky: panic in source flaky: index out of range\nflaky alive"
		if s.String() != want || runs != 3 {
			t.Errorf("%d runs, emitted %q, want %q", runs, s, want)
		}
		if asked != 1 {
			t.Errorf("what is not supported was asked %d times", asked)
		}
		if wait := at[len(at)-1]; wait < 2*time.Second || wait > 5*time.Second {
			t.Errorf("the third run began after %s, want about 1 s and 2 s of waiting", wait)
		}
		metric(t, reg, "restarts_total", "absent 0, done 0, flaky 2")
		metric(t, reg, "panics_total", "absent 0, done 0, flaky 1")
		metric(t, reg, "supported", "absent 0, done 1, flaky 1")
		metric(t, reg, "success", "absent 0, done 0, flaky 1")
	})
}

func TestHeartbeatGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		slow := stub{name: "beat", category: record.Heartbeat, collect: func(ctx context.Context) ([]record.Record, error) {
			if !sleep(ctx, 3*time.Second) { // the first beat takes its time
				return nil, ctx.Err()
			}
			return rec("beat"), nil
		}}
		quick := stub{name: "quick", category: record.Hardware, run: func(ctx context.Context, emit Emit) error { return emit(ctx, rec("parts"), nil) }}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := Supervise(ctx, options(s, nil, quick, Scheduled(slow, Schedule{Period: time.Minute, Deadline: 30 * time.Second}))); err != nil {
			t.Fatal(err)
		}
		if got := s.String(); got != "beat beat\nquick parts" {
			t.Errorf("order %q", got)
		}
	})
}

func TestHeartbeatThatFailsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		broken := stub{name: "beat", category: record.Heartbeat, run: func(context.Context, Emit) error { return errors.New("no") }}
		quick := stub{name: "quick", category: record.Hardware, run: func(ctx context.Context, emit Emit) error { return emit(ctx, rec("parts"), nil) }}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := Supervise(ctx, options(s, nil, quick, broken)); err != nil {
			t.Fatal(err)
		}
		if got := s.String(); got != "beat source beat: no\nquick parts" {
			t.Errorf("emitted %q", got)
		}
	})
}

func TestTwoSourcesOfOneName(t *testing.T) {
	a := stub{name: "a"}
	if err := Supervise(t.Context(), options(&sink{}, nil, a, a)); err == nil || err.Error() != `supervise sources: two are named "a"` {
		t.Errorf("error %v", err)
	}
}

func TestSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := &sink{}, prometheus.NewRegistry()
		began, round := time.Now(), 0
		c := stub{name: "c", category: record.RAID, collect: func(ctx context.Context) ([]record.Record, error) {
			round++
			at := time.Since(began)
			switch round {
			case 2, 3: // fails twice alike: said once
				return rec(fmt.Sprint("part at ", at)), errors.New("controller is busy")
			case 4: // hangs past its deadline and the next round
				time.Sleep(75 * time.Second)
				return nil, ctx.Err()
			case 5:
				panic("nil map")
			}
			return rec(fmt.Sprint("whole at ", at)), nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Minute-time.Second)
		defer cancel()
		if err := Supervise(ctx, options(s, reg, Scheduled(c, Schedule{Period: time.Minute, Deadline: 30 * time.Second}))); err != nil {
			t.Fatal(err)
		}
		want := strings.Join([]string{
			"c whole at 0s",
			"c part at 1m0s", "c source c: controller is busy",
			"c part at 2m0s",
			"c source c: no answer within 30s: context deadline exceeded", // the round of 3m ends at 4m15s: that of 4m is left out
			"c source c: panic: nil map",
			"c whole at 6m0s",
		}, "\n")
		if got := s.String(); got != want {
			t.Errorf("emitted\n%s\nwant\n%s", got, want)
		}
		metric(t, reg, "timeouts_total", "c 1")
		metric(t, reg, "failures_total", "c 4")
		metric(t, reg, "panics_total", "c 1")
		metric(t, reg, "success", "c 1")
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		if problems, err := promlint.NewWithMetricFamilies(families).Lint(); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
	})
}

func TestScheduleJitterStaysInItsSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		c := stub{name: "c", collect: func(context.Context) ([]record.Record, error) {
			at = append(at, time.Since(began))
			return nil, nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Minute)
		defer cancel()
		err := Scheduled(c, Schedule{Period: time.Minute, Deadline: time.Second, Jitter: 10 * time.Second}).Run(ctx, (&sink{}).emitter(stub{}))
		if !errors.Is(err, context.DeadlineExceeded) || len(at) != 100 || at[0] != 0 {
			t.Fatalf("%d rounds, the first at %s, error %v", len(at), at[0], err)
		}
		for i, a := range at {
			if d := a - time.Duration(i)*time.Minute; d < 0 || d > 10*time.Second {
				t.Errorf("round %d began %s after its time", i, d)
			}
		}
	})
}

func TestScheduleValidate(t *testing.T) {
	f := func(s Schedule, want string) {
		t.Helper()
		if err := s.Validate(); err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%+v: error %v, want %q", s, err, want)
		}
	}
	f(Schedule{Period: time.Minute, Deadline: time.Minute}, "")
	f(Schedule{Deadline: time.Minute}, "period 0s: write at least 1s")
	f(Schedule{Period: time.Minute, Deadline: 2 * time.Minute}, "deadline 2m0s: write more than 0s and at most the period 1m0s")
	f(Schedule{Period: time.Minute, Deadline: time.Second, Jitter: time.Minute}, "jitter 1m0s: write at least 0s and less than the period 1m0s")
}

func TestSerial(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := Serial(in); got != want {
			t.Errorf("Serial(%q) = %q, want %q", in, got, want)
		}
	}
	for _, placeholder := range []string{
		"", "  ", "Not Specified", "To be filled by O.E.M.", "To Be Filled By O.E.M. by More String", "0", "00000000", "FFFFFFFF", "........", "xxxxxxxxxxxx", "N/A", "None",
		"Default string", "System Serial Number", "0123456789", "SerNum0", "A1_SerNum2", "Array1_PartNumber0", "<BAD INDEX>", "\x00\x00",
	} {
		f(placeholder, "")
	}
	f("            Z8413FPZ", "Z8413FPZ")
	f("VMware-42 1d 5a 8c", "VMware-42 1d 5a 8c")
	f("1111", "")
	f("111", "111")
	f("9000116105", "9000116105")
	f("00000001", "00000001")
}

func TestUUID(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := UUID(in); got != want {
			t.Errorf("UUID(%q) = %q, want %q", in, got, want)
		}
	}
	f(" 4C4C4544-0051-3510-8052-B4C04F4B3433\n", "4c4c4544-0051-3510-8052-b4c04f4b3433")
	f("00000000-0000-0000-0000-000000000000", "")
	f("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "")
	f("03000200-0400-0500-0006-000700080009", "")
	f("Not Settable", "")
}

func script(t *testing.T, body string) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the programs that stand in are shell scripts")
	}
	path := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommand(t *testing.T) {
	f := func(why string, c Command, body, out, wantErr string) {
		t.Helper()
		got, err := c.Run(t.Context(), script(t, body), "a b", "$HOME")
		if string(got) != out {
			t.Errorf("%s: output %q, want %q", why, got, out)
		}
		if wantErr == "" && err != nil || wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)) {
			t.Errorf("%s: error %v, want %q", why, err, wantErr)
		}
	}
	f("arguments reach it as they are", Command{}, `printf '%s|' "$@"`, "a b|$HOME|", "")
	f("a code beside output", Command{}, "echo x; echo broken >&2; exit 3", "x\n", "run tool a b $HOME: exit status 3: broken")
	f("too much", Command{MaxOutput: 10}, "while :; do echo 123456789; done", "123456789\n", ErrTooMuchOutput.Error())
	f("what it left behind does not keep us", Command{}, "sleep 600 & echo x", "x\n", "")
}

// TestCommandKillsTheTree: what a program started dies with it, in its group or
// in a session of its own, whether it listens to signals or not.
func TestCommandKillsTheTree(t *testing.T) {
	f := func(why, body string) {
		t.Helper()
		dir := t.TempDir()
		pidFile := filepath.Join(dir, "pid")
		tool := script(t, "P="+pidFile+"\nexport P\n"+body)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		defer cancel()
		go func() { // ends the program once it has its child
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for range tick.C {
				if b, err := os.ReadFile(pidFile); ctx.Err() != nil || err == nil && strings.HasSuffix(string(b), "\n") {
					cancel()
					return
				}
			}
		}()
		began := time.Now()
		if _, err := (Command{}).Run(ctx, tool); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v, want the end of the context", why, err)
		}
		if took := time.Since(began); took > 2*time.Minute {
			t.Errorf("%s: it took %s", why, took)
		}
		expectGone(t, why, pidFile)
	}
	f("a child", "sleep 600 &\necho $! >$P\nsleep 600\n")
	f("one that hears no signal but KILL", "(trap '' TERM INT HUP; sh -c 'echo $PPID >$P; sleep 600') &\nsleep 600\n")
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("no setsid here")
	}
	f("a session of its own, whose parent is gone", "(setsid sh -c 'echo $$ >$P; exec sleep 600' &)\nsleep 600\n")
	f("a session of its own that holds no pipe", "(setsid sh -c 'echo $$ >$P; exec sleep 600' >/dev/null 2>&1 </dev/null &)\nsleep 600\n")
}

// TestCommandLeavesNobodyAtThePipe: a program that ended, and left somebody in
// a session of its own who holds its output, is answered, and he is ended.
func TestCommandLeavesNobodyAtThePipe(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("no setsid here")
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	out, err := (Command{}).Run(t.Context(), script(t, "setsid sh -c 'echo $$ >"+pidFile+"; exec sleep 600' &\nwhile ! [ -s "+pidFile+" ]; do :; done\necho x\n"))
	if string(out) != "x\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	expectGone(t, "the one who held the pipe", pidFile)
}

func expectGone(t *testing.T, why, pidFile string) {
	t.Helper()
	pid, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	gone := func() bool {
		b, err := os.ReadFile(filepath.Join("/proc", strings.TrimSpace(string(pid)), "stat"))
		return err != nil || strings.Contains(string(b), ") Z ")
	}
	late := time.After(time.Minute)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !gone() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s: still there", why)
		}
	}
}

// TestCommandRunsAsAnother: the account's ids and groups, and nobody else's.
func TestCommandRunsAsAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT RUN: only root can run a program as somebody else")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("no account nobody here")
	}
	out, err := Command{User: "nobody", Dir: "/"}.Run(t.Context(), "/usr/bin/id")
	if err != nil || !strings.HasPrefix(string(out), "uid="+nobody.Uid+"(nobody) gid="+nobody.Gid) || strings.Contains(string(out), "(root)") {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := (Command{User: "no such account"}).Run(t.Context(), "/usr/bin/id"); err == nil || !strings.Contains(err.Error(), "unknown user") {
		t.Errorf("error %v", err)
	}
}

func TestCheckTool(t *testing.T) {
	good := script(t, "")
	if err := CheckTool(good); err != nil {
		t.Error(err)
	}
	f := func(path, want string) {
		t.Helper()
		if err := CheckTool(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", path, err, want)
		}
	}
	f("storcli64", "write an absolute path")
	f(filepath.Dir(good), "not a regular file")
	f(good+"x", "no such file")
	open := script(t, "")
	if err := os.Chmod(filepath.Dir(open), 0o777); err != nil {
		t.Fatal(err)
	}
	f(open, "others may write it")
	link := func(to, at string) string {
		t.Helper()
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
		return at
	}
	if err := CheckTool(link(good, filepath.Join(t.TempDir(), "tool"))); err != nil {
		t.Errorf("a link in a folder of ours: %v", err)
	}
	inOpen := link(good, filepath.Join(filepath.Dir(open), "link"))
	f(inOpen, "others may write it") // whoever writes the folder leads the link elsewhere
	f(link(inOpen, filepath.Join(t.TempDir(), "tool")), "others may write it")
	f(filepath.Join(link(filepath.Dir(inOpen), filepath.Join(t.TempDir(), "dir")), "link"), "others may write it")
	self := filepath.Join(t.TempDir(), "self")
	f(link(self, self), "too many links")
	if os.Geteuid() == 0 {
		grouped := script(t, "")
		for _, path := range []string{filepath.Dir(grouped), grouped} {
			if err := errors.Join(os.Chown(path, 0, 65534), os.Chmod(path, 0o770)); err != nil {
				t.Fatal(err)
			}
		}
		f(grouped, "others may write it")
	} else {
		t.Log("NOT RUN: only root can give a file to another group")
	}
	if err := CheckFolder(filepath.Dir(good)); err != nil {
		t.Error(err)
	}
	if err := CheckFolder(filepath.Dir(open)); err == nil || !strings.Contains(err.Error(), "others may write it") {
		t.Errorf("a folder that anybody writes: %v", err)
	}
}

// waker looks early at a record with body "wake".
type waker struct{ stub }

func (waker) Wakes(r *record.Record) bool { return r.Body == "wake" }

func TestOtherSourcesWake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := &sink{}, prometheus.NewRegistry()
		began := time.Now()
		var rounds []time.Duration
		c := waker{stub{name: "raid", category: record.RAID, collect: func(context.Context) ([]record.Record, error) {
			rounds = append(rounds, time.Since(began))
			return rec("wake"), nil // its own records do not wake it
		}}}
		events := stub{name: "winlog", category: record.EventLog, run: func(ctx context.Context, emit Emit) error {
			for _, at := range []time.Duration{10 * time.Second, 10*time.Second + 500*time.Millisecond, 13 * time.Second, 70 * time.Second} {
				if !sleep(ctx, at-time.Since(began)) {
					return ctx.Err()
				}
				body := "wake"
				if at == 70*time.Second {
					body = "something else"
				}
				if err := emit(ctx, rec(body), nil); err != nil {
					return err
				}
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute+time.Second)
		defer cancel()
		if err := Supervise(ctx, options(s, reg, events, Scheduled(c, Schedule{Period: time.Minute, Deadline: 30 * time.Second}))); err != nil {
			t.Fatal(err)
		}
		// The burst at 10 s is one round, the ring at 13 s waits for the gap, and the schedule stays where it was.
		want := "[0s 12s 17s 1m0s 2m0s]"
		if got := fmt.Sprint(rounds); got != want {
			t.Errorf("rounds at %s, want %s", got, want)
		}
		metric(t, reg, "early_rounds_total", "raid 2, winlog 0")
	})
}

// A disk that writes errors all the time does not keep a controller busy, and
// once it is quiet the next event is answered at once.
func TestStormOfEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := &sink{}, prometheus.NewRegistry()
		began := time.Now()
		var rounds []time.Duration
		c := waker{stub{name: "raid", category: record.RAID, collect: func(context.Context) ([]record.Record, error) {
			rounds = append(rounds, time.Since(began))
			return rec("drives"), nil
		}}}
		events := stub{name: "winlog", category: record.EventLog, run: func(ctx context.Context, emit Emit) error {
			for ctx.Err() == nil {
				if now := time.Since(began); now < 10*time.Minute || now == 13*time.Minute+30*time.Second {
					if err := emit(ctx, rec("wake"), nil); err != nil {
						return err
					}
				}
				sleep(ctx, time.Second)
			}
			return ctx.Err()
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 13*time.Minute+50*time.Second)
		defer cancel()
		if err := Supervise(ctx, options(s, reg, events, Scheduled(c, Schedule{Period: time.Minute, Deadline: 30 * time.Second}))); err != nil {
			t.Fatal(err)
		}
		want := "[0s 5s 10s 15s 20s 30s 50s 1m0s 2m0s 3m0s 4m0s 5m0s 6m0s 7m0s 8m0s 9m0s 10m0s 11m0s 12m0s 13m0s 13m32s]"
		if got := fmt.Sprint(rounds); got != want {
			t.Errorf("rounds at %s\nwant %s", got, want)
		}
	})
}

// A tool that is installed later is found without a restart.
func TestUnsupportedIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, reg := &sink{}, prometheus.NewRegistry()
		began, installed := time.Now(), 150*time.Minute
		asked := 0
		c := stub{name: "smart", category: record.SMART, collect: func(context.Context) ([]record.Record, error) {
			asked++
			if time.Since(began) < installed {
				return nil, fmt.Errorf("find smartctl: %w", errors.ErrUnsupported)
			}
			return rec("disks"), nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
		defer cancel()
		if err := Supervise(ctx, options(s, reg, Scheduled(c, Schedule{Period: 24 * time.Hour, Deadline: time.Minute}))); err != nil {
			t.Fatal(err)
		}
		if s.String() != "smart disks" || asked < 4 || asked > 5 { // once an hour, give or take
			t.Errorf("asked %d times, told %q", asked, s.String())
		}
		metric(t, reg, "supported", "smart 1")
	})
}
