package source

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"nocturne/internal/record"
)

// Schedule says when a source looks.
type Schedule struct {
	// Period is the time from the start of a round to the start of the next.
	// A round that takes longer skips what it missed: rounds never overlap.
	Period time.Duration `yaml:"period"`
	// Deadline ends a round; it is not longer than the period.
	Deadline time.Duration `yaml:"deadline"`
	// Jitter spreads the rounds after the first by up to this much, so that a
	// fleet that was started at once does not stay in step.
	Jitter time.Duration `yaml:"jitter"`
}

// Validate says what to write instead of a schedule that cannot work.
func (s Schedule) Validate() error {
	switch {
	case s.Period < time.Second:
		return fmt.Errorf("period %s: write at least 1s", s.Period)
	case s.Deadline <= 0 || s.Deadline > s.Period:
		return fmt.Errorf("deadline %s: write more than 0s and at most the period %s", s.Deadline, s.Period)
	case s.Jitter < 0 || s.Jitter >= s.Period:
		return fmt.Errorf("jitter %s: write at least 0s and less than the period %s", s.Jitter, s.Period)
	}
	return nil
}

// Collector looks once when asked.
type Collector interface {
	Name() string
	Category() record.Category
	// Collect returns the records of one round. It may return records and an
	// error together: both count. errors.ErrUnsupported ends the source. It
	// returns soon after ctx ends; while it does not, no other round starts, and
	// HangAfter deadlines later the collector is given up.
	Collect(ctx context.Context) ([]record.Record, error)
}

// Waker is a Collector that looks early when a record of another source tells
// of something that it can see: a disk event wakes the RAID source. Wakes is
// called for every record of the other sources, by several goroutines at once;
// it is pure and cheap.
type Waker interface {
	Collector
	Wakes(r *record.Record) bool
}

// Listener is a Collector that hears by itself of what it should look at: the
// kernel tells that a disk came. Listen calls ring for each reason to look
// early, and returns when ctx ends; an error is recorded once, and the source
// goes on by its schedule.
type Listener interface {
	Collector
	Listen(ctx context.Context, ring func()) error
}

// Positioned is a Collector that remembers something across restarts. What
// Position returns after a round is committed together with its records.
type Positioned interface {
	Collector
	Position() []byte
}

// An early round waits for Settle, so that a burst of events is one round, and
// is at least EarlyGap after the round before. A disk that dies can write errors
// for hours: after EarlyFree early rounds the gap doubles each time, up to the
// schedule's own pace, until a wait for a round passes without an event.
const (
	Settle    = 2 * time.Second
	EarlyGap  = 5 * time.Second
	EarlyFree = 4
)

// Scheduled makes a source of a collector. The first round starts at once. A
// round that fails is recorded as record.NameSourceFailed when its error
// differs from that of the round before, and tried again one period later. A
// Waker's rounds come early too, when Supervise hears what wakes it.
func Scheduled(c Collector, s Schedule) Source {
	return &scheduled{Collector: c, schedule: s, report: func(round) {}, bell: make(chan struct{}, 1)}
}

type rounder interface{ observe(func(round)) }

type scheduled struct {
	Collector
	schedule Schedule
	report   func(round)
	failed   string        // the error of the last round
	bell     chan struct{} // rung by wake; one ring waits
	early    int           // early rounds since a wait without a ring
}

// wake asks for an early round if one of the records is a reason for it.
func (s *scheduled) wake(recs []record.Record) {
	w, ok := s.Collector.(Waker)
	if !ok || !slices.ContainsFunc(recs, func(r record.Record) bool { return w.Wakes(&r) }) {
		return
	}
	s.ring()
}

func (s *scheduled) ring() {
	select {
	case s.bell <- struct{}{}:
	default: // it is rung already
	}
}

func (s *scheduled) observe(f func(round)) { s.report = f }

// Run implements Source.
func (s *scheduled) Run(ctx context.Context, emit Emit) error {
	if l, ok := s.Collector.(Listener); ok {
		ctx, cancel := context.WithCancel(ctx)
		var listening sync.WaitGroup
		defer listening.Wait()
		defer cancel()
		deaf := make(chan error, 1) // it is sent once
		listening.Go(func() {
			if err := l.Listen(ctx, s.ring); err != nil && ctx.Err() == nil {
				deaf <- fmt.Errorf("listen for changes: %w", err)
			}
		})
		return s.rounds(ctx, emit, deaf)
	}
	return s.rounds(ctx, emit, nil)
}

