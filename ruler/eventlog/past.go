package eventlog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strconv"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/backtest"
	"nocturne/ruler/rule"
)

var _ backtest.Events = (*Client)(nil)

// Bounds of reading the past: so many rows are in memory, in steps that grow
// where there is little and shrink where there is much.
const (
	maxBatch  = 5000
	firstStep = time.Hour
	maxStep   = 7 * 24 * time.Hour
	slowStep  = time.Minute // what is slow even so is an error
	// repeatWithin is how far apart two rows of one record can be: the sink
	// corrects a wrong clock anew when a record arrives again.
	repeatWithin = 20 * time.Second
)

// Oldest implements backtest.Events.
func (c *Client) Oldest(ctx context.Context, from, to time.Time) (time.Time, error) {
	return c.first(ctx, Filter{From: from, To: to})
}

// Events implements backtest.Events. Rows come in the order of their time, those
// of one time as the stream had them, each record once.
//
// What a row does not have: snapshots (the store's history does), who else than
// the server's exporter said it, when its epoch began, which attributes were
// empty, and what was too long for it. Numbers that rules compare are numbers
// again, everything else is text, and what was in a map stands beside it as
// map.key.
func (c *Client) Events(ctx context.Context, partition int, from, to time.Time, rules []*rule.Rule, fn func(*backtest.Event) error) error {
	f := Filter{Partition: &partition, NoSnapshots: true}
	for _, v := range record.Categories() {
		if v != record.Heartbeat {
			f.Categories = append(f.Categories, v)
		}
	}
	f.Any = concern(rules)
	if f.Any != nil && len(f.Any) == 0 {
		return nil
	}
	if f.From, f.To = from, to; len(f.query()) > maxQuery {
		f.Any = nil // everything, then
	}
	r := reading{c: c, filter: f, fn: fn}
	for at, step := from, firstStep; at.Before(to); {
		end := at.Add(step)
		if end.After(to) {
			end = to
		}
		rows, full, err := r.batch(ctx, at, end)
		switch {
		case full && end.Sub(at) > 1:
			step = max(end.Sub(at)/4, 1)
			continue
		case full: // more of one moment than a batch
			err = r.moment(ctx, at)
		case err == nil:
			err = r.hand(rows)
		}
		if err != nil {
			return err
		}
		if at = end; len(rows) < c.batch/4 {
			step = min(2*step, maxStep)
		}
	}
	return nil
}

// concern says which rows rules look at: nil = all.
func concern(rules []*rule.Rule) []Filter {
	out := []Filter{}
	for _, r := range rules {
		switch spec := r.Spec.(type) {
		case rule.AboutEvents:
			for _, e := range spec.Events() {
				out = append(out, Concern(e.Where))
			}
		case *rule.State, *rule.Change, *rule.Flap, *rule.Absent, *rule.Clone, *rule.Risk:
		default:
			return nil
		}
	}
	return out
}

// reading is one partition being read.
type reading struct {
	c      *Client
	filter Filter
	fn     func(*backtest.Event) error
	seen   recent
}

// batch reads the rows of a span of time; full tells that it is too long for a
// batch, or for the store.
func (r *reading) batch(ctx context.Context, from, to time.Time) (rows []*Row, full bool, err error) {
	f := r.filter
	f.From, f.To = from, to
	lines := 0
	err = r.c.query(ctx, f.query()+fmt.Sprintf(" | limit %d", r.c.batch+1), func(line []byte) error {
		lines++
		row, err := r.decode(line)
		if row != nil {
			rows = append(rows, row)
		}
		return err
	})
	switch {
	case errors.Is(err, ErrTooMuch), errors.Is(err, ErrSlow) && ctx.Err() == nil && to.Sub(from) > slowStep, err == nil && lines > r.c.batch:
		return nil, true, nil
	case err != nil:
		return nil, false, err
	}
	slices.SortStableFunc(rows, func(a, b *Row) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Entry, b.Entry), cmp.Compare(a.seq(), b.seq()))
	})
	return rows, false, nil
}

// moment reads the rows of one nanosecond as the store gives them: there is no
// saying how many there are.
func (r *reading) moment(ctx context.Context, at time.Time) error {
	f := r.filter
	f.From, f.To = at, at.Add(1)
	return r.c.query(ctx, f.query(), func(line []byte) error {
		row, err := r.decode(line)
		if row == nil {
			return err
		}
		return r.hand([]*Row{row})
	})
}

func (r *reading) decode(line []byte) (*Row, error) {
	row, err := decodeRow(line)
	switch {
	case errors.Is(err, errLine):
		return nil, err
	case err != nil:
		r.c.metrics.row(rowMalformed, 1)
		return nil, nil
	}
	return row, nil
}

