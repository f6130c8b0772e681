// Package jsonlines writes frames as JSON: a line per record, for people and
// programs that want records, or one object per frame.
//
// Everything is pure. To test: go test ./exporter/output/console.
package jsonlines

import (
	"errors"
	"strconv"
	"time"

	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// Records returns a line per record of a data frame, one line for a gap or base
// frame.
func Records(f *spool.Frame) ([]byte, error) {
	h := &f.Header
	if h.Kind != record.FrameData {
		return append(bare(nil, h), '}', '\n'), nil
	}
	recs, err := f.Records()
	if err != nil {
		return nil, err
	}
	var b []byte
	for i := range recs {
		b = append(appendRecord(b, h, &recs[i], h.First+uint64(i)), '\n')
	}
	return b, nil
}

// AppendFrame appends the fields of one JSON object about a frame, which the
// caller has begun with a field and ends with a brace: kind, identity, range
// and the records as Records writes them.
func AppendFrame(b []byte, f *spool.Frame) ([]byte, error) {
	h := &f.Header
	if h.Kind != record.FrameData {
		b = append(b, ',')
		return append(b, bare(nil, h)[1:]...), nil
	}
	recs, err := f.Records()
	if err != nil {
		return nil, err
	}
	if !h.Category.Valid() || len(recs) != int(h.Count) {
		return nil, errInvalid
	}
	b = append(b, `,"frame":"data"`...)
	b = identity(b, h)
	b = append(b, `,"records":[`...)
	for i := range recs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRecord(b, h, &recs[i], h.First+uint64(i))
	}
	return append(b, ']'), nil
}

var errInvalid = errors.New("the frame contradicts itself")

func appendRecord(b []byte, h *record.Header, r *record.Record, seq uint64) []byte {
	return appendObject(b, h.Category, r, record.Attr{Key: "record_id", Value: record.String(record.RecordID(h, seq))},
		record.Attr{Key: "server_id", Value: record.String(h.Subject.String())})
}

// AppendLine appends a record that is in no frame as a line.
func AppendLine(b []byte, c record.Category, r *record.Record) []byte {
	return append(appendObject(b, c, r), '\n')
}

// appendObject appends a record as an object, with more text values beside its
// own.
func appendObject(b []byte, c record.Category, r *record.Record, more ...record.Attr) []byte {
	b = append(b, `{"time":`...)
	b = appendTime(b, r.Time)
	if !r.Observed.IsZero() {
		b = append(b, `,"observed":`...)
		b = appendTime(b, r.Observed)
	}
	for _, a := range more {
		b = text(b, a.Key, a.Value.Str())
	}
	b = text(b, "category", c.String())
	b = text(b, "name", r.Name)
	b = text(b, "severity", r.Severity.String())
	b = text(b, "body", r.Body)
	if len(r.Attrs) > 0 {
		b = append(b, `,"attrs":`...)
		b = record.AppendJSONAttrs(b, r.Attrs)
	}
	if s := r.Snapshot; s != nil {
		b = append(b, `,"sections":[`...)
		for i := range s.Sections {
			if i > 0 {
				b = append(b, ',')
			}
			b = record.AppendJSONAttrs(b, []record.Attr{{Key: "type", Value: record.String(s.Sections[i].Type)}, {Key: "scope", Value: record.String(s.Sections[i].Scope)}})
		}
		b = append(b, `],"devices":[`...)
		for i := range s.Devices {
			if i > 0 {
				b = append(b, ',')
			}
			d := &s.Devices[i]
			b = record.AppendJSONAttrs(b, []record.Attr{
				{Key: "type", Value: record.String(d.Type)}, {Key: "place", Value: record.String(d.Place)},
				{Key: "occupant", Value: record.String(d.Occupant)}, {Key: "fields", Value: record.Map(d.Fields)},
			})
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// bare appends the object of a gap or base frame, without its end.
func bare(b []byte, h *record.Header) []byte {
	kind := "gap"
	if h.Kind == record.FrameBase {
		kind = "base"
	}
	b = append(b, `{"frame":`...)
	b = strconv.AppendQuote(b, kind)
	b = identity(b, h)
	return text(b, "reason", h.Reason.String())
}

func identity(b []byte, h *record.Header) []byte {
	b = text(b, "server_id", h.Subject.String())
	b = text(b, "category", h.Category.String())
	b = text(b, "epoch", h.Epoch.EpochRef.String())
	b = append(b, `,"first":`...)
	b = strconv.AppendUint(b, h.First, 10)
	b = append(b, `,"last":`...)
	return strconv.AppendUint(b, h.Last, 10)
}

func text(b []byte, key, value string) []byte {
	b = append(b, ',', '"')
	b = append(b, key...)
	b = append(b, '"', ':')
	return record.AppendJSONString(b, value)
}

func appendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	b = t.UTC().AppendFormat(b, time.RFC3339Nano)
	return append(b, '"')
}
