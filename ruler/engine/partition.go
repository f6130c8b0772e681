package engine

import (
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"nocturne/internal/record"
	"nocturne/internal/stream"
	"nocturne/ruler/notify"
	"nocturne/ruler/operator"
	"nocturne/ruler/rule"
	"nocturne/ruler/store"
)

// partition is the pipeline of one partition: a pure state machine over the
// entries of the log, but for snapshots that it looks up by content. It belongs
// to one goroutine. What an entry changed is gathered until take hands it out
// as one commit.
type partition struct {
	broken  map[string]bool // parts of ticks that met a bug, as the audit log heard
	number  int
	epoch   uint64
	pos     store.Position // of the last entry applied
	from    store.Position // of the last commit handed out
	clock   clock
	ledger  *record.Ledger
	losses  store.StreamLosses
	rejects int64 // frames

	rules ruleset
	set   *operator.Set
	table *notify.Table
	lines map[record.ID]*server // by line key; the first line has the issued id

	held      map[record.ID]operator.Verdict // silences of servers whose bridges are not fit
	heldDirty bool

	snapshots *snapshots
	shared    map[about]*about

	counts  counts // since the last take
	out     pending
	deltas  int // bytes since the base
	base    int // bytes of the last base
	folded  int64
	entryAt int64 // append time of the entry being applied
	skew    int64 // of the frame being applied
}

// ruleset is the rules and what the engine itself looks at in them.
type ruleset struct {
	rules   []*rule.Rule
	silence map[string]bool   // rules about missing heartbeats
	never   map[string]bool   // rules about servers that were never heard
	number  uint64            // of the generation
	gone    map[string]string // why others are not carried out
}

func newRuleset(g Generation) ruleset {
	r := ruleset{rules: g.Rules, silence: map[string]bool{}, never: map[string]bool{}, number: g.Number, gone: g.Gone}
	for _, v := range g.Rules {
		a, ok := v.Spec.(*rule.Absent)
		switch {
		case !ok || a.Category != record.Heartbeat:
		case a.While == rule.WhileHeard:
			r.silence[v.ID] = true
		case a.While == rule.WhileExpected:
			r.never[v.ID] = true
		}
	}
	return r
}

// counts are what metrics are made of, in records unless they say otherwise.
type counts struct {
	entries, frames, bytes      int64
	received, stepped, dropped  int64 // records: received = stepped + dropped + duplicate
	duplicate, retired, panics  int64
	unreadable                  []error                 // notifications, when they were loaded
	ticks                       int64                   // parts of ticks that met a bug
	rejected                    map[record.Reject]int64 // frames
	misrouted, badEntries       int64
	changes, verdicts, snapshot int64
	effects                     map[notify.Effect]int64
	clamped                     record.Stats
	findings                    [5]int64
	statesLeft                  int64
	failed                      map[string]Failure // conditions that could not be evaluated, by rule id
}

func newPartition(number int, rules ruleset, load func(store.Hash) ([]byte, error)) (*partition, error) {
	set, err := operator.NewSet(rules.rules)
	if err != nil {
		return nil, fmt.Errorf("partition %d: %w", number, err)
	}
	p := &partition{
		number: number, rules: rules, set: set, table: notify.NewTable(rules.rules), ledger: record.NewLedger(), clock: newClock(),
		held: map[record.ID]operator.Verdict{}, lines: map[record.ID]*server{}, snapshots: newSnapshots(load),
		shared: map[about]*about{},
		broken: map[string]bool{},
	}
	set.Panicked = func(ruleID string, v any) { p.panicked("rule "+ruleID, v) }
	p.reset()
	return p, nil
}

// apply takes one entry. An error means that the state could not be kept right:
// forget it and claim anew.
func (p *partition) apply(m stream.Message) error {
	if p.pos.Incarnation == m.Position.Incarnation && m.Position.Entry <= p.pos.Entry {
		return fmt.Errorf("partition %d: entry %d after %d", p.number, m.Position.Entry, p.pos.Entry)
	}
	if p.pos.Incarnation == m.Position.Incarnation && m.Position.Entry > p.pos.Entry+1 {
		p.truncated(int64(m.Position.Entry - p.pos.Entry - 1))
	}
	p.pos = store.Position{Incarnation: m.Position.Incarnation, Entry: m.Position.Entry}
	p.clock.advance(m.Time)
	p.entryAt = m.Time.UnixNano()
	p.counts.entries++
	p.counts.bytes += int64(len(m.Data))
	e, err := stream.DecodeEntry(m.Data)
	if err != nil { // the bridge wrote it, so nobody can mend it
		p.counts.badEntries++
		return nil
	}
	if e.Kind == stream.EntryTick {
		p.out.clock = true
		if p.clock.tick(e.Bridge, e.Tick) {
			return p.tick()
		}
		return nil
	}
	b := p.clock.bridge(e.Bridge)
	b.used = p.clock.stream
	for i := range e.Frames {
		if err := p.frame(b, &e.Frames[i]); err != nil {
			return err
		}
	}
	return nil
}

