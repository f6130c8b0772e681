package victorialogs

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
	"nocturne/internal/record"
)

// Limits of one row. VictoriaLogs drops rows with more than 1000 fields, and
// lines longer than -insert.maxLineSizeBytes together with what follows them
// in the same read, both with HTTP 200.
const (
	maxFields  = 900
	firstCut   = 128 << 10 // bytes of one value
	smallest   = 32
	ownFields  = 20 // the columns that are ours come first and stay
	wrongClock = time.Hour
)

// renamed are attributes that have a column of their own.
var renamed = map[string]string{
	record.AttrChannel:  "channel",
	record.AttrProvider: "provider",
	record.AttrEventID:  "event_id",
	record.AttrLevel:    "level",
}

// reserved are the columns that no attribute may write.
var reserved = map[string]bool{
	"server_id": true, "server": true, "category": true, "name": true, "severity": true, "channel": true, "provider": true,
	"event_id": true, "level": true, "record_id": true, "entry": true, "partition": true, "event_time": true, "truncated": true,
	"devices": true, "states": true, "simulated": true, "site": true, "raw_bytes": true,
}

// rowTime returns the row's time, and whether it is not the event's own: a
// wrong clock, or further back than the store keeps.
func rowTime(r *sink.Row, maxAge time.Duration) (at time.Time, moved bool) {
	own := r.Record.Time
	if own.IsZero() {
		own = r.Record.Observed
	}
	at = own
	if r.Skew > series.MaxSkew || r.Skew < -series.MaxSkew {
		at = at.Add(r.Skew)
	}
	if at.IsZero() || at.After(r.Received.Add(wrongClock)) || r.Received.Sub(at) > maxAge {
		at = r.Received
	}
	return at, !at.Equal(own)
}

// line is a row being written.
type line struct {
	b      []byte
	fields int
	cut    int // bytes of a value
	most   int // fields
	short  bool
}

// appendRow appends a row as one line of JSON, at most maxLine long, and says
// whether something had to be left out.
func appendRow(dst []byte, r *sink.Row, maxLine int, maxAge time.Duration) (out []byte, short bool) {
	start := len(dst)
	for cut, most := firstCut, maxFields; ; {
		l := line{b: dst[:start], cut: cut, most: most}
		l.row(r, maxAge)
		if len(l.b)-start <= maxLine || most < ownFields {
			return l.b, l.short
		}
		dst = l.b
		if cut > smallest {
			cut /= 8
		} else {
			most /= 2
		}
	}
}

func (l *line) row(r *sink.Row, maxAge time.Duration) {
	rec, h := r.Record, r.Header
	at, moved := rowTime(r, maxAge)
	l.b = append(l.b, `{"_time":"`...)
	l.b = at.UTC().AppendFormat(l.b, time.RFC3339Nano)
	l.b = append(l.b, '"')
	msg := rec.Body
	if msg == "" {
		msg = rec.Name
	}
	l.text("_msg", msg)
	l.own("server_id", h.Subject.String())
	l.own("server", r.Server.Name)
	l.own("site", r.Server.Site)
	if r.Server.Simulated {
		l.own("simulated", "true")
	}
	l.own("category", h.Category.String())
	l.text("name", rec.Name)
	l.own("severity", rec.Severity.String())
	l.own("record_id", r.ID())
	l.number("entry", r.Entry)
	l.number("partition", uint64(r.Partition))
	if moved {
		own := rec.Time
		if own.IsZero() {
			own = rec.Observed
		}
		if !own.IsZero() {
			l.own("event_time", own.UTC().Format(time.RFC3339Nano))
		}
	}
	for i := range rec.Attrs {
		l.attr(rec, "", &rec.Attrs[i], 0)
	}
	if rec.Snapshot != nil {
		l.snapshot(rec.Snapshot)
	}
	if l.short {
		l.b = append(l.b, `,"truncated":"true"`...)
	}
	l.b = append(l.b, '}', '\n')
}

// attr writes one attribute, maps as dotted names. The tool's raw document is
// only measured: it is evidence, and the stream has it.
func (l *line) attr(rec *record.Record, prefix string, a *record.Attr, depth int) {
	key := prefix + a.Key
	if key == record.AttrRaw {
		l.number("raw_bytes", uint64(len(a.Value.Text())))
		return
	}
	if a.Value.Kind() == record.KindMap && depth < record.MaxDepth {
		for i := range a.Value.Map() {
			l.attr(rec, key+".", &a.Value.Map()[i], depth+1)
		}
		return
	}
	if to, ok := renamed[key]; ok && depth == 0 {
		l.text(to, a.Value.Text())
		return
	}
	if reserved[key] || strings.HasPrefix(key, "_") || key == "" || depth > 0 && !rec.Attr(key).IsNull() {
		key = "attr." + key
	}
	l.text(key, a.Value.Text())
}

// snapshot writes how many devices there are and the states of those that
// have one; the ruler keeps the rest.
func (l *line) snapshot(s *record.Snapshot) {
	l.number("devices", uint64(len(s.Devices)))
	var b strings.Builder
	for i := range s.Devices {
		state := s.Devices[i].Field(record.FieldState).Text()
		if state == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(s.Devices[i].Type + " " + s.Devices[i].Place + " " + state)
		if b.Len() > 16<<10 {
			l.short = true
			break
		}
	}
	l.text("states", b.String())
}

func (l *line) key(k string) bool {
	if l.fields >= l.most {
		l.short = true
		return false
	}
	l.fields++
	l.b = append(l.b, ',')
	l.b = record.AppendJSONString(l.b, k)
	l.b = append(l.b, ':')
	return true
}

// text writes a field; an empty one means the same as none.
func (l *line) text(k, v string) {
	if v == "" || !l.key(k) {
		return
	}
	if len(v) > l.cut {
		n := l.cut
		for n > 0 && !utf8.RuneStart(v[n]) {
			n--
		}
		v, l.short = v[:n], true
	}
	l.b = record.AppendJSONString(l.b, v)
}

// own writes one of our columns, which are short and never cut.
func (l *line) own(k, v string) {
	if v != "" && l.key(k) {
		l.b = record.AppendJSONString(l.b, v)
	}
}

func (l *line) number(k string, v uint64) {
	if l.key(k) {
		l.b = append(l.b, '"')
		l.b = strconv.AppendUint(l.b, v, 10)
		l.b = append(l.b, '"')
	}
}
