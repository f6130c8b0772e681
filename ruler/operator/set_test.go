package operator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

var epoch0 = time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)

func serverID(n int) record.ID {
	return record.ID{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 15: 1}
}

func rules(t testing.TB, text string) []*rule.Rule {
	t.Helper()
	out, err := rule.Parse("test.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newSet(t testing.TB, r []*rule.Rule) *Set {
	t.Helper()
	s, err := NewSet(r)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sometimesRestarted is the set, or one of the same rules that has loaded what it held.
func sometimesRestarted(t *testing.T, dice *rand.Rand, all []*rule.Rule, set *Set) *Set {
	t.Helper()
	if dice.IntN(40) > 0 {
		return set
	}
	out := newSet(t, all)
	if left, err := out.Load(set.Save(false)); left != 0 || err != nil {
		t.Fatalf("load: %d left, %v", left, err)
	}
	return out
}

const tail = "class: c, severity: warning, summary: s, runbook: a#b"

// few rules of every kind, tight in time, over few providers and places, so
// that random input meets them often.
var everyKind = `rules:
  - {id: a, name: A, ` + tail + `, expires: 40s, match: {provider: P1, event_id: [1, 2], device: {type: nic, attr: event.data.n}, clear: {provider: p1, event_id: 3}}}
  - {id: b, name: B, ` + tail + `, match: {provider: p2, clear: {channel: system, level: info}}}
  - {id: c, name: C, ` + tail + `, expires: 20s, match: {level: [error]}}
  - {id: d, name: D, ` + tail + `, expires: 20s, match: {attrs: {event.data.n: "1"}}}
  - {id: e, name: E, ` + tail + `, for: 15s, state: {device: physical_drive, field: state, ok: [Onln]}}
  - {id: f, name: F, ` + tail + `, state: {device: virtual_drive, field: state, bad: [Dgrd]}}
  - {id: ea, name: Ea, ` + tail + `, state: {device: physical_drive, field: state, bad: [Dgrd, Optl], levels: {critical: [Dgrd]}, keep: 12s}}
  - {id: eb, name: Eb, ` + tail + `, state: {device: physical_drive, field: media_errors, above: 1, clear: 0.5, levels: {critical: 2.5}}}
  - {id: ec, name: Ec, ` + tail + `, for: 10s, state: {device: physical_drive, field: media_errors, below: 2, clear: 2.5, keep: 8s}}
  - {id: r, name: R, ` + tail + `, risk: {degraded: [f], weak: [m, eb], failed: [e]}}
  - {id: g, name: G, ` + tail + `, expires: 30s, change: {device: physical_drive, kinds: [added, removed, replaced, moved, field]}}
  - {id: h, name: H, ` + tail + `, absent: {category: heartbeat, after: 10s, goodbye: 25s}}
  - {id: i, name: I, ` + tail + `, absent: {category: raid, after: 20s, while: heartbeat}}
  - {id: o, name: O, ` + tail + `, absent: {category: heartbeat, after: 10s, goodbye: {stop: 12s, restart: 20s, shutdown: back}}}
  - {id: p, name: P, ` + tail + `, absent: {category: heartbeat, after: 30s, while: shutdown}}
  - {id: q, name: Q, ` + tail + `, absent: {category: heartbeat, after: 30s, while: expected}}
  - {id: j, name: J, ` + tail + `, clone: {quiet: 20s}}
  - {id: l, name: L, ` + tail + `, count: {event: {provider: p1, device: {type: nic, attr: event.data.n}}, more_than: 2, within: 15s}}
  - {id: m, name: M, ` + tail + `, count: {counter: {device: physical_drive, field: media_errors}, more_than: 3, within: 2m}}
  - {id: n, name: N, ` + tail + `, flap: {device: virtual_drive, field: state, changes: 3, within: 20s}}
  - {id: sa, name: Sa, ` + tail + `, sequence: {per: device, steps: [{event: {provider: p1, event_id: 1, device: {type: nic, attr: event.data.n}}}, {event: {provider: p1, event_id: 2, device: {type: nic, attr: event.data.n}}, times: 2, within: 40s}], resolve: {event: {provider: [p1, p2], event_id: 3, device: {type: nic, attr: event.data.n}}}}}
  - {id: sb, name: Sb, ` + tail + `, sequence: {per: controller, tolerance: 3s, steps: [{state: {device: virtual_drive, field: state, is: Dgrd}}, {not: {state: {device: physical_drive, field: state, is: Onln}}, within: 15s}]}}
  - {id: sc, name: Sc, ` + tail + `, expires: 15s, sequence: {steps: [{any: [{event: {provider: p2}}, {change: {device: physical_drive, kinds: [replaced]}}], times: 3, within: 20s}], until: {boot: new}}}
  - {id: sd, name: Sd, ` + tail + `, expires: 60s, sequence: {per: device, steps: [{state: {device: physical_drive, field: state, is: [Dgrd]}}, {state: {device: physical_drive, field: state, is_not: Dgrd}, within: 30s}, {state: {device: physical_drive, field: state, is: [Dgrd]}, within: 30s}],
      until: {change: {device: physical_drive, kinds: [replaced, removed]}}, resolve: [{state: {device: physical_drive, field: state, is: Optl}}, {state: {device: physical_drive, field: state, is: Onln}}]}}
  - {id: se, name: Se, ` + tail + `, expires: 20s, sequence: {steps: [{boot: new}, {not: {event: {level: info}}, within: 5s}]}}
  - {id: mo, name: Mo, ` + tail + `, expires: 20s, match: {provider: {matches: "p[12]"}, event_id: [0, 2-900], attrs: {event.data.n: {not: "2"}}}}
  - {id: mp, name: Mp, ` + tail + `, expires: 20s, servers: {site: {not: zug}}, match: {level: {at_least: error}, attrs: {event.data.n: {at_least: 1, at_most: 1.5}}}}
  - {id: mq, name: Mq, ` + tail + `, expires: 20s, match: {if: 'provider == "p1" && event_id in [1, 3] && level != "info"'}}
  - {id: mr, name: Mr, ` + tail + `, expires: 20s, match: {provider: p2, if: 'int(data.n) > 1 || server.site == "bern"', clear: {if: 'level == "info" && channel == "system"'}}}
  - {id: ms, name: Ms, ` + tail + `, servers: {site: [bern, basel]}, count: {event: {provider: p2, if: 'has(data.n)'}, more_than: 1, within: 15s}}
  - {id: mt, name: Mt, ` + tail + `, expires: 20s, match: {channel: {not_matches: "s.*"}, level: {not: [info, warning]}, provider: {not: p3}}}
  - {id: k, name: K, ` + tail + `, expires: 20s, servers: {site: bern}, match: {channel: [system, application]}}
`

// feed makes random records of a few servers. It is all that a run depends on.
type feed struct {
	*rand.Rand
	now    time.Time
	seq    uint64
	known  map[record.ID]*record.Snapshot
	epochs map[record.ID][]record.Epoch
}

func newFeed(seed uint64) *feed {
	return &feed{Rand: rand.New(rand.NewPCG(seed, 7)), now: epoch0, known: map[record.ID]*record.Snapshot{}, epochs: map[record.ID][]record.Epoch{}}
}

func (f *feed) pick(words ...string) string { return words[f.IntN(len(words))] }

func (f *feed) next() (Context, Input) {
	f.seq++
	id := serverID(f.IntN(3))
	ctx := Context{Now: f.now, Server: ServerFacts{ID: id, Site: []string{"bern", "zug"}[int(id[3])%2]}}
	r := &record.Record{Time: f.now, Observed: f.now.Add(-time.Duration(f.IntN(8)) * time.Second)}
	h := &record.Header{Subject: id, Category: record.Heartbeat}
	if len(f.epochs[id]) == 0 || f.IntN(40) == 0 {
		f.epochs[id] = append(f.epochs[id], record.Epoch{EpochRef: record.EpochRef{Start: f.now.UnixNano(), Random: f.seq}})
	}
	h.Epoch = f.epochs[id][f.IntN(len(f.epochs[id]))]
	in := Input{Record: r, Header: h, Seq: f.seq, RecordID: fmt.Sprint(f.seq), Event: r.Observed}
	if f.IntN(12) == 0 {
		r.Attrs = []record.Attr{{Key: record.AttrBootTime, Value: record.Int(f.now.Truncate(2 * time.Minute).UnixNano())}}
	}
	switch f.IntN(8) {
	case 0, 1, 2:
		r.Name = record.NameHeartbeat
	case 3:
		if f.IntN(4) == 0 {
			h.Category, h.Producer, r.Name = record.Agent, "bridge/b1/registry", record.NameLabels
			ctx.Server.Heard = f.IntN(4) > 0
			break
		}
		r.Name = f.pick(record.NameHeartbeat, record.NameGoodbye)
		r.Attrs = []record.Attr{{Key: record.AttrReason, Value: record.String(f.pick("stop", "shutdown", "shutdown"))},
			{Key: record.AttrShutdownAction, Value: record.String(f.pick("", "restart", "power off", "power off"))}}
	case 4, 5:
		h.Category, r.Name = record.EventLog, f.pick(record.NameWindowsEvent, record.NameWindowsEvent, record.NameJournal, "other")
		r.Attrs = []record.Attr{{Key: record.AttrProvider, Value: record.String(f.pick("p1", "P1", "p2", "p3"))},
			{Key: record.AttrEventID, Value: record.Int(int64(f.IntN(4)))}, {Key: record.AttrLevel, Value: record.String(f.pick("info", "error", "warning"))},
			{Key: record.AttrChannel, Value: record.String(f.pick("System", "Application", "Security"))}}
		if f.IntN(2) == 0 {
			r.Attrs = append(r.Attrs, record.Attr{Key: "event.data.n", Value: record.String(f.pick("1", "2"))})
		}
	default:
		h.Category, r.Name = record.RAID, record.NameSnapshot
		r.Snapshot = f.snapshot()
		ctx.Previous = f.known[id]
		in.Changes, in.Current = diff.Diff(ctx.Previous, r.Snapshot), diff.Merge(ctx.Previous, r.Snapshot)
		f.known[id] = in.Current
	}
	return ctx, in
}

func (f *feed) snapshot() *record.Snapshot {
	s := &record.Snapshot{}
	for _, typ := range []string{record.DevicePhysicalDrive, record.DeviceVirtualDrive} {
		if f.IntN(4) == 0 {
			continue
		}
		s.Sections = append(s.Sections, record.Section{Type: typ})
		for _, place := range []string{"c0/1", "c0/2"} {
			if f.IntN(4) > 0 {
				s.Devices = append(s.Devices, record.Device{Type: typ, Place: place, Occupant: f.pick("", "A1", "B2", "C3"),
					Fields: []record.Attr{{Key: "state", Value: record.String(f.pick("Onln", "Optl", "Dgrd", ""))}, {Key: "media_errors", Value: record.Int(int64(f.IntN(4)))}, {Key: FieldGroup, Value: record.Int(int64(f.IntN(2)))}}})
			}
		}
	}
	return s
}

// playFeed plays a feed over a set and returns the verdicts, and calls between after
// every step, which may give another set.
func playFeed(seed uint64, steps int, set *Set, between func(*Set, *feed) *Set) []string {
	f := newFeed(seed)
	var out []string
	note := func(verdicts []Verdict) {
		for _, v := range verdicts {
			out = append(out, fmt.Sprintf("%s %+v", v.At.Sub(epoch0), v))
		}
	}
	for range steps {
		for range f.IntN(4) {
			f.now = f.now.Add(time.Second)
			note(set.Tick(f.now))
		}
		if f.IntN(200) == 0 {
			set.Forget(serverID(f.IntN(3)))
		}
		note(set.Step(f.next()))
		set = between(set, f)
	}
	return out
}

// A run that is saved and loaded at random points, from a base and the deltas
// since, gives the same verdicts as one that is not.
func TestRestartAnywhere(t *testing.T) {
	all := rules(t, everyKind)
	verdicts := 0
	for seed := range uint64(40) {
		straight := playFeed(seed, 400, newSet(t, all), func(s *Set, _ *feed) *Set { return s })
		verdicts += len(straight)
		dice := rand.New(rand.NewPCG(seed, 8))
		var base, deltas []KeyedState
		got := playFeed(seed, 400, newSet(t, all), func(s *Set, _ *feed) *Set {
			switch dice.IntN(10) {
			case 0:
				base, deltas = s.Save(false), nil
				return s
			case 1, 2, 3:
				deltas = append(deltas, s.Save(true)...)
				return s
			case 4:
				deltas = append(deltas, s.Save(true)...)
				fresh := newSet(t, all)
				for _, states := range [][]KeyedState{base, deltas} {
					if left, err := fresh.Load(states); err != nil || left != 0 {
						t.Fatalf("load: %d left, %v", left, err)
					}
				}
				return fresh
			}
			return s
		})
		if !slices.Equal(got, straight) {
			for i := range straight {
				if i >= len(got) || got[i] != straight[i] {
					t.Fatalf("seed %d, verdict %d:\nstraight %s\ngot      %s", seed, i, straight[i], strings.Join(got[min(i, len(got)):min(i+1, len(got))], ""))
				}
			}
			t.Fatalf("seed %d: %d verdicts more", seed, len(got)-len(straight))
		}
	}
	if verdicts < 5000 {
		t.Errorf("only %d verdicts: the feed does not meet the rules", verdicts)
	}
}

// unindexed shows every record to every rule, snapshots in the Set's order.
type unindexed struct{ *Set }

func (s unindexed) Step(ctx Context, in Input) []Verdict {
	turn := func(op Operator) int {
		switch op.(type) {
		case *risk:
			return 1
		case *match:
			return 2
		}
		return 0
	}
	var out []Verdict
	for at := range 3 {
		for _, op := range s.ops {
			if turn(op) == at {
				out = append(out, op.Step(ctx, in)...)
			}
		}
	}
	order(out)
	return out
}

// The index may only leave out rules that have nothing to say: all operators
// fed with every record say the same.
func TestIndexLeavesNothingOut(t *testing.T) {
	all := rules(t, everyKind)
	spoke := map[string]bool{}
	for seed := range uint64(20) {
		set, naive, f := newSet(t, all), unindexed{newSet(t, all)}, newFeed(seed)
		for range 400 {
			f.now = f.now.Add(time.Duration(f.IntN(4)) * time.Second)
			said := set.Tick(f.now)
			same(t, seed, said, naive.Tick(f.now))
			ctx, in := f.next()
			got := set.Step(ctx, in)
			same(t, seed, got, naive.Step(ctx, in))
			for _, v := range append(said, got...) {
				spoke[v.RuleID] = true
			}
		}
	}
	for _, id := range []string{"e", "ea", "eb", "ec", "r", "m", "n", "sb", "sd"} {
		if !spoke[id] {
			t.Errorf("rule %s said nothing: the feed does not meet it", id)
		}
	}
}

func same(t *testing.T, seed uint64, a, b []Verdict) {
	t.Helper()
	f := func(list []Verdict) string {
		var s []string
		for _, v := range list {
			s = append(s, fmt.Sprintf("%+v", v))
		}
		slices.Sort(s)
		return strings.Join(s, "\n")
	}
	if f(a) != f(b) {
		t.Fatalf("seed %d:\n%s\n\n%s", seed, f(a), f(b))
	}
}

// Every firing is followed by resolved before the same rule and device fires as
// a new problem; nothing is resolved that did not fire.
func TestFiringAndResolvedAlternate(t *testing.T) {
	all := rules(t, everyKind)
	for seed := range uint64(20) {
		set, f := newSet(t, all), newFeed(seed)
		open := map[string]bool{}
		check := func(verdicts []Verdict) {
			for _, v := range verdicts {
				k := v.RuleID + " " + v.Server.String() + " " + v.Device
				switch v.Kind {
				case Firing:
					open[k] = true
				case Resolved:
					if !open[k] {
						t.Fatalf("seed %d: resolved without firing: %+v", seed, v)
					}
					delete(open, k)
				}
				if v.Reason == "" || v.At.IsZero() || v.Severity == "" || v.Class == "" {
					t.Fatalf("seed %d: no reason: %+v", seed, v)
				}
			}
		}
		for range 400 {
			f.now = f.now.Add(time.Second)
			check(set.Tick(f.now))
			check(set.Step(f.next()))
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	all := rules(t, everyKind)
	set := newSet(t, all)
	playFeed(3, 300, set, func(s *Set, _ *feed) *Set { return s })
	states := set.Save(false)
	if len(states) < 8 {
		t.Fatalf("%d states", len(states))
	}
	byRule := map[string]bool{}
	for _, s := range states {
		byRule[s.RuleID] = true
		op := func() Operator { return newSet(t, all).ops[set.byID[s.RuleID]] }
		other := s
		other.Shape = "other"
		_, kept := op().(*absent) // what it knows fits every shape
		if err := op().Load(other); !kept && !errors.Is(err, ErrShape) || kept && err != nil {
			t.Errorf("rule %s, another shape: %v", s.RuleID, err)
		}
		newer := s
		newer.Data = slices.Clone(s.Data)
		newer.Data[0] = 200
		if err := op().Load(newer); !errors.Is(err, ErrShape) {
			t.Errorf("rule %s, a newer version: %v", s.RuleID, err)
		}
		foreign := s
		foreign.Server = serverID(99)
		if err := op().Load(foreign); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("rule %s, a key of another server: %v", s.RuleID, err)
		}
		for n := 1; n < len(s.Data); n++ {
			torn := s
			torn.Data = s.Data[:n]
			if err := op().Load(torn); !errors.Is(err, record.ErrMalformed) && !errors.Is(err, ErrShape) {
				t.Errorf("rule %s, torn at %d of %d: %v", s.RuleID, n, len(s.Data), err)
			}
		}
		long := s
		long.Data = append(slices.Clone(s.Data), 1)
		if err := op().Load(long); !errors.Is(err, record.ErrMalformed) {
			t.Errorf("rule %s, too long: %v", s.RuleID, err)
		}
	}
	if len(byRule) < 5 {
		t.Errorf("only %d rules have state", len(byRule))
	}
	states[0].RuleID = "gone"
	if left, err := newSet(t, all).Load(states); left != 1 || err != nil {
		t.Errorf("%d left, %v", left, err)
	}
}

func TestForget(t *testing.T) {
	all := rules(t, everyKind)
	set := newSet(t, all)
	playFeed(5, 300, set, func(s *Set, _ *feed) *Set { return s })
	set.Save(true)
	for n := range 3 {
		set.Forget(serverID(n))
	}
	for _, s := range set.Save(true) {
		if s.Data != nil {
			t.Errorf("rule %s keeps %x of a forgotten server", s.RuleID, s.Key)
		}
	}
	if left := set.Save(false); len(left) != 0 {
		t.Errorf("%d states left", len(left))
	}
	if v := set.Tick(epoch0.Add(1000 * time.Hour)); len(v) != 0 {
		t.Errorf("time still says something: %+v", v)
	}
}

// Every kind that a rule file can name has an operator, and a set feeds it.
func TestEveryKindHasAnOperator(t *testing.T) {
	for _, k := range rule.Kinds() {
		if makers()[k] == nil {
			t.Errorf("kind %s has none", k)
		}
	}
	if len(makers()) != len(rule.Kinds()) {
		t.Errorf("%d operators for %d kinds", len(makers()), len(rule.Kinds()))
	}
	if _, err := NewSet([]*rule.Rule{{ID: "x", Kind: "no"}}); err == nil {
		t.Error("a kind that does not exist")
	}
	r := rules(t, everyKind)
	if _, err := NewSet([]*rule.Rule{r[0], r[0]}); err == nil {
		t.Error("an id twice")
	}
	if s := newSet(t, r); len(s.Rules()) != len(r) {
		t.Error("rules")
	}
	for _, k := range VerdictKinds() {
		if k.String() == "unknown" {
			t.Error("a verdict without a name")
		}
	}
}

// Names of devices come from servers: a rule keeps a bounded number.
func TestManyDevices(t *testing.T) {
	set := newSet(t, rules(t, everyKind))
	for n := range 10 * maxDevices {
		r := &record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String("p1")},
			{Key: record.AttrEventID, Value: record.Int(1)}, {Key: "event.data.n", Value: record.String(strings.Repeat("x", 5000) + fmt.Sprint(n))}}}
		r.Attrs[2].Value = record.String(fmt.Sprint(n) + strings.Repeat("x", 5000))
		set.Step(Context{Now: epoch0, Server: ServerFacts{ID: serverID(1)}}, Input{Record: r, Header: &record.Header{Category: record.EventLog}})
	}
	states := set.Save(false)
	// Of a match, a count and a sequence by device, and of two matches about the server.
	if want := 3*(maxDevices+1) + 2; len(states) != want {
		t.Errorf("%d states, want %d", len(states), want)
	}
	for _, s := range states {
		most := 4 * maxKept
		if s.RuleID == "sa" {
			most *= maxWaiting
		}
		if len(s.Data) > most || len(s.Key) > 2*maxKept {
			t.Errorf("a state of %d bytes under a key of %d", len(s.Data), len(s.Key))
		}
	}
}

