// Package sinktest holds sinks and their stores to their contracts, and gives
// tests what they need for it: an in-memory sink that forgets what it had not
// written to disk, an in-memory Store, and real VictoriaMetrics and
// VictoriaLogs servers that can be killed.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
	"nocturne/internal/record"
	"nocturne/internal/stream"
)

// Subject is a sink under test with the store behind it.
type Subject struct {
	Sink sink.Sink
	// Key names what a row becomes in the store.
	Key func(r *sink.Row) string
	// Stored returns how many copies of each key the store has now.
	Stored func(ctx context.Context) (map[string]int, error)
	// Kill ends the store without warning, Start brings it back.
	Kill, Start func()
}

// NewRows makes n heartbeats of one server as rows, from the given entry on.
func NewRows(server byte, n int, entry uint64, now time.Time) []sink.Row {
	id := record.ID{server, 15: 0x7e}
	rows := make([]sink.Row, n)
	for i := range rows {
		at := now.Add(time.Duration(i) * 10 * time.Millisecond)
		h := &record.Header{
			Kind: record.FrameData, Subject: id, Producer: record.ExporterProducer(id), Category: record.Heartbeat,
			Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: uint64(server) + 1}}, First: uint64(i + 1), Last: uint64(i + 1), Count: 1, Sent: at.UnixNano(),
		}
		rec := &record.Record{Time: at, Observed: at, Severity: record.Info, Name: record.NameHeartbeat, Body: "heartbeat"}
		srv := series.Server{Name: fmt.Sprint("srv", server), Site: "north"}
		r := sink.Row{Partition: stream.Partition(id), Entry: entry + uint64(i), Received: at, Header: h, Seq: uint64(i + 1), Record: rec, Server: srv}
		r.Samples, _ = series.Append(nil, srv, h, rec, 0)
		rows[i] = r
	}
	return rows
}

func again(rows []sink.Row, a sink.Again) []sink.Row {
	out := append([]sink.Row(nil), rows...)
	for i := range out {
		out[i].Again = a
	}
	return out
}

// Run holds a sink to its contract. Every case uses a server of its own.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	s := open(t)
	now := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
	write := func(t *testing.T, b sink.Batch) {
		t.Helper()
		if err := s.Sink.Write(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("rows are there", func(t *testing.T) {
		rows := NewRows(1, 200, 10, now)
		write(t, sink.Batch{Rows: rows})
		s.wantOnce(t, rows)
	})
	t.Run("rows written again are there once", func(t *testing.T) {
		rows := NewRows(2, 200, 10, now)
		write(t, sink.Batch{Rows: rows})
		write(t, sink.Batch{Rows: again(rows, sink.SameEntry)})
		s.wantOnce(t, rows)
	})
	t.Run("a batch tried again is completed", func(t *testing.T) {
		rows := NewRows(3, 200, 10, now)
		write(t, sink.Batch{Rows: rows[:77]})
		write(t, sink.Batch{Rows: rows, Repeat: true})
		write(t, sink.Batch{Rows: rows, Repeat: true})
		s.wantOnce(t, rows)
	})
	t.Run("rows that come again in other entries are there once", func(t *testing.T) {
		rows := NewRows(4, 700, 5000, now)
		write(t, sink.Batch{Rows: rows[:500]})
		moved := again(rows, sink.AnyEntry)
		for i := range moved {
			moved[i].Entry = uint64(i + 1)
		}
		write(t, sink.Batch{Rows: moved})
		s.wantOnce(t, rows)
	})
	t.Run("hostile records", func(t *testing.T) { s.hostile(t, now) })
	t.Run("an empty batch", func(t *testing.T) { write(t, sink.Batch{}) })
	t.Run("a cancelled write returns", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Sink.Write(ctx, sink.Batch{Rows: NewRows(5, 1, 1, now)}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("another process of the store has another name", func(t *testing.T) {
		a := s.instance(t)
		if b := s.instance(t); a != b {
			t.Errorf("same process, names %q and %q", a, b)
		}
		// The name is the start time in seconds: let one pass.
		until := time.Now().Truncate(time.Second).Add(time.Second)
		if err := Poll(t.Context(), func() error {
			if time.Now().Before(until) {
				return errors.New("too early")
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		s.Kill()
		err := s.Sink.Write(t.Context(), sink.Batch{Rows: NewRows(6, 1, 1, now)})
		if err == nil || errors.Is(err, sink.ErrRefused) || errors.Is(err, sink.ErrStop) {
			t.Errorf("write to a store that is down: %v, want an error to retry", err)
		}
		if _, err := s.Sink.Instance(t.Context()); err == nil {
			t.Error("a store that is down has an instance")
		}
		s.Start()
		if b := s.instance(t); a == b {
			t.Errorf("two processes, one name %q", a)
		}
	})
}

func (s *Subject) instance(t *testing.T) string {
	t.Helper()
	v, err := s.Sink.Instance(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// hostile writes what a server could send to do harm; each row must be there
// once and its neighbours too.
func (s *Subject) hostile(t *testing.T, now time.Time) {
	rows := NewRows(7, 8, 1, now)
	rows[1].Record.Body = "\x00\xff\xfe\u2028\n\"}{"
	for i := range record.MaxAttrs {
		rows[2].Record.Attrs = append(rows[2].Record.Attrs, record.Attr{Key: fmt.Sprint("k", i), Value: record.String(strings.Repeat("\x01", 800))})
	}
	var deep []record.Attr
	for i := range 4000 {
		deep = append(deep, record.Attr{Key: fmt.Sprint("d", i), Value: record.Int(int64(i))})
	}
	rows[3].Record.Attrs = []record.Attr{{Key: "m", Value: record.Map(deep)}}
	for _, k := range []string{"_time", "_msg", "_stream", "record_id", "server_id", "entry", "", "category"} {
		rows[4].Record.Attrs = append(rows[4].Record.Attrs, record.Attr{Key: k, Value: record.String("claimed")})
	}
	rows[5].Record.Body = strings.Repeat("x", record.MaxRecord)
	rows[6].Record.Time = now.AddDate(30, 0, 0)
	if err := s.Sink.Write(t.Context(), sink.Batch{Rows: rows}); err != nil {
		t.Fatal(err)
	}
	s.wantOnce(t, rows)
}

// wantOnce waits until every row is stored and fails on a second copy.
func (s *Subject) wantOnce(t *testing.T, rows []sink.Row) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var extra []string
	err := Poll(ctx, func() error {
		have, err := s.Stored(ctx)
		if err != nil {
			return err
		}
		extra = extra[:0]
		missing := 0
		for i := range rows {
			switch n := have[s.Key(&rows[i])]; {
			case n == 0:
				missing++
			case n > 1:
				extra = append(extra, s.Key(&rows[i]))
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d rows are missing", missing, len(rows))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(extra) > 0 {
		t.Errorf("%d rows are there more than once, such as %s", len(extra), extra[0])
	}
}
