package api

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"time"

	"nocturne/internal/stream"
	"nocturne/ruler/backtest"
	"nocturne/ruler/rule"
	"nocturne/ruler/rulebook"
	"nocturne/ruler/store"
)

// BacktestRequest tries a rule on the past.
type BacktestRequest struct {
	ID           string `json:"id" doc:"a rule that exists; or"`
	YAML         string `json:"yaml" doc:"one that does not, or another text of one that does: then both are tried"`
	SinceSeconds int64  `json:"since_seconds" doc:"how far back; default 30 days, at most 90"`
}

// BacktestLine is one line of the answer: progress at once and about once a
// second, again every 15 s when there is none, then the result or an error. What is not meant is null or empty.
type BacktestLine struct {
	Progress []BacktestProgress `json:"progress" doc:"one, or none"`
	Result   []BacktestResult   `json:"result" doc:"one in the last line"`
	Error    string             `json:"error"`
	Hint     string             `json:"hint"`
}

// BacktestProgress says how far it is.
type BacktestProgress struct {
	Partition  int        `json:"partition"`
	Partitions int        `json:"partitions"`
	At         *time.Time `json:"at" doc:"of the record being read"`
	Records    int64      `json:"records"`
	Fired      int        `json:"fired"`
}

// BacktestResult is what the rule would have done.
type BacktestResult struct {
	Text     string            `json:"text" doc:"in a sentence"`
	RuleID   string            `json:"rule_id"`
	Since    *time.Time        `json:"since" doc:"asked for"`
	From     *time.Time        `json:"from" doc:"really covered since"`
	To       *time.Time        `json:"to"`
	Spans    []BacktestSpan    `json:"spans" doc:"what was looked at"`
	Warnings []string          `json:"warnings" doc:"where that is less than asked for"`
	Records  int64             `json:"records"`
	Tried    BacktestCounts    `json:"tried"`
	Today    []BacktestCounts  `json:"today" doc:"the same of the rule of that id that is carried out now; none = there is none"`
	Examples []BacktestExample `json:"examples"`
	Episodes []BacktestEpisode `json:"episodes" doc:"when and where it would have fired, by time; the newest 500"`
}

// BacktestEpisode is one notification as a line on a time line.
type BacktestEpisode struct {
	ServerID string     `json:"server_id"`
	Server   string     `json:"server"`
	Device   string     `json:"device"`
	OpenedAt *time.Time `json:"opened_at"`
	ClosedAt *time.Time `json:"closed_at" doc:"null = not by the end"`
}

// BacktestSpan is a part of the past.
type BacktestSpan struct {
	Source string     `json:"source" doc:"stream, logs or history"`
	From   *time.Time `json:"from"`
	To     *time.Time `json:"to"`
	Note   string     `json:"note"`
}

// BacktestCounts sums up.
type BacktestCounts struct {
	Fired       int           `json:"fired"`
	Servers     int           `json:"servers"`
	ClearedSoon int           `json:"cleared_within_5m"`
	Open        int           `json:"open" doc:"not cleared by the end"`
	Days        []BacktestDay `json:"days"`
}

// BacktestDay is a day in UTC.
type BacktestDay struct {
	Day   string `json:"day"`
	Fired int    `json:"fired"`
}

// BacktestExample is one notification that would have been.
type BacktestExample struct {
	Notification Notification `json:"notification"`
	Evidence     []Evidence   `json:"evidence"`
}

const (
	defaultSince = 30 * 24 * time.Hour
	lineDeadline = 30 * time.Second // of one write
	lineEvery    = 15 * time.Second // at the least
	longestRun   = time.Hour
)

func (s *server) backtestRoutes() []route {
	return []route{{method: "POST", path: "/rules/backtest", name: "rule_backtest", role: roleEditor,
		summary: "Try a rule on the past: lines of JSON, progress and then the result; hanging up stops it",
		body:    BacktestRequest{}, result: BacktestLine{}, lines: s.backtest}}
}

// lined runs a route that answers with lines of JSON for as long as it takes.
func (s *server) lined(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := s.now()
		setHeaders(w.Header())
		code := http.StatusOK
		fail := func(err error) {
			var body []byte
			code, body = s.explain(w.Header(), rt, err)
			w.WriteHeader(code)
			_, _ = w.Write(body) // the caller hung up: nobody is left to tell
		}
		defer func() { s.metrics.observe(rt.name, code, s.now().Sub(start)) }()
		who, err := s.guard(r, rt)
		if err != nil {
			fail(err)
			return
		}
		req, err := rt.parse(w, r)
		if err != nil {
			fail(err)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), longestRun)
		defer cancel()
		req.ctx, req.actor, req.who = ctx, who.name, who
		out := &lineWriter{w: w, rc: http.NewResponseController(w), broken: cancel}
		stop := out.keep(cmp.Or(s.cfg.lineEvery, lineEvery))
		err = rt.lines(req, out.say)
		stop()
		if err != nil && out.last == nil {
			fail(err)
		}
	})
}

// lineWriter writes lines of JSON, and the last one again while there is no
// other: a caller that hung up is noticed, and nobody in between ends a
// connection on which nothing happens. It is safe for concurrent use.
type lineWriter struct {
	mu     sync.Mutex
	w      http.ResponseWriter
	rc     *http.ResponseController
	broken func() // called when nobody reads it any more
	last   []byte
	fresh  bool // said since the last look
}

