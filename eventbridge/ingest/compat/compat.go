// Package compat reads the five messages that the old agent of the first users
// sent to its broker, and makes records of them as the exporter would have made
// them.
//
// Such a message has no envelope: which of the five it is follows from its
// queue, which server it is of from a field whose name differs, and nothing
// proves either. Every field but that name may be missing. What is there must
// have its type: a message that does not is an error, not half a record.
//
// Everything is pure and safe for concurrent use. To test:
// go test ./eventbridge/ingest/compat; its fixtures are made up after the
// published description of the format.
package compat

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"nocturne/internal/record"
)

// Kind is one of the messages.
type Kind string

// The kinds, by what the old agent called its plugins.
const (
	EventLog    Kind = "eventlog"
	Heartbeat   Kind = "heartbeat"
	Updates     Kind = "updates"
	Storcli     Kind = "storcli"
	Superdoctor Kind = "superdoctor"
)

// Kinds returns all.
func Kinds() []Kind { return []Kind{EventLog, Heartbeat, Updates, Storcli, Superdoctor} }

// Valid tells whether the kind is one of Kinds.
func (k Kind) Valid() bool {
	for _, v := range Kinds() {
		if k == v {
			return true
		}
	}
	return false
}

// Message is what one message says.
type Message struct {
	Host     string // as the message calls it, in lower case
	Category record.Category
	Record   record.Record
}

// Limits of a message.
const (
	MaxBody  = 2 << 20
	maxHost  = 255
	maxText  = 64 << 10 // of an event's description
	maxField = 1024
	maxList  = 4096 // drives, sensors, updates
)

// Errors that callers sort by; each is wrapped with what was read.
var (
	ErrTooLarge = errors.New("the message is larger than 2 MiB")
	ErrNoHost   = errors.New("the message names no host")
)

// Decode reads a message of a kind that was received at a time.
func Decode(kind Kind, body []byte, received time.Time) (Message, error) {
	m, err := decode(kind, body, received)
	if err != nil {
		return Message{}, fmt.Errorf("read %s message: %w", kind, err)
	}
	if m.Host, err = hostName(m.Host); err != nil {
		return Message{}, fmt.Errorf("read %s message: %w", kind, err)
	}
	m.Record.Attrs = append(m.Record.Attrs, text(record.AttrIdentifiedBy, record.IdentifiedByBroker))
	return m, nil
}

func decode(kind Kind, body []byte, received time.Time) (Message, error) {
	if len(body) > MaxBody {
		return Message{}, ErrTooLarge
	}
	switch kind {
	case EventLog:
		return decodeWith(body, received, (*eventLog).message)
	case Heartbeat:
		return decodeWith(body, received, (*heartbeat).message)
	case Updates:
		return decodeWith(body, received, (*updates).message)
	case Storcli:
		return decodeWith(body, received, (*storcli).message)
	case Superdoctor:
		return decodeWith(body, received, (*superdoctor).message)
	default:
		return Message{}, fmt.Errorf("kind %.40q: want one of %v", kind, Kinds())
	}
}

func decodeWith[T any](body []byte, received time.Time, message func(*T, time.Time) (Message, error)) (Message, error) {
	v := new(T)
	d := json.NewDecoder(bytes.NewReader(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))))
	if err := d.Decode(v); err != nil {
		return Message{}, err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return Message{}, errors.New("more than one JSON value")
	}
	return message(v, received.UTC())
}

// hostName is the key of a server of the old agent: host names have no case.
func hostName(s string) (string, error) {
	s = strings.ToLower(strings.TrimSpace(s))
	switch {
	case s == "":
		return "", ErrNoHost
	case len(s) > maxHost || !utf8.ValidString(s) || strings.IndexFunc(s, func(c rune) bool { return unicode.IsControl(c) || unicode.IsSpace(c) }) >= 0:
		return "", fmt.Errorf("host %.80q is no name", s)
	}
	return s, nil
}

// stamp is a time as the old agent wrote it: ISO 8601, with Z, with an offset,
// or with neither, which meant the machine's own zone or UTC, by field; it is
// taken for UTC.
type stamp struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *stamp) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	if s == nil || *s == "" {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, *s)
	if err != nil {
		at, err = time.Parse("2006-01-02T15:04:05.999999999", *s)
	}
	if err != nil {
		return fmt.Errorf("time %.40q: want 2006-01-02T15:04:05", *s)
	}
	if at.Year() >= 1970 && at.Year() < 2200 { // years 1, 1601 and 1899 are what Windows calls "never"
		t.Time = at.UTC()
	}
	return nil
}

// or returns the time, or another when it is not known.
func (t stamp) or(other time.Time) time.Time {
	if t.IsZero() {
		return other
	}
	return t.Time
}

func text(key, value string) record.Attr {
	return record.Attr{Key: key, Value: record.String(clip(value, maxField))}
}

// clip keeps the valid beginning of a text.
func clip(s string, most int) string {
	if len(s) > most {
		s = s[:most]
	}
	return strings.ToValidUTF8(s, "")
}

// fields collects what is known.
type fields []record.Attr

func (f *fields) text(key string, value *string) {
	if value != nil && strings.TrimSpace(*value) != "" {
		*f = append(*f, text(key, strings.TrimSpace(*value)))
	}
}

func (f *fields) number(key string, value *int64) {
	if value != nil {
		*f = append(*f, record.Attr{Key: key, Value: record.Int(*value)})
	}
}

func (f *fields) float(key string, value *float64) {
	if value != nil {
		*f = append(*f, record.Attr{Key: key, Value: record.Double(*value)})
	}
}

// snapshot makes the record of one.
func snapshot(at, received time.Time, body string, s *record.Snapshot) record.Record {
	return record.Record{Time: at, Observed: received, Severity: record.Info, Name: record.NameSnapshot, Body: body, Snapshot: s}
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
