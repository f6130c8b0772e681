package api

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"nocturne/internal/record"
	"nocturne/ruler/notify"
	"nocturne/ruler/store"
)

func (s *server) silenceRoutes() []route {
	return []route{
		{method: "GET", path: "/silences", name: "silences", summary: "Silences: of planned work, of notifications, acknowledgements",
			params: []param{
				enum("kind", "default: all", store.SilenceAck, store.SilenceOne, store.SilenceMaintenance),
				{name: "standing", kind: kindBool, def: "true", doc: "only those that hold or will; false = all"}, limitParam(),
			}, result: SilenceList{}, handle: s.silences},
		{method: "POST", path: "/silences", name: "silence_add", summary: "Silence a server, a site or whatever matches, for planned work", role: roleEditor,
			body: SilenceRequest{}, result: Silence{}, handle: s.silenceAdd},
		{method: "DELETE", path: "/silences/{id}", name: "silence_lift", summary: "End a silence now", role: roleEditor,
			params: []param{{name: "id", kind: kindText, max: 64, path: true, doc: "silence id"}}, result: Silence{}, handle: s.silenceLift},
	}
}

// SilenceList is silences, the newest first.
type SilenceList struct {
	Items []Silence `json:"items"`
	Limit int       `json:"limit"`
}

// Silence keeps alerts from being told. The notifications go on in the store.
type Silence struct {
	ID             string          `json:"id"`
	Kind           string          `json:"kind" doc:"acknowledge (until it is over or gets worse), silence (of one notification), maintenance (of whatever matches)"`
	State          string          `json:"state" doc:"pending, active or over"`
	NotificationID string          `json:"notification_id" doc:"empty = of maintenance"`
	Matchers       []Matcher       `json:"matchers" doc:"all must hold"`
	StartsAt       *time.Time      `json:"starts_at"`
	EndsAt         *time.Time      `json:"ends_at" doc:"null = with the problem"`
	Reason         string          `json:"reason"`
	By             string          `json:"by"`
	CreatedAt      *time.Time      `json:"created_at"`
	LiftedAt       *time.Time      `json:"lifted_at"`
	LiftedBy       string          `json:"lifted_by"`
	LiftReason     string          `json:"lift_reason"`
	Targets        []SilenceTarget `json:"targets" doc:"what each Alertmanager made of it"`
}

// SilenceTarget is what one Alertmanager made of a silence.
type SilenceTarget struct {
	Target string     `json:"target"`
	OK     bool       `json:"ok"`
	At     *time.Time `json:"at" doc:"since when it is so"`
	Error  string     `json:"error"`
}

// Matcher is a condition on a label of the alert.
type Matcher struct {
	Name  string `json:"name" doc:"alertname, rule_id, server_id, server, device, severity, site, notification_id, …"`
	Op    string `json:"op" doc:"= != =~ !~; regular expressions match the whole value"`
	Value string `json:"value"`
}

// SilenceRequest asks for a silence of planned work: of a server, of a site, or
// of whatever matches.
type SilenceRequest struct {
	ServerID        string     `json:"server_id"`
	Site            string     `json:"site"`
	Matchers        []Matcher  `json:"matchers" doc:"instead, or in addition; at most 16"`
	StartsAt        *time.Time `json:"starts_at" doc:"null = now"`
	EndsAt          *time.Time `json:"ends_at" doc:"at most a year after the start"`
	DurationSeconds int        `json:"duration_seconds" doc:"instead of ends_at"`
	Reason          string     `json:"reason" doc:"what people read; 1 to 4096 bytes"`
}

func (s *server) silenceShown(v store.Silence) Silence {
	state := "active"
	now := s.now()
	switch {
	case !v.Lifted.IsZero() || !v.Ends.IsZero() && !now.Before(v.Ends):
		state = "over"
	case now.Before(v.Starts):
		state = "pending"
	}
	return Silence{
		ID: v.ID, Kind: v.Kind, State: state, NotificationID: v.Notification, StartsAt: at(v.Starts), EndsAt: at(v.Ends), Reason: clip(v.Reason, maxText), By: clip(v.Actor, maxName),
		CreatedAt: at(v.Created), LiftedAt: at(v.Lifted), LiftedBy: clip(v.LiftedBy, maxName), LiftReason: clip(v.LiftReason, maxText),
		Matchers: mapSlice(v.Matchers, func(m store.Matcher) Matcher {
			return Matcher{Name: m.Name, Op: matcherOps[[2]bool{m.Regex, m.Not}], Value: clip(m.Value, maxText)}
		}),
		Targets: mapSlice(v.Targets, func(t store.SilenceTarget) SilenceTarget {
			return SilenceTarget{Target: clip(t.Target, maxName), OK: t.Error == "", At: at(t.At), Error: clip(t.Error, maxText)}
		}),
	}
}

// matcherOps are Alertmanager's operators by (regular expression, not).
var matcherOps = map[[2]bool]string{{false, false}: "=", {false, true}: "!=", {true, false}: "=~", {true, true}: "!~"}

func (s *server) silences(r *request) (any, error) {
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	q := store.SilenceQuery{Kind: r.text("kind"), Limit: r.int("limit")}
	if *r.bool("standing") {
		q.Standing = s.now()
	}
	list, err := desk.Silences(r.ctx, q)
	if err != nil {
		return nil, err
	}
	return SilenceList{Items: mapSlice(list, s.silenceShown), Limit: q.Limit}, nil
}