// hand gives out the records of rows.
func (r *reading) hand(rows []*Row) error {
	for _, row := range rows {
		e, err := row.event()
		switch {
		case err != nil:
			r.c.metrics.row(rowMalformed, 1)
			continue
		case r.seen.before(row.RecordID, row.At):
			r.c.metrics.row(rowRepeated, 1)
			continue
		}
		r.c.metrics.row(rowRead, 1)
		if err := r.fn(e); err != nil {
			return err
		}
	}
	return nil
}

// recent remembers records of the last moments, by a hash.
type recent struct {
	since    time.Time
	now, old map[uint64]struct{}
	seed     maphash.Seed
}

// before tells whether a record was there a moment ago. Times only rise.
func (r *recent) before(id string, at time.Time) bool {
	if r.now == nil {
		r.seed, r.now, r.since = maphash.MakeSeed(), map[uint64]struct{}{}, at
	}
	if at.Sub(r.since) > repeatWithin {
		r.old, r.now = r.now, map[uint64]struct{}{}
		if at.Sub(r.since) > 2*repeatWithin {
			r.old = nil
		}
		r.since = at
	}
	h := maphash.String(r.seed, id)
	_, a := r.now[h]
	_, b := r.old[h]
	r.now[h] = struct{}{}
	return a || b
}

// seq is the last part of the record id; 0 = it has none.
func (r *Row) seq() uint64 {
	n, _ := strconv.ParseUint(r.RecordID[strings.LastIndexByte(r.RecordID, '-')+1:], 10, 64) // event says when it is none
	return n
}

// typed are the attributes that rules and operators take as more than text.
var typed = map[string]record.Kind{
	record.AttrEventID: record.KindInt, record.AttrRecordID: record.KindInt, record.AttrMissing: record.KindInt, record.AttrBootTime: record.KindInt,
	record.AttrVirtual: record.KindBool, record.AttrShutdownPlanned: record.KindBool, record.AttrSimulated: record.KindBool,
}

func value(key, text string) record.Value {
	switch typed[key] {
	case record.KindInt:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return record.Int(n)
		}
	case record.KindBool:
		if text == "true" || text == "false" {
			return record.Bool(text == "true")
		}
	}
	return record.String(text)
}

// columns are the attributes that have a column of their own.
func (r *Row) columns() []Attr {
	return []Attr{{record.AttrChannel, r.Channel}, {record.AttrProvider, r.Provider}, {record.AttrEventID, r.EventID}, {record.AttrLevel, r.Level}}
}

var severities = map[string]record.Severity{
	record.Trace.String(): record.Trace, record.Debug.String(): record.Debug, record.Info.String(): record.Info,
	record.Warn.String(): record.Warn, record.Error.String(): record.Error, record.Fatal.String(): record.Fatal,
}

// event makes a record of a row.
func (r *Row) event() (*backtest.Event, error) {
	parts := strings.Split(r.RecordID, "-")
	if len(parts) < 4 || len(parts) > 5 {
		return nil, fmt.Errorf("%w: record_id %.100q", ErrAnswer, r.RecordID)
	}
	random, err := strconv.ParseUint(parts[1], 36, 64)
	if err != nil {
		return nil, fmt.Errorf("%w: record_id %.100q", ErrAnswer, r.RecordID)
	}
	seq, err := strconv.ParseUint(parts[len(parts)-1], 10, 64)
	if err != nil || parts[2] != strconv.Itoa(int(r.Category)) {
		return nil, fmt.Errorf("%w: record_id %.100q", ErrAnswer, r.RecordID)
	}
	e := &backtest.Event{At: r.At, ID: r.RecordID, Seq: seq, Entry: r.Entry}
	e.Header = record.Header{Kind: record.FrameData, Subject: r.Server, Producer: record.ExporterProducer(r.Server), Category: r.Category,
		Epoch: record.Epoch{EpochRef: record.EpochRef{Random: random}}, First: seq, Last: seq, Count: 1, Sent: r.At.UnixNano()}
	if len(parts) == 5 {
		e.Header.Producer = "unknown/" + parts[3]
	}
	own := r.EventTime
	if own.IsZero() {
		own = r.At
	}
	e.Record = record.Record{Time: own, Observed: own, Severity: severities[r.Severity], Name: r.Record, Body: r.Message}
	if r.Message == r.Record { // the sink writes the name where there is no text
		e.Record.Body = ""
	}
	for _, a := range slices.Concat(r.columns(), r.Attrs) {
		if key := strings.TrimPrefix(a.Key, "attr."); a.Value != "" && len(e.Record.Attrs) < record.MaxAttrs && e.Record.Attr(key).IsNull() {
			e.Record.Attrs = append(e.Record.Attrs, record.Attr{Key: key, Value: value(key, a.Value)})
		}
	}
	return e, nil
}
