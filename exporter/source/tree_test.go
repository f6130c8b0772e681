package source

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// treeRole makes this test's own program the tool and what the tool starts, so
// that the same test runs on every system.
const treeRole = "NOCTURNE_TEST_TREE"

// TestTreeHelper is not a test: it is what the programs of TestTree run.
func TestTreeHelper(t *testing.T) {
	switch os.Getenv(treeRole) {
	case "tool":
		child := exec.Command(os.Args[0], "-test.run=^TestTreeHelper$")
		child.Env = append(os.Environ(), treeRole+"=child")
		child.Stdout = os.Stdout // holds the pipe
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // until somebody ends us
	case "child":
		c, err := net.Dial("tcp", os.Getenv(treeRole+"_ADDR"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, c) // until somebody ends us
	}
}

// TestTree: when a tool is ended, so is what it started. The connection of the
// grandchild breaks when it dies, on Linux and on Windows.
func TestTree(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		cmd := Command{Env: append(os.Environ(), treeRole+"=tool", treeRole+"_ADDR="+l.Addr().String())}
		_, err := cmd.Run(ctx, os.Args[0], "-test.run=^TestTreeHelper$")
		ended <- err
	}()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want the end of the context", err)
	}
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) || err == nil {
		t.Errorf("%v: what the tool started is still there", err)
	}
}
