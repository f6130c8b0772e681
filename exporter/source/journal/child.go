package journal

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"nocturne/exporter/limit"
)

// child is a running journalctl.
type child struct {
	out  *os.File     // closed by who reads it
	done <-chan error // holds the end of the child
	text *tail
}

// startChild starts a program that dies with this process, also when that is
// killed.
func startChild(ctx context.Context, name string, args []string) (*child, error) {
	pr, pw, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &child{out: pr, text: &tail{}}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = pw, c.text, 2*time.Second
	cmd.Env = append(os.Environ(), "LC_ALL=C", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER=")
	if c.done, err = limit.Start(cmd, func() { _ = pw.Close() }); err != nil {
		_ = pr.Close()
		return nil, err
	}
	return c, nil
}

func (c *child) wait() error { return <-c.done }

func (c *child) errText() string { return c.text.String() }

// tail keeps the last of what journalctl complains.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if len(t.b) > 2048 {
		t.b = append(t.b[:0], t.b[len(t.b)-2048:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(strings.ToValidUTF8(string(t.b), "?"))
}
