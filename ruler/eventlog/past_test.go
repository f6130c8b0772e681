package eventlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/eventbridge/series"
	"nocturne/eventbridge/sink"
	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/backtest"
	"nocturne/ruler/rule"
	"nocturne/ruler/store/sqlite"
)

func parseRule(t testing.TB, text string) *rule.Rule {
	t.Helper()
	rules, err := rule.Parse("x", []byte("{name: N, class: disk, severity: warning, summary: s, runbook: a#b, "+text+"}"))
	if err != nil {
		t.Fatal(err)
	}
	return rules[0]
}

// two keeps the same records twice, as the stream has them and as the log store.
type two struct {
	t    *testing.T
	logs *logs
	log  *streamtest.Log
	now  time.Time
	seq  map[record.ID]uint64
}

func (w *two) append(n int, e stream.Entry) uint64 {
	w.t.Helper()
	b, err := stream.AppendEntry(nil, &e)
	if err != nil {
		w.t.Fatal(err)
	}
	w.log.SetTime(w.now)
	p, err := w.log.Append(context.Background(), n, b)
	if err != nil {
		w.t.Fatal(err)
	}
	return p.Entry
}

func (w *two) pass(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); {
		w.now = w.now.Add(5 * time.Second)
		for n := range stream.Partitions {
			w.append(n, stream.Entry{Kind: stream.EntryTick, Bridge: "b1", Tick: stream.Tick{Wall: w.now.UnixNano(), Period: 5 * time.Second, Accepted: 1, ProbeOK: true}})
		}
	}
}

// send stores records of a server that come together.
func (w *two) send(id record.ID, records ...record.Record) {
	w.t.Helper()
	h := record.Header{Producer: record.ExporterProducer(id), Subject: id, Category: record.EventLog, First: w.seq[id] + 1, Sent: w.now.UnixNano(),
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: w.now.Add(-time.Hour).UnixNano(), Random: 91}}}
	frame, err := record.EncodeData(h, records)
	if err != nil {
		w.t.Fatal(err)
	}
	n := stream.Partition(id)
	entry := w.append(n, stream.Entry{Kind: stream.EntryFrames, Bridge: "b1", Frames: []stream.EntryFrame{{Received: w.now.UnixNano(), Frame: frame}}})
	for i := range records {
		w.seq[id]++
		w.logs.rows = append(w.logs.rows, sink.Row{Partition: n, Entry: entry, Received: w.now, Header: &h, Seq: w.seq[id], Record: &records[i], Server: series.Server{Name: "srv"}})
	}
}

