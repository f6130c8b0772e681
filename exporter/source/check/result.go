package check

import (
	"fmt"
	"strings"
	"time"

	"nocturne/internal/record"
)

// State is what a check says of what it looks at.
type State uint8

// The states, in the order of the Nagios exit codes.
const (
	OK State = iota
	Warning
	Critical
	Unknown
)

var stateNames = [...]string{OK: "ok", Warning: "warning", Critical: "critical", Unknown: "unknown"}

// String returns the state as it stands in records, rules and series.
func (s State) String() string { return stateNames[s] }

// Unclear is the state of the device of a check that cannot tell. In a snapshot
// "unknown" means that what was known before still holds, and a check that was
// ok before it stopped answering must not go on looking well.
const Unclear = "unclear"

// ofDevice returns the state as it stands in snapshots.
func (s State) ofDevice() string {
	if s == Unknown {
		return Unclear
	}
	return s.String()
}

func parseState(text string) (State, bool) {
	for i, n := range stateNames {
		if n == text {
			return State(i), true
		}
	}
	return Unknown, false
}

func (s State) severity() record.Severity {
	switch s {
	case OK:
		return record.Info
	case Critical:
		return record.Error
	}
	return record.Warn
}

// Reasons of a state that the plugin did not choose itself; a closed set.
const (
	ReasonExitCode = "exit_code" // other than 0 to 3
	ReasonKilled   = "killed"    // by a signal
	ReasonTimeout  = "timeout"
	ReasonRefused  = "refused" // not to be trusted, or not there
	ReasonStart    = "start"   // the system would not run it
	ReasonOutput   = "output"  // too long, or not to be understood
)

// Reasons returns every reason.
func Reasons() []string {
	return []string{ReasonExitCode, ReasonKilled, ReasonTimeout, ReasonRefused, ReasonStart, ReasonOutput}
}

// Result is what one run said.
type Result struct {
	State   State
	Reason  string // "" = the plugin said so
	Text    string // one line
	Details string // what else it wrote for people
	Values  []Value
	Events  []Event
	// Sections and Devices are as the plugin states them, not yet below the
	// check's own place.
	Sections []record.Section
	Devices  []record.Device
	// Problems name what of the output was left out.
	Problems []string
	Took     time.Duration
}

// Value is one measured number.
type Value struct {
	Name              string
	Number            float64
	Known             bool // false: the plugin said that it could not measure it
	Unit              string
	Warning, Critical *Range
	Min, Max          *float64
}

// Event is a record that a plugin states.
type Event struct {
	Name     string
	Time     time.Time // zero = now
	Severity record.Severity
	Text     string
	Attrs    []record.Attr
}

// Limits of what one run may say. What is beyond is left out and named among
// the problems, but for devices: half a list of parts would be a lie.
const (
	maxText     = 4 << 10
	maxDetails  = 64 << 10
	maxValues   = 256
	maxEvents   = 256
	maxDevices  = 4096
	maxSections = 256
	maxFields   = 128
	maxAttrs    = 64
	maxName     = 128 // of a value, a field, a place
	maxProblems = 16
)

// problem notes what was left out; past maxProblems they are only cut.
func (r *Result) problem(format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, clean(fmt.Sprintf(format, args...), 300))
	}
}

// clean makes what a plugin wrote fit to be kept: valid UTF-8 without control
// characters but for line ends and tabs, cut between characters.
func clean(s string, limit int) string {
	s = strings.ToValidUTF8(s, "\ufffd")
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-3], "") + "…"
	}
	return s
}

// line makes one line of a text.
func line(s string) string {
	return clean(strings.Join(strings.Fields(s), " "), maxText)
}

// seen is what is remembered of a check between its runs; it is stored as the
// source's position, so that a restart is no change.
type seen struct {
	State string   `json:"state"`
	Text  string   `json:"text"`            // of the run that came into the state
	Types []string `json:"types,omitempty"` // device types that it ever stated
}

