package ownlog

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Kind is a kind of message in Windows' event log.
type Kind struct {
	ID      uint32 // stable; EventCreate.exe has texts for 1 to 1000
	Message string // that is logged; "" = every other of its level
	Meaning string // for the user page
}

// Kinds are the messages with an id of their own. Ids are never reused. Of
// messages below Warn only these are written.
var Kinds = []Kind{
	{100, "exporter runs", "started"},
	{101, "exporter stopped", "stopped, with the reason"},
	{102, "configuration taken", "a changed configuration is in use"},
	{103, "receiver takes records again", "an output works again"},
	{104, "source works again", "a source works again"},
	{200, "", "any other warning"},
	{201, "this machine is not enrolled: waiting for it; paste the line of `nocturne token create` (exporter enrol --server URL --token TOKEN)", "not enrolled: nothing is sent"},
	{202, "enrolment failed, it is tried again", "the bridge did not take the join token, or cannot be reached"},
	{203, "receiver takes nothing, records wait in the spool", "an output has no answer"},
	{204, "source fails", "a round of a source failed"},
	{205, "source failed, starting it again", "a source ended with an error"},
	{206, "spool full, records dropped", "records are lost, and declared lost"},
	{300, "", "any other error"},
	{301, "receiver denies access; enrol this server again, or check url and credential", "the credential is not accepted"},
	{302, "receiver refused frames; they are skipped", "records were refused for good"},
	{303, "configuration not taken, the one from before stays", "the changed file is wrong"},
	{304, "exporter failed", "it ended with an error; the service manager starts it again"},
	{305, "source panicked", "a fault in a source, contained: please report it"},
	{306, "the exporter stands still", "the disk does not answer"},
}

const (
	idWarning = 200
	idError   = 300
)

// quietTime is how long a message that repeats is only counted.
const quietTime = time.Hour

// maxText is the longest text of an event; Windows takes 31,839 characters.
const maxText = 8 << 10

// EventWriter is Windows' event log; *eventlog.Log is one.
type EventWriter interface {
	Info(id uint32, text string) error
	Warning(id uint32, text string) error
	Error(id uint32, text string) error
}

// Events returns a handler that writes to an event log. A message about the
// same source or output is written once an hour, with the count of the others.
func Events(w EventWriter) slog.Handler {
	return events{w: w, said: &said{last: map[string]*repeats{}}}
}

type events struct {
	w     EventWriter
	attrs []slog.Attr
	said  *said // one for a handler and all that are made of it
}

// said is what was written lately. Its keys are constant messages with names of
// sources and outputs: few.
type said struct {
	mu   sync.Mutex
	last map[string]*repeats
}

type repeats struct {
	at   time.Time
	more int // since
}

func kindOf(r *slog.Record) (uint32, bool) {
	for _, k := range Kinds {
		if k.Message == r.Message {
			return k.ID, true
		}
	}
	switch {
	case r.Level >= slog.LevelError:
		return idError, true
	case r.Level >= slog.LevelWarn:
		return idWarning, true
	}
	return 0, false
}

// Enabled implements slog.Handler.
func (events) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (h events) Handle(_ context.Context, r slog.Record) error {
	id, ok := kindOf(&r)
	if !ok {
		return nil
	}
	about := ""
	var b strings.Builder
	b.WriteString(r.Message)
	write := func(a slog.Attr) bool {
		if a.Key == "source" || a.Key == "output" {
			about = a.Value.String()
		}
		if a.Key != "component" {
			fmt.Fprintf(&b, "\r\n%s: %s", a.Key, a.Value)
		}
		return true
	}
	for _, a := range h.attrs {
		write(a)
	}
	r.Attrs(write)
	more, ok := h.said.now(r.Message+"\x00"+about, r.Time)
	if !ok {
		return nil
	}
	if more > 0 {
		fmt.Fprintf(&b, "\r\nthe same %d more times since it was last written here", more)
	}
	text := plain(b.String())
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	switch {
	case r.Level >= slog.LevelError:
		return h.w.Error(id, text)
	case r.Level >= slog.LevelWarn:
		return h.w.Warning(id, text)
	}
	return h.w.Info(id, text)
}

// plain takes out what Windows would replace: it takes %1 for an insertion and
// %%1 for a message of the system, however often they are written, and a NUL for
// the end.
func plain(text string) string {
	var b strings.Builder
	for i, r := range text {
		if r == 0 {
			r = '?'
		}
		b.WriteRune(r)
		if next := i + 1; r == '%' && next < len(text) && (text[next] == '%' || text[next] >= '0' && text[next] <= '9') {
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// now tells whether a message is to be written, and how many were not.
func (s *said) now(key string, at time.Time) (more int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.last[key]; l != nil && at.Sub(l.at) < quietTime && at.Sub(l.at) > -quietTime {
		l.more++
		return 0, false
	} else if l != nil {
		more = l.more
	}
	s.last[key] = &repeats{at: at}
	return more, true
}

// WithAttrs implements slog.Handler.
func (h events) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)
	return h
}

// WithGroup implements slog.Handler. The exporter uses none.
func (h events) WithGroup(string) slog.Handler { return h }
