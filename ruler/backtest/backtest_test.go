package backtest

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/engine"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

var t0 = time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)

// past is a stream that somebody wrote, and a store that knows the servers.
type past struct {
	t     *testing.T
	log   stream.Log
	fake  *streamtest.Log // nil = a real one, whose times are those of today
	now   time.Time
	seq   map[string]uint64
	store *sqlite.Store
}

func newPast(t *testing.T) *past {
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "ruler.db"), Partitions: stream.Partitions, Hash: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	log := streamtest.New(t0)
	return &past{t: t, log: log, fake: log, now: t0, seq: map[string]uint64{}, store: s}
}

func server(n byte) record.ID { return record.ID{n, 1, 15: 7} }

func (p *past) send(id record.ID, c record.Category, rec record.Record) {
	p.t.Helper()
	key := id.String() + c.String()
	p.seq[key]++
	rec.Time, rec.Observed = p.now, p.now
	frame, err := record.EncodeData(record.Header{Producer: record.ExporterProducer(id), Subject: id, Category: c, First: p.seq[key], Sent: p.now.UnixNano(),
		Epoch: record.Epoch{EpochRef: record.EpochRef{Start: t0.UnixNano(), Random: 1}}}, []record.Record{rec})
	if err != nil {
		p.t.Fatal(err)
	}
	p.append(stream.Partition(id), stream.Entry{Kind: stream.EntryFrames, Bridge: "b1", Frames: []stream.EntryFrame{{Received: p.now.UnixNano(), Frame: frame}}})
}

func (p *past) append(n int, e stream.Entry) {
	p.t.Helper()
	b, err := stream.AppendEntry(nil, &e)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.fake != nil {
		p.fake.SetTime(p.now)
	}
	if _, err := p.log.Append(context.Background(), n, b); err != nil {
		p.t.Fatal(err)
	}
}

// pass lets time pass in all partitions.
func (p *past) pass(d time.Duration) {
	for end := p.now.Add(d); p.now.Before(end); {
		p.now = p.now.Add(5 * time.Second)
		for n := range stream.Partitions {
			p.append(n, stream.Entry{Kind: stream.EntryTick, Bridge: "b1", Tick: stream.Tick{Wall: p.now.UnixNano(), Period: 5 * time.Second, Accepted: 1, ProbeOK: true}})
		}
	}
}

func event(provider string, id int64) record.Record {
	return record.Record{Name: record.NameWindowsEvent, Body: "text", Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String(provider)}, {Key: record.AttrEventID, Value: record.Int(id)}}}
}

func (p *past) disk(id record.ID, n int64) { p.send(id, record.EventLog, event("disk", n)) }

func (p *past) config() Config {
	return Config{Stream: p.log, State: p.store, Now: func() time.Time { return p.now }}
}

