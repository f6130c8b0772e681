package operator

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
	"nocturne/ruler/rule"
)

// entry is what a log holds: a record, or a tick when there is none.
type entry struct {
	now time.Time
	ctx Context
	in  Input
}

func play(set *Set, log []entry) (out []Verdict) {
	for _, e := range log {
		if e.in.Record == nil {
			out = append(out, set.Tick(e.now)...)
		} else {
			out = append(out, set.Step(e.ctx, e.in)...)
		}
	}
	return out
}

// recorded is a feed written down.
func recorded(seed uint64, steps int) []entry {
	f := newFeed(seed)
	var log []entry
	for range steps {
		for range f.IntN(4) {
			f.now = f.now.Add(time.Second)
			log = append(log, entry{now: f.now})
		}
		ctx, in := f.next()
		log = append(log, entry{f.now, ctx, in})
	}
	return log
}

// The same log gives the same verdicts in the same order, whoever reads it and
// whenever: nothing depends on the order of a map.
func TestReplayEqualsLive(t *testing.T) {
	all := rules(t, everyKind)
	for seed := range uint64(20) {
		log := recorded(seed, 300)
		live, again := play(newSet(t, all), log), play(newSet(t, all), log)
		if a, b := texts(live), texts(again); !slices.Equal(a, b) {
			t.Fatalf("seed %d: %s", seed, firstDifference(a, b))
		}
	}
}

// What one server sends does not matter to another one: the order of records
// of one moment that belong to different servers is nobody's business.
func TestServersDoNotMeet(t *testing.T) {
	all := rules(t, everyKind)
	for seed := range uint64(20) {
		log := recorded(seed, 300)
		mixed := slices.Clone(log)
		dice := rand.New(rand.NewPCG(seed, 9))
		for from := 0; from < len(mixed); {
			to := from
			for to < len(mixed) && mixed[to].in.Record != nil {
				to++
			}
			part := mixed[from:to]
			order := dice.Perm(3)
			slices.SortStableFunc(part, func(a, b entry) int {
				return cmp.Compare(order[a.ctx.Server.ID[3]], order[b.ctx.Server.ID[3]])
			})
			from = to + 1
		}
		byServer := func(v []Verdict) []string {
			slices.SortStableFunc(v, func(a, b Verdict) int { return slices.Compare(a.Server[:], b.Server[:]) })
			return texts(v)
		}
		if a, b := byServer(play(newSet(t, all), log)), byServer(play(newSet(t, all), mixed)); !slices.Equal(a, b) {
			t.Fatalf("seed %d: %s", seed, firstDifference(a, b))
		}
	}
}

func texts(list []Verdict) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = fmt.Sprintf("%s %+v", v.At.Sub(epoch0), v)
	}
	return out
}

func firstDifference(a, b []string) string {
	for i := range max(len(a), len(b)) {
		x, y := strings.Join(a[min(i, len(a)):min(i+1, len(a))], ""), strings.Join(b[min(i, len(b)):min(i+1, len(b))], "")
		if x != y {
			return fmt.Sprintf("%d:\n%s\n%s", i, x, y)
		}
	}
	return "equal"
}

// Sequences that end by what happens, so that nothing depends on when it
// arrived.
const shuffledRules = `rules:
  - {id: follow, name: A, ` + tail + `, sequence: {tolerance: 8s, steps: [{event: {provider: a}}, {event: {provider: b}, within: 20s}, {event: {provider: [a, c]}, within: 20s}], until: {event: {provider: d}}, resolve: [{event: {provider: b}}, {event: {provider: d}}]}}
  - {id: missed, name: B, ` + tail + `, sequence: {tolerance: 8s, per: device, steps: [{event: {provider: a, device: {type: nic, attr: n}}}, {not: {event: {provider: [b, d], device: {type: nic, attr: n}}}, within: 12s}]}}
  - {id: often, name: C, ` + tail + `, sequence: {tolerance: 8s, steps: [{any: [{event: {provider: a}}, {event: {provider: c}}], times: 3, within: 15s}, {event: {provider: d}, times: 2, within: 30s}], resolve: {event: {provider: b}}}}
  - {id: states, name: D, ` + tail + `, sequence: {tolerance: 8s, per: device, steps: [{state: {device: physical_drive, field: state, is: Dgrd}}, {state: {device: physical_drive, field: state, is: Optl}, within: 60s}], resolve: {state: {device: physical_drive, field: state, is: Onln}}}}
  - {id: mixed, name: E, ` + tail + `, sequence: {tolerance: 8s, steps: [{state: {device: physical_drive, field: state, is: Dgrd}}, {event: {provider: b}, within: 30s}, {not: {state: {device: physical_drive, field: state, is: Onln}}, within: 10s}], resolve: {event: {provider: c}}}}
`

// happened is a record and when it did.
type happened struct {
	at       time.Time
	arrives  time.Duration
	server   record.ID
	snapshot *record.Snapshot
	r        *record.Record
	id       string
}