func TestCalendar(t *testing.T) {
	c := newCalendar(func(a, b int) int { return a - b })
	at := func(s float64) int64 { return epoch0.UnixNano() + int64(s*1e9) }
	var got []int
	due := func(s float64) []int {
		got = nil
		c.due(epoch0.Add(time.Duration(s*1e9)), func(k int, _ int64) { got = append(got, k) })
		return got
	}
	c.file(2, at(1.5))
	c.file(1, at(2))
	c.file(3, at(2.001))
	c.file(4, at(100000))
	if got := due(1.9); len(got) != 0 {
		t.Errorf("early: %v", got)
	}
	if got := due(2); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("at 2: %v", got)
	}
	c.file(5, at(1)) // over already: at the next chance
	if got := due(2.5); len(got) != 0 {
		t.Errorf("the same second: %v", got)
	}
	if got := due(3); !slices.Equal(got, []int{3, 5}) {
		t.Errorf("at 3: %v", got)
	}
	if got := due(200000); !slices.Equal(got, []int{4}) {
		t.Errorf("much later: %v", got)
	}
	if len(c.slots) != 0 {
		t.Errorf("%d slots left", len(c.slots))
	}
}

const silentRule = "{id: silent, name: Silent, class: silence, severity: critical, summary: s, runbook: a#b, absent: {category: heartbeat, after: 5m, goodbye: 30m}}"

