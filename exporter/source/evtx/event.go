package evtx

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/Velocidex/ordereddict"

	"nocturne/exporter/source/winlog"
	"nocturne/internal/record"
)

// Limits of one event.
const (
	maxText   = 32 << 10 // bytes of a value
	maxData   = 256      // data fields
	maxBinary = 4 << 10
	maxEvent  = 256 << 10 // bytes of all its values
)

// toRecord makes a record of one decoded event. It is not ok where the event
// has no channel or provider, as when its template was lost.
func toRecord(top *ordereddict.Dict, s span, now time.Time) (record.Record, bool) {
	event := dict(get(top, "Event"))
	system := dict(get(event, "System"))
	channel, provider := text(get(system, "Channel")), text(get(dict(get(system, "Provider")), "Name"))
	id, idOK := integer(get(system, "EventID"))
	if channel == "" || provider == "" || !idOK {
		return record.Record{}, false
	}
	r := record.Record{Observed: now, Name: record.NameWindowsEvent, Time: eventTime(get(dict(get(system, "TimeCreated")), "SystemTime"), s.filetime)}
	level, _ := integer(get(system, "Level"))
	word, severity := winlog.Level(level, keywords(get(system, "Keywords")))
	r.Severity = severity
	add := func(key string, v record.Value) { r.Attrs = append(r.Attrs, record.Attr{Key: key, Value: v}) }
	add(record.AttrChannel, record.String(channel))
	add(record.AttrProvider, record.String(provider))
	add(record.AttrEventID, record.Int(id))
	add(record.AttrLevel, record.String(word))
	n, ok := integer(get(system, "EventRecordID"))
	if !ok {
		n = int64(s.id)
	}
	add(record.AttrRecordID, record.Int(n))
	if c := text(get(system, "Computer")); c != "" {
		add(record.AttrComputer, record.String(c))
	}
	d := &data{}
	d.event(event)
	r.Attrs = append(r.Attrs, d.attrs...)
	r.Body = winlog.Summary(provider, id, d.attrs)
	return r, true
}

// eventTime reads the event's own time: seconds as a float, which rounds to a
// quarter of a microsecond, or text. The record's head has the time of writing
// in full; where the two are the same but for rounding, that is taken, else
// the float is rounded to a microsecond.
func eventTime(v any, filetime uint64) time.Time {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || v < -11644473600 || v > 253402300799 {
			return time.Time{}
		}
		ticks := int64(math.Round(v*1e7)) + epochTicks
		if d := ticks - int64(filetime); d > -10 && d < 10 {
			return fromTicks(int64(filetime))
		}
		return fromTicks(ticks).Round(time.Microsecond)
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil && t.Year() > 1600 {
			return t.UTC()
		}
	}
	return time.Time{}
}

// epochTicks is 1970 in FILETIME: 100 ns since 1601.
const epochTicks = 116444736000000000

func fromTicks(ticks int64) time.Time {
	t := ticks - epochTicks
	return time.Unix(t/1e7, t%1e7*100).UTC()
}

// data collects the event's own fields within the limits.
type data struct {
	attrs []record.Attr
	bytes int
}

func (d *data) event(event *ordereddict.Dict) {
	for _, part := range []string{"EventData", "UserData", "DebugData", "ProcessingErrorData"} {
		m := dict(get(event, part))
		if m == nil {
			continue
		}
		if part == "UserData" && m.Len() == 1 {
			// <UserData><LogFileCleared>…: the one element is a name, not a field.
			if inner := dict(get(m, m.Keys()[0])); inner != nil {
				m = inner
			}
		}
		d.fields(m)
	}
}

func (d *data) fields(m *ordereddict.Dict) {
	for _, k := range m.Keys() {
		v := get(m, k)
		switch k {
		case "xmlns", "xmlns:auto-ns2", "xmlns:auto-ns3":
		case "Data":
			d.unnamed(v)
		case "Binary":
			d.add("binary", binaryValue(v))
		default:
			d.add(k, value(v, 0))
		}
	}
}

// unnamed reads <Data> elements that were not folded into names: positional
// ones, named "param1" and on as Windows does, or pairs of Name and Value of
// which some have no value.
func (d *data) unnamed(v any) {
	list, ok := v.([]any)
	if !ok {
		if s, isStrings := v.([]string); isStrings {
			for _, e := range s {
				list = append(list, e)
			}
		} else {
			list = []any{v}
		}
	}
	for i, e := range list {
		name, val := "param"+strconv.Itoa(i+1), e
		if m := dict(e); m != nil {
			if n := text(get(m, "Name")); n != "" {
				name = n
			}
			val = get(m, "Value")
		}
		d.add(name, value(val, 0))
	}
}

