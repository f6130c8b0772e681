package record

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Stats counts what DecodeRecords had to mend to keep the rest.
type Stats struct {
	AttrsCut       int // attributes beyond MaxAttrs, or nested deeper than MaxDepth
	TextMended     int // strings that were not UTF-8, or keys longer than MaxKey
	IdentityClaims int // resource attributes: the header alone says who speaks
}

// Field numbers of opentelemetry-proto v1 (logs.proto, common.proto, resource.proto).
const (
	fieldResourceLogs   = 1 // LogsData
	fieldResource       = 1 // ResourceLogs
	fieldScopeLogs      = 2
	fieldResourceAttrs  = 1 // Resource
	fieldLogRecords     = 2 // ScopeLogs
	fieldTime           = 1 // LogRecord
	fieldSeverity       = 2
	fieldBody           = 5
	fieldAttributes     = 6
	fieldObserved       = 11
	fieldEventName      = 12
	fieldString         = 1 // AnyValue
	fieldBool           = 2
	fieldInt            = 3
	fieldDouble         = 4
	fieldArray          = 5
	fieldKvlist         = 6
	fieldBytes          = 7
	fieldKey            = 1 // KeyValue
	fieldValue          = 2
	fieldRepeatedValues = 1 // ArrayValue, KeyValueList
)

// Keys of a snapshot's body.
const (
	keyText     = "text"
	keySections = "sections"
	keyDevices  = "devices"
	keyType     = "type"
	keyScope    = "scope"
	keyPlace    = "place"
	keyOccupant = "occupant"
	keyFields   = "fields"
)

// AppendRecords appends the records as one OTLP LogsData message without
// identity attributes.
func AppendRecords(dst []byte, recs []Record) []byte {
	dst, _ = appendRecords(dst, recs)
	return dst
}

// appendRecords also returns the size of the largest record.
func appendRecords(dst []byte, recs []Record) ([]byte, int) {
	type sized struct {
		body Value // built once: a snapshot's body is a tree
		size int
	}
	parts := make([]sized, len(recs))
	scope, largest := 0, 0
	for i := range recs {
		body := recs[i].otlpBody()
		parts[i] = sized{body, recordSize(&recs[i], body)}
		scope += sizeBytes(fieldLogRecords, parts[i].size)
		largest = max(largest, parts[i].size)
	}
	resource := sizeBytes(fieldScopeLogs, scope)
	dst = slices.Grow(dst, sizeBytes(fieldResourceLogs, resource))
	dst = protowire.AppendTag(dst, fieldResourceLogs, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(resource))
	dst = protowire.AppendTag(dst, fieldScopeLogs, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(scope))
	for i := range recs {
		dst = protowire.AppendTag(dst, fieldLogRecords, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(parts[i].size))
		dst = appendRecord(dst, &recs[i], parts[i].body)
	}
	return dst, largest
}

// RecordSize returns the encoded size of one record in bytes, which must not
// exceed MaxRecord.
func RecordSize(r *Record) int { return recordSize(r, r.otlpBody()) }

// otlpBody is the record's body as OTLP carries it: the text, or the snapshot
// as a map that also holds the text.
func (r *Record) otlpBody() Value {
	if r.Snapshot == nil {
		if r.Body == "" {
			return Value{}
		}
		return String(r.Body)
	}
	sections := make([]Value, len(r.Snapshot.Sections))
	for i, s := range r.Snapshot.Sections {
		m := []Attr{{keyType, String(s.Type)}}
		if s.Scope != "" {
			m = append(m, Attr{keyScope, String(s.Scope)})
		}
		sections[i] = Map(m)
	}
	devices := make([]Value, len(r.Snapshot.Devices))
	for i := range r.Snapshot.Devices {
		d := &r.Snapshot.Devices[i]
		m := make([]Attr, 0, 4)
		m = append(m, Attr{keyType, String(d.Type)}, Attr{keyPlace, String(d.Place)})
		if d.Occupant != "" {
			m = append(m, Attr{keyOccupant, String(d.Occupant)})
		}
		if len(d.Fields) > 0 {
			m = append(m, Attr{keyFields, Map(d.Fields)})
		}
		devices[i] = Map(m)
	}
	body := make([]Attr, 0, 3)
	if r.Body != "" {
		body = append(body, Attr{keyText, String(r.Body)})
	}
	return Map(append(body, Attr{keySections, List(sections)}, Attr{keyDevices, List(devices)}))
}

