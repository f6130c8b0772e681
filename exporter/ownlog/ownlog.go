// Package ownlog is where the exporter's own log goes: text on a terminal or in
// a file, text with priorities for systemd's journal, and Windows' event log.
//
// Handlers are safe for concurrent use. To test: go test ./exporter/ownlog.
package ownlog

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"

	"nocturne/exporter/service"
	"nocturne/internal/record"
)

// Text returns a handler that writes lines of text. In the journal every line
// carries its priority (sd-daemon(3)), and no time: the journal has one.
func Text(w io.Writer, level slog.Leveler, journal bool) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if !journal {
		return slog.NewTextHandler(w, o)
	}
	o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}
	h := prioritised{mu: &sync.Mutex{}, w: w, line: &bytes.Buffer{}}
	h.Handler = slog.NewTextHandler(h.line, o)
	return h
}

// prioritised puts "<4>" before the lines of a text handler.
type prioritised struct {
	slog.Handler               // writes into line, under mu
	mu           *sync.Mutex   // one for a handler and all that are made of it
	line         *bytes.Buffer // likewise
	w            io.Writer
}

// Handle implements slog.Handler.
func (h prioritised) Handle(ctx context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.line.Reset()
	h.line.WriteString(priority(r.Level))
	if err := h.Handler.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.w.Write(h.line.Bytes())
	return err
}

// WithAttrs implements slog.Handler.
func (h prioritised) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h prioritised) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

func priority(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "<3>"
	case l >= slog.LevelWarn:
		return "<4>"
	case l >= slog.LevelInfo:
		return "<6>"
	}
	return "<7>"
}

// Is tells whether a source has read what this log wrote. It must not be sent:
// sending says something about sending.
func Is(r *record.Record) bool {
	switch r.Name {
	case record.NameWindowsEvent:
		return strings.EqualFold(r.Attr(record.AttrProvider).Str(), service.EventSource)
	case record.NameJournal:
		return r.Attr(record.AttrProvider).Str() == service.Identifier
	}
	return false
}
