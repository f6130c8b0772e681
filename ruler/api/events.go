package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/eventlog"
	"nocturne/ruler/rule"
)

// LogEvent is a record as the log store has it.
type LogEvent struct {
	RecordID  string     `json:"record_id"`
	At        *time.Time `json:"at" doc:"the event's own time; where the server's clock is far off, the corrected or the receive time"`
	EventTime *time.Time `json:"event_time" doc:"the event's own time where at is not; else null"`
	ServerID  string     `json:"server_id"`
	Server    string     `json:"server" doc:"its name when the event came"`
	Site      string     `json:"site" doc:"likewise"`
	Simulated bool       `json:"simulated"`
	Category  string     `json:"category"`
	Name      string     `json:"name" doc:"what kind of record: windows.event, journal.entry, …"`
	Severity  string     `json:"severity"`
	Provider  string     `json:"provider"`
	EventID   *int64     `json:"event_id" doc:"null = it has none"`
	Channel   string     `json:"channel"`
	Level     string     `json:"level"`
	Message   string     `json:"message"`
	Truncated bool       `json:"truncated" doc:"true: it was too long for the log store, which has a part"`
}

// LogEventList is a page of events.
type LogEventList struct {
	Items        []LogEvent `json:"items"`
	Limit        int        `json:"limit"`
	Since        *time.Time `json:"since" doc:"since when there are events: as asked for, or the oldest that is kept; null = there are none"`
	Complete     bool       `json:"complete" doc:"false: it was asked for a time of which nothing is kept any more, or not yet"`
	NextBefore   *time.Time `json:"next_before" doc:"before of the next page, together with next_before_id; null = there are no more"`
	NextBeforeID string     `json:"next_before_id"`
}

// LogEventDetail is one event with everything that is kept of it.
type LogEventDetail struct {
	Event  LogEvent `json:"event"`
	Fields []Fact   `json:"fields" doc:"its other fields, as text"`
}

// EventLog is what the log store keeps, as eventlog.Client reads it: with that
// one's errors. It is safe for concurrent use.
type EventLog interface {
	Since(context.Context) (time.Time, error)
	List(ctx context.Context, f eventlog.Filter, before *eventlog.Cursor, limit int) (eventlog.Page, error)
	Get(ctx context.Context, recordID string) (*eventlog.Row, error)
	Count(context.Context, eventlog.CountQuery) (eventlog.Counts, error)
	Kinds(context.Context, eventlog.Filter) ([]eventlog.Kind, error)
}

func (s *server) eventRoutes() []route {
	id := param{name: "id", kind: kindText, path: true, max: maxName, doc: "record id, as in evidence"}
	return []route{
		{method: "GET", path: "/events", name: "events", summary: "Events from the log store, newest first",
			params: append(eventParams(),
				param{name: "before", kind: kindTime, doc: "earlier than; next_before of the page before"},
				param{name: "before_id", kind: kindText, max: maxName, doc: "next_before_id of the page before"}, limitParam()),
			result: LogEventList{}, handle: s.events},
		{method: "GET", path: "/events/{id}", name: "event", summary: "One event with all its fields", params: []param{id}, result: LogEventDetail{}, handle: s.event},
	}
}

// eventParams choose events.
func eventParams() []param {
	return []param{
		{name: "server", kind: kindServer, doc: "server id"},
		{name: "category", kind: kindList, enum: categoryNames(), def: record.EventLog.String(), doc: "of the records"},
		text("provider", "in any case, such as disk"),
		text("event_id", "ids and ranges: 7,11,150-157"),
		text("channel", "in any case, such as System"),
		{name: "level", kind: kindList, enum: rule.Levels(), doc: "of events"},
		text("name", "of records, such as windows.event"),
		deviceParam(),
		text("site", "as it was when the event came"),
		text("search", "words of the message, or their beginnings"),
		{name: "since", kind: kindTime, doc: "at or after, RFC 3339"},
	}
}

// eventlog returns the log store, or says that there is none.
func (s *server) eventlog() (EventLog, error) {
	if s.cfg.Events == nil {
		return nil, &problem{status: http.StatusNotFound, msg: "this ruler knows no log store", hint: "write logs.url in its configuration", code: "no_logs"}
	}
	return s.cfg.Events, nil
}

// eventProblem words an error of the log store.
func eventProblem(err error) error {
	p := &problem{cause: err}
	switch {
	case errors.Is(err, eventlog.ErrNotFound):
		p.status, p.msg, p.hint, p.cause = http.StatusNotFound, "no such event", "the log store keeps events for a time only, and has them a few seconds after they came", nil
	case errors.Is(err, eventlog.ErrSlow):
		p.status, p.msg, p.hint = http.StatusGatewayTimeout, "the log store took too long", "ask for a shorter time, or for one server or provider"
	case errors.Is(err, eventlog.ErrTooMuch):
		p.status, p.msg, p.hint = http.StatusBadRequest, "that is more than the log store answers at once", "ask for a shorter time, or for one server or provider"
	case errors.Is(err, eventlog.ErrAway):
		p.status, p.msg, p.hint = http.StatusServiceUnavailable, "the log store does not answer", "is VictoriaLogs running at logs.url of the ruler's configuration? Events are kept and appear when it is back"
	case errors.Is(err, eventlog.ErrAnswer):
		p.status, p.msg, p.hint = http.StatusBadGateway, "the log store does not answer as it should", "the ruler's log says what it said; is logs.url that of VictoriaLogs?"
	default:
		return err
	}
	return p
}