func sizeBytes(field protowire.Number, n int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(n)
}

// unixNano treats the zero time as "not said", as OTLP does.
func unixNano(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func recordSize(r *Record, body Value) int {
	n := 0
	if unixNano(r.Time) != 0 {
		n += protowire.SizeTag(fieldTime) + protowire.SizeFixed64()
	}
	if r.Severity != 0 {
		n += protowire.SizeTag(fieldSeverity) + protowire.SizeVarint(uint64(r.Severity))
	}
	if !body.IsNull() {
		n += sizeBytes(fieldBody, valueSize(body))
	}
	for i := range r.Attrs {
		n += sizeBytes(fieldAttributes, attrSize(&r.Attrs[i]))
	}
	if unixNano(r.Observed) != 0 {
		n += protowire.SizeTag(fieldObserved) + protowire.SizeFixed64()
	}
	if r.Name != "" {
		n += sizeBytes(fieldEventName, len(r.Name))
	}
	return n
}

func appendRecord(b []byte, r *Record, body Value) []byte {
	if t := unixNano(r.Time); t != 0 {
		b = protowire.AppendTag(b, fieldTime, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, t)
	}
	if r.Severity != 0 {
		b = protowire.AppendTag(b, fieldSeverity, protowire.VarintType)
		b = protowire.AppendVarint(b, uint64(r.Severity))
	}
	if !body.IsNull() {
		b = protowire.AppendTag(b, fieldBody, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(valueSize(body)))
		b = appendValue(b, body)
	}
	for i := range r.Attrs {
		b = appendAttr(b, fieldAttributes, &r.Attrs[i])
	}
	if t := unixNano(r.Observed); t != 0 {
		b = protowire.AppendTag(b, fieldObserved, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, t)
	}
	if r.Name != "" {
		b = protowire.AppendTag(b, fieldEventName, protowire.BytesType)
		b = protowire.AppendString(b, r.Name)
	}
	return b
}

func attrSize(a *Attr) int {
	return sizeBytes(fieldKey, len(a.Key)) + sizeBytes(fieldValue, valueSize(a.Value))
}

func appendAttr(b []byte, field protowire.Number, a *Attr) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(attrSize(a)))
	b = protowire.AppendTag(b, fieldKey, protowire.BytesType)
	b = protowire.AppendString(b, a.Key)
	b = protowire.AppendTag(b, fieldValue, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(valueSize(a.Value)))
	return appendValue(b, a.Value)
}

func valueSize(v Value) int {
	switch v.kind {
	case KindString:
		return sizeBytes(fieldString, len(v.str))
	case KindBytes:
		return sizeBytes(fieldBytes, len(v.str))
	case KindBool:
		return protowire.SizeTag(fieldBool) + 1
	case KindInt:
		return protowire.SizeTag(fieldInt) + protowire.SizeVarint(v.num)
	case KindDouble:
		return protowire.SizeTag(fieldDouble) + protowire.SizeFixed64()
	case KindList:
		return sizeBytes(fieldArray, listSize(v.List()))
	case KindMap:
		return sizeBytes(fieldKvlist, mapSize(v.Map()))
	default:
		return 0
	}
}

func listSize(list []Value) int {
	n := 0
	for i := range list {
		n += sizeBytes(fieldRepeatedValues, valueSize(list[i]))
	}
	return n
}

