package api

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/eventlog"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// EventCounts are how often events came.
type EventCounts struct {
	Since       *time.Time    `json:"since" doc:"since when is counted: as asked for, or the oldest event that is kept; null = there are none"`
	Before      *time.Time    `json:"before"`
	Complete    bool          `json:"complete" doc:"false: it was asked for a time of which nothing is kept any more, or not yet"`
	StepSeconds int64         `json:"step_seconds"`
	Times       []time.Time   `json:"times" doc:"where the steps begin; days are those of UTC"`
	Total       []int64       `json:"total" doc:"events of each step, each once; those of devices may be in several series"`
	Others      []int64       `json:"others" doc:"those in no series"`
	Series      []EventSeries `json:"series" doc:"the groups with the most, the most first"`
}

// EventSeries are the counts of one group.
type EventSeries struct {
	ServerID   string  `json:"server_id" doc:"of groups by server; else empty"`
	Server     string  `json:"server" doc:"its name in the register now; empty = not in it"`
	Provider   string  `json:"provider" doc:"of groups by provider or event id"`
	EventID    string  `json:"event_id" doc:"of groups by event id; empty = it has none"`
	Level      string  `json:"level"`
	Category   string  `json:"category"`
	Site       string  `json:"site"`
	DeviceType string  `json:"device_type" doc:"that a rule says such an event is about"`
	Sum        int64   `json:"sum"`
	Counts     []int64 `json:"counts" doc:"of each step"`
}

// EventKindList are what kinds of events the fleet knows.
type EventKindList struct {
	Since    *time.Time  `json:"since" doc:"since when events are kept; a kind may have been there before; null = there are none"`
	Complete bool        `json:"complete" doc:"false: it was asked for a time of which nothing is kept any more"`
	Total    int         `json:"total"`
	Limit    int         `json:"limit"`
	Items    []EventKind `json:"items" doc:"first seen last first"`
}

// EventKind is a provider and an event id.
type EventKind struct {
	Provider  string     `json:"provider"`
	EventID   string     `json:"event_id" doc:"empty = it has none"`
	Name      string     `json:"name" doc:"of the records"`
	Count     int64      `json:"count" doc:"of all that is kept, each once"`
	Servers   int64      `json:"servers"`
	FirstSeen *time.Time `json:"first_seen" doc:"on the whole fleet, of what is kept"`
	LastSeen  *time.Time `json:"last_seen"`
}

const (
	countedSince = 7 * 24 * time.Hour // where nothing else is said
	byTheHour    = 4 * 24 * time.Hour // what is longer is counted by the day
)

func (s *server) eventCountRoutes() []route {
	var groups []string
	for _, g := range eventlog.Groups() {
		groups = append(groups, string(g))
	}
	by := enum("by", "what is counted apart", groups...)
	by.def = string(eventlog.ByNothing)
	step := enum("step", "auto: by the hour for up to four days, else by the day", "auto", "hour", "day")
	step.def = "auto"
	return []route{
		{method: "GET", path: "/event-counts", name: "event_counts", summary: "How often events came, by hour or day and by group; without since: of the last 7 days",
			params: append(eventParams(), param{name: "before", kind: kindTime, doc: "earlier than; default: now"}, by, step,
				param{name: "top", kind: kindInt, min: 1, max: 20, def: "10", doc: "groups that are counted apart; of device types all are"}),
			result: EventCounts{}, handle: s.eventCounts},
		{method: "GET", path: "/event-kinds", name: "event_kinds", summary: "Kinds of events, with when the fleet saw each first; with since: those that it saw first since then",
			params: append(eventParams(), limitParam()), result: EventKindList{}, handle: s.eventKinds},
	}
}