func (d *data) add(name string, v record.Value) {
	if v.IsNull() || len(d.attrs) >= maxData || d.bytes > maxEvent {
		return
	}
	key := record.AttrData + strings.ToValidUTF8(name, "?")
	if len(key) > record.MaxKey {
		key = strings.ToValidUTF8(key[:record.MaxKey], "")
	}
	for i := range d.attrs {
		if d.attrs[i].Key == key {
			return // twice the same name: the first stands
		}
	}
	v = timeText(name, v)
	d.bytes += len(key) + size(v)
	d.attrs = append(d.attrs, record.Attr{Key: key, Value: v})
}

// timeText writes a field that is a time as Windows does: the decoder makes
// seconds of it, as a float, which rounds to a quarter of a microsecond. Fields
// of the type are called NewTime, StopTime; a number of seconds never is.
func timeText(name string, v record.Value) record.Value {
	s, _ := v.Float()
	if v.Kind() != record.KindDouble || !strings.HasSuffix(name, "Time") || s < 1e8 || s > 253402300799 {
		return v
	}
	return record.String(eventTime(s, 0).Format("2006-01-02T15:04:05.000000Z"))
}

func size(v record.Value) int {
	return len(v.Str()) + len(v.Bytes()) + 8*len(v.List()) + 8*len(v.Map())
}

func binaryValue(v any) record.Value {
	var b []byte
	switch v := v.(type) {
	case []byte:
		b = v
	case string:
		b = []byte(v)
	}
	if len(b) == 0 {
		return record.Value{}
	}
	return record.Bytes(b[:min(len(b), maxBinary)])
}

// value turns what the decoder returns into a value; depth bounds nesting.
func value(v any, depth int) record.Value {
	if depth > record.MaxDepth-2 {
		return record.Value{}
	}
	switch v := v.(type) {
	case nil:
		return record.Value{}
	case bool:
		return record.Bool(v)
	case float64:
		return record.Double(v)
	case float32:
		return record.Double(float64(v))
	case []byte:
		return binaryValue(v)
	case *ordereddict.Dict:
		var m []record.Attr
		for _, k := range v.Keys() {
			if e := value(get(v, k), depth+1); !e.IsNull() && len(m) < maxData && len(k) <= record.MaxKey {
				m = append(m, record.Attr{Key: strings.ToValidUTF8(k, "?"), Value: e})
			}
		}
		if m == nil {
			return record.Value{}
		}
		return record.Map(m)
	case []any:
		return list(len(v), func(i int) any { return v[i] }, depth)
	case []string:
		return list(len(v), func(i int) any { return v[i] }, depth)
	case []uint16:
		return list(len(v), func(i int) any { return v[i] }, depth)
	case []uint64:
		return list(len(v), func(i int) any { return v[i] }, depth)
	}
	if u, ok := v.(uint64); ok && u > math.MaxInt64 {
		return record.String("0x" + strconv.FormatUint(u, 16))
	}
	if n, ok := number(v); ok {
		return record.Int(n)
	}
	return record.String(winlog.Clip(text(v), maxText))
}

func list(n int, at func(int) any, depth int) record.Value {
	out := make([]record.Value, 0, min(n, maxData))
	for i := range min(n, maxData) {
		out = append(out, value(at(i), depth+1))
	}
	return record.List(out)
}

func dict(v any) *ordereddict.Dict {
	m, _ := v.(*ordereddict.Dict)
	return m
}

func get(m *ordereddict.Dict, key string) any {
	if m == nil {
		return nil
	}
	v, _ := m.Get(key)
	return v
}

func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return strings.ToValidUTF8(strings.TrimRight(v, "\x00"), "\ufffd")
	case *ordereddict.Dict:
		return text(get(v, "Value"))
	case []any, []string, []byte:
		return ""
	}
	return fmt.Sprint(v)
}

func number(v any) (int64, bool) {
	switch v := v.(type) {
	case uint8:
		return int64(v), true
	case uint16:
		return int64(v), true
	case uint32:
		return int64(v), true
	case uint64:
		return int64(v), v <= math.MaxInt64
	case int32:
		return int64(v), true
	case int64:
		return v, true
	case int:
		return int64(v), true
	}
	return 0, false
}

// integer reads a number, a text of one, or an element with attributes
// (<EventID Qualifiers="…">): forwarded events carry text.
func integer(v any) (int64, bool) {
	if m := dict(v); m != nil {
		v = get(m, "Value")
	}
	if n, ok := number(v); ok {
		return n, true
	}
	if s, ok := v.(string); ok {
		n, err := strconv.ParseInt(strings.TrimSpace(s), 0, 64)
		return n, err == nil
	}
	return 0, false
}

func keywords(v any) uint64 {
	switch v := v.(type) {
	case uint64:
		return v
	case string:
		n, err := strconv.ParseUint(strings.TrimSpace(v), 0, 64)
		if err == nil {
			return n
		}
	}
	return 0
}
