// Package winlog subscribes to Windows' event log and turns events into
// records.
//
// The calls into wevtapi.dll sit behind EventAPI, so that everything above them
// runs in tests on any system. Each channel has a subscription and a goroutine;
// one goroutine hands records over, with the bookmarks of all channels as the
// position. A bookmark whose event is gone means that the log was cleared or
// has wrapped: that is said in a record, and reading begins at the oldest event
// left, never at the next new one.
//
// The calls themselves are not tested on a real Windows yet: the source is off
// unless the configuration turns it on.
//
// A Source belongs to the supervisor's goroutine. To test:
// go test ./exporter/source/winlog.
package winlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Config is the part of the exporter's configuration under "winlog".
type Config struct {
	Enabled bool `yaml:"enabled"`
	// Channels are the logs to read, as Get-WinEvent -ListLog names them.
	Channels []Channel `yaml:"channels"`
}

// Channel is one log and which of its events are wanted.
type Channel struct {
	Name string `yaml:"name"`
	// Query is an XPath filter; "" = "*", everything.
	Query string `yaml:"query"`
}

// DefaultConfig reads System and Application, once it is turned on.
func DefaultConfig() Config {
	return Config{Channels: []Channel{{Name: "System"}, {Name: "Application"}}}
}

// Validate says what to write instead of settings that cannot work.
func (c Config) Validate() error {
	seen := map[string]bool{}
	for i, ch := range c.Channels {
		low := strings.ToLower(ch.Name)
		if ch.Name == "" {
			return fmt.Errorf("winlog channel %d has no name: write one, such as System", i+1)
		}
		if seen[low] {
			return fmt.Errorf("winlog channel %s is there twice: write it once, with one query", ch.Name)
		}
		seen[low] = true
	}
	if c.Enabled && len(c.Channels) == 0 {
		return errors.New("winlog is enabled without channels: write at least one, such as System")
	}
	return nil
}

// EventAPI is what is used of Windows' event log interface. Its subscriptions
// may be used side by side.
type EventAPI interface {
	// Subscribe opens a channel. Its error wraps one of those below where the
	// caller can do something about it.
	Subscribe(ch Channel, from Start) (Subscription, error)
}

// Subscription is an open channel. It belongs to one goroutine.
type Subscription interface {
	// Next waits until there are events or ctx ends, and returns at most n.
	Next(ctx context.Context, n int) (Batch, error)
	Close() error
}

// Start says where a subscription begins: behind a bookmark, at the oldest
// event, or with events that are still to come.
type Start struct {
	Bookmark string
	Oldest   bool
}

// Batch is some events of one channel and the bookmark of the last.
type Batch struct {
	Events   []Event
	Bookmark string
}

// Event is an event as Windows renders it.
type Event struct {
	XML string
	// Message is the text for people, from the provider's library or from the
	// event itself where it was forwarded; "" where there is none.
	Message string
}

// Errors of EventAPI.
var (
	// ErrBookmarkLost: the bookmark's event is no longer in the log.
	ErrBookmarkLost = errors.New("the bookmark's event is gone")
	// ErrNoChannel: there is no such log, now.
	ErrNoChannel = errors.New("there is no such channel")
	// ErrStale: the subscription is dead, as after a restart of the service.
	ErrStale = errors.New("the subscription is dead")
	// ErrTooMany: ask for fewer events at once (RPC_S_INVALID_BOUND).
	ErrTooMany = errors.New("too many events at once")
)

// Options are what New needs besides its configuration.
type Options struct {
	Config
	Positions source.Positions
	Log       *slog.Logger
	// API is Windows' own when it is nil.
	API EventAPI
}

// Name is the source's name and the key of its position.
const Name = "winlog"