// records returns what a run is told as, and what to remember. The snapshot
// comes every time. Its field text changes only with the state: a load average
// differs every minute, and the history of a server is not the place for it;
// the newest text is the record's body. A change of state is told once, with
// everything.
func (r *Result) records(name string, was seen, now time.Time) ([]record.Record, seen) {
	state := r.State.String()
	next := seen{State: was.State, Text: was.Text, Types: was.Types}
	if was.State != state {
		next.State, next.Text = state, r.Text
	}
	snap := &record.Snapshot{
		Sections: []record.Section{{Type: record.DeviceCheck, Scope: name}},
		Devices: []record.Device{{Type: record.DeviceCheck, Place: name, Fields: []record.Attr{
			{Key: record.FieldState, Value: record.String(r.State.ofDevice())}, {Key: record.FieldText, Value: record.String(next.Text)}}}},
	}
	for _, s := range r.Sections {
		snap.Sections = append(snap.Sections, record.Section{Type: s.Type, Scope: below(name, s.Scope)})
		next.Types = withType(next.Types, s.Type)
	}
	for _, d := range r.Devices {
		d.Place = below(name, d.Place)
		snap.Devices = append(snap.Devices, d)
		next.Types = withType(next.Types, d.Type)
	}
	body := "check " + name + ": " + strings.ToUpper(state) + " - " + r.Text
	out := []record.Record{{Time: now, Observed: now, Severity: record.Info, Name: record.NameSnapshot, Body: body, Snapshot: snap, Attrs: r.attrs(name)}}
	if was.State != state {
		attrs := r.attrs(name)
		if was.State != "" {
			attrs = append(attrs, record.Attr{Key: record.AttrCheckBefore, Value: record.String(was.State)})
		}
		if r.Details != "" {
			attrs = append(attrs, record.Attr{Key: record.AttrCheckDetails, Value: record.String(r.Details)})
		}
		out = append(out, record.Record{Time: now, Observed: now, Severity: r.State.severity(), Name: record.NameCheckResult, Body: body, Attrs: attrs})
	}
	for _, e := range r.Events {
		out = append(out, e.record(name, now))
	}
	return out, next
}

func below(name, place string) string {
	if place == "" {
		return name
	}
	return name + "/" + place
}

func withType(types []string, typ string) []string {
	for _, t := range types {
		if t == typ {
			return types
		}
	}
	return append(types[:len(types):len(types)], typ)
}

func (r *Result) attrs(name string) []record.Attr {
	out := []record.Attr{
		{Key: record.AttrCheckName, Value: record.String(name)},
		{Key: record.AttrCheckState, Value: record.String(r.State.String())},
		{Key: record.AttrCheckText, Value: record.String(r.Text)},
		{Key: record.AttrCheckDuration, Value: record.Double(r.Took.Seconds())},
	}
	if r.Reason != "" {
		out = append(out, record.Attr{Key: record.AttrCheckReason, Value: record.String(r.Reason)})
	}
	if len(r.Values) > 0 {
		list := make([]record.Value, len(r.Values))
		for i := range r.Values {
			list[i] = r.Values[i].record()
		}
		out = append(out, record.Attr{Key: record.AttrCheckValues, Value: record.List(list)})
	}
	if len(r.Problems) > 0 {
		list := make([]record.Value, len(r.Problems))
		for i, p := range r.Problems {
			list[i] = record.String(p)
		}
		out = append(out, record.Attr{Key: record.AttrCheckProblems, Value: record.List(list)})
	}
	return out
}

func (v *Value) record() record.Value {
	m := []record.Attr{{Key: "name", Value: record.String(v.Name)}}
	add := func(yes bool, key string, val record.Value) {
		if yes {
			m = append(m, record.Attr{Key: key, Value: val})
		}
	}
	add(v.Known, "value", record.Double(v.Number))
	add(v.Unit != "", "unit", record.String(v.Unit))
	if v.Warning != nil {
		add(true, "warning", record.String(v.Warning.String()))
	}
	if v.Critical != nil {
		add(true, "critical", record.String(v.Critical.String()))
	}
	if v.Min != nil {
		add(true, "min", record.Double(*v.Min))
	}
	if v.Max != nil {
		add(true, "max", record.Double(*v.Max))
	}
	return record.Map(m)
}

func (e *Event) record(name string, now time.Time) record.Record {
	at := e.Time
	if at.IsZero() {
		at = now
	}
	attrs := []record.Attr{{Key: record.AttrCheckName, Value: record.String(name)}, {Key: record.AttrCheckEvent, Value: record.String(e.Name)}}
	for _, a := range e.Attrs {
		attrs = append(attrs, record.Attr{Key: record.AttrCheckData + a.Key, Value: a.Value})
	}
	return record.Record{Time: at, Observed: now, Severity: e.Severity, Name: record.NameCheckEvent, Body: e.Text, Attrs: attrs}
}