// truncated notes that retention took entries before they were read.
func (p *partition) truncated(entries int64) {
	p.losses.LogTruncated += entries
	p.ledger.Truncated = true
	p.audit("log truncated", fmt.Sprintf("partition %d", p.number), fmt.Sprintf(`{"entries":%d}`, entries))
}

func (p *partition) now() time.Time { return time.Unix(0, p.clock.now).UTC() }

func (p *partition) streamTime() time.Time { return time.Unix(0, p.clock.stream).UTC() }

func (p *partition) at() notify.At {
	return notify.At{Time: p.streamTime(), Incarnation: p.pos.Incarnation, Partition: p.number, Entry: p.pos.Entry}
}

// tick lets the operators' time pass.
func (p *partition) tick() error {
	for _, v := range p.set.Tick(p.now()) {
		p.surely("verdict of rule "+v.RuleID, func() { p.verdict(v, nil) })
	}
	p.surely("held silences", p.release)
	p.surely("watch", p.watch)
	return nil
}

// surely does a part of what a tick does and survives a bug that it meets, for
// the reason that guarded gives. Which part it was is said once.
func (p *partition) surely(part string, do func()) {
	defer func() {
		if v := recover(); v != nil {
			p.panicked(part, v)
		}
	}()
	do()
}

func (p *partition) panicked(part string, v any) {
	p.counts.ticks++
	if p.broken[part] || len(p.broken) >= maxBroken {
		return
	}
	p.broken[part] = true
	detail, _ := json.Marshal(map[string]string{"panic": cut(fmt.Sprint(v), maxFact), "stack": cut(string(debug.Stack()), 4<<10)}) // strings always marshal
	p.audit("tick skipped: please report this", part, string(detail))
}

// maxBroken is how many parts of ticks the audit log hears of per claim.
const maxBroken = 100

// frame takes one frame.
func (p *partition) frame(b *bridge, ef *stream.EntryFrame) error {
	p.counts.frames++
	p.skew = ef.Skew
	f, err := record.DecodeFrame(ef.Frame)
	if err != nil {
		why := record.RejectOf(err)
		p.counts.rejected[why]++
		p.rejects++
		if (why == record.RejectPayload || why == record.RejectCount) && stream.Partition(f.Subject) == p.number {
			// Header and checksum are right: its records did arrive.
			obs := p.ledger.Observe(&f.Header)
			n := total(obs.Fresh)
			p.ledger.CountRejected(f.Key(), n)
			p.counts.received += int64(n + obs.Duplicate)
			p.counts.dropped += int64(n)
			p.counts.duplicate += int64(obs.Duplicate)
		}
		return nil
	}
	if stream.Partition(f.Subject) != p.number {
		p.counts.misrouted++
		p.rejects++
		return nil
	}
	obs := p.ledger.Observe(&f.Header)
	fresh := total(obs.Fresh)
	p.counts.received += int64(fresh + obs.Duplicate)
	p.counts.duplicate += int64(obs.Duplicate)
	p.counts.clamped.AttrsCut += f.Stats.AttrsCut
	p.counts.clamped.TextMended += f.Stats.TextMended
	p.counts.clamped.IdentityClaims += f.Stats.IdentityClaims
	id := p.owner(f.Subject)
	if fresh == 0 {
		return p.reverted(id, b, ef, &f)
	}
	for _, r := range obs.Fresh {
		for seq := r.From; seq <= r.To; seq++ {
			in := input{bridge: b, header: &f.Header, record: &f.Records[seq-f.First], seq: seq, skew: ef.Skew}
			if err := p.guarded(id, &in); err != nil {
				return err
			}
		}
	}
	return nil
}

// reverted looks at heartbeats whose numbers were all seen before. When the
// newest was made after all that were seen, the exporter lives and counts anew:
// its VM was reverted to a snapshot of its running state. It is not silent; its
// other records cannot be told from those it sent before until it starts again.
func (p *partition) reverted(id *identity, b *bridge, ef *stream.EntryFrame, f *record.Frame) error {
	if f.Category != record.Heartbeat || len(f.Records) == 0 || id.retired || !exporterOf(&f.Header) {
		return nil
	}
	r := &f.Records[len(f.Records)-1]
	l := id.lines.route(&f.Epoch)
	h := l.head()
	if h == nil || h.ref != f.Epoch.EpochRef || l.observed == 0 || r.Observed.UnixNano() <= l.observed {
		return nil
	}
	if !l.reverted {
		l.reverted = true
		s := p.lines[l.key]
		p.audit("record numbers went back", s.id.String(), `{"hint":"the machine was reverted to a snapshot of its running state; restart its exporter"}`)
		p.out.state(s.id, store.StateWrite{State: store.StateUp, Reason: "heartbeats arrive, but their numbers went back: restart its exporter", Since: p.streamTime()})
	}
	p.counts.stepped-- // it stays a duplicate
	return p.guarded(id, &input{bridge: b, header: &f.Header, record: r, seq: f.Last, skew: ef.Skew})
}