func beat(set *Set, n int, now time.Time) []Verdict {
	id := serverID(n)
	return set.Step(Context{Now: now, Server: ServerFacts{ID: id}}, Input{Record: &record.Record{Name: record.NameHeartbeat, Observed: now},
		Header: &record.Header{Subject: id, Category: record.Heartbeat}})
}

// 100,000 servers: under 1 KiB each, and all seen silent within a second of
// stream time after their deadline.
func TestAbsentAtScale(t *testing.T) {
	const n = 100_000
	set := newSet(t, rules(t, silentRule))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range n {
		beat(set, i, epoch0.Add(time.Duration(i%60_000)*time.Millisecond))
	}
	set.Save(true)
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	t.Logf("%d bytes of memory per server", each)
	if each > 1024 {
		t.Errorf("%d bytes of memory per server", each)
	}
	fired := 0
	for s := range 400 {
		now := epoch0.Add(time.Duration(s) * time.Second)
		for _, v := range set.Tick(now) {
			fired++
			i := int(v.Server[0])<<24 | int(v.Server[1])<<16 | int(v.Server[2])<<8 | int(v.Server[3])
			deadline := epoch0.Add(time.Duration(i%60_000)*time.Millisecond + 5*time.Minute)
			if late := now.Sub(deadline); late < 0 || late > time.Second {
				t.Fatalf("server %d: %s after its deadline", i, late)
			}
		}
	}
	if fired != n {
		t.Errorf("%d of %d servers seen silent", fired, n)
	}
	runtime.KeepAlive(set)
}