func (o *lineWriter) say(v any) {
	b, err := json.Marshal(v)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.broken()
		return
	}
	if o.last == nil {
		o.w.Header().Set("Content-Type", "application/x-ndjson")
		o.w.Header().Set("X-Accel-Buffering", "no") // nginx
		// The time to read the request must not end the run. Not every writer has
		// deadlines: a recorder in a test has none.
		_ = o.rc.SetReadDeadline(time.Time{})
	}
	o.last, o.fresh = append(b, '\n'), true
	o.write()
}

func (o *lineWriter) write() {
	_ = o.rc.SetWriteDeadline(time.Now().Add(lineDeadline))
	if _, err := o.w.Write(o.last); err != nil {
		o.broken()
		return
	}
	_ = o.rc.Flush()
	_ = o.rc.SetWriteDeadline(time.Time{}) // HTTP/2 ends the answer at its deadline, though nothing is being written
}

// keep says the last line again when there was no other for a while, until it is
// stopped.
func (o *lineWriter) keep(every time.Duration) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
			}
			o.mu.Lock()
			if o.last != nil && !o.fresh {
				o.write()
			}
			o.fresh = false
			o.mu.Unlock()
		}
	}()
	return func() {
		close(quit)
		<-done
	}
}

// backtest runs one at a time: it takes a core from the ruler's own work.
func (s *server) backtest(r *request, say func(any)) error {
	book, _, err := s.book()
	if err != nil {
		return err
	}
	if s.cfg.Past.Stream == nil {
		return &problem{status: http.StatusServiceUnavailable, msg: "there is no past to try rules on", hint: "ask a ruler"}
	}
	var q BacktestRequest
	if err := r.decode(&q); err != nil {
		return err
	}
	tried, today, err := triedRule(book, &q)
	if err != nil {
		return err
	}
	since := defaultSince
	if q.SinceSeconds != 0 {
		since = time.Duration(min(max(q.SinceSeconds, -1), 1<<32)) * time.Second
	}
	if since <= 0 || since > backtest.MaxSince {
		return badRequest("1 second to 90 days", "since_seconds: %d does not fit", q.SinceSeconds)
	}
	if !s.trying.TryLock() {
		return &problem{status: http.StatusTooManyRequests, msg: "another rule is being tried", hint: "wait until it is done"}
	}
	defer s.trying.Unlock()
	past := s.cfg.Past
	past.Now = s.now
	tell := func(p backtest.Progress) {
		say(BacktestLine{Progress: []BacktestProgress{{Partition: p.Partition, Partitions: p.Partitions, At: at(p.At), Records: p.Records, Fired: p.Fired}}, Result: []BacktestResult{}})
	}
	tell(backtest.Progress{Partitions: stream.Partitions})
	res, err := backtest.Run(r.ctx, past, tried, today, since, tell)
	if err != nil {
		s.log.Warn("rule not tried", "rule", tried.ID, "err", err)
		say(BacktestLine{Progress: []BacktestProgress{}, Result: []BacktestResult{}, Error: "the rule could not be tried to the end", Hint: "the ruler's log says why"})
		return nil
	}
	say(BacktestLine{Progress: []BacktestProgress{}, Result: []BacktestResult{backtestOf(&res)}})
	return nil
}

// triedRule finds what is to be tried, and what it would replace.
func triedRule(book *rulebook.Book, q *BacktestRequest) (tried, today *rule.Rule, err error) {
	if (q.ID == "") == (q.YAML == "") {
		return nil, nil, badRequest("send one of both", "want id or yaml")
	}
	if q.ID != "" {
		e, err := book.Get(q.ID)
		if err != nil {
			return nil, nil, ruleProblem(err, "")
		}
		if e.Rule == nil {
			return nil, nil, badRequest("mend its text first", "rule %s %s", e.ID, e.Off)
		}
		return e.Rule, nil, nil
	}
	tried, err = book.One(q.YAML)
	if err != nil {
		return nil, nil, ruleProblem(err, q.YAML)
	}
	if e, err := book.Get(tried.ID); err == nil && e.Off == "" {
		today = e.Rule
	}
	return tried, today, nil
}

func backtestOf(r *backtest.Result) BacktestResult {
	counts := func(c *backtest.Counts) BacktestCounts {
		out := BacktestCounts{Fired: c.Fired, Servers: c.Servers, ClearedSoon: c.Soon, Open: c.Open, Days: []BacktestDay{}}
		for _, d := range c.Days {
			out.Days = append(out.Days, BacktestDay(d))
		}
		return out
	}
	out := BacktestResult{Text: r.Sentence(), RuleID: r.Rule, Since: at(r.Since), From: at(r.From), To: at(r.To), Warnings: append([]string{}, r.Warnings...),
		Records: r.Records, Tried: counts(&r.Counts), Today: []BacktestCounts{}, Spans: []BacktestSpan{}, Examples: []BacktestExample{}, Episodes: []BacktestEpisode{}}
	for _, e := range r.Episodes {
		out.Episodes = append(out.Episodes, BacktestEpisode{ServerID: e.Server.String(), Server: clip(e.Name, maxName), Device: clip(e.Device, maxName), OpenedAt: at(e.Opened), ClosedAt: at(e.Closed)})
	}
	for _, v := range r.Spans {
		out.Spans = append(out.Spans, BacktestSpan{Source: v.Source, From: at(v.From), To: at(v.To), Note: v.Note})
	}
	if r.Today != nil {
		out.Today = append(out.Today, counts(r.Today))
	}
	for _, e := range r.Examples {
		out.Examples = append(out.Examples, BacktestExample{Notification: notificationOf(e.Notification), Evidence: mapSlice(slices.Clone(e.Evidence), func(v store.Evidence) Evidence { return evidenceOf(v) })})
	}
	return out
}