// guarded takes one record and survives a bug that it meets: without that one
// record would stop all servers of the partition for ever, as every restart
// would meet it again. What the record had changed by then stays.
func (p *partition) guarded(id *identity, in *input) (err error) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		p.counts.panics++
		p.counts.dropped++
		detail, _ := json.Marshal(map[string]string{"panic": cut(fmt.Sprint(v), maxFact), "stack": cut(string(debug.Stack()), 4<<10)}) // strings always marshal
		p.audit("record skipped: please report this", in.recordID(), string(detail))
	}()
	return p.record(id, in)
}

func total(rs []record.Range) (n uint64) {
	for _, r := range rs {
		n += r.Len()
	}
	return n
}

// input is one fresh record on its way.
type input struct {
	bridge *bridge
	header *record.Header
	record *record.Record
	seq    uint64
	skew   int64
	id     string // record id, made when first wanted
}

func (in *input) recordID() string {
	if in.id == "" {
		in.id = record.RecordID(in.header, in.seq)
	}
	return in.id
}

// fromRegistry tells whether a bridge's registry says it: what an agent says of
// enrolment and labels counts for nothing.
func (in *input) fromRegistry() bool {
	p := in.header.Producer
	return in.header.Category == record.Agent && strings.HasPrefix(p, "bridge/") && strings.HasSuffix(p, "/registry")
}

// exporterOf tells whether the server's own exporter says it.
func exporterOf(h *record.Header) bool {
	const prefix = "exporter/"
	p := h.Producer
	if len(p) != len(prefix)+2*len(h.Subject) || p[:len(prefix)] != prefix {
		return false
	}
	const digits = "0123456789abcdef"
	for i, c := range h.Subject {
		if p[len(prefix)+2*i] != digits[c>>4] || p[len(prefix)+2*i+1] != digits[c&15] {
			return false
		}
	}
	return true
}

// record takes one fresh record.
func (p *partition) record(id *identity, in *input) error {
	registry := in.fromRegistry()
	if registry {
		p.registry(id, in)
	}
	if id.retired {
		p.counts.retired++
		p.counts.dropped++
		return nil
	}
	s := p.route(id, in)
	if !registry { // the bridge speaks, not the server
		p.heard(s, in)
	}
	c := operator.Context{Now: p.now(), Server: s.serverFacts()}
	i := operator.Input{Record: in.record, Header: in.header, Seq: in.seq, RecordID: in.recordID(), Event: eventTime(in.record, in.skew, p.entryAt)}
	written := len(p.out.commit.Changes)
	if in.record.Snapshot != nil {
		if err := p.snapshot(s, in, &c, &i); err != nil {
			return err
		}
	}
	rows := p.out.commit.Changes[written:]
	for _, v := range p.set.Step(c, i) {
		if v.Change != nil {
			planned(rows, i.Changes, &v)
		}
		p.verdict(v, &i)
	}
	p.counts.stepped++
	return nil
}

// owner returns the identity of an issued id, making it at first sight.
func (p *partition) owner(root record.ID) *identity {
	if s := p.lines[root]; s != nil {
		return s.root
	}
	id, s := newIdentity(root)
	s.about = p.share(about{})
	p.lines[root] = s
	p.out.dirty[id] = struct{}{}
	p.out.state(root, store.StateWrite{State: store.StateWaiting, Since: p.streamTime()})
	p.out.urgent = true
	return id
}

// share returns the one copy of what servers have in common.
func (p *partition) share(a about) *about {
	if have := p.shared[a]; have != nil {
		return have
	}
	// Texts of a record share the memory of its whole payload.
	for _, s := range []*string{&a.site, &a.rack, &a.role, &a.owner, &a.os} {
		*s = strings.Clone(*s)
	}
	p.shared[a] = &a
	return &a
}

func (p *partition) audit(action, subject, detail string) {
	p.out.commit.Audit = append(p.out.commit.Audit, store.AuditEntry{At: p.streamTime(), Actor: "ruler", Action: action, Subject: subject, Detail: []byte(detail)})
	p.out.urgent = true
}

// volumeLost makes the partition go on with another life of the stream. The
// ledger stays: what is sent again is a duplicate.
func (p *partition) volumeLost(first store.Position) {
	p.losses.VolumeLost++
	p.audit("stream volume lost", fmt.Sprintf("partition %d", p.number),
		fmt.Sprintf(`{"was":%q,"was_entry":%d,"is":%q,"from_entry":%d}`, p.pos.Incarnation, p.pos.Entry, first.Incarnation, first.Entry))
	p.pos = first
	for _, b := range p.clock.bridges { // a tick of the new life is not measured from one of the old
		b.tick, b.well = 0, 0
	}
	p.clock.grace = maxGrace // everybody connects anew
}
