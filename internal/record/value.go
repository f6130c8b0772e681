package record

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// Attr is a key and its value.
type Attr struct {
	Key   string
	Value Value
}

// Kind says what a Value holds. The zero kind is null.
type Kind uint8

// The kinds of an OTLP AnyValue.
const (
	KindNull Kind = iota
	KindString
	KindBool
	KindInt
	KindDouble
	KindBytes
	KindList
	KindMap
)

// Value is an OTLP AnyValue. The zero Value is null. Values are immutable.
type Value struct {
	kind Kind
	num  uint64  // bool, int64 bits, float64 bits
	str  string  // string, bytes
	sub  *nested // list, map; nil when empty
}

// nested keeps the rare kinds out of Value, which there are very many of.
type nested struct {
	list []Value
	m    []Attr
}

// String returns a string value.
func String(s string) Value { return Value{kind: KindString, str: s} }

// Bool returns a boolean value.
func Bool(b bool) Value {
	v := Value{kind: KindBool}
	if b {
		v.num = 1
	}
	return v
}

// Int returns an integer value.
func Int(i int64) Value { return Value{kind: KindInt, num: uint64(i)} }

// Double returns a floating-point value.
func Double(f float64) Value { return Value{kind: KindDouble, num: math.Float64bits(f)} }

// Bytes returns a binary value.
func Bytes(b []byte) Value { return Value{kind: KindBytes, str: string(b)} }

// List returns a list; the caller gives up the slice.
func List(v []Value) Value { return Value{kind: KindList, sub: &nested{list: v}} }

// Map returns a map; the caller gives up the slice.
func Map(m []Attr) Value { return Value{kind: KindMap, sub: &nested{m: m}} }

// Kind tells what the value holds.
func (v Value) Kind() Kind { return v.kind }

// IsNull tells whether there is no value.
func (v Value) IsNull() bool { return v.kind == KindNull }

// Str returns a string's text, "" for every other kind.
func (v Value) Str() string {
	if v.kind == KindString {
		return v.str
	}
	return ""
}

// Bool returns a boolean, false for every other kind.
func (v Value) Bool() bool { return v.kind == KindBool && v.num == 1 }

// Int returns an integer (a whole double too), and whether it is one.
func (v Value) Int() (int64, bool) {
	switch v.kind {
	case KindInt:
		return int64(v.num), true
	case KindDouble:
		if f := math.Float64frombits(v.num); f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			return int64(f), true
		}
	}
	return 0, false
}

// Float returns a number, and whether it is one.
func (v Value) Float() (float64, bool) {
	switch v.kind {
	case KindInt:
		return float64(int64(v.num)), true
	case KindDouble:
		return math.Float64frombits(v.num), true
	}
	return 0, false
}

// Bytes returns a binary value's bytes, nil for every other kind.
func (v Value) Bytes() []byte {
	if v.kind == KindBytes {
		return []byte(v.str)
	}
	return nil
}

// List returns a list's values, nil for every other kind. Read only.
func (v Value) List() []Value {
	if v.sub == nil {
		return nil
	}
	return v.sub.list
}

// Map returns a map's entries, nil for every other kind. Read only.
func (v Value) Map() []Attr {
	if v.sub == nil {
		return nil
	}
	return v.sub.m
}

// Text renders any value for a person or a comparison: numbers without
// exponent where they are whole, bytes in hexadecimal, lists and maps as JSON.
func (v Value) Text() string {
	switch v.kind {
	case KindString:
		return v.str
	case KindNull:
		return ""
	default:
		b := v.AppendJSON(nil)
		if v.kind == KindBytes {
			b = b[1 : len(b)-1]
		}
		return string(b)
	}
}

// Equal tells whether two values are the same. NaN equals NaN, so that a
// value that did not change never looks changed.
func (v Value) Equal(w Value) bool {
	if v.kind != w.kind || v.num != w.num || v.str != w.str {
		return false
	}
	return slices.EqualFunc(v.List(), w.List(), Value.Equal) &&
		slices.EqualFunc(v.Map(), w.Map(), func(a, b Attr) bool { return a.Key == b.Key && a.Value.Equal(b.Value) })
}

// MarshalJSON renders the value as JSON; bytes in hexadecimal, NaN and
// infinities as strings.
func (v Value) MarshalJSON() ([]byte, error) { return v.AppendJSON(nil), nil }

// AppendJSON appends what MarshalJSON returns.
func (v Value) AppendJSON(b []byte) []byte {
	switch v.kind {
	case KindString:
		return AppendJSONString(b, v.str)
	case KindBool:
		return strconv.AppendBool(b, v.num == 1)
	case KindInt:
		return strconv.AppendInt(b, int64(v.num), 10)
	case KindDouble:
		f := math.Float64frombits(v.num)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return AppendJSONString(b, strconv.FormatFloat(f, 'g', -1, 64))
		}
		return strconv.AppendFloat(b, f, 'g', -1, 64)
	case KindBytes:
		b = append(b, '"')
		b = hex.AppendEncode(b, []byte(v.str))
		return append(b, '"')
	case KindList:
		b = append(b, '[')
		for i, w := range v.List() {
			if i > 0 {
				b = append(b, ',')
			}
			b = w.AppendJSON(b)
		}
		return append(b, ']')
	case KindMap:
		return AppendJSONAttrs(b, v.Map())
	default:
		return append(b, "null"...)
	}
}

// AppendJSONAttrs appends the attributes as a JSON object.
func AppendJSONAttrs(b []byte, attrs []Attr) []byte {
	b = append(b, '{')
	for i := range attrs {
		if i > 0 {
			b = append(b, ',')
		}
		b = AppendJSONString(b, attrs[i].Key)
		b = append(b, ':')
		b = attrs[i].Value.AppendJSON(b)
	}
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

// AppendJSONString appends a JSON string; bytes that are not UTF-8 become
// U+FFFD, control characters are escaped.
func AppendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			// U+2028 and U+2029 end lines in old JavaScript.
			if (r == utf8.RuneError && n == 1) || r == '\u2028' || r == '\u2029' {
				b = append(b, s[start:i]...)
				if r == utf8.RuneError {
					b = append(b, "\ufffd"...)
				} else {
					b = append(b, `\u202`...)
					b = append(b, hexDigits[r&0xf])
				}
				start = i + n
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
