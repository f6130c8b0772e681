package api

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"nocturne/internal/record"
	"nocturne/ruler/engine"
	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
)

// Planned work: while a window holds for a server, what changes in it is told to
// nobody. What fails is.

func (s *server) windowRoutes() []route {
	id := param{name: "id", kind: kindText, max: 64, path: true, doc: "window id"}
	return []route{
		{method: "GET", path: "/windows", name: "windows", summary: "Planned work: windows in which changes are told to nobody, of rule files and of the store",
			params: []param{{name: "standing", kind: kindBool, def: "true", doc: "only those that hold or will; false = all"}, {name: "over", kind: kindBool, def: "false", doc: "only those that are over or ended, the last first"},
				{name: "server", kind: kindServer, doc: "only those that are about this server"}, limitParam(), offsetParam()}, result: WindowList{}, handle: s.windows},
		{method: "POST", path: "/windows", name: "window_plan", summary: "Plan work", body: WindowRequest{}, result: WindowChange{}, role: roleEditor, handle: s.windowPlan},
		{method: "POST", path: "/windows/preview", name: "window_preview", summary: "Say what a plan means, or what is wrong with it: nothing is planned", body: WindowRequest{}, result: WindowPreview{}, handle: s.windowPreview},
		{method: "GET", path: "/windows/{id}", name: "window", summary: "One window, and its versions", params: []param{id}, result: WindowDetail{}, handle: s.window},
		{method: "PUT", path: "/windows/{id}", name: "window_change", summary: "Change a window of the store", params: []param{id}, body: WindowRequest{}, result: WindowChange{}, role: roleEditor, handle: s.windowChange},
		{method: "DELETE", path: "/windows/{id}", name: "window_end", summary: "End a window of the store now; its versions stay",
			params: []param{id, {name: "version", kind: kindInt, min: 0, max: 1 << 30, def: "0", doc: "the newest version, as it was read"}, text("comment", "why")}, result: WindowChange{}, role: roleEditor, handle: s.windowEnd},
	}
}

// WindowList is planned work: what holds first, then what comes, then the rest.
type WindowList struct {
	Items  []Window `json:"items"`
	Total  int      `json:"total"`
	Limit  int      `json:"limit"`
	Offset int      `json:"offset"`
}

// Window is planned work.
type Window struct {
	ID        string              `json:"id"`
	Source    string              `json:"source" doc:"file or store; those of files are changed in their files"`
	State     string              `json:"state" doc:"active, planned, over, ended (by somebody, early) or broken (see off)"`
	Off       string              `json:"off" doc:"why it does not count although nobody ended it"`
	Who       string              `json:"who"`
	Reason    string              `json:"reason"`
	Servers   map[string][]string `json:"servers" doc:"label to values; all keys must agree, any of the values, without regard to case; empty = all servers"`
	Condition string              `json:"condition" doc:"servers in words, with conditions that only a file can write"`
	StartsAt  *time.Time          `json:"starts_at" doc:"null = weekly"`
	EndsAt    *time.Time          `json:"ends_at" doc:"null = weekly"`
	Weekly    Weekly              `json:"weekly" doc:"without days = once"`
	Until     *time.Time          `json:"until" doc:"of an active one: when it stops to hold"`
	NextAt    *time.Time          `json:"next_at" doc:"when it begins next; null = never again, or it is unknown"`
	Concerns  int                 `json:"concerns" doc:"how many servers it is about, as they are now"`
	Version   int                 `json:"version" doc:"0 = of a file"`
	ChangedBy string              `json:"changed_by"`
	ChangedAt *time.Time          `json:"changed_at"`
	Comment   string              `json:"comment" doc:"of the newest version"`
}

// Weekly is a time that comes every week.
type Weekly struct {
	Days []string `json:"days" doc:"mon tue wed thu fri sat sun: on which it begins"`
	From string   `json:"from" doc:"22:00"`
	To   string   `json:"to" doc:"02:00; not after from = on the next day"`
	Zone string   `json:"zone" doc:"as in Europe/Zurich; empty = UTC"`
}

