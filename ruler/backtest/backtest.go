// Package backtest tries a rule on the past: the ruler's own pipeline, without a
// store of its own, over what the stream still has, and before that over the
// events of VictoriaLogs and the configurations of the store's history.
//
// One run reads one partition after the other, so that it costs at most one
// core; it stops when its context ends. What was covered is part of the answer:
// a rule that found nothing in three days was not tried on thirty.
//
// To test: go test ./ruler/backtest.
package backtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/engine"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// State is what a run reads of the store.
type State interface {
	Servers(ctx context.Context, q store.ServerQuery) (store.ServerPage, error)
	History(ctx context.Context, q store.HistoryQuery) ([]store.HistoryEntry, error)
	Snapshot(ctx context.Context, hash store.Hash) ([]byte, error)
}

// Event is a record that is kept elsewhere than in the stream.
type Event struct {
	At     time.Time
	Header record.Header
	Seq    uint64
	Record record.Record
	Entry  uint64 // of the stream; 0 = not known
}

// Events keeps records for longer than the stream.
type Events interface {
	// Events calls fn with the records of a partition that the rules may care for,
	// in order of time.
	Events(ctx context.Context, partition int, from, to time.Time, rules []*rule.Rule, fn func(*Event) error) error
	// Oldest says since when there are any, at or after a time; zero = none.
	Oldest(ctx context.Context, from, to time.Time) (time.Time, error)
}

// Config is where the past is.
type Config struct {
	Stream stream.Log
	State  State
	Events Events // nil = only the stream
	Now    func() time.Time
}

// Limits of one run.
const (
	MaxSince    = 90 * 24 * time.Hour
	maxExamples = 10
	maxWitness  = 3 // records of an example
	maxKept     = 100_000
	soon        = 5 * time.Minute
	sayEvery    = time.Second
	findEvery   = 256 // entries
)

// Progress is said about once a second.
type Progress struct {
	Partition  int // of Partitions, being read
	Partitions int
	At         time.Time // of the record being read
	Records    int64
	Fired      int
}

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

// Run tries a rule; today is what it would replace, or nil. say is told how far
// it is.
func Run(ctx context.Context, cfg Config, tried, today *rule.Rule, since time.Duration, say func(Progress)) (Result, error) {
	if since <= 0 || since > MaxSince {
		return Result{}, fmt.Errorf("since %s: want a time up to %d days", since, MaxSince/(24*time.Hour))
	}
	now := cfg.Now().UTC()
	r := &run{cfg: cfg, say: say, from: now.Add(-since), to: now, rules: []*rule.Rule{tried}, wall: cfg.Now}
	r.result = Result{Rule: tried.ID, Since: r.from, To: now, Examples: []Example{}}
	r.tried.open = map[string]*store.Notification{}
	if today != nil {
		r.rules = append(r.rules, today)
		r.today = &tally{open: map[string]*store.Notification{}}
	}
	if err := r.servers(ctx); err != nil {
		return Result{}, err
	}
	for n := range stream.Partitions {
		if err := r.partition(ctx, n); err != nil {
			return Result{}, fmt.Errorf("partition %d: %w", n, err)
		}
	}
	return r.finish(), nil
}

type run struct {
	cfg      Config
	say      func(Progress)
	wall     func() time.Time
	said     time.Time
	from, to time.Time
	rules    []*rule.Rule
	known    [stream.Partitions][]store.Server
	tried    tally
	today    *tally
	progress Progress
	result   Result
	oldest   time.Time // that the stream has, of all partitions the latest
	events   time.Time // since when the log store has events
	looked   bool
	history  bool
}

// tally gathers the notifications of one rule.
type tally struct {
	open     map[string]*store.Notification
	examples map[string][]store.Evidence
	full     bool
}

// servers learns what the register says now: labels of the past are not kept.
func (r *run) servers(ctx context.Context) error {
	for offset := 0; ; {
		page, err := r.cfg.State.Servers(ctx, store.ServerQuery{State: store.ServerStates(), Sort: store.ByName, Offset: offset, Limit: 1000})
		if err != nil {
			return err
		}
		for i := range page.Servers {
			v := page.Servers[i]
			n := stream.Partition(v.ID)
			r.known[n] = append(r.known[n], v)
		}
		if offset += len(page.Servers); len(page.Servers) == 0 || offset >= page.Total {
			return nil
		}
	}
}

// looksAt tells whether the rules look at events, at snapshots.
func looksAt(rules []*rule.Rule) (events, snapshots bool) {
	for _, r := range rules {
		switch spec := r.Spec.(type) {
		case *rule.Match:
			events = true
		case *rule.Count:
			events, snapshots = events || spec.Event != nil, snapshots || spec.Event == nil
		case *rule.Absent, *rule.Clone:
		case *rule.State, *rule.Change, *rule.Flap:
			snapshots = true
		default: // sequences may look at both
			events, snapshots = true, true
		}
	}
	return events, snapshots
}

var errDone = errors.New("done")

func (r *run) partition(ctx context.Context, n int) error {
	r.progress.Partition, r.progress.Partitions = n, stream.Partitions
	load := func(h store.Hash) ([]byte, error) { return r.cfg.State.Snapshot(ctx, h) }
	var replays []*engine.Replay
	for _, v := range r.rules {
		rp, err := engine.NewReplay(n, []*rule.Rule{v}, r.known[n], load)
		if err != nil {
			return err
		}
		replays = append(replays, rp)
	}
	first, begins, err := r.begins(ctx, n)
	if err != nil {
		return err
	}
	if begins.After(r.oldest) {
		r.oldest = begins
	}
	if err := r.older(ctx, n, replays, first, begins); err != nil {
		return err
	}
	return r.stream(ctx, n, replays, first)
}

