package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/alerts"
	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/internal/stream/streamtest"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
	"nocturne/ruler/store/sqlite"
)

var (
	ctx = context.Background()
	t0  = time.Date(2026, 11, 20, 22, 0, 0, 0, time.UTC)
)

const testInterval = 10 * time.Second // of heartbeats; absence after 30 s

// world is a fleet, a bridge and a log in virtual time.
type world struct {
	t       testing.TB
	log     *streamtest.Log
	now     time.Time
	sims    []*sim
	down    bool // no bridge writes anything
	bridges []string
	dead    map[string]bool // bridges that write nothing
	probe   bool
	frames  uint64 // accepted since the last tick
	entries int
}

// sim plays the exporter of one server.
type sim struct {
	w        *world
	id       record.ID
	name     string
	site     string
	rack     string
	machine  string
	board    string
	epoch    record.Epoch
	seq      map[record.Category]uint64
	registry uint64
	address  string // of its last connection
	silent   bool
	via      string        // bridge
	skew     time.Duration // its clock is ahead
	boot     time.Time     // zero = an hour ago
	spool    []stream.EntryFrame
}

func newWorld(t testing.TB) *world {
	return &world{t: t, bridges: []string{"b1"}, dead: map[string]bool{}, log: streamtest.New(t0), now: t0, probe: true}
}

func (w *world) add(n int, name, site, rack string) *sim {
	s := &sim{w: w, id: record.ID{0: byte(n >> 8), 1: byte(n), 15: 7}, name: name, site: site, rack: rack, machine: "m-" + name, board: "b-" + name, seq: map[record.Category]uint64{}}
	s.start()
	w.sims = append(w.sims, s)
	s.enrol()
	return s
}

func (s *sim) start() {
	prev := s.epoch.EpochRef
	s.epoch = record.Epoch{EpochRef: record.EpochRef{Start: s.clock().UnixNano(), Random: s.epoch.Random + 1 + uint64(s.id[1])<<16}, Prev: prev}
	s.seq = map[record.Category]uint64{}
}

func (s *sim) clock() time.Time { return s.w.now.Add(s.skew) }

func (w *world) append(p int, e stream.Entry) {
	w.t.Helper()
	b, err := stream.AppendEntry(nil, &e)
	if err != nil {
		w.t.Fatal(err)
	}
	w.log.SetTime(w.now)
	if _, err := w.log.Append(ctx, p, b); err != nil {
		w.t.Fatal(err)
	}
	w.entries++
}

// deliver puts a frame into the stream, or into the spool while the bridge is down.
func (s *sim) deliver(frame []byte) {
	f := stream.EntryFrame{Received: s.w.now.UnixNano(), Skew: -int64(s.skew), Frame: frame}
	if s.w.down || s.w.dead[s.bridge()] {
		s.spool = append(s.spool, f)
		return
	}
	s.w.frames++
	s.w.append(stream.Partition(s.id), stream.Entry{Kind: stream.EntryFrames, Bridge: s.bridge(), Frames: []stream.EntryFrame{f}})
}

func (s *sim) bridge() string {
	if s.via == "" {
		return "b1"
	}
	return s.via
}

func (s *sim) flush() {
	for len(s.spool) > 0 {
		n := min(len(s.spool), 100)
		s.w.frames += uint64(n)
		s.w.append(stream.Partition(s.id), stream.Entry{Kind: stream.EntryFrames, Bridge: s.bridge(), Frames: s.spool[:n]})
		s.spool = s.spool[n:]
	}
}

func (s *sim) send(c record.Category, recs ...record.Record) []byte {
	h := record.Header{Producer: record.ExporterProducer(s.id), Subject: s.id, Category: c, Epoch: s.epoch, First: s.seq[c] + 1, Sent: s.clock().UnixNano()}
	frame, err := record.EncodeData(h, recs)
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.seq[c] += uint64(len(recs))
	s.deliver(frame)
	return frame
}

