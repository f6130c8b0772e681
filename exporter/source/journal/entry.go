package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"nocturne/internal/record"
)

// wanted are the fields that journalctl is asked for; the cursor and the times
// come with every entry.
var wanted = []string{"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_COMM", "_SYSTEMD_UNIT", "UNIT", "USER_UNIT", "_HOSTNAME", "_PID", "_TRANSPORT", "MESSAGE_ID", "ERRNO", "_BOOT_ID"}

// data are those of them that become data fields of the event.
var data = []struct{ field, attr string }{
	{"_PID", "pid"}, {"_TRANSPORT", "transport"}, {"MESSAGE_ID", "message_id"}, {"ERRNO", "errno"}, {"_BOOT_ID", "boot_id"},
}

// entry is one line of `journalctl -o json`.
type entry struct {
	cursor string
	at     time.Time
	fields map[string]string
}

// maxValue bounds the small fields.
const maxValue = 512

// parseEntry reads one line. A value is a string; an array of numbers where the
// bytes are not UTF-8 or hold control characters; null where journalctl found
// it too long; and an array of these where the field is there more than once.
func parseEntry(text []byte) (entry, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return entry{}, fmt.Errorf("entry of %d bytes is not a JSON object: %w", len(text), err)
	}
	e := entry{fields: make(map[string]string, len(wanted))}
	e.cursor = value(raw["__CURSOR"])
	if !validCursor(e.cursor) {
		return entry{}, fmt.Errorf("entry has the cursor %.100q", e.cursor)
	}
	if us, err := strconv.ParseInt(value(raw["__REALTIME_TIMESTAMP"]), 10, 64); err == nil && us > 0 && us < maxMicros {
		e.at = time.UnixMicro(us)
	}
	for _, f := range wanted {
		v := value(raw[f])
		if f != "MESSAGE" && len(v) > maxValue {
			v = v[:maxValue]
		}
		if v != "" {
			e.fields[f] = v
		}
	}
	return e, nil
}

const maxMicros = 253402300800_000000 // the year 10000

// value reads a field's value in any of its forms.
func value(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) == nil {
			return s
		}
	case '[':
		if b, err := numbers(raw); err == nil {
			return string(b)
		}
		var several []json.RawMessage
		if json.Unmarshal(raw, &several) != nil || len(several) == 0 {
			return ""
		}
		parts := make([]string, 0, len(several))
		for _, s := range several {
			if len(s) > 0 && s[0] == '[' {
				if b, err := numbers(s); err == nil {
					parts = append(parts, string(b))
				}
				continue
			}
			parts = append(parts, value(s))
		}
		return strings.Join(parts, "\n")
	case 'n', 't', 'f', '{':
		return ""
	}
	return string(raw) // a number
}

var errNumber = errors.New("not an array of bytes")

// numbers reads [72, 105] as bytes; encoding/json would take any number, and
// twenty times as long.
func numbers(raw []byte) ([]byte, error) {
	raw = bytes.TrimSpace(raw[1 : len(raw)-1])
	if len(raw) == 0 {
		return nil, nil
	}
	out := make([]byte, 0, len(raw)/4+1)
	for part := range bytes.SplitSeq(raw, []byte{','}) {
		part = bytes.TrimSpace(part)
		n := 0
		if len(part) == 0 || len(part) > 3 {
			return nil, errNumber
		}
		for _, c := range part {
			if c < '0' || c > '9' {
				return nil, errNumber
			}
			n = 10*n + int(c-'0')
		}
		if n > 255 {
			return nil, errNumber
		}
		out = append(out, byte(n))
	}
	return out, nil
}

// validCursor accepts what journald writes, which goes back to it as one
// argument: "s=…;i=…;b=…;m=…;t=…;x=…".
func validCursor(c string) bool {
	if len(c) < 8 || len(c) > 512 || !strings.HasPrefix(c, "s=") {
		return false
	}
	return strings.Trim(c, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ=;-_") == ""
}

// between returns how many entries the journal numbered between two cursors,
// where both are of one series of numbers (the s in them).
func between(from, to string) (uint64, bool) {
	series, i, ok := numberOf(from)
	other, k, ok2 := numberOf(to)
	if !ok || !ok2 || series != other || k <= i {
		return 0, false
	}
	return k - i - 1, true
}

// numberOf reads the series and the sequence number of a cursor.
func numberOf(c string) (series string, n uint64, ok bool) {
	for part := range strings.SplitSeq(c, ";") {
		if v, is := strings.CutPrefix(part, "s="); is {
			series = v
		}
		if v, is := strings.CutPrefix(part, "i="); is {
			var err error
			n, err = strconv.ParseUint(v, 16, 64)
			ok = err == nil
		}
	}
	return series, n, ok && series != ""
}

// cursorSeconds returns the time in a cursor as journalctl's --since wants it.
func cursorSeconds(c string) string {
	for part := range strings.SplitSeq(c, ";") {
		if v, ok := strings.CutPrefix(part, "t="); ok {
			if us, err := strconv.ParseUint(v, 16, 62); err == nil {
				return strconv.FormatUint(us/1e6, 10)
			}
		}
	}
	return "0"
}

// syslog severities in OpenTelemetry's numbers (logs data model, appendix B)
// and in the words of record.AttrLevel.
var priorities = [8]struct {
	severity record.Severity
	level    string
}{
	{record.Fatal, "critical"}, {record.Error + 2, "critical"}, {record.Error + 1, "critical"}, {record.Error, "error"},
	{record.Warn, "warning"}, {record.Info + 1, "info"}, {record.Info, "info"}, {record.Debug, "verbose"},
}

func (e entry) record(maxMessage int, now time.Time) record.Record {
	r := record.Record{Time: e.at, Observed: now, Severity: record.Info, Name: record.NameJournal, Body: clip(e.fields["MESSAGE"], maxMessage)}
	add := func(key, v string) {
		if v != "" {
			r.Attrs = append(r.Attrs, record.Attr{Key: key, Value: record.String(strings.ToValidUTF8(v, "\ufffd"))})
		}
	}
	add(record.AttrChannel, "journal")
	add(record.AttrProvider, first(e.fields, "SYSLOG_IDENTIFIER", "_COMM"))
	r.Attrs = append(r.Attrs, record.Attr{Key: record.AttrEventID, Value: record.Int(0)})
	if n, err := strconv.ParseUint(e.fields["PRIORITY"], 10, 8); err == nil && n < 8 {
		r.Severity = priorities[n].severity
		add(record.AttrLevel, priorities[n].level)
	}
	// UNIT is what systemd itself speaks about, _SYSTEMD_UNIT who speaks.
	add(record.AttrUnit, first(e.fields, "UNIT", "USER_UNIT", "_SYSTEMD_UNIT"))
	add(record.AttrComputer, e.fields["_HOSTNAME"])
	for _, d := range data {
		add(record.AttrData+d.attr, e.fields[d.field])
	}
	return r
}

func first(m map[string]string, keys ...string) string {
	for _, k := range keys {
		if m[k] != "" {
			return m[k]
		}
	}
	return ""
}

// clip makes a message UTF-8 and bounds it, and says so.
func clip(s string, limit int) string {
	total := len(s)
	if total > limit {
		s = s[:limit]
		for range utf8.UTFMax - 1 { // the start of a letter whose end is cut off
			if r, n := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && n == 1 {
				s = s[:len(s)-1]
			}
		}
	}
	s = strings.ToValidUTF8(s, "\ufffd")
	if total > limit {
		s += fmt.Sprintf("… (%d bytes)", total)
	}
	return s
}
