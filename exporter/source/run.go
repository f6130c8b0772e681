package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Runner runs a program on this machine and returns what it wrote to its
// standard output. Tests pass their own. A program that wrote something and
// then ended with a code is both: output and an *exec.ExitError.
type Runner func(ctx context.Context, name string, args ...string) ([]byte, error)

// Command is the Runner of production. No shell is involved; when ctx ends, or
// too much is written, the program and everything it started are killed, on
// Linux also what left its process group. What a program that ended in time
// leaves behind is killed as far as it is in its group or job.
type Command struct {
	// MaxOutput bounds the standard output; a program that writes more is
	// killed. 0 = 16 MiB.
	MaxOutput int
	// Dir is the program's working directory; some tools leave log files there.
	Dir string
	// Env is the program's environment; nil = this program's.
	Env []string
	// User runs the program under another account, with that account's groups;
	// "" = this program's. Not on Windows.
	User string
	// Discreet keeps the arguments out of errors; they may hold secrets.
	Discreet bool
}

// ErrTooMuchOutput says that a program wrote more than its limit.
var ErrTooMuchOutput = errors.New("wrote more than its limit")

// killWait is how long a killed program's pipes may stay open.
const killWait = 2 * time.Second

// Run implements Runner.
func (c Command) Run(ctx context.Context, name string, args ...string) ([]byte, error) {
	limit := c.MaxOutput
	if limit <= 0 {
		limit = 16 << 20
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := &limited{max: limit, full: func() { cancel(ErrTooMuchOutput) }}
	errText := &limited{max: 4 << 10, full: func() {}}
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = out, errText, c.Dir, c.Env
	tree, err := prepare(cmd, c.User)
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", c.title(name, args), err)
	}
	cmd.Cancel = func() error {
		tree.kill(cmd.Process)
		err := cmd.Process.Kill()
		tree.killStrays()
		return err
	}
	cmd.WaitDelay = killWait
	defer tree.close()
	err = cmd.Start()
	if err == nil {
		tree.started(cmd.Process)
		err = cmd.Wait()
		tree.kill(cmd.Process) // what it left behind
		if context.Cause(ctx) != nil || errors.Is(err, exec.ErrWaitDelay) {
			tree.killStrays()
		}
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well, and something that it started held its output open
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		if text := strings.TrimSpace(strings.ToValidUTF8(errText.buf.String(), "")); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		return out.buf.Bytes(), fmt.Errorf("run %s: %w", c.title(name, args), err)
	}
	return out.buf.Bytes(), nil
}

func (c Command) title(name string, args []string) string {
	if c.Discreet {
		args = nil
	}
	return strings.Join(append([]string{filepath.Base(name)}, args...), " ")
}

// limited keeps the first bytes it is given and calls full when more come. It
// is not a bytes.Buffer: io.Copy would find its ReadFrom and read all there is.
type limited struct {
	buf  bytes.Buffer
	max  int
	full func()
}

func (l *limited) Write(p []byte) (int, error) {
	if room := l.max - l.buf.Len(); len(p) > room {
		l.buf.Write(p[:max(room, 0)])
		l.full()
		return len(p), nil // the program is ended by its context, not by a broken pipe
	}
	return l.buf.Write(p)
}
