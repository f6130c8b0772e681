package machine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"nocturne/exporter/limit"
)

// asker is a child that can be asked. Ask is called by one goroutine at a time;
// when its context ends, the child is ended too. Close waits for the end of the
// child and tells its last words.
type asker interface {
	Ask(ctx context.Context) ([]byte, error)
	Close() string
}

// process is the asker of production.
type process struct {
	in   io.WriteCloser
	out  *bufio.Reader
	pipe io.Closer
	kill context.CancelFunc
	done <-chan error // its end
	text *tail
}

// start starts a child.
func start(command []string) (asker, error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{kill: cancel, text: &tail{}}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr, cmd.WaitDelay = p.text, 2*time.Second
	cmd.Env = append(os.Environ(), "GOMAXPROCS=2", "GOTRACEBACK=single")
	in, err := cmd.StdinPipe()
	if err != nil {
		cancel()
		return nil, err
	}
	// Not StdoutPipe: Wait closes that one while it is still read.
	pr, pw, err := os.Pipe()
	if err != nil {
		cancel()
		return nil, err
	}
	p.in, p.out, p.pipe, cmd.Stdout = in, bufio.NewReader(pr), pr, pw
	if p.done, err = limit.Start(cmd, func() { _ = pw.Close() }); err != nil {
		cancel()
		_ = pr.Close()
		return nil, err
	}
	return p, nil
}

// Ask implements asker.
func (p *process) Ask(ctx context.Context) ([]byte, error) {
	stop := context.AfterFunc(ctx, p.kill)
	defer stop()
	_, werr := p.in.Write([]byte{askMetrics})
	payload, err := readAnswer(p.out) // also then: it may have said why before it ended
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if werr != nil && err == nil {
		return nil, fmt.Errorf("%w: %w", errEnded, werr)
	}
	return payload, err
}

// Close implements asker.
func (p *process) Close() string {
	p.kill()
	_ = p.in.Close()
	<-p.done //nolint:errcheck // its last words say more than its code
	_ = p.pipe.Close()
	return p.text.last()
}

// tail keeps the last of what a child complains.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const maxComplaint = 16 << 10

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if n := len(t.b) - maxComplaint; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(b), nil
}

// last returns the line that says why the child died, or the last one.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return lastWords(string(t.b))
}

// lastWords finds in what a Go program wrote to standard error the line that
// tells why it ended.
func lastWords(text string) string {
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(text, "?")), "\n")
	word := lines[len(lines)-1]
	for _, l := range lines {
		if strings.HasPrefix(l, "panic: ") || strings.HasPrefix(l, "fatal error: ") || strings.HasPrefix(l, "runtime: out of memory") {
			word = l
			break
		}
	}
	return word[:min(len(word), 300)]
}