// New returns the event log source.
func New(o Options) source.Source {
	if o.Positions == nil {
		o.Positions = source.NoPositions{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &winlog{o: o}
}

type winlog struct{ o Options }

func (w *winlog) Name() string              { return Name }
func (w *winlog) Category() record.Category { return record.EventLog }

const (
	maxBatch   = 128
	retryMin   = time.Second
	retryMax   = time.Minute
	retryEmpty = 5 * time.Minute // for a channel that is not there
)

// Run implements source.Source.
func (w *winlog) Run(ctx context.Context, emit source.Emit) error {
	api := w.o.API
	if api == nil {
		var err error
		if api, err = open(); err != nil {
			return err
		}
	}
	stored, err := w.o.Positions.Position(Name)
	if err != nil {
		return fmt.Errorf("read the event log's position: %w", err)
	}
	bookmarks := map[string]string{}
	if len(stored) > 0 {
		if err := json.Unmarshal(stored, &bookmarks); err != nil {
			w.o.Log.Warn("stored bookmarks are damaged, starting with new events", "err", err)
			bookmarks = map[string]string{}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	found := make(chan found) // unbuffered: one batch for each channel is under way
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	for _, ch := range w.o.Channels {
		r := &reader{api: api, ch: ch, log: w.o.Log.With("channel", ch.Name), out: found, bookmark: bookmarks[ch.Name], size: maxBatch}
		readers.Go(func() { r.run(ctx) })
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-found:
			next := maps.Clone(bookmarks)
			if f.bookmark != "" {
				next[f.channel] = f.bookmark
			}
			position, err := json.Marshal(next)
			if err != nil {
				return fmt.Errorf("write bookmarks: %w", err)
			}
			if err := emit(ctx, f.recs, position); err != nil {
				return err
			}
			bookmarks = next
			close(f.kept)
		}
	}
}

// found is what a reader has to hand over; kept is closed once it is safe.
type found struct {
	channel  string
	recs     []record.Record
	bookmark string
	kept     chan struct{}
}

// reader reads one channel.
type reader struct {
	api      EventAPI
	ch       Channel
	log      *slog.Logger
	out      chan<- found
	bookmark string
	oldest   bool
	size     int
	told     string // the failure that was said last
}

func (r *reader) run(ctx context.Context) {
	wait := retryMin
	for ctx.Err() == nil {
		began := time.Now()
		err := r.contained(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrBookmarkLost):
			gap := source.Failed(Name, fmt.Errorf("channel %s was cleared or has wrapped: events were removed before they were read; it goes on at the oldest one left", r.ch.Name), time.Now())
			r.bookmark, r.oldest = "", true
			if !r.hand(ctx, []record.Record{gap}, "") {
				return
			}
			continue
		case errors.Is(err, ErrTooMany) && r.size > 1:
			r.size /= 2
			continue
		case errors.Is(err, ErrNoChannel):
			wait = retryEmpty
		case time.Since(began) > retryMax:
			wait = retryMin
		}
		if !r.tell(ctx, err) || !pause(ctx, wait) {
			return
		}
		wait = min(2*wait, retryMax)
	}
}

// tell logs a failure and writes it down unless it is the same again; false
// when ctx ended.
func (r *reader) tell(ctx context.Context, err error) bool {
	if err.Error() == r.told {
		return true
	}
	r.told = err.Error()
	r.log.Warn("event log channel failed, opening it again", "err", err)
	return r.hand(ctx, []record.Record{source.Failed(Name, err, time.Now())}, "")
}

// contained follows the channel and makes a panic an error.
func (r *reader) contained(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return r.follow(ctx)
}

func (r *reader) follow(ctx context.Context) error {
	sub, err := r.api.Subscribe(r.ch, Start{Bookmark: r.bookmark, Oldest: r.oldest})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", r.ch.Name, err)
	}
	defer func() { _ = sub.Close() }() // the handle is gone either way
	for {
		b, err := sub.Next(ctx, r.size)
		if err != nil {
			return fmt.Errorf("read %s: %w", r.ch.Name, err)
		}
		recs := make([]record.Record, 0, len(b.Events))
		now := time.Now()
		for _, e := range b.Events {
			rec, err := Decode(e, now)
			if err != nil {
				rec = source.Failed(Name, fmt.Errorf("channel %s: %w", r.ch.Name, err), now)
			}
			recs = append(recs, rec)
		}
		if len(recs) > 0 && !r.hand(ctx, recs, b.Bookmark) {
			return ctx.Err()
		}
		if b.Bookmark != "" {
			r.bookmark, r.oldest, r.told = b.Bookmark, false, ""
		}
	}
}

// hand returns once the records are in the spool; false when ctx ended.
func (r *reader) hand(ctx context.Context, recs []record.Record, bookmark string) bool {
	kept := make(chan struct{})
	select {
	case r.out <- found{channel: r.ch.Name, recs: recs, bookmark: bookmark, kept: kept}:
	case <-ctx.Done():
		return false
	}
	select {
	case <-kept:
		return true
	case <-ctx.Done():
		return false
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