// world makes up what happens on two servers within some minutes.
func happenings(dice *rand.Rand) []happened {
	var out []happened
	for n := range 2 {
		at := epoch0
		for i := range 60 {
			at = at.Add(time.Duration(500+dice.IntN(6000)) * time.Millisecond)
			h := happened{at: at, server: serverID(n), id: fmt.Sprintf("%d-%d", n, i)}
			if dice.IntN(4) == 0 {
				h.snapshot = &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}}}
				for _, place := range []string{"c0/1", "c0/2"} {
					state := []string{"Onln", "Dgrd", "Optl"}[dice.IntN(3)]
					h.snapshot.Devices = append(h.snapshot.Devices, record.Device{Type: record.DevicePhysicalDrive, Place: place, Fields: []record.Attr{{Key: record.FieldState, Value: record.String(state)}}})
				}
				h.r = &record.Record{Name: record.NameSnapshot, Snapshot: h.snapshot}
			} else {
				h.r = &record.Record{Name: record.NameWindowsEvent, Body: h.id, Attrs: []record.Attr{
					{Key: record.AttrProvider, Value: record.String([]string{"a", "a", "b", "c", "d"}[dice.IntN(5)])}, {Key: "n", Value: record.String([]string{"1", "2"}[dice.IntN(2)])}}}
			}
			out = append(out, h)
		}
	}
	return out
}

// arrive writes the log of things that arrive after at most the delay. Events
// overtake each other and snapshots; snapshots of one server do not overtake
// each other, because they are of one sequence and are compared one by one.
func arrive(dice *rand.Rand, all []happened, delay time.Duration) []entry {
	const base = 300 * time.Millisecond // it is never there at once
	all = slices.Clone(all)
	last := map[record.ID]time.Duration{}
	for i := range all {
		h := &all[i]
		h.arrives = h.at.Sub(epoch0) + base + time.Duration(dice.Int64N(int64(delay)+1))
		if h.snapshot != nil {
			h.arrives = max(h.arrives, last[h.server]) // the one before was at most as late
			last[h.server] = h.arrives
		}
	}
	slices.SortStableFunc(all, func(a, b happened) int { return cmp.Compare(a.arrives, b.arrives) })
	var log []entry
	known := map[record.ID]*record.Snapshot{}
	now := epoch0
	tickTo := func(t time.Duration) {
		for !now.Add(time.Second).After(epoch0.Add(t)) {
			now = now.Add(time.Second)
			log = append(log, entry{now: now})
		}
	}
	for _, h := range all {
		tickTo(h.arrives)
		in := Input{Record: h.r, Header: &record.Header{Subject: h.server, Category: record.EventLog}, RecordID: h.id, Event: h.at}
		ctx := Context{Now: now, Server: ServerFacts{ID: h.server}} // the clock moves by ticks alone
		if h.snapshot != nil {
			in.Header.Category = record.RAID
			ctx.Previous = known[h.server]
			in.Changes, in.Current = diff.Diff(known[h.server], h.snapshot), diff.Merge(known[h.server], h.snapshot)
			known[h.server] = in.Current
		}
		log = append(log, entry{now, ctx, in})
	}
	tickTo(all[len(all)-1].arrives + 5*time.Minute)
	return log
}

// Input that was shuffled within the tolerance gives the same problems, for the
// same reasons.
func TestShuffledWithinTolerance(t *testing.T) {
	all := rules(t, shuffledRules)
	tolerance := all[0].Spec.(*rule.Sequence).Tolerance
	problems := func(set *Set, log []entry) []string {
		var out []string
		firing := map[string]bool{}
		for _, v := range play(set, log) {
			k := v.RuleID + " " + v.Server.String() + " " + v.Device
			if v.Kind == Firing && firing[k] {
				continue // told once more, at most once a minute
			}
			firing[k] = v.Kind == Firing
			out = append(out, fmt.Sprintf("%s %s: %s [%s %s %s]", k, v.Kind, v.Reason, v.RecordID, v.Before, v.After))
		}
		slices.Sort(out)
		return out
	}
	byRule := map[string]int{}
	for seed := range uint64(150) {
		dice := rand.New(rand.NewPCG(seed, 10))
		happen := happenings(dice)
		want := problems(newSet(t, all), arrive(dice, happen, 0))
		for _, s := range want {
			byRule[strings.Fields(s)[0]+strings.Fields(s)[2]]++
			byRule[strings.Fields(s)[0]]++
		}
		for range 4 {
			if got := problems(newSet(t, all), arrive(dice, happen, tolerance)); !slices.Equal(got, want) {
				t.Fatalf("seed %d, verdict %s", seed, firstDifference(want, got))
			}
		}
	}
	for _, r := range all {
		if byRule[r.ID] < 50 {
			t.Errorf("rule %s spoke %d times only", r.ID, byRule[r.ID])
		}
	}
}
