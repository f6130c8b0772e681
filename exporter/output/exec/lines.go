package exec

import (
	"bytes"
	"log/slog"
	"strings"
	"time"
)

// lines is a writer that hands on whole lines. A longer one is handed on as far
// as it goes: cut off, when that is wanted, so that it is no JSON otherwise.
type lines struct {
	max  int
	cut  bool
	line func([]byte)

	buf  []byte
	skip bool // the rest of a line that was too long
}

// Write implements io.Writer. It never fails: a program that writes too much is
// judged by what it says.
func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		part := p
		if i >= 0 {
			part = p[:i]
		}
		if !l.skip {
			l.buf = append(l.buf, part[:min(len(part), l.max+1-len(l.buf))]...)
			if len(l.buf) > l.max {
				l.skip = true
				l.buf = l.buf[:l.max]
				if !l.cut {
					l.buf = append(l.buf[:0], "a line that is too long"...)
				}
				l.line(l.buf)
				l.buf = l.buf[:0]
			}
		}
		if i < 0 {
			break
		}
		if !l.skip && len(l.buf) > 0 {
			l.line(l.buf)
		}
		l.buf, l.skip, p = l.buf[:0], false, p[i+1:]
	}
	return n, nil
}

const (
	maxLog    = 2 << 10          // bytes of a line of the log
	logWindow = 10 * time.Second // in which at most
	logLimit  = 20               // lines are logged
)

// logLines writes what a program says on its standard error to the log; what is
// too much is counted.
type logLines struct {
	log    *slog.Logger
	began  time.Time
	n      int
	missed int
}

func (l *logLines) line(b []byte) {
	if now := time.Now(); now.Sub(l.began) > logWindow {
		if l.missed > 0 {
			l.log.Warn("program said more than the log takes", "lines", l.missed)
		}
		l.began, l.n, l.missed = now, 0, 0
	}
	if l.n++; l.n > logLimit {
		l.missed++
		return
	}
	l.log.Info("program says", "text", strings.ToValidUTF8(strings.TrimRight(string(b), "\r"), "\ufffd"))
}
