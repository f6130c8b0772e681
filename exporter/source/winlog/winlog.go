// Package winlog subscribes to Windows' event log and turns events into
// records.
//
// The calls into wevtapi.dll sit behind EventAPI, so that everything above them
// runs in tests on any system. Each channel has a subscription and a goroutine
// (reader); one goroutine gathers what they read while its last commit was in
// flight and hands it over with the bookmarks of all channels as the position.
// A bookmark whose event is gone means that the log was cleared or has wrapped:
// that is said in a record, with how many events are missing where the record
// numbers tell (ledger), and reading begins at the oldest event left, never at
// the next new one.
//
// The calls themselves have not run on a real Windows yet; under Wine, where
// some of them end the process, the source is not supported.
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
	"sync"
	"sync/atomic"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

// Options are what New needs besides its configuration.
type Options struct {
	Config
	Positions source.Positions
	Log       *slog.Logger
	// Metrics are those of the same channels; nil = counted for nobody.
	Metrics *Metrics
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
	if o.Metrics == nil {
		o.Metrics, _ = NewMetrics(nil, o.Channels) // fails to register only
	}
	return &winlog{o: o}
}

type winlog struct {
	o    Options
	past int // events of each channel to begin with where there is no place
}

// Recent implements source.Recent: n is shared among the channels.
func (w *winlog) Recent(n int) source.Source {
	return &winlog{o: w.o, past: max(1, n/max(1, len(w.o.Channels)))}
}

func (w *winlog) Name() string              { return Name }
func (w *winlog) Category() record.Category { return record.EventLog }

// place is where reading of one channel goes on.
type place struct {
	Bookmark string `json:"bookmark"`
	mark
	// Near: the bookmark was made here and not by Windows. Oldest: the log was
	// empty when it was first looked at, so everything in it is new.
	Near   bool `json:"near,omitempty"`
	Oldest bool `json:"oldest,omitempty"`
}

// UnmarshalJSON reads what Run stores, and the bare bookmark that the first
// version stored.
func (p *place) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &p.Bookmark)
	}
	type plain place
	return json.Unmarshal(b, (*plain)(p))
}

const (
	// pulse is how often the source says that it is alive, and hangTime how long
	// a call into Windows may last before it is not.
	pulse    = 30 * time.Second
	hangTime = 5 * time.Minute
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
	places := map[string]place{}
	if len(stored) > 0 {
		if err := json.Unmarshal(stored, &places); err != nil {
			damaged := fmt.Errorf("the stored bookmarks are damaged, reading begins with new events: %w", err)
			if err := emit(ctx, []record.Record{source.Failed(Name, damaged, time.Now())}, nil); err != nil {
				return err
			}
			places = map[string]place{}
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	c := &committer{emit: emit, places: places, queue: newQueue(maxAhead), lives: make([]*atomic.Int64, len(w.o.Channels))}
	var readers sync.WaitGroup
	defer readers.Wait()
	defer cancel()
	for i := range w.o.Channels {
		ch := w.o.Channels[i]
		r := newReader(api, ch, places[ch.Name], c.queue)
		r.log, r.metrics = w.o.Log.With("channel", ch.Name), w.o.Metrics.of(ch.Name)
		if w.past > 0 {
			r.beginBehind(w.past)
		}
		c.lives[i] = &r.alive
		readers.Go(func() { r.run(ctx) })
	}
	return c.run(ctx)
}

// committer hands over what the readers read.
type committer struct {
	emit   source.Emit
	places map[string]place
	queue  *queue
	lives  []*atomic.Int64
}

func (c *committer) run(ctx context.Context) error {
	tick := time.NewTicker(pulse)
	defer tick.Stop()
	source.Beat(ctx, hangTime)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if c.allAlive(now) {
				source.Beat(ctx, hangTime)
			}
		case <-c.queue.more:
			if err := c.commit(ctx, c.queue.take()); err != nil {
				return err
			}
		}
	}
}

// allAlive tells whether every reader has come back from Windows lately.
func (c *committer) allAlive(now time.Time) bool {
	for _, l := range c.lives {
		if at := l.Load(); at != 0 && now.Sub(time.Unix(0, at)) > 2*pulse {
			return false
		}
	}
	return true
}

// commit hands over some batches with the places behind them.
func (c *committer) commit(ctx context.Context, parts []found) error {
	if len(parts) == 0 {
		return nil
	}
	next := maps.Clone(c.places)
	recs := parts[0].recs
	for i, f := range parts {
		if i > 0 {
			recs = append(recs, f.recs...)
		}
		if f.place != nil {
			next[f.channel] = *f.place
		}
	}
	position, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("write bookmarks: %w", err)
	}
	if err := c.emit(ctx, recs, position); err != nil {
		return err
	}
	c.places = next
	return nil
}

// Key identifies an event on one machine or, forwarded, on many: record numbers
// are the writing machine's own.
type Key struct {
	Channel, Computer string
	RecordID          int64
}

// KeyOf returns the key of an event's record.
func KeyOf(r *record.Record) Key {
	n, _ := r.Attr(record.AttrRecordID).Int()
	return Key{Channel: r.Attr(record.AttrChannel).Str(), Computer: r.Attr(record.AttrComputer).Str(), RecordID: n}
}

// errEmptyBookmark: without a bookmark there is no way on that loses nothing.
var errEmptyBookmark = errors.New("events came without a bookmark")
