package winlog

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"nocturne/internal/record"
)

// Level names a level and gives its severity. Audit events have level 0 and say
// in their keywords how it went (winmeta.xml: audit success and failure).
func Level(level int64, keywords uint64) (string, record.Severity) {
	switch level {
	case 1:
		return "critical", record.Fatal
	case 2:
		return "error", record.Error
	case 3:
		return "warning", record.Warn
	case 5:
		return "verbose", record.Debug
	case 0:
		if keywords&(1<<52) != 0 {
			return "audit_failure", record.Warn
		}
		if keywords&(1<<53) != 0 {
			return "audit_success", record.Info
		}
	}
	return "info", record.Info
}

const maxSummary = 1 << 10

// Summary is what a person reads of an event whose message is not known: it is
// in the provider's library, on the machine that wrote it.
func Summary(provider string, id int64, data []record.Attr) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s event %d", provider, id)
	for _, a := range data {
		name, ok := strings.CutPrefix(a.Key, record.AttrData)
		t := strings.TrimSpace(a.Value.Str())
		if n, isInt := a.Value.Int(); isInt {
			t = strconv.FormatInt(n, 10)
		}
		if !ok || t == "" || t == "-" {
			continue
		}
		fmt.Fprintf(&b, ", %s: %s", name, Clip(t, 128))
		if b.Len() > maxSummary {
			break
		}
	}
	return Clip(b.String(), maxSummary)
}

// Clip bounds a text to a number of bytes, between two letters.
func Clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	s = s[:limit-len("…")]
	for range utf8.UTFMax - 1 {
		if r, n := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && n == 1 {
			s = s[:len(s)-1]
		}
	}
	return s + "…"
}