func (s *server) eventCounts(r *request) (any, error) {
	log, err := s.eventlog()
	if err != nil {
		return nil, err
	}
	f, err := s.eventFilter(r)
	if err != nil {
		return nil, err
	}
	now := s.now().UTC()
	if f.To = r.time("before"); f.To.IsZero() {
		f.To = now
	}
	if f.From.IsZero() {
		f.From = f.To.Add(-countedSince)
	}
	if !f.From.Before(f.To) {
		return nil, badRequest("since before before", "since %s is not earlier than %s", f.From.Format(time.RFC3339), f.To.Format(time.RFC3339))
	}
	out := EventCounts{Before: at(f.To), Times: []time.Time{}, Total: []int64{}, Others: []int64{}, Series: []EventSeries{}}
	if out.Since, out.Complete, err = s.cover(r, log, f.From); err != nil {
		return nil, err
	}
	if out.Since == nil || !out.Since.Before(f.To) {
		return out, nil
	}
	f.From = *out.Since
	q := eventlog.CountQuery{Filter: f, Step: stepOf(r.text("step"), f.To.Sub(f.From)), Group: eventlog.Group(r.text("by")), Top: r.int("top")}
	if q.Group == eventlog.ByDevice {
		q.Devices = eventlog.ConcernDevices(s.activeRules())
	}
	counts, err := log.Count(r.ctx, q)
	if err != nil {
		return nil, eventProblem(err)
	}
	out.StepSeconds, out.Times, out.Total, out.Others = int64(q.Step/time.Second), counts.Times, counts.Total, counts.Others
	for i := range counts.Series {
		v, err := s.eventSeries(r, q.Group, &counts.Series[i])
		if err != nil {
			return nil, err
		}
		out.Series = append(out.Series, v)
	}
	return out, nil
}

func stepOf(name string, span time.Duration) time.Duration {
	if name == "hour" || name == "auto" && span <= byTheHour {
		return time.Hour
	}
	return 24 * time.Hour
}

func (s *server) eventSeries(r *request, by eventlog.Group, v *eventlog.Series) (EventSeries, error) {
	out := EventSeries{Sum: v.Sum, Counts: v.Counts}
	key := clip(v.Key[0], maxName)
	switch by {
	case eventlog.ByServer:
		out.ServerID = key
		id, err := record.ParseID(key)
		if err != nil {
			break
		}
		switch d, err := s.reader.Server(r.ctx, id); {
		case err == nil:
			out.Server = clip(d.Server.Name, maxName)
		case !errors.Is(err, store.ErrNotFound):
			return out, err
		}
	case eventlog.ByProvider:
		out.Provider = key
	case eventlog.ByEventID:
		out.Provider, out.EventID = key, clip(v.Key[1], maxName)
	case eventlog.ByLevel:
		out.Level = key
	case eventlog.ByCategory:
		out.Category = key
	case eventlog.BySite:
		out.Site = key
	case eventlog.ByDevice:
		out.DeviceType = key
	}
	return out, nil
}

// activeRules are those that are carried out.
func (s *server) activeRules() []*rule.Rule {
	if s.cfg.Rules == nil {
		return nil
	}
	return s.cfg.Rules.Generation().Rules
}

// eventKinds looks at all that is kept: only then is first seen what it says.
func (s *server) eventKinds(r *request) (any, error) {
	log, err := s.eventlog()
	if err != nil {
		return nil, err
	}
	f, err := s.eventFilter(r)
	if err != nil {
		return nil, err
	}
	since := f.From
	f.From = time.Time{}
	kinds, err := log.Kinds(r.ctx, f)
	if err != nil {
		return nil, eventProblem(err)
	}
	kinds = slices.DeleteFunc(kinds, func(k eventlog.Kind) bool { return k.First.Before(since) })
	slices.SortFunc(kinds, func(a, b eventlog.Kind) int {
		return cmp.Or(b.First.Compare(a.First), cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.EventID, b.EventID), cmp.Compare(a.Record, b.Record))
	})
	out := EventKindList{Total: len(kinds), Limit: r.int("limit")}
	if _, out.Complete, err = s.cover(r, log, since); err != nil {
		return nil, err
	}
	if out.Since, _, err = s.cover(r, log, time.Time{}); err != nil {
		return nil, err
	}
	out.Items = mapSlice(kinds[:min(len(kinds), out.Limit)], func(k eventlog.Kind) EventKind {
		return EventKind{Provider: clip(k.Provider, maxName), EventID: clip(k.EventID, 20), Name: clip(k.Record, maxName), Count: k.Count, Servers: k.Servers, FirstSeen: at(k.First), LastSeen: at(k.Last)}
	})
	return out, nil
}

// deviceParam chooses events by what rules say they are about.
func deviceParam() param {
	return param{name: "device_type", kind: kindText, max: maxName, doc: "that a rule says such an event is about, such as disk"}
}

// aboutDevice narrows a filter to events that rules say are about a type.
func (s *server) aboutDevice(f *eventlog.Filter, typ string) error {
	if typ == "" {
		return nil
	}
	devices := eventlog.ConcernDevices(s.activeRules())
	if f.Any = devices[typ]; f.Any != nil {
		return nil
	}
	names := ""
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		names += " " + strconv.Quote(name)
	}
	return badRequest("rules say it of"+names, "no rule says that events are about a %.40q", typ)
}