func mapSize(m []Attr) int {
	n := 0
	for i := range m {
		n += sizeBytes(fieldRepeatedValues, attrSize(&m[i]))
	}
	return n
}

func appendValue(b []byte, v Value) []byte {
	switch v.kind {
	case KindString:
		b = protowire.AppendTag(b, fieldString, protowire.BytesType)
		b = protowire.AppendString(b, v.str)
	case KindBytes:
		b = protowire.AppendTag(b, fieldBytes, protowire.BytesType)
		b = protowire.AppendString(b, v.str)
	case KindBool:
		b = protowire.AppendTag(b, fieldBool, protowire.VarintType)
		b = protowire.AppendVarint(b, v.num)
	case KindInt:
		b = protowire.AppendTag(b, fieldInt, protowire.VarintType)
		b = protowire.AppendVarint(b, v.num)
	case KindDouble:
		b = protowire.AppendTag(b, fieldDouble, protowire.Fixed64Type)
		b = protowire.AppendFixed64(b, v.num)
	case KindList:
		b = protowire.AppendTag(b, fieldArray, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(listSize(v.List())))
		for _, w := range v.List() {
			b = protowire.AppendTag(b, fieldRepeatedValues, protowire.BytesType)
			b = protowire.AppendVarint(b, uint64(valueSize(w)))
			b = appendValue(b, w)
		}
	case KindMap:
		b = protowire.AppendTag(b, fieldKvlist, protowire.BytesType)
		m := v.Map()
		b = protowire.AppendVarint(b, uint64(mapSize(m)))
		for i := range m {
			b = appendAttr(b, fieldRepeatedValues, &m[i])
		}
	}
	return b
}

// DecodeRecords reads what AppendRecords wrote, or any OTLP LogsData message.
// Unknown fields are skipped; what is beyond a limit inside a record is cut and
// counted, so that the rest is kept. An error wraps ErrMalformed and means that
// nothing was decoded.
func DecodeRecords(raw []byte) ([]Record, Stats, error) { return decodeRecords(raw, 0) }

// decodeRecords is told how many records to expect; it does not rely on it.
func decodeRecords(raw []byte, expect int) ([]Record, Stats, error) {
	d := decoder{recs: make([]Record, 0, min(expect, 1024))}
	if len(raw) > MaxRaw {
		return nil, Stats{}, fmt.Errorf("payload of %d bytes, limit %d: %w", len(raw), MaxRaw, ErrMalformed)
	}
	// One copy of the payload backs every string of every record.
	err := d.logsData(string(raw))
	if err != nil {
		return nil, Stats{}, fmt.Errorf("decode records: %w", err)
	}
	return d.recs, d.stats, nil
}

type decoder struct {
	recs  []Record
	attrs []Attr // of the record at hand, before they are copied to size
	stats Stats
}

// field is one protobuf field: num for varint and fixed64, str for bytes.
type field struct {
	number protowire.Number
	typ    protowire.Type
	num    uint64
	str    string
}

// next splits the first field off b, and off what is left.
func next(b string) (field, string, error) {
	tag, n := varint(b)
	if n == 0 || tag>>3 == 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
		return field{}, "", fmt.Errorf("protobuf tag: %w", ErrMalformed)
	}
	f := field{number: protowire.Number(tag >> 3), typ: protowire.Type(tag & 7)}
	b = b[n:]
	switch f.typ {
	case protowire.VarintType:
		v, n := varint(b)
		if n == 0 {
			return field{}, "", fmt.Errorf("protobuf varint: %w", ErrMalformed)
		}
		f.num = v
		return f, b[n:], nil
	case protowire.Fixed64Type:
		if len(b) < 8 {
			return field{}, "", fmt.Errorf("protobuf fixed64: %w", ErrMalformed)
		}
		for i := 7; i >= 0; i-- {
			f.num = f.num<<8 | uint64(b[i])
		}
		return f, b[8:], nil
	case protowire.Fixed32Type:
		if len(b) < 4 {
			return field{}, "", fmt.Errorf("protobuf fixed32: %w", ErrMalformed)
		}
		return f, b[4:], nil
	case protowire.BytesType:
		v, n := varint(b)
		if n == 0 || v > uint64(len(b)-n) {
			return field{}, "", fmt.Errorf("protobuf bytes: %w", ErrMalformed)
		}
		f.str = b[n : n+int(v)]
		return f, b[n+int(v):], nil
	default: // groups are not part of proto3
		return field{}, "", fmt.Errorf("protobuf wire type %d: %w", f.typ, ErrMalformed)
	}
}

