package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
)

var randomTypes = []string{record.DevicePhysicalDrive, record.DeviceVirtualDrive, record.DeviceMemory, record.DeviceNIC}

// randomRules are about few types of devices, fields and sites, some of them
// named servers.
func randomRules(dice *rand.Rand, n int) string {
	pick := func(words ...string) string { return words[dice.IntN(len(words))] }
	typ := func() string { return pick(randomTypes...) }
	field := func() string { return pick("state", "other") }
	happens := func(typ string) string {
		return pick(
			fmt.Sprintf(`state: {device: %s, field: %s, is: %s}`, typ, field(), pick("a", "b")),
			fmt.Sprintf(`change: {device: %s, kinds: [%s]}`, typ, pick("added, field", "removed", "replaced, moved")),
			fmt.Sprintf(`event: {provider: %s, device: {type: %s, attr: n}}`, pick("p1", "p2"), typ))
	}
	var b strings.Builder
	b.WriteString("rules:\n")
	var states, drives []string
	for i := range n {
		condition := ""
		switch kind := dice.IntN(8); kind {
		case 0, 1:
			condition = fmt.Sprintf(`%s state: {device: %s, %s%s}`, pick("", "for: 5s,"), typ(), pick("field: "+field()+", "+pick("bad: [a]", "bad: [B]", "bad: [k]", "bad: [a, C]", "ok: [c]", "ok: [C, b]", "ok: [b, K]"),
				"field: errors, "+pick("above: 1", "above: 2", "below: 1", "below: 2", "above: 2, clear: 1", "ok: [\"0\", \"2\"]", "bad: [\"3\"]")), pick("", ", keep: 4s"))
			states = append(states, fmt.Sprintf("r%d", i))
		case 2:
			condition = fmt.Sprintf(`expires: 20s, change: {device: [%s, %s], kinds: [added, removed, replaced, moved, field]}`, typ(), typ())
		case 3:
			condition = fmt.Sprintf(`flap: {device: %s, field: %s, changes: 2, within: 30s}`, typ(), field())
		case 4:
			condition = fmt.Sprintf(`count: {counter: {device: %s, field: errors}, more_than: 2, within: 1m}`, typ())
			drives = append(drives, fmt.Sprintf("r%d", i))
		case 5:
			condition = fmt.Sprintf(`expires: 1m, match: {provider: %s, device: {type: %s, attr: n}}`, pick("p1", "p2"), typ())
			drives = append(drives, fmt.Sprintf("r%d", i))
		case 6:
			per, first, second := pick("server", "device", "controller"), typ(), typ()
			if per == "device" {
				second = first // it is of one type
			}
			condition = fmt.Sprintf(`expires: 20s, sequence: {per: %s, tolerance: 2s, steps: [{%s}, {%s, within: 40s}]}`, per, happens(first), happens(second))
		default:
			if len(states) == 0 || len(drives) == 0 {
				continue
			}
			condition = fmt.Sprintf(`risk: {degraded: [%s, %s], weak: [%s], failed: [%s]}`, pick(states...), pick(states...), pick(drives...), pick(states...))
			states = append(states, fmt.Sprintf("r%d", i)) // a risk may be one of another's
		}
		servers := pick("", "", "servers: {site: bern}, ", "servers: {site: [ZUG, basel]}, ", "servers: {site: {not: zug}}, ", "servers: {name: s1}, ")
		fmt.Fprintf(&b, "  - {id: r%d, name: R%d, %s, %s%s}\n", i, i, tail, servers, condition)
	}
	return b.String()
}