// WindowDetail is a window with its versions, the newest first.
type WindowDetail struct {
	Window   Window        `json:"window"`
	Versions []RuleVersion `json:"versions"`
}

// WindowRequest plans work or changes a plan: from one time to another, or weekly.
type WindowRequest struct {
	ID              string              `json:"id" doc:"words in lower case with dashes; empty = a new one is made up"`
	Servers         map[string][]string `json:"servers" doc:"name, site, rack, role, owner, os: label to values"`
	AllServers      bool                `json:"all_servers" doc:"instead of servers"`
	StartsAt        *time.Time          `json:"starts_at" doc:"null = now"`
	EndsAt          *time.Time          `json:"ends_at" doc:"at most 31 days after the start"`
	DurationSeconds int                 `json:"duration_seconds" doc:"instead of ends_at"`
	Weekly          *Weekly             `json:"weekly" doc:"instead of times"`
	Reason          string              `json:"reason" doc:"what people read; 1 to 120 bytes"`
	Version         int                 `json:"version" doc:"of a change: the newest, as it was read"`
	Comment         string              `json:"comment" doc:"why it was changed"`
}

// WindowPreview is what a plan would be.
type WindowPreview struct {
	Window   Window         `json:"window"`
	Times    []WindowTime   `json:"times" doc:"when it would hold: the one that would run, and the next ones"`
	Examples []WindowServer `json:"examples" doc:"some of the servers that it is about"`
}

// WindowTime is one time of a window.
type WindowTime struct {
	From *time.Time `json:"from"`
	To   *time.Time `json:"to"`
}

// WindowServer is a server that a window is about.
type WindowServer struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// WindowChange is what an edit did.
type WindowChange struct {
	Window     Window   `json:"window"`
	Generation int64    `json:"generation"`
	Changes    []string `json:"changes"`
}

func (s *server) windowShown(w *rulebook.Window) Window {
	out := Window{ID: clip(w.ID, maxName), Source: string(w.Source), Off: clip(w.Off, maxText), Servers: map[string][]string{}, Weekly: Weekly{Days: []string{}}}
	now := s.now()
	if p := w.Plan; p != nil {
		out.Who, out.Reason, out.Condition = p.Who, p.Why, selectorText(p.Servers)
		for key, m := range p.Servers {
			out.Servers[key] = append([]string{}, m.In...)
		}
		if len(p.Days) > 0 {
			out.Weekly = Weekly{Days: []string{}, From: wall(p.Start), To: wall((p.Start + p.Length) % (24 * time.Hour)), Zone: p.Zone}
			for _, d := range p.Days {
				out.Weekly.Days = append(out.Weekly.Days, strings.ToLower(d.String()[:3]))
			}
		} else {
			out.StartsAt, out.EndsAt = at(p.From), at(p.To)
		}
	}
	if v := w.Stored; v != nil {
		out.Version, out.ChangedBy, out.ChangedAt, out.Comment = v.Version, clip(v.Author, maxName), at(v.At), clip(v.Comment, maxText)
	}
	out.State = windowState(w, now)
	if out.State == "active" {
		until, _ := w.Plan.Covers(now)
		out.Until = at(until)
	}
	if out.State == "active" || out.State == "planned" {
		if from, _, ok := w.Plan.Next(now); ok {
			out.NextAt = at(from)
		}
	}
	return out
}

// selectorText says for which servers a window holds.
func selectorText(servers rule.Selector) string {
	var parts []string
	for _, key := range rule.SelectorKeys() {
		if _, ok := servers[key]; ok {
			parts = append(parts, servers.Describe(key))
		}
	}
	return clip(cmp.Or(strings.Join(parts, " and "), "all servers"), maxText)
}

