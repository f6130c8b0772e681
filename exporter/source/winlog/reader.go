package winlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"nocturne/exporter/source"
	"nocturne/internal/record"
)

const (
	maxBatch   = 128
	retryMin   = time.Second
	retryMax   = time.Minute
	retryEmpty = 5 * time.Minute // for a channel that is not there, or a query that is wrong
	maxRecent  = 8192            // forwarded events whose keys are remembered
)

// found is what a reader has to hand over.
type found struct {
	channel string
	recs    []record.Record
	place   *place // where reading goes on behind them; nil = as before
	bytes   int
}

// reader reads one channel.
type reader struct {
	api     EventAPI
	ch      Channel
	filter  filter
	log     *slog.Logger
	metrics *channelMetrics
	out     *queue
	alive   atomic.Int64 // Unix nanoseconds when it last came back; 0 = is waiting to try again

	bookmark string
	ledger   ledger
	recent   *recent // of forwarded events
	oldest   bool    // begin at the oldest event
	near     bool    // the bookmark is made up
	lost     bool    // the bookmark's event was gone, and nobody said so yet
	size     int
	told     string // the failure that was said last
}

func newReader(api EventAPI, ch Channel, at place, out *queue) *reader {
	r := &reader{api: api, ch: ch, filter: newFilter(&ch), out: out, bookmark: at.Bookmark, near: at.Near, oldest: at.Oldest, size: maxBatch}
	r.ledger = ledger{exact: !ch.filtered() && !ch.forwarded(), forwarded: ch.forwarded(), mark: at.mark}
	if ch.forwarded() {
		r.recent = newRecent(maxRecent)
	}
	return r
}

// beginBehind lets a reader that has no place begin with about n past records.
func (r *reader) beginBehind(n int) {
	oldest, count, err := r.api.Kept(r.ch.Name)
	if r.bookmark != "" || err != nil || oldest == 0 || count == 0 {
		return
	}
	back := min(uint64(n), count)
	r.bookmark, r.near = bookmarkAt(r.ch.Name, oldest+count-1-back), true
}

func (r *reader) run(ctx context.Context) {
	wait := retryMin
	for first := true; ctx.Err() == nil; first = false {
		if !first {
			r.metrics.reopened.Inc()
		}
		began := time.Now()
		err := r.contained(ctx)
		r.metrics.open.Set(0)
		r.alive.Store(0)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, ErrBookmarkLost) && r.bookmark != "":
			r.bookmark, r.oldest, r.near, r.lost = "", true, false, true
			continue
		case errors.Is(err, ErrTooMany) && r.size > 1:
			r.size /= 2
			continue
		case errors.Is(err, ErrTooMany) && r.skip(ctx, err):
			continue
		case errors.Is(err, ErrNoChannel) && r.ch.Optional:
			if err.Error() != r.told {
				r.log.Info("optional channel is not there", "err", err)
			}
			r.told, wait = err.Error(), retryEmpty
		case errors.Is(err, ErrNoChannel), errors.Is(err, ErrQuery):
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
	return r.hand(ctx, []record.Record{source.Failed(Name, err, time.Now())}, nil, 0)
}

// gap returns the record that says what is missing.
func (r *reader) gap(missing uint64, reason, text string) record.Record {
	r.metrics.missing.WithLabelValues(reason).Add(float64(missing))
	rec := source.Failed(Name, fmt.Errorf("channel %s: %s", r.ch.Name, text), time.Now())
	rec.Attrs = append(rec.Attrs, record.Attr{Key: record.AttrChannel, Value: record.String(r.ch.Name)},
		record.Attr{Key: record.AttrMissing, Value: record.Int(int64(min(missing, 1<<62)))})
	return rec
}

