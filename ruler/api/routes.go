package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/store"
)

// route is one operation: how it is asked for, what it answers.
type route struct {
	method, path string
	name         string // operationId, and the metric's label
	summary      string
	params       []param
	body         any // zero value of the request's type; nil = none
	result       any // zero value of the answer's type
	problem      any // zero value of what a refusal may answer in place of Problem; nil = nothing else
	role         role
	public       bool // answered to everybody, logged in or not
	maxBody      int  // bytes; 0 = 64 KiB
	handle       func(*request) (any, error)
	lines        func(r *request, say func(any)) error // instead of handle: lines of JSON, for as long as it takes
	stream       bool                                  // answered by follow, not by handle: the result is the data of an event
}

// param is a parameter in the path or the query.
type param struct {
	name     string
	kind     kind
	doc      string
	path     bool
	enum     []string // of kindEnum and kindList
	min, max int      // of kindInt; max bytes of kindText
	def      string
}

// role is what a caller must be. Whoever may do more may do less.
type role uint8

// The roles, the least first. What a viewer may ask changes nothing but his own
// password.
const (
	roleViewer role = iota
	roleEditor
	roleAdmin
)

type kind uint8

const (
	kindText kind = iota
	kindInt
	kindBool
	kindEnum
	kindList // enum values, separated by commas
	kindTime
	kindServer // a server id
)

// subject names what a path's {id} stands for.
func (rt route) subject() string {
	for prefix, subject := range map[string]string{"/notifications": "notification", "/tokens": "token", "/users": "user", "/join-tokens": "join token", "/silences": "silence", "/windows": "window", "/events": "event", "/register": "entry in the register"} {
		if strings.HasPrefix(rt.path, prefix) {
			return subject
		}
	}
	return "server"
}

func text(name, doc string) param {
	return param{name: name, kind: kindText, doc: doc, max: maxName}
}

func enum(name, doc string, values ...string) param {
	return param{name: name, kind: kindEnum, doc: doc, enum: values}
}

func limitParam() param {
	return param{name: "limit", kind: kindInt, min: 1, max: 1000, def: "100", doc: "rows on a page"}
}

func offsetParam() param {
	return param{name: "offset", kind: kindInt, min: 0, max: 1_000_000, def: "0", doc: "rows to skip"}
}

func beforeID() param {
	return param{name: "before_id", kind: kindInt, min: 0, max: 1<<53 - 1, def: "0", doc: "next_before_id of the page before"}
}

func stateNames() []string {
	var out []string
	for _, st := range store.ServerStates() {
		out = append(out, string(st))
	}
	return out
}

func categoryNames() []string {
	var out []string
	for _, c := range record.Categories() {
		out = append(out, c.String())
	}
	return out
}

var (
	serverID    = param{name: "id", kind: kindServer, path: true, doc: "server id, 32 hexadecimal digits"}
	severities  = store.Severities()
	changeKinds = []string{"added", "removed", "replaced", "moved", "field"}
	sortKeys    = []string{"worst", "-worst", "name", "-name", "site", "-site", "state", "-state", "last_seen", "-last_seen", "os", "-os", "model", "-model", "rack", "-rack", "owner", "-owner",
		"exporter_version", "-exporter_version", "updates", "-updates", "boot_time", "-boot_time", "support_end", "-support_end"}
)

// routes is the whole API: every resource brings its own, in its own file.
func (s *server) routes() []route {
	return slices.Concat(
		s.fleetRoutes(),
		s.serverRoutes(),
		s.changeRoutes(),
		s.serialRoutes(),
		s.deviceRoutes(),
		s.systemRoutes(),
		s.registerRoutes(),
		s.notificationRoutes(),
		s.deedRoutes(),
		s.silenceRoutes(),
		s.windowRoutes(),
		s.streamRoutes(),
		s.noiseRoutes(),
		s.ruleRoutes(),
		s.backtestRoutes(),
		s.eventRoutes(),
		s.eventCountRoutes(),
		s.pipelineRoutes(),
		s.chartRoutes(),
		s.demoRoutes(),
		s.adminRoutes(),
		s.tokenRoutes(),
		s.loginRoutes(),
		s.userRoutes(),
	)
}

// request is a checked request.
type request struct {
	ctx    context.Context
	actor  string // who.name, for the audit log
	who    caller
	values map[string]string
	body   []byte

	http    *http.Request  // for who comes how; everything else was parsed
	cookies []*http.Cookie // to answer with
}

func (r *request) text(name string) string { return r.values[name] }

func (r *request) int(name string) int {
	n, _ := strconv.Atoi(r.values[name]) // checked by parse; absent = 0
	return n
}

