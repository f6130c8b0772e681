package ruler

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"
)

// Event is one of the ruler's server-sent events.
type Event struct {
	Kind string // notification, server, hello, reset
	ID   string // "" = the one before
	Data string // JSON
}

// Bounds of an event. The ruler's rows have bounds of their own, far below.
const (
	MaxEvent = 1 << 20
	MaxID    = 64
)

// Events reads server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
type Events struct {
	r       *bufio.Reader
	skipped func() // told of an event that could not be read
}

// NewEvents reads from a connection; skipped is told of each event that could
// not be read.
func NewEvents(r io.Reader, skipped func()) *Events {
	return &Events{r: bufio.NewReaderSize(r, 16<<10), skipped: skipped}
}

// Next is the next event; alive is called for each line, comments included.
// What is too long or no JSON becomes a reset: whoever listens has to read
// anew what it was about.
func (s *Events) Next(alive func()) (Event, error) {
	var e Event
	var data []byte
	bad, any := false, false
	for {
		line, tooLong, err := s.line()
		if err != nil {
			return Event{}, err // a half event is none
		}
		alive()
		if tooLong {
			bad, any = true, true
			continue
		}
		if len(line) == 0 {
			switch {
			case bad || any && (!json.Valid(data) || e.Kind == ""):
				s.skipped()
				return Event{Kind: "reset", ID: e.ID, Data: "{}"}, nil
			case any:
				e.Data = string(data)
				return e, nil
			}
			e = Event{} // an id alone, or nothing
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			if len(value) > MaxID || !utf8.Valid(value) {
				bad, any = true, true
				continue
			}
			e.Kind = string(value)
		case "id":
			if len(value) <= MaxID && utf8.Valid(value) && bytes.IndexByte(value, 0) < 0 {
				e.ID = string(value)
			}
		case "data":
			if any && len(data) > 0 {
				data = append(data, '\n')
			}
			any = true
			if len(data)+len(value) > MaxEvent || !utf8.Valid(value) {
				bad = true
				continue
			}
			data = append(data, value...)
		}
	}
}

// line is a line without its end. Of one that is too long the rest is dropped.
func (s *Events) line() (line []byte, tooLong bool, err error) {
	for {
		part, err := s.r.ReadSlice('\n')
		if len(line)+len(part) > MaxEvent+MaxID {
			tooLong = true
		}
		if !tooLong {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return nil, false, err
		case tooLong:
			return nil, true, nil
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		return bytes.TrimSuffix(line, []byte("\r")), false, nil
	}
}
