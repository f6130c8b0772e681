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
	"context"
	"errors"
	"fmt"
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
	Changes(ctx context.Context, q store.ChangeQuery) (store.ChangePage, error)
	Stays(ctx context.Context, serials []string, fn func(*store.Occupant) error) error
}

// Event is a record that is kept elsewhere than in the stream.
type Event struct {
	At     time.Time // as the stream would have it: corrected where the clock was far off
	ID     string    // of the record; "" = what Header and Seq say
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
	maxEpisodes = 500
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
	if err := r.moves(ctx); err != nil {
		return Result{}, fmt.Errorf("parts that moved: %w", err)
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
	fleet    int // how many of them should be heard from
	tried    tally
	today    *tally
	progress Progress
	result   Result
	oldest   time.Time // that the stream has, of all partitions the latest
	events   time.Time // since when the log store has events
	away     error     // why the log store was not asked
	looked   bool
	history  bool
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
			if v.CloneOf == "" && (v.State == store.StateUp || v.State == store.StateSilent) {
				r.fleet++
			}
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
		rp.Fleet(r.fleet)
		replays = append(replays, rp)
	}
	held, begins, err := r.begins(ctx, n)
	if err != nil {
		return err
	}
	if begins.After(r.oldest) {
		r.oldest = begins
	}
	if err := r.older(ctx, n, replays, held, begins); err != nil {
		return err
	}
	return r.stream(ctx, n, replays, held.first)
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
