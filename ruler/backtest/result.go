package backtest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/engine"
	"nocturne/ruler/store"
)

// Span is a part of the past that was looked at.
type Span struct {
	Source   string // stream, logs, history
	From, To time.Time
	Note     string
}

// Result is what a rule would have done.
type Result struct {
	Rule     string
	Since    time.Time // that was asked for
	From, To time.Time // that was covered for what the rule is about
	Spans    []Span
	Warnings []string
	Records  int64
	Counts   Counts
	// Today is the same of the rule of that id which is carried out now; nil = there is none.
	Today    *Counts
	Examples []Example
	// Episodes are when it would have fired and where, by time: the newest ones.
	Episodes []Episode
}

// Episode is one notification as a line on a time line.
type Episode struct {
	Server         record.ID
	Name, Device   string
	Opened, Closed time.Time // Closed is zero while it is open
}

// Counts sums up notifications.
type Counts struct {
	Fired   int
	Servers int
	Soon    int // cleared within five minutes
	Open    int // not cleared by the end
	Days    []Day
}

// Day counts the notifications that opened on a day, in UTC.
type Day struct {
	Day   string // 2026-11-20
	Fired int
}

// Example is one notification, the first ones and the newest.
type Example struct {
	Notification store.Notification
	Evidence     []store.Evidence
}

// tally gathers the notifications of one rule.
type tally struct {
	open     map[string]*store.Notification
	examples map[string][]store.Evidence
	full     bool
}

// find takes what the rules found.
func (r *run) find(replays []*engine.Replay, err error) error {
	for i, rp := range replays {
		f := rp.Found()
		t := &r.tried
		if i == 1 {
			t = r.today
		} else {
			r.result.Records += f.Records
			r.progress.Records += f.Records
		}
		t.add(f)
	}
	r.progress.Fired = len(r.tried.open)
	return err
}

func (t *tally) add(f engine.Found) {
	if t.examples == nil {
		t.examples = map[string][]store.Evidence{}
	}
	for i := range f.Notifications {
		n := f.Notifications[i]
		if t.open[n.ID] == nil && len(t.open) >= maxKept {
			t.full = true
			continue
		}
		keep := &n
		if len(t.examples) >= maxExamples && t.examples[n.ID] == nil { // of the others only what is counted
			keep = &store.Notification{ID: n.ID, Server: n.Server, Name: n.Name, Device: n.Device, Opened: n.Opened, Resolved: n.Resolved, State: n.State}
		} else if t.examples[n.ID] == nil {
			t.examples[n.ID] = []store.Evidence{}
		}
		t.open[n.ID] = keep
	}
	for _, e := range f.Evidence {
		if list, ok := t.examples[e.Notification]; ok && len(list) < maxWitness {
			t.examples[e.Notification] = append(list, e)
		}
	}
}

func (t *tally) counts(from time.Time) Counts {
	var c Counts
	servers := map[record.ID]bool{}
	days := map[string]int{}
	for _, n := range t.open {
		if n.Opened.Before(from) {
			continue
		}
		c.Fired++
		servers[n.Server] = true
		days[n.Opened.UTC().Format(time.DateOnly)]++
		switch {
		case n.State == store.Firing:
			c.Open++
		case n.Resolved.Sub(n.Opened) <= soon:
			c.Soon++
		}
	}
	c.Servers = len(servers)
	c.Days = []Day{}
	for d, n := range days {
		c.Days = append(c.Days, Day{d, n})
	}
	slices.SortFunc(c.Days, func(a, b Day) int { return cmp.Compare(a.Day, b.Day) })
	return c
}

// episodes are the newest ones, by time.
func (t *tally) episodes(from time.Time) []Episode {
	out := []Episode{}
	for _, n := range t.open {
		if n.Opened.Before(from) {
			continue
		}
		e := Episode{Server: n.Server, Name: n.Name, Device: n.Device, Opened: n.Opened}
		if n.State != store.Firing {
			e.Closed = n.Resolved
		}
		out = append(out, e)
	}
	slices.SortFunc(out, func(a, b Episode) int {
		return cmp.Or(a.Opened.Compare(b.Opened), slices.Compare(a.Server[:], b.Server[:]), cmp.Compare(a.Device, b.Device))
	})
	return out[max(0, len(out)-maxEpisodes):]
}

func (r *run) finish() Result {
	out := r.result
	out.Episodes = r.tried.episodes(r.from)
	out.Counts = r.tried.counts(r.from)
	if r.today != nil {
		c := r.today.counts(r.from)
		out.Today = &c
	}
	for id, evidence := range r.tried.examples {
		if n := r.tried.open[id]; n != nil {
			out.Examples = append(out.Examples, Example{Notification: *n, Evidence: evidence})
		}
	}
	slices.SortFunc(out.Examples, func(a, b Example) int {
		return cmp.Or(a.Notification.Opened.Compare(b.Notification.Opened), cmp.Compare(a.Notification.ID, b.Notification.ID))
	})
	if r.tried.full {
		out.Warnings = append(out.Warnings, fmt.Sprintf("it fires more than %d times: the rest was not counted", maxKept))
	}
	r.covered(&out)
	return out
}

// covered says what was looked at, and where that is less than what was asked for.
func (r *run) covered(out *Result) {
	events, snapshots := looksAt(r.rules[:1])
	begins := maxTime(r.from, r.oldest)
	out.From = begins
	out.Spans = []Span{{Source: "stream", From: begins, To: r.to}}
	short := begins.After(r.from.Add(time.Minute))
	if !short {
		return
	}
	switch {
	case events && r.cfg.Events == nil:
		out.Warnings = append(out.Warnings, fmt.Sprintf("the stream goes back to %s only, and earlier events were not looked at", stamp(begins)))
	case events && r.away != nil:
		out.Warnings = append(out.Warnings, fmt.Sprintf("the stream goes back to %s only, and earlier events were not looked at: %v", stamp(begins), r.away))
	case events && (r.events.IsZero() || !r.events.Before(begins)):
		out.Warnings = append(out.Warnings, fmt.Sprintf("the stream goes back to %s only, and the log store has no earlier events", stamp(begins)))
	case events:
		out.From = maxTime(r.from, r.events)
		out.Spans = append([]Span{{Source: "logs", From: out.From, To: begins, Note: "events; their labels are those of today"}}, out.Spans...)
		if r.events.After(r.from.Add(24 * time.Hour)) {
			out.Warnings = append(out.Warnings, "the log store goes back to "+stamp(r.events)+" only")
		}
	}
	if snapshots {
		out.Spans = append([]Span{{Source: "history", From: r.from, To: begins, Note: "configurations; temperatures and counters are not kept"}}, out.Spans...)
		if !events {
			out.From = r.from
		}
	}
	if !events && !snapshots {
		out.Warnings = append(out.Warnings, fmt.Sprintf("silence is judged by heartbeats, which only the stream keeps: since %s", stamp(begins)))
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// Sentence says the result in a line.
func (r *Result) Sentence() string {
	c := &r.Counts
	s := fmt.Sprintf("would have fired %s on %s, %d cleared within 5 min", plural(c.Fired, "time"), plural(c.Servers, "server"), c.Soon)
	if c.Open > 0 {
		s += fmt.Sprintf(", %d still open", c.Open)
	}
	if r.Today != nil {
		s += fmt.Sprintf("; the rule of today: %s on %s", plural(r.Today.Fired, "time"), plural(r.Today.Servers, "server"))
	}
	return s
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