func wall(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", d/time.Hour, d%time.Hour/time.Minute)
}

// windowStates are in the order of the list.
var windowStates = []string{"active", "planned", "broken", "over", "ended"}

func windowState(w *rulebook.Window, now time.Time) string {
	over := w.Plan != nil && len(w.Plan.Days) == 0 && !now.Before(w.Plan.To)
	switch {
	case w.Ended():
		return "ended"
	case over:
		return "over"
	case w.Off != "":
		return "broken"
	}
	if _, holds := w.Plan.Covers(now); holds {
		return "active"
	}
	return "planned"
}

func (s *server) windows(r *request) (any, error) {
	book, _, err := s.book()
	if err != nil {
		return nil, err
	}
	out := WindowList{Items: []Window{}, Limit: r.int("limit"), Offset: r.int("offset")}
	standing, over := *r.bool("standing"), *r.bool("over")
	plans := map[string]*rule.Window{}
	for _, w := range book.Windows() {
		v := s.windowShown(&w)
		if gone := v.State == "over" || v.State == "ended"; over && !gone || !over && standing && gone {
			continue
		}
		plans[v.ID] = w.Plan
		out.Items = append(out.Items, v)
	}
	if len(out.Items) == 0 { // as on most nights: no server needs to be read
		return out, nil
	}
	known, err := s.known.all(r.ctx, s)
	if err != nil {
		return nil, err
	}
	out.Items = slices.DeleteFunc(out.Items, func(v Window) bool { return !aboutServer(known, r.id("server"), plans[v.ID]) })
	slices.SortStableFunc(out.Items, func(a, b Window) int {
		byState := cmp.Compare(slices.Index(windowStates, a.State), slices.Index(windowStates, b.State))
		if over {
			byState = windowTime(&b).Compare(windowTime(&a))
		}
		return cmp.Or(byState, windowTime(&a).Compare(windowTime(&b)), cmp.Compare(a.ID, b.ID))
	})
	out.Total = len(out.Items)
	from := min(out.Offset, out.Total)
	out.Items = out.Items[from:min(from+out.Limit, out.Total)]
	for i := range out.Items {
		v := &out.Items[i]
		v.Concerns, _ = concerned(known, plans[v.ID])
	}
	return out, nil
}

// windowTime is the time that orders windows of a state: when the active one ends,
// when the planned one begins, when the others ended.
func windowTime(v *Window) time.Time {
	for _, t := range []*time.Time{v.Until, v.NextAt} {
		if t != nil {
			return *t
		}
	}
	last := v.EndsAt
	if v.State == "ended" || last == nil {
		last = v.ChangedAt
	}
	if last == nil {
		return time.Time{}
	}
	return *last
}

// aboutServer tells whether a plan is about one server; without one, whatever it is about.
func aboutServer(known []store.Server, id record.ID, plan *rule.Window) bool {
	if id.IsZero() {
		return true
	}
	i := slices.IndexFunc(known, func(v store.Server) bool { return v.ID == id })
	return i >= 0 && plan != nil && plan.Servers.Match(serverLabel(&known[i]))
}

// concerned counts the servers that a plan is about, and names some.
func concerned(known []store.Server, plan *rule.Window) (int, []WindowServer) {
	n, examples := 0, []WindowServer{}
	for i := range known {
		if plan == nil || !plan.Servers.Match(serverLabel(&known[i])) {
			continue
		}
		if n++; len(examples) < 5 {
			examples = append(examples, WindowServer{ID: known[i].ID.String(), Name: clip(known[i].Name, maxName)})
		}
	}
	return n, examples
}

// serverLabel returns what a Selector asks for, as the engine knows it.
func serverLabel(v *store.Server) func(key string) string {
	facts := engine.FactsOf(v)
	return facts.Label
}

// knownServers are all servers, read at most every knownFor: a form asks with every key.
type knownServers struct {
	mu    sync.Mutex
	until time.Time
	last  []store.Server
}

