// Package record holds the one event type of Nocturne, the frames that carry
// it, its limits, its encoding and the ledger that proves none was lost.
//
// A Record is an immutable fact that was observed: one event, or one snapshot.
// Records travel in a Frame: a header and a payload, all of one sequence =
// (producer, subject, category). The header is the only source of identity.
// The payload is an OTLP LogsData message (opentelemetry-proto v1), packed with
// zstd, without identity attributes.
//
// Everything here is pure and safe for concurrent use, but for Ledger, which
// belongs to one goroutine. To test: go test ./internal/record.
package record

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// ID is a server id: 16 random bytes issued at enrolment, never claimed.
type ID [16]byte

// String returns the 32 lower-case hexadecimal digits of the id.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero tells whether the id was never set.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText writes the id as String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(b []byte) error {
	v, err := ParseID(string(b))
	if err == nil {
		*id = v
	}
	return err
}

// ParseID reads 32 hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("server id %.40q: want 32 hexadecimal digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("server id %.40q: want 32 hexadecimal digits", s)
	}
	return id, nil
}

// Category says what kind of fact a record is. The numbers are on the wire
// and never change.
type Category uint8

// The categories of wire format v1.
const (
	Heartbeat Category = 1
	EventLog  Category = 2
	RAID      Category = 3
	Hardware  Category = 4
	Updates   Category = 5
	Software  Category = 6
	SMART     Category = 7
	Sensors   Category = 8
	Check     Category = 9
	Agent     Category = 10
)

var categoryNames = [...]string{1: "heartbeat", 2: "eventlog", 3: "raid", 4: "hardware", 5: "updates", 6: "software", 7: "smart", 8: "sensors", 9: "check", 10: "agent"}

// Categories returns every category of wire format v1, in wire order.
func Categories() []Category {
	out := make([]Category, 0, len(categoryNames)-1)
	for c := Heartbeat; int(c) < len(categoryNames); c++ {
		out = append(out, c)
	}
	return out
}

// Valid tells whether the category is one of wire format v1.
func (c Category) Valid() bool { return c >= Heartbeat && int(c) < len(categoryNames) }

// String returns the category's name as it stands in labels and rules.
func (c Category) String() string {
	if !c.Valid() {
		return "unknown"
	}
	return categoryNames[c]
}

// MarshalText writes the name.
func (c Category) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a name.
func (c *Category) UnmarshalText(b []byte) error {
	v, err := ParseCategory(string(b))
	if err == nil {
		*c = v
	}
	return err
}

// ParseCategory reads a category's name.
func ParseCategory(s string) (Category, error) {
	for i, n := range categoryNames {
		if n != "" && n == s {
			return Category(i), nil
		}
	}
	return 0, fmt.Errorf("category %.40q: want one of %v", s, Categories())
}

// Severity is an OpenTelemetry SeverityNumber: 1..24, 0 = not said.
type Severity uint8

// The severities Nocturne writes; others may arrive from elsewhere.
const (
	SeverityUnset Severity = 0
	Trace         Severity = 1
	Debug         Severity = 5
	Info          Severity = 9
	Warn          Severity = 13
	Error         Severity = 17
	Fatal         Severity = 21
)

// String returns the short name of the severity's range
// (OpenTelemetry logs data model, "Displaying severity").
func (s Severity) String() string {
	switch {
	case s == 0:
		return "unset"
	case s < Debug:
		return "trace"
	case s < Info:
		return "debug"
	case s < Warn:
		return "info"
	case s < Error:
		return "warn"
	case s < Fatal:
		return "error"
	default:
		return "fatal"
	}
}

// Record is one observed fact. Fields are added, never renamed or reused.
type Record struct {
	// Time is when it happened, by the source's own clock; zero = not known.
	Time time.Time
	// Observed is when the producer read it, by the producer's clock.
	Observed time.Time
	Severity Severity
	// Name says what the attributes mean, from the Name constants. A record with
	// a snapshot is named NameSnapshot.
	Name string
	// Body is the text a person reads.
	Body string
	// Attrs hold the rest, in the order they were written. Keys are unique.
	Attrs []Attr
	// Snapshot is set when the record states everything about one subject now.
	Snapshot *Snapshot
}

// Attr returns the value of an attribute, or a null value.
func (r *Record) Attr(key string) Value { return lookup(r.Attrs, key) }

// Snapshot states everything about one subject now.
type Snapshot struct {
	// Sections name what was looked at and could be read. A device type
	// outside every section was not observed: it is unknown, not removed.
	Sections []Section
	Devices  []Device
}

// Section says that all devices of a type below a place were observed.
type Section struct {
	Type string
	// Scope is a place prefix, such as "c0"; empty = everywhere.
	Scope string
}

// Covers tells whether a device of this type and place falls in the section.
func (s Section) Covers(typ, place string) bool {
	if s.Type != typ {
		return false
	}
	n := len(s.Scope)
	return n == 0 || place == s.Scope || len(place) > n && place[:n] == s.Scope && place[n] == '/'
}

// Device is a part of a server at a place.
type Device struct {
	// Type is one of the Device constants, or what a check names.
	Type string
	// Place is where it sits, from the outside in: "c0/e252/s4", "DIMM_A1".
	Place string
	// Occupant is the serial number as reported; empty = not known.
	Occupant string
	// Fields hold the rest; keys are unique.
	Fields []Attr
}

// Field returns the value of a field, or a null value.
func (d *Device) Field(key string) Value { return lookup(d.Fields, key) }

// Limits of wire format v1. They freeze.
const (
	MaxRecord    = 512 << 10 // bytes of one encoded record
	MaxPacked    = 768 << 10 // bytes of a frame, header and packed payload
	MaxRaw       = 8 << 20   // bytes of a payload before packing
	MaxEntry     = 900 << 10 // bytes of a stream entry
	MaxCount     = 65536     // records in one data frame
	MaxAttrs     = 512       // attributes of one record; further ones are cut off and counted
	MaxKey       = 256       // bytes of an attribute's key
	MaxDepth     = 8         // nesting of values
	MaxDevices   = 16384     // devices in a snapshot
	MaxSections  = 1024      // sections in a snapshot
	MaxProducer  = 128       // bytes of a producer's name
	MaxKeyID     = 64        // bytes of a key id
	MaxGapLength = 1 << 40   // records that one gap frame may declare lost
)

// ErrMalformed is wrapped by every error about bytes that are not what they
// claim to be. Retrying does not help: drop and count.
var ErrMalformed = errors.New("malformed")