// skip goes on behind an event that Windows cannot give even alone; false when
// there is no saying where that is. On a filtered channel it is not the next
// record perhaps: then this comes again, record by record, and is said once.
func (r *reader) skip(ctx context.Context, err error) bool {
	from := r.bookmark
	if from == "" && r.oldest {
		if oldest, _, err := r.api.Kept(r.ch.Name); err == nil && oldest > 0 {
			from = bookmarkAt(r.ch.Name, oldest-1)
		}
	}
	next, id, ok := nextBookmark(from)
	if !ok {
		return false
	}
	var recs []record.Record
	if !r.near || r.ledger.exact {
		recs = append(recs, r.gap(1, missingUnreadable, fmt.Sprintf("an event behind the last one (record %d or later) cannot be read and is left out: %v", id, err)))
	}
	r.ledger.skip(id)
	r.bookmark, r.oldest, r.near = next, false, true
	return r.hand(ctx, recs, r.place(), 0)
}

func (r *reader) place() *place {
	return &place{Bookmark: r.bookmark, mark: r.ledger.mark, Near: r.near, Oldest: r.oldest}
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
	r.alive.Store(time.Now().UnixNano())
	first := r.firstPlace() // before the subscription: what comes in between is read twice rather than never
	sub, err := r.api.Subscribe(r.ch, Start{Bookmark: r.bookmark, Oldest: r.oldest, Near: r.near})
	if err != nil {
		return fmt.Errorf("subscribe to %s: %w", r.ch.Name, err)
	}
	defer func() { _ = sub.Close() }() // the handle is gone either way
	if first != nil {
		r.bookmark, r.near, r.oldest, r.ledger.mark = first.Bookmark, first.Near, first.Oldest, first.mark
		if !r.hand(ctx, nil, first, 0) {
			return ctx.Err()
		}
	} else if !r.resume(ctx) {
		return ctx.Err()
	}
	r.metrics.open.Set(1)
	for {
		b, err := sub.Next(ctx, r.size)
		r.alive.Store(time.Now().UnixNano())
		if err != nil {
			return fmt.Errorf("read %s: %w", r.ch.Name, err)
		}
		if len(b.Events) == 0 {
			continue
		}
		if b.Bookmark == "" || len(b.Bookmark) > maxBookmark {
			return fmt.Errorf("read %s: %w, or with one of %d bytes", r.ch.Name, errEmptyBookmark, len(b.Bookmark))
		}
		if len(b.Events) >= r.size {
			r.metrics.full.Inc()
		}
		recs, bytes := r.records(b.Events)
		r.bookmark, r.oldest, r.near, r.told = b.Bookmark, false, false, ""
		if !r.hand(ctx, recs, r.place(), bytes) {
			return ctx.Err()
		}
		r.size = min(2*r.size, maxBatch)
	}
}

// firstPlace is where a channel stands that was never read; nil for another
// one, or where nobody knows. Many a channel says its first word when something
// breaks, and the machine with it: what is written while the exporter is not
// there has to be found.
func (r *reader) firstPlace() *place {
	if r.bookmark != "" || r.oldest {
		return nil
	}
	oldest, count, err := r.api.Kept(r.ch.Name)
	switch {
	case err != nil:
		r.log.Debug("newest record not known", "err", err)
		return nil
	case count == 0:
		return &place{Oldest: true}
	}
	p := &place{Bookmark: bookmarkAt(r.ch.Name, oldest+count-1), Near: true}
	if !r.ledger.forwarded {
		p.mark = mark{ID: oldest + count - 1, At: time.Now().UnixNano()}
	}
	return p
}

// resume says what was removed from the log since the last event that was read.
func (r *reader) resume(ctx context.Context) bool {
	atOldest := r.oldest && r.bookmark == ""
	if r.bookmark == "" && !atOldest {
		return true // a first start, with new events
	}
	oldest, _, err := r.api.Kept(r.ch.Name)
	if err != nil {
		r.log.Debug("oldest record not known", "err", err)
		oldest = 0
	}
	last := r.ledger.mark.ID
	missing := r.ledger.resume(oldest, atOldest, r.near)
	text := "was cleared or has wrapped: events were removed before they were read; it goes on at the oldest one left"
	switch {
	case missing > 0 && r.ledger.exact:
		text = fmt.Sprintf("%d events (records %d to %d) were removed before they were read; it goes on at the oldest one left", missing, last+1, oldest-1)
	case missing > 0:
		text = fmt.Sprintf("records %d to %d were removed before they were read, with at most %d events that were wanted", last+1, oldest-1, missing)
	case !r.lost:
		return true
	}
	r.lost = false
	return r.hand(ctx, []record.Record{r.gap(missing, missingRemoved, text)}, nil, 0)
}