// A rule whose deadline was changed judges every server anew from its last
// record: one that was silent fires again, since what was open was closed.
func TestAbsentJudgesAnew(t *testing.T) {
	old := newSet(t, rules(t, silentRule))
	for i := range 4 {
		beat(old, i, epoch0)
	}
	bye := func(n int, attrs ...record.Attr) {
		id := serverID(n)
		old.Step(Context{Now: epoch0, Server: ServerFacts{ID: id}}, Input{Record: &record.Record{Name: record.NameGoodbye, Attrs: append(attrs, record.Attr{Key: record.AttrReason, Value: record.String("shutdown")})},
			Header: &record.Header{Subject: id, Category: record.Heartbeat}})
	}
	bye(2)
	bye(3, record.Attr{Key: record.AttrShutdownAction, Value: record.String("halt")})
	old.Tick(epoch0.Add(5 * time.Minute)) // 0 and 1 are silent
	beat(old, 1, epoch0.Add(6*time.Minute))
	states := old.Save(false)
	set := newSet(t, rules(t, strings.NewReplacer("after: 5m", "after: 10m", "goodbye: 30m", "goodbye: {restart: 1h, shutdown: back}").Replace(silentRule)))
	if left, err := set.Load(states); left != 0 || err != nil {
		t.Fatal(left, err)
	}
	var got []string
	for s := range 7200 {
		for _, v := range set.Tick(epoch0.Add(6*time.Minute + time.Duration(s)*time.Second)) {
			got = append(got, fmt.Sprintf("%s %d %s", v.At.Sub(epoch0), v.Server[3], v.Reason))
		}
	}
	want := []string{"10m0s 0 no heartbeat for 10m", "16m0s 1 no heartbeat for 10m", "1h0m0s 2 went down 1h ago and did not come back"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// State of version 1, and the shape that the default rules had then, are taken.
func TestAbsentUpgrade(t *testing.T) {
	all, err := rule.ParseFS(os.DirFS("../../alerts"), "records")
	if err != nil {
		t.Fatal(err)
	}
	set := newSet(t, all)
	id := serverID(1)
	for ruleID, shape := range map[string]string{"server-silent": "d81edae53ff4", "raid-silent": "8369f234595c"} {
		if r := all[set.byID[ruleID]]; r.Shape != shape {
			t.Errorf("rule %s has the shape %s: an upgrade closes what is open for it and judges anew", ruleID, r.Shape)
		}
		w := writer{1, byte(watched)}
		for _, v := range []int64{epoch0.UnixNano(), int64(5 * time.Minute), 0, 0} {
			w.int(v)
		}
		if left, err := set.Load([]KeyedState{{RuleID: ruleID, Shape: shape, Server: id, Key: string(id[:]), Data: w}}); left != 0 || err != nil {
			t.Fatal(left, err)
		}
	}
	if v := set.Tick(epoch0.Add(5 * time.Minute)); len(v) != 2 || v[0].Kind != Firing || v[1].Kind != Firing {
		t.Errorf("%+v", v)
	}
}

// What comes after the end of the machine decides how long it may stay away.
func TestFarewell(t *testing.T) {
	for _, c := range []struct {
		reason, action string
		want           farewell
	}{
		{"stop", "", byStop}, {"update", "", byStop}, {"", "", byStop}, {"weather", "power off", byStop},
		{"shutdown", "restart", byRestart}, {"shutdown", "Neu starten", byRestart}, {"shutdown", "kexec", byRestart}, {"shutdown", "soft-reboot", byRestart},
		{"shutdown", "power off", byShutdown}, {"shutdown", "poweroff", byShutdown}, {"shutdown", "shutdown", byShutdown}, {"shutdown", "Herunterfahren", byShutdown},
		{"shutdown", "", byRestart},        // nobody said that it stays off
		{"shutdown", "uzavřít", byRestart}, // nor can it be read
	} {
		r := &record.Record{Attrs: []record.Attr{{Key: record.AttrReason, Value: record.String(c.reason)}, {Key: record.AttrShutdownAction, Value: record.String(c.action)}}}
		if got := farewellOf(r); got != c.want {
			t.Errorf("%q %q: %d, want %d", c.reason, c.action, got, c.want)
		}
	}
}

// States come from our own store, but a disk may hand back anything.
func FuzzLoad(f *testing.F) {
	all := rules(f, everyKind)
	set := newSet(f, all)
	playFeed(3, 300, set, func(s *Set, _ *feed) *Set { return s })
	for _, s := range set.Save(false) {
		f.Add(s.RuleID, s.Key, s.Data)
	}
	f.Fuzz(func(t *testing.T, id, k string, data []byte) {
		set := newSet(t, all)
		at, ok := set.byID[id]
		if !ok || len(k) < 16 {
			return
		}
		_, err := set.Load([]KeyedState{{RuleID: id, Shape: all[at].Shape, Server: record.ID([]byte(k[:16])), Key: k, Data: data}})
		if err != nil && !errors.Is(err, record.ErrMalformed) {
			t.Fatal(err)
		}
		f := newFeed(1)
		for range 20 {
			f.now = f.now.Add(time.Second)
			set.Tick(f.now)
			set.Step(f.next())
		}
		set.Save(false)
	})
}
