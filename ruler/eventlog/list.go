package eventlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nocturne/internal/record"
)

// Cursor is a place in a list: right after this record.
type Cursor struct {
	At time.Time
	ID string // "" = before all records of that time
}

// Page is a part of a list, newest first.
type Page struct {
	Rows []*Row
	Next *Cursor // nil = there are no more
}

const (
	firstWindow = 5 * time.Minute // lists look so far back first
	moreWindow  = 4               // and so many times farther the next time
	ahead       = 2 * time.Hour   // a wrong clock may be an hour ahead
	maxMoment   = 20_000          // rows of one moment

	longestWindow = 365 * 24 * time.Hour
)

// List returns the newest rows before a place, at most limit of them. It looks
// back in growing steps, so that it sorts no more than it has to.
func (c *Client) List(ctx context.Context, f Filter, before *Cursor, limit int) (Page, error) {
	if before == nil {
		before = &Cursor{At: c.now().Add(ahead)}
	}
	if !f.To.IsZero() && f.To.Before(before.At) {
		before = &Cursor{At: f.To}
	}
	since, err := c.Since(ctx)
	if err != nil || since.IsZero() {
		return Page{}, err
	}
	if f.From.Before(since) {
		f.From = since
	}
	l := listing{c: c, filter: f, limit: limit, seen: map[string]bool{}}
	at, window := *before, firstWindow
	if at.ID != "" && !at.At.Before(f.From) {
		if err := l.moment(ctx, at.At, at.ID); err != nil {
			return Page{}, err
		}
	}
	for at.At.After(f.From) && len(l.rows) < limit {
		low := at.At.Add(-window)
		if low.Before(f.From) || window > longestWindow {
			low = f.From
		}
		full, err := l.window(ctx, low, at.At)
		if err != nil {
			return Page{}, err
		}
		if at = l.last; !full {
			at, window = Cursor{At: low}, window*moreWindow
		}
	}
	if len(l.rows) < limit {
		return Page{Rows: l.rows}, nil
	}
	last := l.rows[limit-1]
	return Page{Rows: l.rows[:limit], Next: &Cursor{At: last.At, ID: last.RecordID}}, nil
}

// listing is a page being gathered: newest first, records of one time by their
// ids, the last first.
type listing struct {
	c      *Client
	filter Filter
	limit  int
	rows   []*Row
	seen   map[string]bool
	last   Cursor // the last line of the last answer
}

// window takes rows of a span of time; full tells that there are older ones in
// it. Those of the last moment are taken together: what comes first among them
// is not for the store to say.
func (l *listing) window(ctx context.Context, low, high time.Time) (full bool, err error) {
	f := l.filter
	f.From, f.To = low, high
	rows, lines, err := l.fetch(ctx, &f, fmt.Sprintf(" | sort by (_time desc) limit %d", l.limit))
	if err != nil {
		return false, err
	}
	if lines < l.limit {
		l.add(rows)
		return false, nil
	}
	l.add(slices.DeleteFunc(rows, func(r *Row) bool { return r.At.Equal(l.last.At) }))
	return true, l.moment(ctx, l.last.At, "")
}

// moment takes the rows of one moment whose ids come before one, or all.
func (l *listing) moment(ctx context.Context, at time.Time, before string) error {
	f := l.filter
	f.From, f.To = at, at.Add(time.Nanosecond)
	rows, lines, err := l.fetch(ctx, &f, fmt.Sprintf(" | limit %d", maxMoment))
	if err == nil && lines >= maxMoment {
		err = fmt.Errorf("%w: more than %d rows of one moment, %s", ErrTooMuch, maxMoment, stamp(at))
	}
	if err != nil {
		return err
	}
	l.add(slices.DeleteFunc(rows, func(r *Row) bool { return before != "" && r.RecordID >= before }))
	return nil
}

func (l *listing) add(rows []*Row) {
	slices.SortFunc(rows, func(a, b *Row) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(b.RecordID, a.RecordID))
	})
	for _, r := range rows {
		if l.seen[r.RecordID] {
			l.c.metrics.row(rowRepeated, 1)
			continue
		}
		l.seen[r.RecordID] = true
		l.rows = append(l.rows, r)
	}
}

// fetch reads rows, and remembers the last line, one of ours or not.
func (l *listing) fetch(ctx context.Context, f *Filter, pipes string) (rows []*Row, lines int, err error) {
	err = l.c.query(ctx, f.query()+pipes, func(line []byte) error {
		lines++
		r, err := decodeRow(line)
		if errors.Is(err, errLine) {
			return err
		}
		l.last = Cursor{At: r.At}
		if err != nil {
			l.c.metrics.row(rowMalformed, 1)
			return nil
		}
		l.c.metrics.row(rowRead, 1)
		rows = append(rows, r)
		return nil
	})
	return rows, lines, err
}

// Get finds one record.
func (c *Client) Get(ctx context.Context, id string) (*Row, error) {
	server, _, _ := strings.Cut(id, "-")
	subject, err := record.ParseID(server)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	f := Filter{Servers: []record.ID{subject}}
	var row *Row
	err = c.query(ctx, f.query()+" record_id:="+quote(id)+" | limit 2", func(line []byte) error {
		r, err := decodeRow(line)
		if errors.Is(err, errLine) {
			return err
		}
		if err != nil {
			c.metrics.row(rowMalformed, 1)
			return nil
		}
		row = r
		return errEnough
	})
	if err == nil && row == nil {
		return nil, ErrNotFound
	}
	return row, err
}