func varint(b string) (v uint64, n int) {
	for i := 0; i < len(b) && i < 10; i++ {
		c := b[i]
		if i == 9 && c > 1 {
			return 0, 0
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// each calls fn for every field of a message.
func each(b string, fn func(f field) error) error {
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		if err := fn(f); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

func (f field) isBytes(n protowire.Number) bool {
	return f.number == n && f.typ == protowire.BytesType
}

func (d *decoder) logsData(b string) error {
	return each(b, func(f field) error {
		if f.isBytes(fieldResourceLogs) {
			return each(f.str, d.resourceLogs)
		}
		return nil
	})
}

func (d *decoder) resourceLogs(f field) error {
	switch {
	case f.isBytes(fieldResource):
		return each(f.str, func(f field) error {
			if f.isBytes(fieldResourceAttrs) {
				d.stats.IdentityClaims++
			}
			return nil
		})
	case f.isBytes(fieldScopeLogs):
		return each(f.str, func(f field) error {
			if !f.isBytes(fieldLogRecords) {
				return nil
			}
			if len(f.str) > MaxRecord {
				return fmt.Errorf("record of %d bytes, limit %d: %w", len(f.str), MaxRecord, ErrMalformed)
			}
			if len(d.recs) == MaxCount {
				return fmt.Errorf("more than %d records: %w", MaxCount, ErrMalformed)
			}
			d.recs = append(d.recs, Record{})
			return d.record(&d.recs[len(d.recs)-1], f.str)
		})
	}
	return nil
}

func (d *decoder) record(r *Record, b string) error {
	var body Value // its meaning depends on the name, which may follow it
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return err
		}
		b = rest
		switch {
		case f.number == fieldTime && f.typ == protowire.Fixed64Type:
			r.Time = d.time(f.num)
		case f.number == fieldObserved && f.typ == protowire.Fixed64Type:
			r.Observed = d.time(f.num)
		case f.number == fieldSeverity && f.typ == protowire.VarintType:
			r.Severity = Severity(min(f.num, 24))
		case f.isBytes(fieldEventName):
			r.Name = d.text(f.str)
		case f.isBytes(fieldBody):
			if body, err = d.value(f.str, 0); err != nil {
				return err
			}
		case f.isBytes(fieldAttributes):
			if len(d.attrs) == MaxAttrs {
				d.stats.AttrsCut++
				continue
			}
			a, err := d.attr(f.str, 0)
			if err != nil {
				return err
			}
			d.attrs = append(d.attrs, a)
		}
	}
	if len(d.attrs) > 0 {
		r.Attrs = slices.Clone(d.attrs)
		d.attrs = d.attrs[:0]
	}
	d.body(r, body)
	return nil
}

func (d *decoder) time(ns uint64) time.Time {
	if ns == 0 || ns > math.MaxInt64 {
		return time.Time{}
	}
	return time.Unix(0, int64(ns)).UTC()
}

// text mends what is not UTF-8.
func (d *decoder) text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	d.stats.TextMended++
	return strings.ToValidUTF8(s, "\ufffd")
}

func (d *decoder) attr(b string, depth int) (Attr, error) {
	var a Attr
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return a, err
		}
		b = rest
		switch {
		case f.isBytes(fieldKey):
			a.Key = d.text(f.str)
			if len(a.Key) > MaxKey {
				d.stats.TextMended++
				a.Key = strings.ToValidUTF8(a.Key[:MaxKey], "")
			}
		case f.isBytes(fieldValue):
			if a.Value, err = d.value(f.str, depth); err != nil {
				return a, err
			}
		}
	}
	return a, nil
}

