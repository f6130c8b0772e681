package diff

import (
	"strings"

	"nocturne/internal/record"
)

// placeholders are what firmware and people write where a serial should be;
// lower case. Snapshots also come from producers that do not know the list.
var placeholders = map[string]bool{
	"": true, "-": true, "n/a": true, "na": true, "none": true, "null": true, "nil": true, "no": true, "unknown": true, "undefined": true,
	"not specified": true, "unspecified": true, "not available": true, "not applicable": true, "not provided": true, "not present": true,
	"not set": true, "not defined": true, "to be filled by o.e.m.": true, "to be filled by o.e.m": true, "o.e.m.": true, "oem": true,
	"filled by oem": true, "default": true, "default string": true, "empty": true, "[empty]": true, "invalid": true, "string": true, "tbd": true,
	"system serial number": true, "base board serial number": true, "baseboard serial number": true, "board serial number": true,
	"chassis serial number": true, "serial number": true, "serial": true, "123456789": true, "0123456789": true, "1234567890": true,
	"012345678": true, "12345678": true, "1234567": true, "123456": true, "no dimm": true, "<out of spec>": true, "<bad index>": true,
}

// Known returns a serial number without the spaces around it, or "" when it is
// missing or a placeholder.
func Known(serial string) string {
	s := strings.TrimSpace(strings.Trim(serial, "\x00"))
	if len(s) > maxSerial {
		return ""
	}
	low := strings.ToLower(s)
	if placeholders[low] || strings.HasPrefix(low, "to be filled") || uniform(low) {
		return ""
	}
	return s
}

// maxSerial is far beyond any serial number; more is not one.
const maxSerial = 256

// uniform tells whether s is nothing but one sign, again and again: "00000000".
// Spaces and dashes between do not make a number of it.
func uniform(s string) bool {
	var sign byte
	n := 0
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ' || c == '-' || c == '.' || c == ':':
		case n > 0 && c != sign:
			return false
		default:
			sign, n = c, n+1
		}
	}
	return n == 0 || n >= 4 || sign == '0' || sign == 'f' || sign == 'x'
}

// KnownValue tells whether a field says anything. Words that mean "cannot
// tell" are no value: a drive that stops reporting its firmware has not
// changed it.
func KnownValue(v record.Value) bool {
	switch v.Kind() {
	case record.KindNull:
		return false
	case record.KindString:
		s := strings.TrimSpace(v.Str())
		switch len(s) {
		case 0:
			return false
		case 2, 3:
			return !strings.EqualFold(s, "na") && !strings.EqualFold(s, "n/a")
		case 7:
			return !strings.EqualFold(s, "unknown")
		}
	}
	return true
}