func (s *sim) registryRecord(name string) {
	s.registry++
	h := record.Header{Producer: "bridge/b1/registry", Subject: s.id, Category: record.Agent, Epoch: record.Epoch{EpochRef: record.EpochRef{Start: 1, Random: 1}}, First: s.registry, Sent: s.w.now.UnixNano()}
	frame, err := record.EncodeData(h, []record.Record{{Time: s.w.now, Observed: s.w.now, Name: name, Attrs: []record.Attr{
		{Key: record.AttrServer, Value: record.String(s.name)}, {Key: record.AttrSite, Value: record.String(s.site)}, {Key: record.AttrRack, Value: record.String(s.rack)},
		{Key: record.AttrRole, Value: record.String("db")}, {Key: record.AttrSimulated, Value: record.Bool(s.address == "")}, {Key: record.AttrAddress, Value: record.String(s.address)}}}})
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.deliver(frame)
}

func (s *sim) enrol() { s.registryRecord(record.NameEnrolled) }

func (s *sim) beat() []byte {
	boot := s.boot
	if boot.IsZero() {
		boot = t0.Add(-time.Hour)
	}
	return s.send(record.Heartbeat, record.Record{Time: s.clock(), Observed: s.clock(), Name: record.NameHeartbeat, Attrs: []record.Attr{
		{Key: record.AttrOSName, Value: record.String("Windows Server 2022 Standard")}, {Key: record.AttrOSType, Value: record.String("windows")},
		{Key: record.AttrOSVersion, Value: record.String("10.0.20348")}, {Key: record.AttrName, Value: record.String(strings.ToUpper(s.name))},
		{Key: record.AttrMachineID, Value: record.String(s.machine)}, {Key: record.AttrSMBIOSUUID, Value: record.String(s.board)},
		{Key: record.AttrBootTime, Value: record.Int(boot.UnixNano())}, {Key: record.AttrExporterVersion, Value: record.String("0.1.0")},
		{Key: record.AttrInterval, Value: record.Int(testInterval.Milliseconds())}}})
}

func (s *sim) bye() { s.goodbye("shutdown", "") }

func (s *sim) goodbye(reason, action string) {
	s.send(record.Heartbeat, record.Record{Time: s.clock(), Observed: s.clock(), Name: record.NameGoodbye, Attrs: []record.Attr{
		{Key: record.AttrReason, Value: record.String(reason)}, {Key: record.AttrShutdownAction, Value: record.String(action)}}})
	s.silent = true
}

// updates sends a snapshot of what Windows Update knows.
func (s *sim) updates(reboot bool) {
	s.send(record.Updates, record.Record{Time: s.clock(), Observed: s.clock(), Name: record.NameSnapshot, Snapshot: &record.Snapshot{
		Sections: []record.Section{{Type: "update_status"}}, Devices: []record.Device{{Type: "update_status", Place: "system", Fields: []record.Attr{{Key: "reboot_required", Value: record.Bool(reboot)}}}}}})
}

// raid sends a snapshot of one controller with drives: place, serial, state.
func (s *sim) raid(drives ...[3]string) {
	snap := &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive, Scope: "c0"}}}
	for _, d := range drives {
		snap.Devices = append(snap.Devices, record.Device{Type: record.DevicePhysicalDrive, Place: d[0], Occupant: d[1], Fields: []record.Attr{
			{Key: record.FieldState, Value: record.String(d[2])}, {Key: record.FieldModel, Value: record.String("ST4000")}, {Key: "temperature_celsius", Value: record.Int(30 + int64(s.seq[record.RAID])%7)}}})
	}
	s.send(record.RAID, record.Record{Time: s.clock(), Observed: s.clock(), Name: record.NameSnapshot, Snapshot: snap, Attrs: []record.Attr{{Key: record.AttrRaw, Value: record.String("raw text of storcli")}}})
}

func (s *sim) event(provider string, id int64) {
	s.send(record.EventLog, record.Record{Time: s.clock(), Observed: s.clock(), Name: record.NameWindowsEvent, Severity: record.Error, Body: "something", Attrs: []record.Attr{
		{Key: record.AttrChannel, Value: record.String("System")}, {Key: record.AttrProvider, Value: record.String(provider)}, {Key: record.AttrEventID, Value: record.Int(id)}, {Key: record.AttrLevel, Value: record.String("error")}}})
}