// what tells what a rule would have done.
func what(t *testing.T, r backtest.Result) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "fired %d servers %d open %d\n", r.Counts.Fired, r.Counts.Servers, r.Counts.Open)
	for _, e := range r.Examples {
		n := e.Notification
		fmt.Fprintf(&b, "%s %s opened %s", n.Server, n.Device, n.Opened.Format("15:04:05.000"))
		if !n.Resolved.IsZero() {
			b.WriteString(n.Resolved.Format(" 15:04:05.000"))
		}
		for _, v := range e.Evidence {
			fmt.Fprintf(&b, " %s %s %q", v.Effect, v.RecordID, v.Body)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

var pastRules = []string{
	`id: a, expires: 5m, match: {provider: [disk, storahci], event_id: [7, 11-15]}`,
	`id: b, expires: 1h, match: {provider: disk, event_id: 7, device: {type: disk, attr: event.data.param1}, clear: {provider: Disk, event_id: 9}}`,
	`id: c, count: {event: {provider: storahci, event_id: 129}, more_than: 1, within: 30m}`,
	`id: d, expires: 10m, match: {if: 'provider == "disk" && event_id in [7, 9] && data["param1"].endsWith("1")'}`,
	`id: e, expires: 10m, match: {level: error, channel: SYSTEM}`,
	`id: f, expires: 10m, match: {attrs: {event.data.param1: "Harddisk2"}}`,
	`id: g, expires: 20m, sequence: {steps: [{event: {provider: disk, event_id: 7}}, {event: {provider: disk, event_id: 9}, within: 5m}]}`,
	`id: h, expires: 10m, match: {record: nocturne.source.failed}`,
	`id: i, expires: 10m, match: {provider: {not: [disk]}, level: [error, warning]}`,
}

// What rules would have done over the log store is what they would have done over
// the stream, of the same records.
func TestLogsEqualStream(t *testing.T) {
	begin := time.Now().UTC().Truncate(time.Second).Add(-3 * time.Hour)
	w := &two{t: t, logs: openLogs(t), log: streamtest.New(begin), now: begin, seq: map[record.ID]uint64{}}
	rng := rand.New(rand.NewPCG(4, 2))
	text := func(list ...string) string { return list[rng.IntN(len(list))] }
	w.pass(time.Minute)
	rounds := 150
	if testing.Short() {
		rounds = 80
	}
	for range rounds {
		w.pass(time.Duration(1+rng.IntN(5)) * 5 * time.Second)
		var records []record.Record
		for range 1 + rng.IntN(3) {
			r := record.Record{Time: w.now, Observed: w.now, Severity: record.Error, Name: text(record.NameWindowsEvent, record.NameWindowsEvent, record.NameWindowsEvent, record.NameJournal, record.NameSourceFailed),
				Body: text("bad block", "", "line\nbreak"), Attrs: []record.Attr{{Key: record.AttrChannel, Value: record.String(text("System", "Application"))},
					{Key: record.AttrProvider, Value: record.String(text("disk", "Disk", "storahci", "x"))}, {Key: record.AttrEventID, Value: record.Int(int64([]int{7, 9, 12, 129}[rng.IntN(4)]))},
					{Key: record.AttrLevel, Value: record.String(text("error", "warning", "info"))}, {Key: "event.data.param1", Value: record.String(text("Harddisk1", "Harddisk2", `"`))},
					{Key: "server", Value: record.String("claimed")}, {Key: "n", Value: record.Int(5)}}}
			records = append(records, r)
		}
		w.send(serverID(byte(1+rng.IntN(12))), records...)
	}
	w.pass(3 * time.Minute)
	w.logs.write(2)
	state, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ruler.db"), Partitions: stream.Partitions, Hash: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = state.Close() })
	now := func() time.Time { return w.now }
	some := 0
	for _, text := range pastRules {
		r := parseRule(t, text)
		over := func(cfg backtest.Config) backtest.Result {
			t.Helper()
			res, err := backtest.Run(t.Context(), cfg, r, nil, 3*time.Hour, nil)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			return res
		}
		live := over(backtest.Config{Stream: w.log, State: state, Now: now})
		past := over(backtest.Config{Stream: streamtest.New(w.now), State: state, Events: w.logs.client, Now: now})
		if got, want := what(t, past), what(t, live); got != want {
			t.Errorf("%s\nover the logs:\n%sover the stream:\n%s", text, got, want)
		}
		if live.Counts.Fired == 0 && !testing.Short() {
			t.Errorf("%s: never fires, nothing is compared", text)
		}
		some += live.Counts.Fired
		if !slices.ContainsFunc(past.Spans, func(s backtest.Span) bool { return s.Source == "logs" }) || past.From.Before(begin) || past.From.After(begin.Add(2*time.Minute)) {
			t.Errorf("%s: covered %+v", text, past.Spans)
		}
	}
	t.Logf("%d notifications compared", some)

	t.Run("where the stream begins", func(t *testing.T) { // half from the logs, half from the stream
		r := parseRule(t, pastRules[0])
		half := cutLog{w.log, w.now.Add(-20 * time.Minute)}
		res, err := backtest.Run(t.Context(), backtest.Config{Stream: half, State: state, Events: w.logs.client, Now: now}, r, nil, 3*time.Hour, nil)
		all, err2 := backtest.Run(t.Context(), backtest.Config{Stream: w.log, State: state, Now: now}, r, nil, 3*time.Hour, nil)
		if err != nil || err2 != nil || what(t, res) != what(t, all) {
			t.Errorf("%v %v\n%s\nwant\n%s", err, err2, what(t, res), what(t, all))
		}
	})
	t.Run("a longer time than is kept", func(t *testing.T) {
		res, err := backtest.Run(t.Context(), backtest.Config{Stream: streamtest.New(w.now), State: state, Events: w.logs.client, Now: now}, parseRule(t, pastRules[0]), nil, 30*24*time.Hour, nil)
		if err != nil || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "the log store goes back to") {
			t.Errorf("%q %v", res.Warnings, err)
		}
	})
	if !testing.Short() {
		t.Run("batches", func(t *testing.T) { w.batches(t, begin) })
	}
	t.Run("nobody waits", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		err := w.logs.client.Events(ctx, stream.Partition(serverID(1)), begin, w.now, []*rule.Rule{parseRule(t, pastRules[4])}, func(*backtest.Event) error {
			cancel()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("the store is away", func(t *testing.T) {
		w.logs.server.Kill()
		res, err := backtest.Run(t.Context(), backtest.Config{Stream: streamtest.New(w.now), State: state, Events: w.logs.client, Now: now}, parseRule(t, pastRules[0]), nil, 3*time.Hour, nil)
		if err != nil || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "does not answer") {
			t.Errorf("%q %v", res.Warnings, err)
		}
	})
}

// batches reads more than a batch, and more of one moment than a batch.
func (w *two) batches(t *testing.T, begin time.Time) {
	const many = 300
	w.logs.client.batch = 200
	at := begin.Add(-time.Hour)
	for i := range many {
		w.logs.event(200, at.Add(time.Duration(i)*time.Microsecond), "many", 1, "")
	}
	for range many {
		w.logs.event(200, at.Add(time.Hour/2), "many", 2, "")
	}
	w.logs.write(1)
	seen, last := map[string]bool{}, time.Time{}
	err := w.logs.client.Events(t.Context(), stream.Partition(serverID(200)), begin.AddDate(0, 0, -20), w.now, []*rule.Rule{parseRule(t, `id: a, expires: 5m, match: {provider: MANY}`)}, func(e *backtest.Event) error {
		if e.At.Before(last) {
			t.Fatalf("%s after %s", e.At, last)
		}
		last, seen[e.ID] = e.At, true
		if record.RecordID(&e.Header, e.Seq) != e.ID {
			t.Fatalf("%s became %s", e.ID, record.RecordID(&e.Header, e.Seq))
		}
		return nil
	})
	if err != nil || len(seen) != 2*many {
		t.Errorf("%d of %d records, %v", len(seen), 2*many, err)
	}
}

// cutLog is a stream that has lost what is older.
type cutLog struct {
	*streamtest.Log
	from time.Time
}

func (c cutLog) First(ctx context.Context, n int) (stream.Position, error) {
	first, err := c.Log.First(ctx, n)
	if err != nil {
		return first, err
	}
	done := errors.New("done")
	err = c.Read(ctx, n, first, func(m stream.Message) error {
		if !m.Time.Before(c.from) {
			return done
		}
		first = m.Position
		return nil
	})
	if errors.Is(err, done) {
		err = nil
	}
	return first, err
}

func TestConcern(t *testing.T) {
	for text, want := range map[string]string{
		pastRules[0]: `provider:~"(?i)^(?:disk|storahci)$" (event_id:range[11, 15] or event_id:in("7")) name:in("windows.event","journal.entry")`,
		pastRules[3]: `provider:~"(?i)^(?:disk)$" (event_id:in("7","9")) name:in("windows.event","journal.entry")`,
		pastRules[7]: `name:in("nocturne.source.failed")`,
		`id: a, expires: 1m, match: {if: 'provider == "x" && event_id == 0'}`: `provider:~"(?i)^(?:x)$" name:in("windows.event","journal.entry")`,
		`id: a, expires: 1m, match: {if: 'message.contains("x")'}`:            `name:in("windows.event","journal.entry")`,
	} {
		f := Filter{Any: concern([]*rule.Rule{parseRule(t, text)})}
		if got := f.query(); !strings.Contains(got, "(("+want+"))") && !strings.Contains(got, "( ("+want+"))") {
			t.Errorf("%s:\n%s\nwant %s", text, got, want)
		}
	}
	state := parseRule(t, `id: s, state: {device: physical_drive, field: state, ok: [Onln]}`)
	if got := concern([]*rule.Rule{state}); got == nil || len(got) != 0 {
		t.Errorf("a rule about states looks at %v", got)
	}
}
