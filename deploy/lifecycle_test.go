//go:build linux

package deploy

import (
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/deploy/nocturne/stack"
)

const restartLimit = 45 * time.Second // the promise is 15; the rest is for a busy machine

// TestKilledParentLeavesNothing kills nocturne itself with -9 and starts it again at once on the same ports.
func TestKilledParentLeavesNothing(t *testing.T) {
	n := newNocturne(t, "run")
	n.start()
	c := &chain{nocturne: n}
	name := c.self()
	first := n.state
	n.kill()

	began := time.Now()
	n.start()
	if took := time.Since(began); took > restartLimit {
		t.Errorf("the second start took %s, want at most %s", took, restartLimit)
	}
	if again := c.self(); again != name {
		t.Errorf("this machine is now %q, was %q", again, name)
	}
	old := map[int]string{}
	for _, p := range first.Parts {
		old[p.PID] = p.Name
	}
	for _, p := range n.state.Parts {
		if old[p.PID] != "" {
			t.Errorf("%s still has its process from before the kill", p.Name)
		}
	}
	c.expectCleanLedgerOf(t, 1)

	if out, err := n.command(n.args...); err == nil || !strings.Contains(out, "in use by another nocturne") {
		t.Errorf("a second nocturne on the same folder: %v\n%s", err, out)
	}
}

// TestTakenPortIsNamed starts nocturne where another program has the page's port.
func TestTakenPortIsNamed(t *testing.T) {
	n := newNocturne(t, "run")
	l, err := net.Listen("tcp", stack.Addr(n.ports.Ruler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	out, err := exec.Command(filepath.Join(n.bin, "nocturne"), n.args...).CombinedOutput()
	if err == nil {
		t.Fatalf("it started although a port was taken:\n%s", out)
	}
	for _, want := range []string{fmt.Sprintf("127.0.0.1:%d", n.ports.Ruler), "the page and the API (ruler)", "deploy.test"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}