// records makes records of events and judges their numbers.
func (r *reader) records(events []Event) (recs []record.Record, bytes int) {
	recs = make([]record.Record, 0, len(events))
	now := time.Now()
	var newest time.Time
	var holes holes
	for i := range events {
		r.metrics.read.Inc()
		bytes += len(events[i].XML) + len(events[i].Message)
		rec, err := decode(events[i], now)
		if err != nil {
			r.ledger.unreadable++
			recs = append(recs, r.gap(1, missingUnreadable, err.Error()))
			continue
		}
		if rec.Time.After(newest) {
			newest = rec.Time
		}
		if why := r.leavesOut(&rec, &holes); why != "" {
			r.metrics.dropped.WithLabelValues(why).Inc()
			continue
		}
		r.metrics.handed(&rec)
		recs = append(recs, rec)
	}
	r.metrics.behind(newest, now)
	if holes.count > 0 {
		recs = append(recs, r.gap(holes.missing, missingHole, fmt.Sprintf("%d events are missing by their record numbers, in %d places, the first behind record %d", holes.missing, holes.count, holes.after)))
	}
	return recs, bytes
}

// holes are those of one batch.
type holes struct {
	count          int
	missing, after uint64
}

// leavesOut returns why an event is not handed on, or "".
func (r *reader) leavesOut(rec *record.Record, h *holes) string {
	id, _ := rec.Attr(record.AttrRecordID).Int()
	last := r.ledger.mark.ID
	v, missing := r.ledger.step(uint64(max(id, 0)), rec.Time)
	if missing > 0 {
		if h.count++; h.count == 1 {
			h.after = last
		}
		h.missing += missing
	}
	switch {
	case v == verdictRepeat, r.recent != nil && r.recent.again(KeyOf(rec)):
		return reasonRepeat
	case v == verdictReset:
		r.metrics.resets.Inc()
		r.log.Info("record numbers begin again: the log was cleared", "before", last, "now", id)
	}
	event, _ := rec.Attr(record.AttrEventID).Int()
	return r.filter.leavesOut(rec.Attr(record.AttrProvider).Str(), rec.Attr(record.AttrLevel).Str(), event)
}

func decode(e Event, now time.Time) (record.Record, error) {
	if e.Err != nil {
		return record.Record{}, fmt.Errorf("an event cannot be rendered: %w", e.Err)
	}
	return Decode(e, now)
}

// hand gives records to the one that commits; false when ctx ended.
func (r *reader) hand(ctx context.Context, recs []record.Record, at *place, bytes int) bool {
	ok := r.out.put(ctx, found{channel: r.ch.Name, recs: recs, place: at, bytes: bytes + 256*len(recs)})
	r.alive.Store(time.Now().UnixNano())
	return ok
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

// recent remembers the keys of the last events. A collector of forwarded events
// whose bookmark is lost reads what is left again.
type recent struct {
	keys map[Key]struct{}
	ring []Key
	next int
}

func newRecent(n int) *recent { return &recent{keys: make(map[Key]struct{}, n), ring: make([]Key, n)} }

// again tells whether the key is known, and notes it.
func (r *recent) again(k Key) bool {
	if k.RecordID == 0 {
		return false
	}
	if _, known := r.keys[k]; known {
		return true
	}
	delete(r.keys, r.ring[r.next])
	r.ring[r.next], r.keys[k] = k, struct{}{}
	r.next = (r.next + 1) % len(r.ring)
	return false
}
