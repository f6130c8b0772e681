package supervise

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

const longestLine = 16 << 10

// console is the shared writer; lines of several services must not mix.
type console struct {
	mu sync.Mutex
	w  io.Writer
}

func (c *console) line(prefix string, text []byte) {
	if c.w == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = fmt.Fprintf(c.w, "%-16s | %s\n", prefix, text)
}

// output takes what a service prints: all of it goes to a file that is turned over at a size, what matters to the
// console. It is an io.Writer for one exec.Cmd at a time.
type output struct {
	path    string
	name    string
	console *console
	verbose bool

	mu   sync.Mutex
	file *os.File
	size int64
	rest []byte   // an unfinished line
	last []string // the latest lines
}

func newOutput(path, name string, c *console, verbose bool) (*output, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("create log folder: %w", err)
	}
	o := &output{path: path, name: name, console: c, verbose: verbose}
	return o, o.open()
}

// OpenLog opens a log file that is turned over at the size of those of the services. Writing to it never fails.
func OpenLog(path string) (io.WriteCloser, error) { return newOutput(path, "", &console{}, false) }

// Close ends the file with what was not a whole line yet.
func (o *output) Close() error { return o.close() }

func (o *output) open() error {
	f, err := os.OpenFile(o.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	o.file, o.size = f, info.Size()
	return nil
}

// Write never fails: a full disk must not stop a service that can go on.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rest = append(o.rest, p...)
	for {
		i := bytes.IndexByte(o.rest, '\n')
		if i < 0 && len(o.rest) < longestLine {
			return len(p), nil
		}
		if i < 0 {
			o.line(o.rest)
			o.rest = o.rest[:0]
			return len(p), nil
		}
		o.line(o.rest[:i])
		o.rest = append(o.rest[:0], o.rest[i+1:]...)
	}
}

func (o *output) line(text []byte) {
	text = bytes.TrimRight(text, "\r")
	if o.size > logSizeCap {
		o.turnOver()
	}
	if o.file != nil {
		n, _ := o.file.Write(append(bytes.Clone(text), '\n'))
		o.size += int64(n)
	}
	if len(o.last) == tailLines {
		o.last = append(o.last[:0], o.last[1:]...)
	}
	o.last = append(o.last, string(text))
	if o.verbose || matters(text) {
		o.console.line(o.name, text)
	}
}

// turnOver keeps one old file: at most twice the cap per service.
func (o *output) turnOver() {
	_ = o.file.Close()
	o.file = nil
	_ = os.Rename(o.path, o.path+".1")
	_ = o.open()
}

// matters recognises warnings and errors as our own programs (slog), VictoriaMetrics and the Go runtime print them.
func matters(text []byte) bool {
	for _, mark := range []string{"level=WARN", "level=ERROR", "\twarn\t", "\terror\t", "\tfatal\t", "\tpanic\t", "panic:", "fatal error:"} {
		if bytes.Contains(text, []byte(mark)) {
			return true
		}
	}
	return false
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := o.last
	if len(o.rest) > 0 {
		lines = append(lines[:len(lines):len(lines)], string(o.rest))
	}
	return "  " + strings.Join(lines, "\n  ")
}

func (o *output) close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.rest) > 0 {
		o.line(o.rest)
		o.rest = nil
	}
	if o.file == nil {
		return nil
	}
	err := o.file.Close()
	o.file = nil
	return err
}
