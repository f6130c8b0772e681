package supervise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	waitLimit = 60 * time.Second
	// childMode makes the test binary a supervised program, or a supervisor, instead of running tests.
	childMode = "NOCTURNE_TEST_SUPERVISE"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		if err := runChild(mode, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "level=ERROR", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func runChild(mode string, args []string) error {
	switch mode {
	case "serve": // NAME JOURNAL ADDR: writes down when it starts and stops, answers HTTP
		return serveChild(args[0], args[1], args[2])
	case "fail":
		return errors.New("no such configuration")
	case "stubborn": // JOURNAL: ignores the polite request and leaves a process of its own behind
		signal.Ignore(syscall.SIGTERM)
		grandchild := exec.Command("sleep", "600")
		if err := grandchild.Start(); err != nil {
			return err
		}
		note(args[0], "grandchild "+strconv.Itoa(grandchild.Process.Pid))
		return grandchild.Wait()
	case "parent": // JOURNAL LOGDIR: a supervisor of one serving child
		lock, err := Lock(args[1])
		if err != nil {
			return err
		}
		defer func() { _ = lock.Release() }()
		g, err := New(Config{LogDir: args[1], Logger: slog.New(slog.DiscardHandler), Stages: [][]Service{{service("only", args[0])}}})
		if err != nil {
			return err
		}
		return g.Run(context.Background(), func() { note(args[0], "ready") })
	}
	return fmt.Errorf("unknown mode %s", mode)
}

func serveChild(name, journal, addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	go func() { _ = http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) }()
	note(journal, fmt.Sprintf("start %s %d %s", name, os.Getpid(), l.Addr()))
	<-ctx.Done()
	note(journal, "stop "+name)
	return nil
}

func note(journal, line string) {
	f, err := os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	defer func() { _ = f.Close() }()
	if _, err := fmt.Fprintln(f, line); err != nil {
		panic(err)
	}
}

// service is a serving child that is ready when it has written down its address.
func service(name, journal string) Service {
	return Service{
		Name: name, Purpose: "test", Path: os.Args[0], Args: []string{name, journal, "127.0.0.1:0"},
		Env: []string{childMode + "=serve"},
		Ready: func(ctx context.Context) error {
			started := notes(journal, "start "+name+" ")
			if len(started) == 0 {
				return errors.New("not yet")
			}
			return HTTPReady("http://" + strings.Fields(started[len(started)-1])[3])(ctx)
		},
	}
}

func notes(journal, prefix string) (found []string) {
	text, err := os.ReadFile(journal)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, prefix) {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

// buffer is a console that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(waitLimit)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %s: %s", waitLimit, what)
		}
	}
}

// run starts a group and returns when it is ready; stop ends it.
func run(t *testing.T, cfg Config) (stop func() error) {
	t.Helper()
	cfg.LogDir, cfg.Logger = t.TempDir(), slog.New(slog.NewTextHandler(t.Output(), nil))
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan error, 1)
	go func() { done <- g.Run(ctx, func() { close(ready) }) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	select {
	case <-ready:
	case err := <-done:
		t.Fatalf("start: %v", err)
	case <-time.After(waitLimit):
		t.Fatal("not ready")
	}
	return stop
}

func TestStartsAndStopsInOrder(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "journal")
	stop := run(t, Config{Stages: [][]Service{{service("store", journal)}, {service("bridge", journal)}, {service("agent", journal)}}})
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, line := range notes(journal, "") {
		got = append(got, strings.Join(strings.Fields(line)[:2], " "))
	}
	want := "start store, start bridge, start agent, stop agent, stop bridge, stop store"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestStartsAgainWhatEnds(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "journal")
	var mu sync.Mutex
	var latest Status
	run(t, Config{Stages: [][]Service{{service("store", journal)}}, Changed: func(all []Status) {
		mu.Lock()
		defer mu.Unlock()
		latest = all[0]
	}})
	pid, err := strconv.Atoi(strings.Fields(notes(journal, "start store")[0])[2])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the second start to be ready", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return latest.Restarts == 1 && latest.Ready && latest.PID != pid && latest.LastEnd == "signal: killed"
	})
}