func parse(t *testing.T, text string) *rule.Rule {
	t.Helper()
	rules, err := rule.Parse("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return rules[0]
}

const one = "{id: disk-bad, name: DiskBad, class: disk, severity: warning, summary: \"{{ .Server }}: bad\", runbook: a#b, expires: %s, match: {provider: disk, event_id: [%s]}}"

func TestOverTheStream(t *testing.T) {
	p := newPast(t)
	p.disk(server(1), 7)
	p.pass(10 * time.Minute)
	p.disk(server(1), 7)
	p.disk(server(2), 7)
	p.disk(server(3), 9)
	p.pass(time.Minute)
	tried, today := parse(t, fmt.Sprintf(one, "2m", "7")), parse(t, fmt.Sprintf(one, "30m", "7, 9"))
	var said []Progress
	res, err := Run(t.Context(), p.config(), tried, today, time.Hour, func(p Progress) { said = append(said, p) })
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Sentence(), "would have fired 3 times on 2 servers, 1 cleared within 5 min, 2 still open; the rule of today: 3 times on 3 servers"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if len(res.Counts.Days) != 1 || res.Counts.Days[0] != (Day{"2026-11-20", 3}) || res.Records != 4 {
		t.Errorf("days %v, %d records", res.Counts.Days, res.Records)
	}
	if e := res.Episodes; len(e) != res.Counts.Fired || e[0].Opened.IsZero() || e[0].Closed.IsZero() == (e[0].Closed.After(e[0].Opened)) {
		t.Errorf("episodes %+v", e)
	}
	if len(res.Examples) != 3 || len(res.Examples[0].Evidence) == 0 || res.Examples[0].Evidence[0].Body != "text" {
		t.Errorf("examples %+v", res.Examples)
	}
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "the stream goes back to 2026-11-20 22:00 UTC only") || !res.From.Equal(t0.Add(5*time.Second)) {
		t.Errorf("covered since %s: %q", res.From, res.Warnings)
	}
	if len(said) == 0 {
		t.Error("no progress was said")
	}
	// Only the last minutes.
	if res, err = Run(t.Context(), p.config(), tried, nil, 2*time.Minute, nil); err != nil || res.Counts.Fired != 2 || len(res.Warnings) != 0 || res.Today != nil {
		t.Errorf("%+v %v", res, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, p.config(), tried, nil, time.Hour, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits for it any more: %v", err)
	}
}

// A real JetStream gives what the one in memory gives.
func TestOverARealStream(t *testing.T) {
	_, conn := streamtest.Server(t)
	if err := conn.CreateStreams(t.Context(), stream.StreamsConfig{}); err != nil {
		t.Fatal(err)
	}
	p := newPast(t)
	p.log, p.fake, p.now = conn, nil, time.Now()
	p.disk(server(1), 7)
	p.disk(server(2), 7)
	p.now = time.Now()
	res, err := Run(t.Context(), p.config(), parse(t, fmt.Sprintf(one, "2m", "7")), nil, time.Hour, nil)
	if err != nil || res.Counts.Fired != 2 || res.Counts.Servers != 2 {
		t.Errorf("%+v %v", res, err)
	}
}

// logs is a log store in memory.
type logs []Event

func (l logs) Oldest(context.Context, time.Time, time.Time) (time.Time, error) { return l[0].At, nil }

func (l logs) Events(_ context.Context, n int, from, to time.Time, _ []*rule.Rule, fn func(*Event) error) error {
	for i := range l {
		if e := &l[i]; stream.Partition(e.Header.Subject) == n && !e.At.Before(from) && e.At.Before(to) {
			if err := fn(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// What the stream does not have any more comes from the log store, and a window
// goes on from one to the other.
func TestOlderThanTheStream(t *testing.T) {
	p := newPast(t)
	id := server(1)
	old := func(before time.Duration, entry uint64) Event {
		return Event{At: t0.Add(-before), Header: record.Header{Producer: record.ExporterProducer(id), Subject: id, Category: record.EventLog}, Seq: uint64(entry), Record: event("disk", 7)}
	}
	p.pass(time.Minute)
	p.disk(id, 7)
	p.pass(time.Minute)
	cfg := p.config()
	cfg.Events = logs{old(50*time.Hour, 1), old(2*time.Hour, 2), old(time.Hour, 3)}
	r := parse(t, "{id: often, name: Often, class: disk, severity: warning, summary: s, runbook: a#b, count: {event: {provider: disk, event_id: 7}, more_than: 2, within: 3h}}")
	res, err := Run(t.Context(), cfg, r, nil, 72*time.Hour, nil)
	if err != nil || res.Counts.Fired != 1 {
		t.Fatalf("%+v %v", res, err)
	}
	if len(res.Spans) != 2 || res.Spans[0].Source != "logs" || !res.From.Equal(t0.Add(-50*time.Hour)) || !res.Spans[1].From.Equal(t0.Add(5*time.Second)) {
		t.Errorf("spans %+v", res.Spans)
	}
}

// A state is found in the configurations that the store kept.
func TestOverTheHistory(t *testing.T) {
	p := newPast(t)
	r := parse(t, "{id: drive, name: Drive, class: drive, severity: warning, summary: s, runbook: a#b, state: {device: physical_drive, field: state, ok: [Onln]}}")
	id := server(1)
	c, err := p.store.Claim(t.Context(), stream.Partition(id), "test")
	if err != nil {
		t.Fatal(err)
	}
	commit := store.PartitionCommit{Partition: stream.Partition(id), Epoch: c.Epoch, From: c.Position, To: store.Position{Incarnation: "i", Entry: 1}, Servers: []store.ServerWrite{{ID: id, Partition: stream.Partition(id)}}}
	for i, state := range []string{"Onln", "Failed", "Onln"} {
		hash, b := engine.Pack(&record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}}, Devices: []record.Device{{Type: record.DevicePhysicalDrive, Place: "c0/e1/s1", Occupant: "S1", Fields: []record.Attr{{Key: record.FieldState, Value: record.String(state)}}}}})
		at := t0.Add(time.Duration(i-10) * 2 * time.Minute)
		commit.Snapshots = append(commit.Snapshots, store.SnapshotWrite{Server: id, Category: record.RAID, At: at, Hash: hash, Bytes: b})
		commit.History = append(commit.History, store.HistoryEntry{Server: id, Category: record.RAID, At: at, Hash: hash, RecordID: fmt.Sprint("r", i)})
	}
	if err := p.store.Commit(t.Context(), []store.PartitionCommit{commit}); err != nil {
		t.Fatal(err)
	}
	p.pass(time.Minute)
	res, err := Run(t.Context(), p.config(), r, nil, time.Hour, nil)
	if err != nil || res.Counts.Fired != 1 || res.Counts.Soon != 1 || !strings.Contains(fmt.Sprint(res.Spans), "history") {
		t.Errorf("%+v %v", res, err)
	}
}

// manyMoves is a store with drives that moved all at once.
type manyMoves struct {
	State
	moves, asked int
}

func (m *manyMoves) Changes(context.Context, store.ChangeQuery) (store.ChangePage, error) {
	var page store.ChangePage
	for i := range m.moves {
		serial := fmt.Sprint("Z", i/2) // there and back
		page.Changes = append(page.Changes, store.Change{Server: server(byte(2 - i%2)), FromServer: server(byte(1 + i%2)), Category: record.RAID, At: t0.Add(-time.Hour), Stream: t0.Add(-time.Hour), Kind: "moved",
			Type: record.DevicePhysicalDrive, Place: "s7", From: "s1", Occupant: serial, After: serial})
	}
	return page, nil
}

func (m *manyMoves) Stays(_ context.Context, serials []string, fn func(*store.Occupant) error) error {
	m.asked++
	for _, serial := range serials {
		if err := fn(&store.Occupant{Serial: serial, Server: server(2), Category: record.RAID, Type: record.DevicePhysicalDrive, Place: "s7", Model: "M1", Since: t0.Add(-2 * time.Hour)}); err != nil {
			return err
		}
	}
	if len(serials) != m.moves/2 {
		return fmt.Errorf("asked for %d serial numbers, want %d", len(serials), m.moves/2)
	}
	return nil
}

// Where parts sat is asked once, however many moved.
func TestMovesAreLookedUpAtOnce(t *testing.T) {
	p := newPast(t)
	cfg := p.config()
	many := &manyMoves{State: cfg.State, moves: 40}
	cfg.State = many
	r := parse(t, "{id: moves, name: Moves, class: moves, severity: info, summary: s, runbook: a#b, expires: 10m, change: {device: [physical_drive], kinds: [moved], across: 3h}}")
	res, err := Run(t.Context(), cfg, r, nil, 2*time.Hour, nil)
	if err != nil || many.asked != 1 || res.Counts.Fired == 0 {
		t.Errorf("asked %d times, fired %d times, %v", many.asked, res.Counts.Fired, err)
	}
}

// Parts that moved between servers were written down when it was seen.
func TestMovesBetweenServers(t *testing.T) {
	p := newPast(t)
	a, b := server(1), server(2)
	for _, id := range []record.ID{a, b} {
		n := stream.Partition(id)
		c, err := p.store.Claim(t.Context(), n, "test")
		if err != nil {
			t.Fatal(err)
		}
		commit := store.PartitionCommit{Partition: n, Epoch: c.Epoch, From: c.Position, To: store.Position{Incarnation: "i", Entry: c.Position.Entry + 1},
			Servers: []store.ServerWrite{{ID: id, Partition: n, Labels: &store.ServerLabels{Name: fmt.Sprintf("srv%d", id[0]), Site: "fra"}}}}
		drive := func(place string, came, left time.Time) store.DeviceWrite {
			return store.DeviceWrite{Server: id, Device: store.Device{Category: record.RAID, Type: record.DevicePhysicalDrive, Place: place, Occupant: "Z1", First: came, Changed: came, Removed: left, Fields: []byte(`{"model":"M1"}`)}}
		}
		if id == a {
			commit.StreamTime, commit.Devices = t0.Add(-4*time.Hour), []store.DeviceWrite{drive("c0/e1/s1", t0.Add(-4*time.Hour), time.Time{})}
			if err := p.store.Commit(t.Context(), []store.PartitionCommit{commit}); err != nil {
				t.Fatal(err)
			}
			commit.From, commit.To.Entry = commit.To, commit.To.Entry+1
			commit.StreamTime, commit.Devices = t0.Add(-3*time.Hour), []store.DeviceWrite{drive("c0/e1/s1", t0.Add(-4*time.Hour), t0.Add(-3*time.Hour))}
		} else {
			at := t0.Add(-time.Hour)
			commit.StreamTime, commit.Devices = at, []store.DeviceWrite{drive("c0/e1/s7", at, time.Time{})}
			commit.Changes = []store.Change{{Server: b, FromServer: a, Category: record.RAID, At: at, Stream: at, Kind: "moved", Type: record.DevicePhysicalDrive, Place: "c0/e1/s7", From: "c0/e1/s1", Occupant: "Z1", After: "Z1", RecordID: "r1"}}
		}
		if err := p.store.Commit(t.Context(), []store.PartitionCommit{commit}); err != nil {
			t.Fatal(err)
		}
	}
	follow := func(across, extra string) *rule.Rule {
		return parse(t, "{id: moves, name: Moves, class: moves, severity: info, summary: s, runbook: a#b, expires: 10m, change: {device: [physical_drive], kinds: [moved], across: "+across+"}"+extra+"}")
	}
	res, err := Run(t.Context(), p.config(), follow("3h", ""), follow("1h", ""), 2*time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Sentence(), "would have fired 1 time on 1 server, 0 cleared within 5 min; the rule of today: 0 times on 0 servers"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if len(res.Examples) != 1 || res.Examples[0].Notification.Name != "srv2" || !strings.Contains(res.Examples[0].Notification.Reason, "shown for 10") || len(res.Examples[0].Evidence) != 2 ||
		res.Examples[0].Evidence[0].Reason != "moved here from srv1 c0/e1/s1 (serial Z1)" {
		t.Errorf("examples %+v", res.Examples)
	}
	for name, r := range map[string]*rule.Rule{"of other servers": follow("3h", ", servers: {site: ber}"), "within a server": parse(t, "{id: m, name: M, class: m, severity: info, summary: s, runbook: a#b, expires: 10m, change: {device: [physical_drive], kinds: [moved]}}")} {
		if res, err := Run(t.Context(), p.config(), r, nil, 2*time.Hour, nil); err != nil || res.Counts.Fired != 0 {
			t.Errorf("%s: %+v %v", name, res.Counts, err)
		}
	}
	if res, err := Run(t.Context(), p.config(), follow("90d", ""), nil, 30*time.Minute, nil); err != nil || res.Counts.Fired != 0 || !strings.Contains(fmt.Sprint(res.Warnings), "longer than 30 days") {
		t.Errorf("it was before: %+v %q %v", res.Counts, res.Warnings, err)
	}
}
