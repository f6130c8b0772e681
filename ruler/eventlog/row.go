package eventlog

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
)

// Row is a record as the log store has it.
type Row struct {
	At        time.Time // the event's own time, or what stands in for it
	EventTime time.Time // the event's own where At is not; else zero
	RecordID  string
	Server    record.ID
	Name      string // of the server, when it came
	Site      string // likewise
	Simulated bool
	Category  record.Category
	Record    string // the record's name
	Severity  string
	Provider  string
	EventID   string // a number; "" = none
	Channel   string
	Level     string
	Message   string
	Truncated bool // it was too long, and something was left out
	Partition int
	Entry     uint64
	Attrs     []Attr // the rest, by key
}

// Attr is a field of an event.
type Attr struct{ Key, Value string }

// errLine is about a line that is none: the answer broke off, or somebody else
// answers. Any other error is about a row that no eventbridge wrote.
var errLine = fmt.Errorf("%w: a line is no row", ErrAnswer)

// decodeFields reads one line of an answer: an object of texts.
func decodeFields(line []byte) (map[string]string, error) {
	var fields map[string]string
	if err := json.Unmarshal(line, &fields); err != nil || fields == nil {
		return nil, fmt.Errorf("%w: %.200q", errLine, line)
	}
	return fields, nil
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, fmt.Errorf("%w: %.60q is no time", ErrAnswer, s)
	}
	return t.UTC(), nil
}

// decodeRow reads a row that an eventbridge wrote. Of any other, which has a
// time too, it says what is wrong.
func decodeRow(line []byte) (*Row, error) {
	f, err := decodeFields(line)
	if err != nil {
		return nil, err
	}
	take := func(key string) string {
		v := f[key]
		delete(f, key)
		return v
	}
	r := &Row{
		RecordID: take("record_id"), Name: take("server"), Site: take("site"), Simulated: take("simulated") == "true", Record: take("name"), Severity: take("severity"),
		Provider: take("provider"), EventID: take("event_id"), Channel: take("channel"), Level: take("level"), Message: take("_msg"), Truncated: take("truncated") == "true",
	}
	if r.At, err = parseTime(take("_time")); err != nil {
		return nil, fmt.Errorf("%w: %w", errLine, err)
	}
	if own := take("event_time"); own != "" {
		if r.EventTime, err = parseTime(own); err != nil {
			return r, err
		}
	}
	if r.Server, err = record.ParseID(take("server_id")); err != nil {
		return r, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if r.Category, err = record.ParseCategory(take("category")); err != nil {
		return r, fmt.Errorf("%w: %w", ErrAnswer, err)
	}
	if !strings.HasPrefix(r.RecordID, r.Server.String()+"-") {
		return r, fmt.Errorf("%w: record_id %.100q is not of server %s", ErrAnswer, r.RecordID, r.Server)
	}
	if s := take("partition"); s != "" {
		if r.Partition, err = strconv.Atoi(s); err != nil {
			return r, fmt.Errorf("%w: partition %.40q is no number", ErrAnswer, s)
		}
	}
	if s := take("entry"); s != "" {
		if r.Entry, err = strconv.ParseUint(s, 10, 64); err != nil {
			return r, fmt.Errorf("%w: entry %.40q is no number", ErrAnswer, s)
		}
	}
	delete(f, "_stream")
	delete(f, "_stream_id")
	for _, k := range slices.Sorted(maps.Keys(f)) {
		if f[k] != "" {
			r.Attrs = append(r.Attrs, Attr{k, f[k]})
		}
	}
	return r, nil
}
