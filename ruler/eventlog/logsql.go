package eventlog

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
)

// Filter says which rows are meant: all that is set must hold, of each list one
// value. Texts may be anything.
type Filter struct {
	From, To   time.Time // at or after, before; zero = open
	Servers    []record.ID
	Categories []record.Category
	Providers  []string // without regard to case
	EventIDs   []IDRange
	Channels   []string // without regard to case
	Levels     []string
	Names      []string // of records
	Site       string   // as it was when the event came
	// Search is words of the message, each the beginning of one, in any order.
	Search string
	// Any of these must hold too.
	Any []Filter
	// Partition and NoSnapshots are for records that rules are tried on.
	Partition   *int
	NoSnapshots bool
}

// IDRange is event ids, the bounds included.
type IDRange struct{ Low, High int64 }

// quote writes any text as one token: nothing in it is read as a part of the
// query. VictoriaLogs reads these tokens as Go reads string literals.
func quote(s string) string { return strconv.Quote(s) }

// stamp writes a moment to the nanosecond: of a shorter form VictoriaLogs takes
// the whole second, or day.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

// Bounds of a range that is open: VictoriaLogs' own are those of 64-bit nanoseconds.
var (
	farPast   = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	farFuture = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
)

// query writes the filter. Rows that no eventbridge wrote have no server_id.
func (f *Filter) query() string {
	var b strings.Builder
	from, to := f.From, f.To
	if from.IsZero() || from.Before(farPast) {
		from = farPast
	}
	if to.IsZero() || to.After(farFuture) {
		to = farFuture
	}
	b.WriteString("_time:[" + stamp(from) + ", " + stamp(to) + ") {")
	if len(f.Servers) > 0 {
		b.WriteString("server_id in (" + list(f.Servers, record.ID.String) + ")")
	} else {
		b.WriteString(`server_id!=""`)
	}
	if len(f.Categories) > 0 {
		b.WriteString(",category in (" + list(f.Categories, record.Category.String) + ")")
	}
	b.WriteByte('}')
	f.conditions(&b)
	if f.NoSnapshots {
		b.WriteString(" !name:=" + quote(record.NameSnapshot))
	}
	if f.Partition != nil {
		b.WriteString(" partition:=" + quote(strconv.Itoa(*f.Partition)))
	}
	return b.String()
}

// conditions writes what is asked of fields, each with a space before it.
func (f *Filter) conditions(b *strings.Builder) {
	same := func(s string) string { return s }
	if len(f.Providers) > 0 {
		b.WriteString(" provider:~" + quote(anyCase(f.Providers)))
	}
	if len(f.Channels) > 0 {
		b.WriteString(" channel:~" + quote(anyCase(f.Channels)))
	}
	if len(f.EventIDs) > 0 {
		b.WriteString(" " + eventIDs(f.EventIDs))
	}
	if len(f.Levels) > 0 {
		b.WriteString(" level:in(" + list(f.Levels, same) + ")")
	}
	if len(f.Names) > 0 {
		b.WriteString(" name:in(" + list(f.Names, same) + ")")
	}
	if f.Site != "" {
		b.WriteString(" site:=" + quote(f.Site))
	}
	for word := range strings.FieldsSeq(f.Search) {
		b.WriteString(" _msg:i(" + quote(word) + "*)")
	}
	if len(f.Any) > 0 {
		b.WriteString(" (")
		for i := range f.Any {
			if i > 0 {
				b.WriteString(" or")
			}
			var one strings.Builder
			f.Any[i].conditions(&one)
			if one.Len() == 0 {
				one.WriteString(" *")
			}
			b.WriteString(" (" + one.String()[1:] + ")")
		}
		b.WriteByte(')')
	}
}

func list[T any](values []T, text func(T) string) string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = quote(text(v))
	}
	return strings.Join(out, ",")
}

// anyCase is a pattern that fits exactly these texts, without regard to case.
func anyCase(texts []string) string {
	out := make([]string, len(texts))
	for i, s := range texts {
		out[i] = regexp.QuoteMeta(strings.ToValidUTF8(s, "\uFFFD"))
	}
	return "(?i)^(?:" + strings.Join(out, "|") + ")$"
}

func eventIDs(ranges []IDRange) string {
	var single, parts []string
	for _, r := range ranges {
		if r.Low == r.High {
			single = append(single, quote(strconv.FormatInt(r.Low, 10)))
		} else {
			parts = append(parts, "event_id:range["+strconv.FormatInt(r.Low, 10)+", "+strconv.FormatInt(r.High, 10)+"]")
		}
	}
	if len(single) > 0 {
		parts = append(parts, "event_id:in("+strings.Join(single, ",")+")")
	}
	return "(" + strings.Join(parts, " or ") + ")"
}