// eventFilter reads what eventParams say.
func (s *server) eventFilter(r *request) (eventlog.Filter, error) {
	f := eventlog.Filter{From: r.time("since"), Levels: r.list("level"), Site: r.text("site"), Search: r.text("search")}
	if id := r.id("server"); !id.IsZero() {
		f.Servers = []record.ID{id}
	}
	for _, c := range r.list("category") {
		f.Categories = append(f.Categories, categoryOf(c))
	}
	one := func(name string) []string {
		if v := r.text(name); v != "" {
			return []string{v}
		}
		return nil
	}
	f.Providers, f.Channels, f.Names = one("provider"), one("channel"), one("name")
	var err error
	if f.EventIDs, err = parseEventIDs(r.text("event_id")); err != nil {
		return f, err
	}
	return f, s.aboutDevice(&f, r.text("device_type"))
}

func parseEventIDs(s string) ([]eventlog.IDRange, error) {
	if s == "" {
		return nil, nil
	}
	var out []eventlog.IDRange
	for part := range strings.SplitSeq(s, ",") {
		low, high, ranged := strings.Cut(part, "-")
		if !ranged {
			high = low
		}
		a, err := strconv.ParseUint(low, 10, 32)
		b, err2 := strconv.ParseUint(high, 10, 32)
		if err != nil || err2 != nil || a > b {
			return nil, badRequest("ids and ranges, such as 7,11,150-157", "parameter event_id: %.80q does not fit", s)
		}
		out = append(out, eventlog.IDRange{Low: int64(a), High: int64(b)})
	}
	return out, nil
}

func (s *server) events(r *request) (any, error) {
	log, err := s.eventlog()
	if err != nil {
		return nil, err
	}
	f, err := s.eventFilter(r)
	if err != nil {
		return nil, err
	}
	var before *eventlog.Cursor
	switch t := r.time("before"); {
	case !t.IsZero():
		before = &eventlog.Cursor{At: t, ID: r.text("before_id")}
	case r.text("before_id") != "":
		return nil, badRequest("give next_before of the page before too", "before_id without before")
	}
	page, err := log.List(r.ctx, f, before, r.int("limit"))
	if err != nil {
		return nil, eventProblem(err)
	}
	out := LogEventList{Items: mapSlice(page.Rows, eventOf), Limit: r.int("limit")}
	if out.Since, out.Complete, err = s.cover(r, log, r.time("since")); err != nil {
		return nil, err
	}
	if page.Next != nil {
		out.NextBefore, out.NextBeforeID = at(page.Next.At), page.Next.ID
	}
	return out, nil
}

// cover compares the time asked for with what is kept.
func (s *server) cover(r *request, log EventLog, since time.Time) (from *time.Time, complete bool, err error) {
	oldest, err := log.Since(r.ctx)
	switch {
	case err != nil:
		return nil, false, eventProblem(err)
	case oldest.IsZero():
		return nil, since.IsZero(), nil
	case since.Before(oldest):
		return at(oldest), since.IsZero(), nil
	}
	return at(since), true, nil
}

func (s *server) event(r *request) (any, error) {
	log, err := s.eventlog()
	if err != nil {
		return nil, err
	}
	row, err := log.Get(r.ctx, r.text("id"))
	if err != nil {
		return nil, eventProblem(err)
	}
	out := LogEventDetail{Event: eventOf(row), Fields: []Fact{}}
	out.Event.Message = clip(row.Message, maxRaw)
	for _, a := range row.Attrs {
		if len(out.Fields) < record.MaxAttrs {
			out.Fields = append(out.Fields, Fact{Name: clip(a.Key, maxName), Value: clip(a.Value, maxText)})
		}
	}
	return out, nil
}

func eventOf(r *eventlog.Row) LogEvent {
	out := LogEvent{
		RecordID: clip(r.RecordID, maxName), At: at(r.At), EventTime: at(r.EventTime), ServerID: r.Server.String(), Server: clip(r.Name, maxName), Site: clip(r.Site, maxName),
		Simulated: r.Simulated, Category: r.Category.String(), Name: clip(r.Record, maxName), Severity: clip(r.Severity, maxName), Provider: clip(r.Provider, maxName),
		Channel: clip(r.Channel, maxName), Level: clip(r.Level, maxName), Message: clip(r.Message, maxText), Truncated: r.Truncated,
	}
	if n, err := strconv.ParseInt(r.EventID, 10, 64); err == nil && n >= 0 && n <= math.MaxUint32 {
		out.EventID = &n
	}
	return out
}
