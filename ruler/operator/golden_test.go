package operator

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nocturne/internal/record"
	"nocturne/ruler/diff"
)

// saved is a file of states that an earlier version wrote: the rules, what was
// saved, and what has to be said from there on.
type saved struct {
	Rules  string
	At     time.Time
	States []savedState
	Want   []string
}

type savedState struct {
	Rule, Shape string
	Server, Key []byte
	Data        []byte
}

// States that earlier versions wrote load for ever, and their rules keep their
// shape: an upgrade loses no half-done sequence. A new field of a rule's Spec
// has to be left out of its JSON while it is empty ("omitempty").
func TestOldStatesLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/states-*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		if flag.Lookup("update").Value.String() != "true" {
			t.Fatal("no testdata/states-*.json: -update writes one, and never changes one")
		}
		files = append(files, writeStates(t))
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s saved
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		set := newSet(t, rules(t, s.Rules))
		var states []KeyedState
		for _, v := range s.States {
			states = append(states, KeyedState{RuleID: v.Rule, Shape: v.Shape, Server: record.ID(v.Server), Key: string(v.Key), Data: v.Data})
		}
		if left, err := set.Load(states); err != nil || left != 0 {
			t.Errorf("%s: %d of %d states left out, %v", file, left, len(states), err)
		}
		if got := sayOn(set, s.At); !slices.Equal(got, s.Want) {
			t.Errorf("%s: says\n%s\nwant\n%s", file, strings.Join(got, "\n"), strings.Join(s.Want, "\n"))
		}
	}
}

// sayOn carries a set on: what was begun comes to an end, by events and by
// time. It must stay as it is, as the files do.
func sayOn(set *Set, now time.Time) []string {
	var out []string
	start := now
	note := func(list []Verdict) {
		for _, v := range list {
			out = append(out, fmt.Sprintf("%s %s %s %s %s", v.At.Sub(start), v.Kind, v.RuleID, v.Server, v.Device))
		}
	}
	var known [3]*record.Snapshot
	for i := range 120 {
		now = now.Add(time.Second)
		note(set.Tick(now))
		if i%4 != 0 {
			continue
		}
		n := i / 4 % 3
		r := &record.Record{Name: record.NameWindowsEvent, Time: now, Observed: now, Body: "text"}
		in := Input{Record: r, Header: &record.Header{Category: record.EventLog, Subject: serverID(n)}, RecordID: fmt.Sprint("on-", i), Event: now}
		ctx := Context{Now: now, Server: ServerFacts{ID: serverID(n)}}
		switch i / 12 % 5 {
		case 0, 1, 2:
			r.Attrs = []record.Attr{{Key: record.AttrProvider, Value: record.String("p1")}, {Key: record.AttrEventID, Value: record.Int(int64(i/12%5) + 1)}, {Key: "event.data.n", Value: record.String("1")}}
		case 3:
			in.Header.Category, r.Name = record.Heartbeat, record.NameHeartbeat
			r.Attrs = []record.Attr{{Key: record.AttrBootTime, Value: record.Int(now.UnixNano())}}
		default:
			in.Header.Category, r.Name = record.RAID, record.NameSnapshot
			state := []string{"Onln", "Dgrd", "Optl"}[i/60%3]
			r.Snapshot = &record.Snapshot{Sections: []record.Section{{Type: record.DevicePhysicalDrive}, {Type: record.DeviceVirtualDrive}}, Devices: []record.Device{
				{Type: record.DevicePhysicalDrive, Place: "c0/1", Fields: []record.Attr{{Key: record.FieldState, Value: record.String(state)}}},
				{Type: record.DeviceVirtualDrive, Place: "c0/2", Fields: []record.Attr{{Key: record.FieldState, Value: record.String(state)}}}}}
			ctx.Previous = known[n]
			in.Changes, in.Current = diff.Diff(known[n], r.Snapshot), diff.Merge(known[n], r.Snapshot)
			known[n] = in.Current
		}
		note(set.Step(ctx, in))
	}
	return out
}

// playUntil returns a set in the middle of a feed.
func playUntil(t *testing.T, seed uint64) (*Set, time.Time) {
	set, f := newSet(t, rules(t, everyKind)), (*feed)(nil)
	playFeed(seed, 400, set, func(s *Set, at *feed) *Set {
		f = at
		return s
	})
	return set, f.now
}

func writeStates(t *testing.T) string {
	t.Helper()
	var s saved
	most := 0
	for seed := range uint64(200) { // the one in which most rules are in the middle of something
		set, now := playUntil(t, seed)
		states := set.Save(false)
		want := sayOn(set, now)
		n := map[string]bool{}
		for _, v := range want {
			n[strings.Fields(v)[1]+strings.Fields(v)[2]] = true
		}
		for _, v := range states {
			n[v.RuleID] = n[v.RuleID] || len(v.Data) > 10
		}
		if len(n) <= most {
			continue
		}
		most = len(n)
		s = saved{Rules: everyKind, At: now, Want: want}
		for _, v := range states {
			s.States = append(s.States, savedState{v.RuleID, v.Shape, v.Server[:], []byte(v.Key), v.Data})
		}
	}
	data, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const file = "testdata/states-2026-11.json"
	if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