func (s *server) silenceAdd(r *request) (any, error) {
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	var q SilenceRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	v := s.newSilence(s.now().UTC(), r.who.name, r.who.via, q.Reason)
	v.Kind = store.SilenceMaintenance
	if q.Reason == "" || len(q.Reason) > maxText {
		return nil, badRequest("say why, in 1 to 4096 bytes: people read it while it is quiet", "reason: %d bytes do not fit", len(q.Reason))
	}
	if q.StartsAt != nil && q.StartsAt.After(v.Starts) {
		v.Starts = q.StartsAt.UTC()
	}
	if v.Ends, err = s.end(v.Starts, q.EndsAt, q.DurationSeconds); err != nil {
		return nil, err
	}
	if v.Matchers, err = s.matchersOf(r.ctx, &q); err != nil {
		return nil, err
	}
	if err := desk.AddSilence(r.ctx, *v, s.entry(r, "silence.create", v.ID, map[string]any{"after": v})); err != nil {
		return nil, err
	}
	s.silencesChanged()
	return s.silenceShown(*v), nil
}

const maxMatchers = 16

var labelName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]{0,63}$`)

// matchersOf reads what a silence is about.
func (s *server) matchersOf(ctx context.Context, q *SilenceRequest) ([]store.Matcher, error) {
	var out []store.Matcher
	if q.ServerID != "" {
		id, err := record.ParseID(q.ServerID)
		if err != nil {
			return nil, badRequest("32 hexadecimal digits, as in the id of a server", "server_id: %.80q does not fit", q.ServerID)
		}
		if _, err := s.reader.Server(ctx, id); errors.Is(err, store.ErrNotFound) {
			return nil, &problem{status: http.StatusNotFound, msg: "no such server", hint: "its id is in the answer of the list"}
		} else if err != nil {
			return nil, err
		}
		out = append(out, store.Matcher{Name: notify.LabelServerID, Value: id.String()})
	}
	if q.Site != "" {
		out = append(out, store.Matcher{Name: notify.LabelSite, Value: q.Site})
	}
	for _, m := range q.Matchers {
		v, err := matcherOf(m)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	narrow := slices.ContainsFunc(out, func(m store.Matcher) bool { return !compiled(m).holds("") })
	switch {
	case len(out) == 0 || !narrow:
		return nil, badRequest("name a server_id, a site, or a label that must have a value", "the silence would match everything")
	case len(out) > maxMatchers:
		return nil, badRequest("at most 16", "matchers: %d do not fit", len(out))
	}
	return out, nil
}

func matcherOf(m Matcher) (store.Matcher, error) {
	for key, op := range matcherOps {
		if op != m.Op {
			continue
		}
		out := store.Matcher{Name: m.Name, Value: m.Value, Regex: key[0], Not: key[1]}
		if !labelName.MatchString(m.Name) {
			return out, badRequest("a label's name: letters, digits and _", "matchers: name %.80q does not fit", m.Name)
		}
		if len(m.Value) > maxText || !utf8.ValidString(m.Value) {
			return out, badRequest("at most 4096 bytes of text", "matchers: the value of %s does not fit", m.Name)
		}
		if _, err := regexp.Compile("^(?:" + m.Value + ")$"); out.Regex && err != nil {
			return out, badRequest("a regular expression as RE2 writes it", "matchers: %.200q cannot be read", m.Value)
		}
		return out, nil
	}
	return store.Matcher{}, badRequest("one of = != =~ !~", "matchers: op %.80q does not fit", m.Op)
}

func (s *server) silenceLift(r *request) (any, error) {
	desk, err := s.desk()
	if err != nil {
		return nil, err
	}
	v, err := desk.LiftSilence(r.ctx, r.text("id"), s.entry(r, "silence.lift", r.text("id"), nil))
	var conflict *store.ConflictError
	if errors.As(err, &conflict) {
		return nil, &problem{status: http.StatusConflict, msg: conflict.Detail, hint: "nothing is left to do"}
	}
	if err != nil {
		return nil, err
	}
	s.silencesChanged()
	return s.silenceShown(v), nil
}

// condition is a matcher that can be asked.
type condition struct {
	store.Matcher
	re *regexp.Regexp
}

func compiled(m store.Matcher) condition {
	c := condition{Matcher: m}
	if m.Regex {
		c.re, _ = regexp.Compile("^(?:" + m.Value + ")$") // checked when it was made; else it never holds
	}
	return c
}

func (c condition) holds(value string) bool {
	is := value == c.Value
	if c.Regex {
		is = c.re != nil && c.re.MatchString(value)
	}
	return is != c.Not
}

// quiet tells which notifications a silence keeps quiet now. An
// acknowledgement is said apart.
type quiet []quietOne

type quietOne struct {
	store.Silence
	all []condition
}

func (s *server) quiet(ctx context.Context) (quiet, error) {
	if s.cfg.Desk == nil {
		return nil, nil
	}
	list, err := s.cfg.Desk.Silences(ctx, store.SilenceQuery{Standing: s.now(), Limit: 1000})
	if err != nil {
		return nil, err
	}
	var out quiet
	for _, v := range list {
		if v.Kind == store.SilenceAck || !v.In(s.now()) {
			continue
		}
		one := quietOne{Silence: v}
		for _, m := range v.Matchers {
			one.all = append(one.all, compiled(m))
		}
		out = append(out, one)
	}
	return out, nil
}

// tell fills in the silence of a notification that ends last.
func (q quiet) tell(n *store.Notification, out *Notification) {
	if n.State != store.Firing {
		return
	}
	for _, v := range q {
		if slices.ContainsFunc(v.all, func(c condition) bool { return !c.holds(n.Labels[c.Name]) }) {
			continue
		}
		if out.SilencedUntil == nil || v.Ends.After(*out.SilencedUntil) {
			reason := v.Reason
			if !strings.Contains(reason, " by "+v.Actor+":") { // as in our own sentence
				reason += " (" + v.Actor + ")"
			}
			out.SilencedUntil, out.SilenceReason = at(v.Ends), clip(reason, maxText)
		}
	}
}
