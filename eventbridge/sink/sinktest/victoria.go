package sinktest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/internal/freeport"
)

// Server is a real VictoriaMetrics or VictoriaLogs on a free port, with its
// data in a temporary folder. It is killed when the test ends.
type Server struct {
	URL string

	t    testing.TB
	args []string
	path string
	cmd  *exec.Cmd
	done chan struct{}
}

// StartMetrics starts bin/victoria-metrics with the flags that `nocturne run`
// uses, or skips the test when the program was not built.
func StartMetrics(t testing.TB, flags ...string) *Server {
	return start(t, "victoria-metrics", append([]string{"-retentionPeriod=13M", "-dedup.minScrapeInterval=1ms", "-search.latencyOffset=0s"}, flags...))
}

// StartLogs starts bin/victoria-logs likewise.
func StartLogs(t testing.TB, flags ...string) *Server {
	return start(t, "victoria-logs", append([]string{"-retentionPeriod=180d", "-insert.maxLineSizeBytes=2MiB"}, flags...))
}

// program finds a program in $NOCTURNE_BIN, or in the repository's bin folder.
func program(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("NOCTURNE_BIN")
	if dir == "" {
		at, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for at != filepath.Dir(at) {
			if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
				break
			}
			at = filepath.Dir(at)
		}
		dir = filepath.Join(at, "bin")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("%s is not built (%v): run make build, or set NOCTURNE_BIN", name, err)
	}
	return path
}

func start(t testing.TB, name string, flags []string) *Server {
	t.Helper()
	s := &Server{t: t, path: program(t, name)}
	port, err := freeport.Find(1)
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port[0])
	s.URL = "http://" + addr
	s.args = append([]string{"-httpListenAddr=" + addr, "-storageDataPath=" + t.TempDir(), "-memory.allowedBytes=256MiB", "-loggerLevel=ERROR"}, flags...)
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// Start starts the server, after Kill again on the same port and data, and
// waits until it answers.
func (s *Server) Start() {
	s.t.Helper()
	s.cmd = exec.Command(s.path, s.args...)
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = child()
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	done := make(chan struct{})
	s.done = done
	cmd := s.cmd
	go func() {
		_ = cmd.Wait() // killed, mostly
		close(done)
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := Poll(ctx, func() error { return s.get(ctx, "/health") }); err != nil {
		s.t.Fatalf("%s does not start: %v", s.path, err)
	}
}

func (s *Server) get(ctx context.Context, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return nil
}

// Kill ends the server as kill -9 does and waits until it is gone.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended already
	<-s.done
}

// Poll calls try until it returns nil or ctx ends, then with its last error.
func Poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w, the last time: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// CPUSeconds returns what the server has used so far.
func (s *Server) CPUSeconds() float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var user, system float64
	if len(fields) > 12 {
		_, _ = fmt.Sscan(fields[11], &user)   // 0 when it cannot be read
		_, _ = fmt.Sscan(fields[12], &system) // likewise
	}
	return (user + system) / 100
}
