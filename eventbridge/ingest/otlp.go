package ingest

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"nocturne/internal/record"
)

// Names and attributes of records that were plain OTLP.
const (
	nameLog          = "log"
	attrClaimedName  = "reported.event_name"
	attrScope        = "scope.name"
	attrTrace        = "trace_id"
	attrSpan         = "span_id"
	attrSeverityText = "severity_text"
	prefixResource   = "resource."
	prefixReported   = "reported."
	prefixOurs       = "nocturne."
)

// mendings count what was mended, by what.
type mendings map[string]int

// decodeLogs reads an ExportLogsServiceRequest. What resources say of
// themselves becomes attributes under "reported." and "resource.": it is not
// an identity.
func decodeLogs(media string, body []byte) (recs []record.Record, m mendings, err error) {
	defer func() {
		// The decoder is not ours and the bytes are hostile.
		if v := recover(); v != nil {
			recs, err = nil, fmt.Errorf("decoder: %v", v)
		}
	}()
	req := plogotlp.NewExportRequest()
	if media == typeJSON {
		if err = checkJSONShape(body); err == nil {
			err = req.UnmarshalJSON(body)
		}
	} else {
		if err = checkShape(body); err == nil {
			err = req.UnmarshalProto(body)
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if n := req.Logs().LogRecordCount(); n > maxLogRecords {
		return nil, nil, fmt.Errorf("%w: %d log records", errShape, maxLogRecords)
	}
	m = mendings{}
	recs = make([]record.Record, 0, req.Logs().LogRecordCount())
	for _, rl := range req.Logs().ResourceLogs().All() {
		resource := m.attrs(nil, rl.Resource().Attributes(), resourceKey)
		for _, sl := range rl.ScopeLogs().All() {
			base := resource[:len(resource):len(resource)]
			if name := sl.Scope().Name(); name != "" {
				base = append(base, record.Attr{Key: attrScope, Value: record.String(m.text(name))})
			}
			for _, lr := range sl.LogRecords().All() {
				recs = append(recs, m.record(lr, base))
			}
		}
	}
	return recs, m, nil
}

// resourceKey says under which name a resource attribute is kept.
func resourceKey(key string) string {
	switch {
	case key == "host.name":
		return record.AttrName
	case key == "host.id":
		return record.AttrMachineID
	case strings.HasPrefix(key, "host."):
		return prefixReported + key
	default:
		return prefixResource + key
	}
}

func (m mendings) record(lr plog.LogRecord, base []record.Attr) record.Record {
	r := record.Record{
		Time: asTime(lr.Timestamp()), Observed: asTime(lr.ObservedTimestamp()),
		Severity: severity(lr.SeverityNumber()), Name: nameLog,
	}
	r.Attrs = base[:len(base):len(base)]
	add := func(key, value string) {
		if value != "" {
			r.Attrs = append(r.Attrs, record.Attr{Key: key, Value: record.String(value)})
		}
	}
	if name := m.text(lr.EventName()); strings.HasPrefix(name, prefixOurs) {
		m[mendName]++
		add(attrClaimedName, name)
	} else if name != "" {
		r.Name = name
	}
	add(attrSeverityText, m.text(lr.SeverityText()))
	if id := lr.TraceID(); !id.IsEmpty() {
		add(attrTrace, id.String())
	}
	if id := lr.SpanID(); !id.IsEmpty() {
		add(attrSpan, id.String())
	}
	if lr.Body().Type() == pcommon.ValueTypeStr {
		r.Body = m.text(lr.Body().Str())
	} else if v := m.value(lr.Body(), 0); !v.IsNull() {
		r.Body = v.Text()
	}
	r.Attrs = m.attrs(r.Attrs, lr.Attributes(), func(key string) string { return key })
	return r
}

// attrs appends attributes, at most MaxAttrs in all.
func (m mendings) attrs(dst []record.Attr, from pcommon.Map, rename func(string) string) []record.Attr {
	for k, v := range from.All() {
		if len(dst) >= record.MaxAttrs {
			m[mendAttrs] += max(1, from.Len()-record.MaxAttrs)
			break
		}
		key := m.text(rename(k))
		if len(key) > record.MaxKey {
			m[mendText]++
			key = strings.ToValidUTF8(key[:record.MaxKey], "")
		}
		dst = append(dst, record.Attr{Key: key, Value: m.value(v, 1)})
	}
	return dst
}

func (m mendings) value(v pcommon.Value, depth int) record.Value {
	if depth > record.MaxDepth {
		m[mendAttrs]++
		return record.Value{}
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return record.String(m.text(v.Str()))
	case pcommon.ValueTypeBool:
		return record.Bool(v.Bool())
	case pcommon.ValueTypeInt:
		return record.Int(v.Int())
	case pcommon.ValueTypeDouble:
		return record.Double(v.Double())
	case pcommon.ValueTypeBytes:
		return record.Bytes(v.Bytes().AsRaw())
	case pcommon.ValueTypeSlice:
		out := make([]record.Value, 0, v.Slice().Len())
		for _, e := range v.Slice().All() {
			out = append(out, m.value(e, depth+1))
		}
		return record.List(out)
	case pcommon.ValueTypeMap:
		out := make([]record.Attr, 0, v.Map().Len())
		for k, e := range v.Map().All() {
			out = append(out, record.Attr{Key: m.text(k), Value: m.value(e, depth+1)})
		}
		return record.Map(out)
	default:
		return record.Value{}
	}
}

func (m mendings) text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	m[mendText]++
	return strings.ToValidUTF8(s, "\ufffd")
}

func asTime(t pcommon.Timestamp) time.Time {
	if t == 0 || t > 1<<63-1 {
		return time.Time{}
	}
	return t.AsTime()
}

func severity(n plog.SeverityNumber) record.Severity {
	if n < 0 || n > 24 {
		return record.SeverityUnset
	}
	return record.Severity(n)
}

func newRandom() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}