// randomSnapshot has sections without devices, devices without a section and
// sections of one controller.
func randomSnapshot(dice *rand.Rand) *record.Snapshot {
	s := &record.Snapshot{}
	for _, typ := range randomTypes {
		if dice.IntN(3) == 0 {
			continue
		}
		if dice.IntN(6) > 0 {
			s.Sections = append(s.Sections, record.Section{Type: typ, Scope: []string{"", "", "c0"}[dice.IntN(3)]})
		}
		for _, place := range []string{"c0/1", "c0/2", "c1/1"} {
			if dice.IntN(3) > 0 {
				s.Devices = append(s.Devices, record.Device{Type: typ, Place: place, Occupant: []string{"", "A1", "B2", "C3"}[dice.IntN(4)], Fields: []record.Attr{
					{Key: "state", Value: record.String([]string{"a", "b ", "c", "C", "", "\u212a"}[dice.IntN(6)])}, {Key: "other", Value: record.String([]string{"a", "c"}[dice.IntN(2)])},
					{Key: "errors", Value: record.Int(int64(dice.IntN(4)))}, {Key: FieldGroup, Value: record.Int(0)}}})
			}
		}
	}
	dice.Shuffle(len(s.Devices), func(a, b int) { s.Devices[a], s.Devices[b] = s.Devices[b], s.Devices[a] })
	return s
}

// Whatever the rules and the snapshots, the index of snapshots leaves out none
// that has something to say, and keeps the order of what they say.
func TestSnapshotIndexEqualsNone(t *testing.T) {
	verdicts := map[string]int{}
	for seed := range uint64(10) {
		dice := rand.New(rand.NewPCG(seed, 21))
		all := rules(t, randomRules(dice, 40))
		set, naive := newSet(t, all), unindexed{newSet(t, all)}
		known := map[record.ID]*record.Snapshot{}
		now := epoch0
		for range 150 {
			now = now.Add(time.Duration(dice.IntN(5)) * time.Second)
			n := dice.IntN(3)
			ctx := Context{Now: now, Server: ServerFacts{ID: serverID(n), Name: fmt.Sprintf("S%d", n), Site: []string{"Bern", "zug", "basel"}[n]}}
			in := Input{Record: &record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String([]string{"p1", "p2"}[dice.IntN(2)])},
				{Key: "n", Value: record.String([]string{"c0/1", "c0/2"}[dice.IntN(2)])}}}, Header: &record.Header{Subject: ctx.Server.ID, Category: record.EventLog}, RecordID: fmt.Sprint(now.Unix())}
			if dice.IntN(4) > 0 {
				s := randomSnapshot(dice)
				in.Record, in.Header.Category = &record.Record{Name: record.NameSnapshot, Snapshot: s}, record.RAID
				ctx.Previous = known[ctx.Server.ID]
				in.Changes, in.Current = diff.Diff(ctx.Previous, s), diff.Merge(ctx.Previous, s)
				known[ctx.Server.ID] = in.Current
			}
			if dice.IntN(60) == 0 {
				set.Forget(ctx.Server.ID)
				naive.Forget(ctx.Server.ID)
			}
			set = sometimesRestarted(t, dice, all, set)
			ticked := set.Tick(now)
			same(t, seed, ticked, naive.Tick(now))
			got, want := set.Step(ctx, in), naive.Step(ctx, in)
			if a, b := texts(got), texts(want); in.Record.Snapshot != nil && !slices.Equal(a, b) {
				t.Fatalf("seed %d: %s", seed, firstDifference(a, b))
			}
			same(t, seed, got, want)
			for _, v := range append(ticked, got...) {
				verdicts[all[set.byID[v.RuleID]].Kind]++
			}
		}
	}
	for _, kind := range []string{"state", "change", "flap", "count", "sequence", "match", "risk"} {
		if verdicts[kind] < 20 {
			t.Errorf("rules of kind %s said %d things only", kind, verdicts[kind])
		}
	}
}