func TestFailedStartShowsTheEndOfTheLog(t *testing.T) {
	g, err := New(Config{LogDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler), Stages: [][]Service{
		{{Name: "bridge", Purpose: "the edge", Path: os.Args[0], Env: []string{childMode + "=fail"}, Ready: func(context.Context) error { return io.EOF }}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	err = g.Run(context.Background(), func() { t.Error("ready") })
	for _, want := range []string{"bridge (the edge) ended 3 times", "exit status 1", "no such configuration"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestForceEndsTheWholeGroup(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "journal")
	stop := run(t, Config{Stages: [][]Service{{{
		Name: "stubborn", Purpose: "test", Path: os.Args[0], Args: []string{journal}, Env: []string{childMode + "=stubborn"},
		StopWait: 50 * time.Millisecond,
		Ready: func(context.Context) error {
			if len(notes(journal, "grandchild")) == 0 {
				return io.EOF
			}
			return nil
		},
	}}}})
	pid, err := strconv.Atoi(strings.Fields(notes(journal, "grandchild")[0])[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the grandchild to end", func() bool { return !alive(pid) })
}

// alive is false for zombies too: nobody may be there to collect an orphan.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func TestNoChildOutlivesAKilledParent(t *testing.T) {
	dir := t.TempDir()
	journal := filepath.Join(dir, "journal")
	parent := exec.Command(os.Args[0], journal, dir)
	parent.Env = append(os.Environ(), childMode+"=parent")
	parent.Stderr = t.Output()
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the child to be ready", func() bool { return len(notes(journal, "ready")) == 1 })
	fields := strings.Fields(notes(journal, "start only")[0])
	pid, err := strconv.Atoi(fields[2])
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	held := [][]Service{{{Name: "a", Ports: []Port{{fields[3], "one"}, {fields[3], "two"}, {foreign.Addr().String(), "three"}}}}}
	err = TakenPorts(context.Background(), held, 0)
	running := fmt.Sprintf("nocturne runs already (process %d, its data in %s)", parent.Process.Pid, dir)
	if err == nil || strings.Count(err.Error(), running) != 1 || strings.Contains(err.Error(), "needed for one") || !strings.Contains(err.Error(), "needed for three (a): taken by supervise.test") {
		t.Errorf("beside another: %v, want one sentence that it runs, and a line for whoever else", err)
	}
	if err := foreign.Close(); err != nil {
		t.Error(err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	again := [][]Service{{{Name: "only", Ports: []Port{{fields[3], "test"}}}}}
	if err := TakenPorts(context.Background(), again, waitLimit); err != nil {
		t.Errorf("port after the kill: %v", err)
	}
	waitFor(t, "the child to end", func() bool { return !alive(pid) })
}

func TestTakenPortsSayWhatForAndWho(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	stages := [][]Service{{{Name: "victoria-metrics", Ports: []Port{{l.Addr().String(), "the metrics database"}, {"127.0.0.1:0", "nothing"}}}}}
	err = TakenPorts(context.Background(), stages, 0)
	for _, want := range []string{l.Addr().String(), "the metrics database (victoria-metrics)", "supervise.test", strconv.Itoa(os.Getpid())} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "nothing") {
		t.Errorf("error %v names a free port", err)
	}
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	l, err := Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !Locked(dir) {
		t.Error("not seen as locked")
	}
	_, err = Lock(dir)
	for _, want := range []string{dir, fmt.Sprintf("process %d", os.Getpid()), "--data"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("second lock: %v, want an error with %q", err, want)
		}
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if Locked(dir) {
		t.Error("still seen as locked after the release")
	}
	if l, err = Lock(dir); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Error(err)
	}
}

func TestOutput(t *testing.T) {
	path, screen := filepath.Join(t.TempDir(), "x.log"), &buffer{}
	o, err := newOutput(path, "ruler", &console{w: screen}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"level=INFO msg=fi", "ne\nlevel=WARN msg=slow\r\n", strings.Repeat("x", longestLine), "rest"} {
		if _, err := o.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	o.size = logSizeCap + 1
	if _, err := o.Write([]byte(" of it\n")); err != nil {
		t.Fatal(err)
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	if want := "ruler            | level=WARN msg=slow\n"; screen.String() != want {
		t.Errorf("console %q, want %q", screen, want)
	}
	old, err := os.ReadFile(path + ".1")
	if want := "level=INFO msg=fine\nlevel=WARN msg=slow\n" + strings.Repeat("x", longestLine) + "\n"; err != nil || string(old) != want {
		t.Errorf("old log %q, %v", old, err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != "rest of it\n" {
		t.Errorf("log %q, %v", now, err)
	}
}