// begins finds the stream's first entry, and when it was stored; an empty
// stream begins now.
func (r *run) begins(ctx context.Context, n int) (first stream.Position, at time.Time, err error) {
	if first, err = r.cfg.Stream.First(ctx, n); err != nil {
		return first, r.to, err
	}
	head, err := r.cfg.Stream.Head(ctx, n)
	if err != nil || head.Entry <= first.Entry {
		return first, r.to, err
	}
	at = r.to
	err = r.cfg.Stream.Read(ctx, n, first, func(m stream.Message) error {
		at = m.Time.UTC()
		return errDone
	})
	if errors.Is(err, errDone) {
		err = nil
	}
	return first, at, err
}

// stream reads what the stream has since the time asked for.
func (r *run) stream(ctx context.Context, n int, replays []*engine.Replay, first stream.Position) error {
	head, err := r.cfg.Stream.Head(ctx, n)
	if err != nil || head.Entry <= first.Entry {
		return r.find(replays, err)
	}
	count := 0
	err = r.cfg.Stream.Read(ctx, n, first, func(m stream.Message) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !m.Time.Before(r.from) {
			for _, rp := range replays {
				if err := rp.Entry(m); err != nil {
					return err
				}
			}
			if count++; count%findEvery == 0 {
				if err := r.find(replays, nil); err != nil {
					return err
				}
			}
			r.tell(m.Time)
		}
		if m.Position.Entry >= head.Entry {
			return errDone
		}
		return nil
	})
	if errors.Is(err, errDone) {
		err = nil
	}
	return r.find(replays, err)
}

// older reads what is kept elsewhere of the time before the stream begins.
func (r *run) older(ctx context.Context, n int, replays []*engine.Replay, first stream.Position, until time.Time) error {
	events, snapshots := looksAt(r.rules)
	configurations, err := r.configurations(ctx, n, replays, snapshots, until)
	if err != nil {
		return err
	}
	next := 0
	feed := func(to time.Time) error {
		for ; next < len(configurations) && configurations[next].At.Before(to); next++ {
			c := &configurations[next]
			for _, rp := range replays {
				if err := rp.Configuration(c.At, c.Server, c.Category, c.RecordID, c.Hash); err != nil {
					return err
				}
			}
			r.tell(c.At)
		}
		return nil
	}
	if !until.After(r.from) {
		return nil
	}
	if events && r.cfg.Events != nil {
		if !r.looked {
			r.looked = true
			if r.events, err = r.cfg.Events.Oldest(ctx, r.from, until); err != nil {
				return fmt.Errorf("ask the log store: %w", err)
			}
		}
		count := 0
		err := r.cfg.Events.Events(ctx, n, r.from, until, r.rules, func(e *Event) error {
			if e.Entry > first.Entry { // the stream still has it
				return nil
			}
			if err := feed(e.At); err != nil {
				return err
			}
			for _, rp := range replays {
				if err := rp.Record(e.At, &e.Header, e.Seq, &e.Record); err != nil {
					return err
				}
			}
			r.progress.Records++
			r.result.Records++
			if count++; count%findEvery == 0 {
				if err := r.find(replays, nil); err != nil {
					return err
				}
			}
			r.tell(e.At)
			return ctx.Err()
		})
		if err != nil {
			return fmt.Errorf("read the log store: %w", err)
		}
	}
	if err := feed(until); err != nil {
		return err
	}
	for _, rp := range replays {
		rp.Pass(until)
	}
	return r.find(replays, nil)
}

// configurations lists what the store kept of a partition's servers before the
// stream begins, oldest first, and puts in place what was there before.
func (r *run) configurations(ctx context.Context, n int, replays []*engine.Replay, wanted bool, until time.Time) ([]store.HistoryEntry, error) {
	if !wanted {
		return nil, nil
	}
	begin := r.from
	var out []store.HistoryEntry
	for i := range r.known[n] {
		id := r.known[n][i].ID
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		list, err := r.cfg.State.History(ctx, store.HistoryQuery{Server: id, Before: maxTime(until, begin), Limit: 1000})
		if err != nil {
			return nil, err
		}
		seen := map[record.Category]bool{}
		for _, h := range list { // newest first
			if !h.At.Before(begin) {
				out = append(out, h)
				r.history = true
			} else if !seen[h.Category] {
				seen[h.Category] = true
				for _, rp := range replays {
					rp.Snapshot(id, h.Category, h.Hash)
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b store.HistoryEntry) int {
		return cmp.Or(a.At.Compare(b.At), slices.Compare(a.Server[:], b.Server[:]))
	})
	return out, nil
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
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
			keep = &store.Notification{ID: n.ID, Server: n.Server, Opened: n.Opened, Resolved: n.Resolved, State: n.State}
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

func (r *run) tell(at time.Time) {
	r.progress.At = at
	now := r.wall()
	if r.say == nil || now.Sub(r.said) < sayEvery {
		return
	}
	r.said = now
	r.say(r.progress)
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

func (r *run) finish() Result {
	out := r.result
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
	case events && r.events.IsZero():
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