// tick is one second.
func (w *world) tick() {
	w.now = w.now.Add(time.Second)
	if w.down {
		return
	}
	n := w.frames
	w.frames = 0
	for p := range stream.Partitions * len(w.bridges) {
		id := w.bridges[p/stream.Partitions]
		if w.dead[id] {
			continue
		}
		w.append(p%stream.Partitions, stream.Entry{Kind: stream.EntryTick, Bridge: id, Tick: stream.Tick{Wall: w.now.UnixNano(), Period: time.Second, Accepted: n, ProbeOK: w.probe}})
	}
}

// run lets time pass: ticks and heartbeats.
func (w *world) run(d time.Duration, each ...func(second int)) {
	for i := range int(d / time.Second) {
		w.tick()
		for k, s := range w.sims {
			if !s.silent && (i+k)%int(testInterval/time.Second) == 0 {
				s.beat()
			}
		}
		for _, f := range each {
			f(i)
		}
	}
}

func testRules(t testing.TB) []*rule.Rule {
	rules, err := rule.ParseFS(alerts.Files(), "records")
	if err != nil {
		t.Fatal(err)
	}
	after, goodbye := "30s", rule.GoodbyeOverride{All: "5m"}
	rules, err = rule.Overrides{"server-silent": {After: &after, Goodbye: &goodbye}}.Apply(rules)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func openStore(t testing.TB) *sqlite.Store {
	s, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "ruler.db"), Partitions: stream.Partitions, Hash: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// driver runs partitions and the fleet operator step by step, without
// goroutines, so that a test can crash it anywhere.
type driver struct {
	t      testing.TB
	log    stream.Log
	store  store.Store
	engine *Engine
	parts  [stream.Partitions]*partition
	fleet  *fleetRunner
	batch  int // entries per commit; 0 = all there are
	fold   int // every so many commits a base
	taken  int
}

// newDriver runs the rules given, the default ones when there are none.
func newDriver(t testing.TB, log stream.Log, s store.Store, rules ...*rule.Rule) *driver {
	if len(rules) == 0 {
		rules = testRules(t)
	}
	e, err := New(Config{Log: log, Store: s, Rules: rules, Owner: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return &driver{t: t, log: log, store: s, engine: e}
}

// crash forgets everything that is not in the store.
func (d *driver) crash() {
	d.parts, d.fleet = [stream.Partitions]*partition{}, nil
}

func (d *driver) part(n int) (*partition, error) {
	if d.parts[n] != nil {
		return d.parts[n], nil
	}
	claim, err := d.store.Claim(ctx, n, "test")
	if err != nil {
		return nil, err
	}
	p, err := newPartition(n, d.engine.rules, func(h store.Hash) ([]byte, error) { return d.store.Snapshot(ctx, h) })
	if err != nil {
		return nil, err
	}
	if err := p.restore(&claim); err != nil {
		return nil, err
	}
	if claim.Position == (store.Position{}) {
		first, err := d.log.First(ctx, n)
		if err != nil {
			return nil, err
		}
		p.pos = store.Position(first)
		p.ledger.Truncated = first.Entry > 0
	}
	d.parts[n] = p
	return p, nil
}

var errCaughtUp = errors.New("caught up")

// catchUp applies and commits all that is in the log. An error is a crash.
func (d *driver) catchUp() error {
	for n := range stream.Partitions {
		if err := d.catchUpPart(n); err != nil {
			return err
		}
	}
	return d.runFleet()
}

func (d *driver) catchUpPart(n int) error {
	p, err := d.part(n)
	if err != nil {
		return err
	}
	for {
		head, err := d.log.Head(ctx, n)
		if err != nil {
			return err
		}
		if p.pos == store.Position(head) {
			return d.commit(p)
		}
		count := 0
		err = d.log.Read(ctx, n, stream.Position(p.pos), func(m stream.Message) error {
			if err := p.apply(m); err != nil {
				return err
			}
			if count++; m.Position == head || count == d.batch {
				return errCaughtUp
			}
			return nil
		})
		switch {
		case errors.Is(err, stream.ErrIncarnation):
			first, err := d.log.First(ctx, n)
			if err != nil {
				return err
			}
			p.volumeLost(store.Position(first))
		case !errors.Is(err, errCaughtUp):
			return err
		}
		if err := d.commit(p); err != nil {
			return err
		}
	}
}

func (d *driver) commit(p *partition) error {
	if p.pos == p.from && !p.out.urgent {
		return nil
	}
	p.clock.fleet = 20
	if d.taken++; d.fold > 0 && d.taken%d.fold == 0 {
		p.deltas = 1 << 40
	}
	c := p.take(t0)
	if err := d.store.Commit(ctx, []store.PartitionCommit{c}); err != nil {
		return err
	}
	p.snapshots.stored(c.Snapshots)
	return nil
}

func (d *driver) runFleet() error {
	commits, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { d.engine.committer.run(commits); close(done) }()
	defer func() { stop(); <-done }() // else it could take a request of the next call
	if d.fleet == nil {
		r := &fleetRunner{engine: d.engine, started: t0}
		if err := r.claim(ctx); err != nil {
			return err
		}
		d.fleet = r
	}
	through := int64(math.MaxInt64)
	for n := range stream.Partitions {
		if d.parts[n] == nil {
			return nil
		}
		through = min(through, d.parts[n].clock.stream)
	}
	at := time.Unix(0, through-1).UTC()
	if err := d.fleet.facts(ctx, at); err != nil {
		return err
	}
	return d.fleet.pass(ctx, t0, at)
}

func (d *driver) must() {
	d.t.Helper()
	if err := d.catchUp(); err != nil {
		d.t.Fatal(err)
	}
}

// dump renders all facts of a store as text, without what depends on how
// entries were grouped into commits.
func dump(t testing.TB, s store.Store) string {
	t.Helper()
	var lines []string
	line := func(kind string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, kind+" "+string(b))
	}
	all := store.ServerStates()
	servers, err := s.Servers(ctx, store.ServerQuery{State: all, Sort: store.ByName, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range servers.Servers {
		d, err := s.Server(ctx, v.ID)
		if err != nil {
			t.Fatal(err)
		}
		line("server", d)
		h, err := s.History(ctx, store.HistoryQuery{Server: v.ID})
		if err != nil {
			t.Fatal(err)
		}
		line("history", h)
		c, err := s.Changes(ctx, store.ChangeQuery{Server: v.ID, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, ch := range c.Changes {
			ch.ID = 0
			line("change", ch)
		}
	}
	notes, err := s.Notifications(ctx, store.NotificationQuery{Limit: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notes.Notifications {
		d, err := s.Notification(ctx, n.ID)
		if err != nil {
			t.Fatal(err)
		}
		for i := range d.Members {
			d.Members[i].Version = 0
		}
		for i := range d.Earlier {
			d.Earlier[i].Version = 0
		}
		d.Version = 0
		line("notification", d)
	}
	p, err := s.Pipeline(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range p.Partitions {
		line("partition", []any{v.Partition, v.Position, v.StreamTime, v.Clock, v.Ledger, v.Losses})
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// difference shows the first lines that differ.
func difference(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	out := ""
	for i := 0; i < max(len(x), len(y)) && strings.Count(out, "\n") < 6; i++ {
		var l, r string
		if i < len(x) {
			l = x[i]
		}
		if i < len(y) {
			r = y[i]
		}
		if l != r {
			out += fmt.Sprintf("- %.1500s\n+ %.1500s\n", l, r)
		}
	}
	return out
}

// told lists notifications as "class device state", oldest first.
func told(t testing.TB, s store.Store) []string {
	t.Helper()
	p, err := s.Notifications(ctx, store.NotificationQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(p.Notifications, func(a, b store.Notification) int { return a.Opened.Compare(b.Opened) })
	var out []string
	for _, n := range p.Notifications {
		hidden := ""
		if n.FoldedInto != "" {
			hidden = " folded"
		}
		if n.Held {
			hidden += " held"
		}
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s%s", n.Opened.Sub(t0), n.Name, strings.TrimSpace(n.Class+" "+n.Device), n.State, hidden)))
	}
	return out
}
