// Package console writes records as JSON lines, one record per line, for a
// person or another program on the same machine. A gap or base frame is a line
// of its own. A line is one write; what a write could not finish is written
// again, so a reader may see a line twice, never half of it between others.
//
// An Output belongs to one driver. To test: go test ./exporter/output/console.
package console

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"nocturne/exporter/output"
	"nocturne/exporter/spool"
	"nocturne/internal/record"
)

// Output writes to one writer.
type Output struct{ w io.Writer }

// New returns an output that writes lines to w.
func New(w io.Writer) *Output { return &Output{w: w} }

// Hello implements output.Output: nothing has to be agreed.
func (o *Output) Hello(context.Context, []byte) (output.Greeting, error) {
	return output.Greeting{}, nil
}

// Send implements output.Output.
func (o *Output) Send(ctx context.Context, frames []spool.Frame) (output.Answer, error) {
	var a output.Answer
	for i := range frames {
		if ctx.Err() != nil {
			return a, nil
		}
		b, err := lines(&frames[i])
		if err != nil {
			a.Verdicts = append(a.Verdicts, spool.Refused)
			a.Reasons = append(a.Reasons, err.Error())
			continue
		}
		if _, err := o.w.Write(b); err != nil {
			if i == 0 {
				return output.Answer{}, &output.Failure{Kind: output.Busy, Err: fmt.Errorf("write console: %w", err)}
			}
			return a, nil
		}
		a.Verdicts = append(a.Verdicts, spool.Stored)
	}
	return a, nil
}

// Close implements output.Output. The writer stays open.
func (o *Output) Close() error { return nil }

func lines(f *spool.Frame) ([]byte, error) {
	h := &f.Header
	if h.Kind != record.FrameData {
		return bare(h), nil
	}
	recs, err := f.Records()
	if err != nil {
		return nil, err
	}
	var b []byte
	for i := range recs {
		b = line(b, h, &recs[i], h.First+uint64(i))
	}
	return b, nil
}

func line(b []byte, h *record.Header, r *record.Record, seq uint64) []byte {
	return AppendLine(b, h.Category, r, record.Attr{Key: "record_id", Value: record.String(record.RecordID(h, seq))},
		record.Attr{Key: "server_id", Value: record.String(h.Subject.String())})
}

// AppendLine appends a record as a line of JSON, with more text values beside its own.
func AppendLine(b []byte, c record.Category, r *record.Record, more ...record.Attr) []byte {
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
	return append(b, '}', '\n')
}

func bare(h *record.Header) []byte {
	kind := "gap"
	if h.Kind == record.FrameBase {
		kind = "base"
	}
	b := append([]byte(`{"frame":`), strconv.Quote(kind)...)
	b = text(b, "server_id", h.Subject.String())
	b = text(b, "category", h.Category.String())
	b = text(b, "epoch", h.Epoch.EpochRef.String())
	b = append(b, `,"first":`...)
	b = strconv.AppendUint(b, h.First, 10)
	b = append(b, `,"last":`...)
	b = strconv.AppendUint(b, h.Last, 10)
	b = text(b, "reason", h.Reason.String())
	return append(b, '}', '\n')
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