const knownFor = 5 * time.Second

func (k *knownServers) all(ctx context.Context, s *server) ([]store.Server, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := s.now(); now.Before(k.until) && k.until.Sub(now) <= knownFor {
		return k.last, nil
	}
	var all []store.Server
	for {
		page, err := s.reader.Servers(ctx, store.ServerQuery{Limit: store.MaxServers, Offset: len(all)})
		if err != nil {
			return nil, err
		}
		if all = append(all, page.Servers...); len(all) >= page.Total || len(page.Servers) == 0 {
			break
		}
	}
	k.last, k.until = all, s.now().Add(knownFor)
	return all, nil
}

func (s *server) window(r *request) (any, error) {
	book, _, err := s.book()
	if err != nil {
		return nil, err
	}
	w, err := book.Window(r.text("id"))
	if err != nil {
		return nil, windowProblem(err)
	}
	versions, err := book.WindowVersions(r.ctx, w.ID)
	if err != nil {
		return nil, err
	}
	known, err := s.known.all(r.ctx, s)
	if err != nil {
		return nil, err
	}
	shown := s.windowShown(&w)
	shown.Concerns, _ = concerned(known, w.Plan)
	return WindowDetail{Window: shown, Versions: mapSlice(versions, func(v store.Window) RuleVersion {
		return versionOf(&store.RuleVersion{Version: v.Version, At: v.At, Author: v.Author, Action: v.Action, Comment: v.Comment, YAML: v.YAML})
	})}, nil
}

// windowProblem says what is wrong with an edit.
func windowProblem(err error) error {
	switch {
	case errors.Is(err, rulebook.ErrUnknown):
		return &problem{status: http.StatusNotFound, msg: clip(err.Error(), maxText), hint: "ids are in the answer of the list"}
	case errors.Is(err, rulebook.ErrTaken):
		return &problem{status: http.StatusConflict, msg: clip(err.Error(), maxText), hint: "ids are for ever; without one, a new one is made up"}
	case errors.Is(err, store.ErrConflict):
		return &problem{status: http.StatusConflict, msg: clip(err.Error(), maxText), hint: "read it again"}
	case errors.Is(err, rulebook.ErrReadOnly):
		return &problem{status: http.StatusForbidden, msg: clip(err.Error(), maxText), hint: "windows of files are changed in their files"}
	case errors.Is(err, rulebook.ErrInvalid):
		hint := "nothing was changed"
		var list rule.Errors
		if errors.As(err, &list) && len(list) > 0 {
			return badRequest(list[0].Hint, "%.400s", list[0].Text)
		}
		return badRequest(hint, "%.400s", err.Error())
	}
	return err
}

// windowText writes a request as it would stand in a rule file, so that it means
// the same and is checked by the same parser.
func (s *server) windowText(q *WindowRequest, who string) (string, error) {
	w := struct {
		ID      string              `yaml:"id"`
		Who     string              `yaml:"who"`
		Why     string              `yaml:"why"`
		Servers map[string][]string `yaml:"servers,omitempty"`
		From    string              `yaml:"from,omitempty"`
		To      string              `yaml:"to,omitempty"`
		Weekly  *Weekly             `yaml:"weekly,omitempty"`
	}{ID: q.ID, Who: rule.Clean(who, 120), Why: q.Reason, Servers: q.Servers}
	switch {
	case q.AllServers == (len(q.Servers) > 0):
		return "", badRequest(`for example "servers": {"site": ["bern"]}, or "all_servers": true`, "it says no servers, or two things")
	case q.Weekly != nil && (q.StartsAt != nil || q.EndsAt != nil || q.DurationSeconds != 0):
		return "", badRequest("give one of them", "weekly and times do not go together")
	case q.Weekly != nil:
		weekly := *q.Weekly
		weekly.Zone = cmp.Or(weekly.Zone, "UTC")
		w.Weekly = &weekly
	default:
		starts := s.now().UTC()
		if q.StartsAt != nil {
			starts = q.StartsAt.UTC()
		}
		ends, err := s.end(starts, q.EndsAt, q.DurationSeconds)
		if err != nil {
			return "", err
		}
		w.From, w.To = starts.Format(time.RFC3339), ends.Format(time.RFC3339)
	}
	b, err := yaml.Marshal(w)
	return string(b), err
}