func (s *scheduled) rounds(ctx context.Context, emit Emit, deaf <-chan error) error {
	next := time.Now()
	for {
		if err := s.round(ctx, emit); err != nil {
			return err
		}
		select {
		case err := <-deaf:
			if err := s.recordFailure(ctx, emit, err); err != nil {
				return err
			}
		default:
		}
		now := time.Now()
		for !next.After(now) {
			next = next.Add(s.schedule.Period)
		}
		if !s.wait(ctx, next.Sub(now)+jittered(s.schedule.Jitter/2, 1)) {
			return ctx.Err()
		}
	}
}

// wait waits for d, or shorter when the bell rings; false when ctx ended. A
// ring during the round before counts, for the round may have looked too soon;
// one while waiting to settle is answered by the round that follows.
func (s *scheduled) wait(ctx context.Context, d time.Duration) bool {
	began := time.Now()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		s.early = 0
		return true
	case <-s.bell:
	}
	waited := time.Since(began)
	d -= waited
	s.report(round{early: true})
	gap := EarlyGap << min(max(0, s.early-EarlyFree+1), 16)
	s.early++
	alive := sleep(ctx, min(d, max(Settle, gap-waited)))
	select {
	case <-s.bell:
	default:
	}
	return alive
}

type collected struct {
	recs  []record.Record
	err   error
	stack string // of a panic
}

// round returns an error only for what ends the source.
func (s *scheduled) round(ctx context.Context, emit Emit) error {
	began := time.Now()
	limited, cancel := context.WithTimeout(ctx, s.schedule.Deadline)
	defer cancel()
	done, gone := make(chan collected, 1), make(chan struct{}) // one round sends one answer
	go func() {
		defer close(gone)
		done <- s.collect(limited)
	}()

	var c collected
	r := round{}
	select {
	case c = <-done:
	case <-limited.Done():
		// A system call may hang. Say so now, and wait: rounds do not overlap.
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r = round{took: time.Since(began), timedOut: true, err: limited.Err()}
		s.report(r)
		if err := s.recordFailure(ctx, emit, fmt.Errorf("no answer within %s: %w", s.schedule.Deadline, limited.Err())); err != nil {
			return err
		}
		t := time.NewTimer(HangAfter * s.schedule.Deadline)
		defer t.Stop()
		select {
		case c = <-done:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			return &hungError{what: fmt.Sprintf("no end %s after its deadline", HangAfter*s.schedule.Deadline), gone: gone}
		}
	}
	if errors.Is(c.err, errors.ErrUnsupported) && c.stack == "" {
		return c.err
	}
	if len(c.recs) > 0 {
		var position []byte
		if p, ok := s.Collector.(Positioned); ok {
			position = p.Position()
		}
		if err := emit(ctx, c.recs, position); err != nil {
			return err
		}
	}
	if r.timedOut {
		return nil
	}
	s.report(round{took: time.Since(began), err: c.err, stack: c.stack, timedOut: errors.Is(c.err, context.DeadlineExceeded)})
	if c.err != nil {
		return s.recordFailure(ctx, emit, c.err)
	}
	s.failed = ""
	return nil
}

func (s *scheduled) collect(ctx context.Context) (c collected) {
	defer func() {
		if p := recover(); p != nil {
			c = collected{err: fmt.Errorf("panic: %v", p), stack: string(debug.Stack())}
		}
	}()
	recs, err := s.Collect(ctx)
	return collected{recs: recs, err: err}
}

// recordFailure writes the failure down unless the round before failed alike.
func (s *scheduled) recordFailure(ctx context.Context, emit Emit, failure error) error {
	text := failure.Error()
	if text == s.failed {
		return nil
	}
	if err := emit(ctx, []record.Record{Failed(s.Name(), failure, time.Now())}, nil); err != nil {
		return err
	}
	s.failed = text
	return nil
}

// Failed returns the record that says a source could not read.
func Failed(name string, err error, now time.Time) record.Record {
	text := err.Error()
	if len(text) > maxFailureText {
		text = strings.ToValidUTF8(text[:maxFailureText], "") + "…"
	}
	return record.Record{
		Time: now, Observed: now, Severity: record.Warn, Name: record.NameSourceFailed,
		Body:  "source " + name + ": " + text,
		Attrs: []record.Attr{{Key: record.AttrSource, Value: record.String(name)}, {Key: record.AttrError, Value: record.String(text)}},
	}
}

const maxFailureText = 4 << 10