// Rules about other devices, other servers, or about changes where nothing
// changed, do not get a snapshot.
func TestSnapshotConcernsFew(t *testing.T) {
	var text strings.Builder
	text.WriteString("rules:\n")
	for _, k := range kinds {
		if k.sees != "snapshot" || strings.HasSuffix(k.name, "-matches") {
			continue
		}
		condition := k.condition
		if strings.Contains(condition, "%d") {
			condition = fmt.Sprintf(condition, 1)
		}
		fmt.Fprintf(&text, "  - {id: %s, name: A, %s, %s}\n", k.name, tail, condition)
	}
	for i, condition := range []string{"field: state, bad: [x, y]", "field: state, ok: [ONLN]", "field: faults, above: 3", "field: faults, below: 2", "field: other, bad: [x]"} {
		fmt.Fprintf(&text, "  - {id: well%d, name: A, %s, state: {device: physical_drive, %s}}\n", i, tail, condition)
	}
	text.WriteString("  - {id: elsewhere, name: A, " + tail + ", servers: {site: zug}, state: {device: physical_drive, field: state, bad: [x]}}\n")
	text.WriteString("  - {id: here, name: A, " + tail + ", servers: {site: bern}, state: {device: physical_drive, field: faults, above: 2}}\n")
	text.WriteString("  - {id: at-risk, name: A, " + tail + ", risk: {degraded: [here], weak: [here], failed: [here]}}\n")
	set := newSet(t, rules(t, text.String()))
	drives := &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}}, Devices: []record.Device{{Type: record.DevicePhysicalDrive, Place: "c0/s1", Fields: []record.Attr{
		{Key: "faults", Value: record.Int(3)}, {Key: "state", Value: record.String("Onln")}}}}}
	ctx := Context{Now: epoch0, Previous: drives, Server: ServerFacts{ID: serverID(1), Site: "bern"}}
	set.Step(ctx, Input{Record: &record.Record{Name: record.NameSnapshot, Snapshot: drives}, Header: &record.Header{Category: record.RAID}, Current: drives})
	if n := len(set.snapshots.places) + len(set.snapshots.ends); n != 1 {
		t.Errorf("%d rules look at a snapshot that concerns one", n)
	}
	if n := len(set.risks.held); n != 1 {
		t.Errorf("%d servers at risk", n)
	}
	drives.Devices[0].Fields[0].Value = record.Int(2)
	for _, want := range []int{1, 0} { // it sees how what it holds ends, and no more
		set.Step(ctx, Input{Record: &record.Record{Name: record.NameSnapshot, Snapshot: drives}, Header: &record.Header{Category: record.RAID}, Current: drives})
		if n := len(set.snapshots.places); n != want {
			t.Errorf("%d rules look at a drive that is well, want %d", n, want)
		}
	}
	if n := len(set.risks.held); n != 0 {
		t.Errorf("%d servers at risk when all is well", n)
	}
}

// stopped is an operator with a bug.
type stopped struct{ Operator }

func (stopped) Tick(time.Time) []Verdict { panic("a bug") }

// A rule that meets a bug when time passes does not keep it from the others.
func TestTickSurvivesARule(t *testing.T) {
	set := newSet(t, rules(t, "rules:\n  - {id: a, name: A, "+tail+", expires: 5s, match: {provider: p}}\n  - {id: b, name: B, "+tail+", expires: 5s, match: {provider: p}}\n"))
	set.ops[0] = stopped{set.ops[0]}
	var bad []string
	set.Panicked = func(id string, what any) { bad = append(bad, fmt.Sprint(id, ": ", what)) }
	in := Input{Record: &record.Record{Name: record.NameWindowsEvent, Attrs: []record.Attr{{Key: record.AttrProvider, Value: record.String("p")}}}, Header: &record.Header{}}
	set.Step(Context{Now: epoch0, Server: ServerFacts{ID: serverID(1)}}, in)
	got := set.Tick(epoch0.Add(10 * time.Second))
	if len(got) != 1 || got[0].RuleID != "b" || got[0].Kind != Resolved || !slices.Equal(bad, []string{"a: a bug"}) {
		t.Errorf("verdicts %+v, bugs %q", got, bad)
	}
}