func (s *server) windowEdit(r *request, q *WindowRequest, fn func(ctx context.Context, b *rulebook.Book) (rulebook.Window, rulebook.Outcome, error)) (any, error) {
	book, _, err := s.book()
	if err != nil {
		return nil, err
	}
	if q != nil {
		if err := r.decode(q); err != nil {
			return nil, err
		}
	}
	w, out, err := fn(context.WithoutCancel(r.ctx), book)
	if err != nil {
		return nil, windowProblem(err)
	}
	return WindowChange{Window: s.windowShown(&w), Generation: int64(out.Generation), Changes: append([]string{}, out.Changes...)}, nil
}

func (s *server) windowPlan(r *request) (any, error) {
	var q WindowRequest
	return s.windowEdit(r, &q, func(ctx context.Context, b *rulebook.Book) (rulebook.Window, rulebook.Outcome, error) {
		if q.ID == "" {
			q.ID = "work-" + hex.EncodeToString(randomBytes(5))
		}
		text, err := s.windowText(&q, r.actor)
		if err != nil {
			return rulebook.Window{}, rulebook.Outcome{}, err
		}
		return b.Plan(ctx, r.editor(q.Comment), text)
	})
}

func (s *server) windowPreview(r *request) (any, error) {
	var q WindowRequest
	if err := r.decode(&q); err != nil {
		return nil, err
	}
	q.ID = cmp.Or(q.ID, "preview")
	q.Reason = cmp.Or(strings.TrimSpace(q.Reason), "–") // it is written last
	text, err := s.windowText(&q, r.actor)
	if err != nil {
		return nil, err
	}
	w, err := rulebook.ReadWindow(text)
	if err != nil {
		return nil, windowProblem(err)
	}
	known, err := s.known.all(r.ctx, s)
	if err != nil {
		return nil, err
	}
	out := WindowPreview{Window: s.windowShown(&w), Times: []WindowTime{}}
	out.Window.Concerns, out.Examples = concerned(known, w.Plan)
	now := s.now()
	if until, ok := w.Plan.Covers(now); ok {
		out.Times = append(out.Times, WindowTime{From: out.Window.StartsAt, To: at(until)})
	}
	for from := now; len(out.Times) < 3; {
		begins, ends, ok := w.Plan.Next(from)
		if !ok || len(w.Plan.Days) == 0 && len(out.Times) > 0 {
			break
		}
		out.Times = append(out.Times, WindowTime{From: at(begins), To: at(ends)})
		from = begins.Add(time.Minute)
	}
	return out, nil
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

func (s *server) windowChange(r *request) (any, error) {
	var q WindowRequest
	return s.windowEdit(r, &q, func(ctx context.Context, b *rulebook.Book) (rulebook.Window, rulebook.Outcome, error) {
		q.ID = cmp.Or(q.ID, r.text("id"))
		text, err := s.windowText(&q, r.actor)
		if err != nil {
			return rulebook.Window{}, rulebook.Outcome{}, err
		}
		return b.Replan(ctx, r.editor(q.Comment), r.text("id"), q.Version, text)
	})
}

func (s *server) windowEnd(r *request) (any, error) {
	return s.windowEdit(r, nil, func(ctx context.Context, b *rulebook.Book) (rulebook.Window, rulebook.Outcome, error) {
		return b.End(ctx, r.editor(r.text("comment")), r.text("id"), r.int("version"))
	})
}
