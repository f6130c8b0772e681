//go:build linux

package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nocturne/deploy/nocturne/admin"
	"nocturne/deploy/nocturne/receiver"
	"nocturne/deploy/nocturne/stack"
)

const (
	startLimit = 5 * time.Minute
	seeLimit   = 3 * time.Minute
	stopLimit  = 20 * time.Second // the promise is ten; the rest is for a busy machine
	pollPeriod = 200 * time.Millisecond
)

// build runs `make build` once and returns the folder of the programs.
var build = sync.OnceValues(func() (string, error) {
	root, err := filepath.Abs("..")
	if err != nil {
		return "", err
	}
	cmd := exec.Command("make", "build")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make build: %w\n%s", err, out)
	}
	return filepath.Join(root, "bin"), nil
})

func programs(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and starts everything: not in short mode")
	}
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// nocturne is a running stack.
type nocturne struct {
	t     testing.TB
	bin   string
	data  string
	args  []string
	ports stack.Ports
	state stack.State
	cmd   *exec.Cmd
	ended chan error
}

// newNocturne prepares a stack on free ports; data must not be under another test's control.
func newNocturne(t testing.TB, mode string, args ...string) *nocturne {
	t.Helper()
	n := &nocturne{t: t, bin: programs(t), data: filepath.Join(t.TempDir(), "data")}
	if err := n.ports.Set("free"); err != nil {
		t.Fatal(err)
	}
	p := n.ports
	n.args = append([]string{
		mode, "--data", n.data, "--ports", fmt.Sprintf("metrics=%d,logs=%d,alertmanager=%d,ingest=%d,admin=%d,stream=%d,ruler=%d,receiver=%d,simulator=%d,exporter=%d",
			p.Metrics, p.Logs, p.Alertmanager, p.Ingest, p.Admin, p.Stream, p.Ruler, p.Receiver, p.Simulator, p.Exporter),
	}, args...)
	return n
}

// start runs it and waits until it says that it is ready.
func (n *nocturne) start() {
	n.t.Helper()
	n.cmd = exec.Command(filepath.Join(n.bin, "nocturne"), n.args...)
	n.cmd.Stdout, n.cmd.Stderr = n.t.Output(), n.t.Output()
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.ended = make(chan error, 1)
	cmd, ended := n.cmd, n.ended
	go func() { ended <- cmd.Wait() }()
	n.t.Cleanup(func() {
		if n.cmd == cmd {
			n.stop()
		}
	})
	wait(n.t, startLimit, "the stack to be ready", func() error {
		select {
		case err := <-ended:
			ended <- err
			n.t.Fatalf("ended before it was ready: %v", err)
		default:
		}
		var err error
		if n.state, err = stack.ReadState(n.data); err != nil {
			return err
		}
		if n.state.PID != cmd.Process.Pid || n.state.Ready == nil {
			return errors.New("not ready")
		}
		return nil
	})
}

// stop is a Ctrl-C; everything must be gone in time and the code must be 0.
func (n *nocturne) stop() {
	n.t.Helper()
	if n.cmd == nil {
		return
	}
	if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
		n.t.Errorf("interrupt: %v", err)
	}
	select {
	case err := <-n.ended:
		if err != nil {
			n.t.Errorf("after Ctrl-C: %v, want code 0", err)
		}
	case <-time.After(stopLimit):
		n.t.Errorf("still there %s after Ctrl-C", stopLimit)
		n.kill()
	}
	n.cmd = nil
}

// kill is a kill -9 of the parent.
func (n *nocturne) kill() {
	n.t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		n.t.Error(err)
	}
	<-n.ended //nolint:errcheck // "signal: killed" is what we asked for
	n.cmd = nil
}

// command runs another nocturne command on the same data folder.
func (n *nocturne) command(args ...string) (string, error) {
	n.t.Helper()
	out, err := exec.Command(filepath.Join(n.bin, "nocturne"), args...).CombinedOutput()
	return string(out), err
}

func (n *nocturne) bridge() admin.Client {
	return admin.Client{URL: stack.URL(n.ports.Admin), TokenFile: stack.Layout{Dir: n.data}.AdminToken()}
}

// wait polls until ok returns nil; the last error is what the test fails with.
func wait(t testing.TB, limit time.Duration, what string, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	tick := time.NewTicker(pollPeriod)
	defer tick.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s: %v", limit, what, err)
		}
		<-tick.C
	}
}

func getJSON(target string, into any) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %.500s", target, res.Status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w: %.500s", target, err, text)
	}
	return nil
}

// api reads a path of the ruler's API.
func (n *nocturne) api(path string, into any) error {
	return getJSON(stack.URL(n.ports.Ruler)+"/api/v1/"+path, into)
}

// series answers an instant PromQL query: the labels of each series, with its value under "value".
func (n *nocturne) series(query string) ([]map[string]string, error) {
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if err := getJSON(stack.URL(n.ports.Metrics)+"/api/v1/query?nocache=1&query="+url.QueryEscape(query), &answer); err != nil {
		return nil, err
	}
	var found []map[string]string
	for _, r := range answer.Data.Result {
		r.Metric["value"] = fmt.Sprint(r.Value[1])
		found = append(found, r.Metric)
	}
	return found, nil
}

// events answers a LogsQL query: the fields of each row.
func (n *nocturne) events(query string) ([]map[string]string, error) {
	res, err := http.PostForm(stack.URL(n.ports.Logs)+"/select/logsql/query", url.Values{"query": {query}, "limit": {"1000"}})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("logsql %s: %s: %.500s", query, res.Status, text)
	}
	var found []map[string]string
	for line := range bytes.Lines(text) {
		var row map[string]string
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, fmt.Errorf("logsql row %.200s: %w", line, err)
		}
		found = append(found, row)
	}
	return found, nil
}

// messages returns what was delivered, newest first.
func (n *nocturne) messages() ([]receiver.Message, error) {
	var answer struct{ Messages []receiver.Message }
	return answer.Messages, getJSON(stack.URL(n.ports.Receiver)+"/messages?limit=2000", &answer)
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(strings.TrimLeft(text, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
}