func (r *request) bool(name string) *bool {
	v, ok := r.values[name]
	if !ok {
		return nil
	}
	b := v == "true"
	return &b
}

func (r *request) time(name string) time.Time {
	t, _ := time.Parse(time.RFC3339, r.values[name]) // checked by parse; absent = zero
	return t
}

func (r *request) id(name string) record.ID {
	id, _ := record.ParseID(r.values[name]) // checked by parse; absent = zero
	return id
}

func (r *request) list(name string) []string {
	if r.values[name] == "" {
		return nil
	}
	return strings.Split(r.values[name], ",")
}

// parse checks everything a request says against the route.
func (rt route) parse(w http.ResponseWriter, r *http.Request) (*request, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("write it like ?limit=10&offset=20", "the query cannot be read")
	}
	req := &request{ctx: r.Context(), http: r, values: map[string]string{}}
	var known []string
	for _, p := range rt.params {
		if p.path {
			req.values[p.name] = r.PathValue(p.name)
			if err := p.check(req.values[p.name]); err != nil {
				return nil, err
			}
			continue
		}
		known = append(known, p.name)
		values, ok := query[p.name]
		switch {
		case len(values) > 1:
			return nil, badRequest("say it once", "parameter %s is given twice", p.name)
		case ok && values[0] != "":
			if err := p.check(values[0]); err != nil {
				return nil, err
			}
			req.values[p.name] = values[0]
		case p.def != "":
			req.values[p.name] = p.def
		}
	}
	for name := range query {
		if !slices.Contains(known, name) && rt.name != "other" {
			hint := "this path takes no parameters"
			if len(known) > 0 {
				hint = "known here: " + strings.Join(known, ", ")
			}
			return nil, badRequest(hint, "unknown parameter %.80q", name)
		}
	}
	return req, rt.readBody(w, r, req)
}

// check says whether a value fits.
func (p param) check(v string) error {
	fail := func(hint string) error { return badRequest(hint, "parameter %s: %.80q does not fit", p.name, v) }
	switch p.kind {
	case kindInt:
		if n, err := strconv.Atoi(v); err != nil || n < p.min || n > p.max {
			return fail(fmt.Sprintf("a whole number from %d to %d", p.min, p.max))
		}
	case kindBool:
		if v != "true" && v != "false" {
			return fail("true or false")
		}
	case kindEnum:
		if !slices.Contains(p.enum, v) {
			return fail("one of " + strings.Join(p.enum, ", "))
		}
	case kindList:
		for e := range strings.SplitSeq(v, ",") {
			if !slices.Contains(p.enum, e) {
				return fail("any of " + strings.Join(p.enum, ",") + ", with commas between")
			}
		}
	case kindTime:
		if t, err := time.Parse(time.RFC3339, v); err != nil || !storable(t) {
			return fail("a time like 2026-11-21T07:00:00Z, from 1970 to 2200")
		}
	case kindServer:
		if _, err := record.ParseID(v); err != nil {
			return fail("32 hexadecimal digits, as in the id of a server")
		}
	case kindText:
		if len(v) > p.max {
			return fail(fmt.Sprintf("at most %d bytes", p.max))
		}
	}
	return nil
}

// storable tells whether the store can keep a time: it counts nanoseconds since
// 1970 in 64 bits, so that a time of the year 2300 would be one of 1716.
func storable(t time.Time) bool { return t.UTC().Year() >= 1970 && t.UTC().Year() <= 2200 }

// maxBody bounds what a caller may send.
const maxBody = 64 << 10

func (rt route) readBody(w http.ResponseWriter, r *http.Request, req *request) error {
	if rt.body == nil {
		return nil
	}
	// Only a page of our own origin may send this type without asking first.
	if typ, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || typ != "application/json" {
		return &problem{status: http.StatusUnsupportedMediaType, msg: "the body is not said to be JSON", hint: "send Content-Type: application/json"}
	}
	limit := int64(cmp.Or(rt.maxBody, maxBody))
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return &problem{status: http.StatusRequestEntityTooLarge, msg: "the body is too large", hint: fmt.Sprintf("at most %d KiB", limit>>10)}
	case err != nil:
		return badRequest("send it again", "the body broke off")
	}
	req.body = b
	return nil
}

// decode reads the body strictly.
func (r *request) decode(v any) error {
	d := json.NewDecoder(strings.NewReader(string(r.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return badRequest("see "+Prefix+"/openapi.json for its fields", "the body cannot be read: %.200s", err.Error())
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) { // More says no of a stray bracket
		return badRequest("send one JSON object", "there is something behind the body")
	}
	return nil
}