func (d *decoder) value(b string, depth int) (Value, error) {
	var v Value
	for len(b) > 0 {
		f, rest, err := next(b)
		if err != nil {
			return v, err
		}
		b = rest
		switch {
		case f.isBytes(fieldString):
			v = String(d.text(f.str))
		case f.isBytes(fieldBytes):
			v = Value{kind: KindBytes, str: f.str}
		case f.number == fieldBool && f.typ == protowire.VarintType:
			v = Bool(f.num != 0)
		case f.number == fieldInt && f.typ == protowire.VarintType:
			v = Int(int64(f.num))
		case f.number == fieldDouble && f.typ == protowire.Fixed64Type:
			v = Double(math.Float64frombits(f.num))
		case f.isBytes(fieldArray), f.isBytes(fieldKvlist):
			if depth == MaxDepth {
				d.stats.AttrsCut++
				v = Value{}
				continue
			}
			if v, err = d.nested(f, depth+1); err != nil {
				return v, err
			}
		}
	}
	return v, nil
}

func (d *decoder) nested(f field, depth int) (Value, error) {
	b, sub := f.str, &nested{}
	v := Value{kind: KindList, sub: sub}
	if f.number == fieldKvlist {
		v.kind = KindMap
	}
	for len(b) > 0 {
		e, rest, err := next(b)
		if err != nil {
			return v, err
		}
		b = rest
		if !e.isBytes(fieldRepeatedValues) {
			continue
		}
		if v.kind == KindList {
			w, err := d.value(e.str, depth)
			if err != nil {
				return v, err
			}
			sub.list = append(sub.list, w)
			continue
		}
		a, err := d.attr(e.str, depth)
		if err != nil {
			return v, err
		}
		if len(sub.m) == MaxAttrs {
			d.stats.AttrsCut++
			continue
		}
		sub.m = append(sub.m, a)
	}
	return v, nil
}

// body turns an OTLP body back into text and snapshot.
func (d *decoder) body(r *Record, v Value) {
	if v.kind != KindMap || r.Name != NameSnapshot {
		r.Body = v.Text()
		return
	}
	sections := lookup(v.Map(), keySections).List()
	devices := lookup(v.Map(), keyDevices).List()
	r.Body = lookup(v.Map(), keyText).Str()
	s := &Snapshot{}
	for i, e := range sections {
		if i == MaxSections {
			d.stats.AttrsCut += len(sections) - MaxSections
			break
		}
		typ, scope := lookup(e.Map(), keyType), lookup(e.Map(), keyScope)
		s.Sections = append(s.Sections, Section{Type: typ.Str(), Scope: scope.Str()})
	}
	s.Devices = make([]Device, 0, min(len(devices), MaxDevices))
	for i, e := range devices {
		if i == MaxDevices {
			d.stats.AttrsCut += len(devices) - MaxDevices
			break
		}
		var dev Device
		for _, a := range e.Map() {
			switch a.Key {
			case keyType:
				dev.Type = a.Value.Str()
			case keyPlace:
				dev.Place = a.Value.Str()
			case keyOccupant:
				dev.Occupant = a.Value.Str()
			case keyFields:
				dev.Fields = a.Value.Map()
			}
		}
		s.Devices = append(s.Devices, dev)
	}
	r.Snapshot = s
}

func lookup(m []Attr, key string) Value {
	for i := range m {
		if m[i].Key == key {
			return m[i].Value
		}
	}
	return Value{}
}
